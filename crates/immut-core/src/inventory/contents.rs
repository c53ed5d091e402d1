//! [`Contents`]: the bytes of single files, read again when it is known which ones matter.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use super::{EntryId, Error, Inode, Inventory, Kind, Raw, Subject};
use crate::archive::{self, Archive};
use crate::image::Descriptor;
use crate::store::{Layout, Unpacked, UnpackedReader};

/// Reads files of an inventory again: from archives that were put aside, or else by decoding the
/// layer once more.
#[derive(Debug, Clone, Copy)]
pub struct Contents<'a> {
    inventory: &'a Inventory,
    blobs: &'a [Descriptor],
    stage: &'a Layout,
}

/// The content of a file.
pub(crate) trait FileContent: Read + Seek {}
impl<T: Read + Seek> FileContent for T {}

impl<'a> Contents<'a> {
    /// Of an image whose layers are in the stage.
    pub fn new(subject: &Subject<'a>, stage: &'a Layout) -> Self {
        Self { inventory: subject.inventory, blobs: subject.manifest.layers(), stage }
    }

    /// Shows the content of a regular file; none if there is none, or if it is sparse.
    pub(crate) fn see<T>(
        &self,
        inode: &Inode,
        see: impl FnOnce(&mut dyn FileContent) -> T,
    ) -> Result<Option<T>, Error> {
        let Some(id) = inode.carrier.filter(|_| inode.kind == Kind::File) else { return Ok(None) };
        let number = id.layer as usize;
        let (read, archive) = (unread(number), broken(number));
        let layer = &self.inventory.layers()[number];
        let mut raw = Raw::open(self.stage, &self.blobs[number], layer)?;
        raw.go_to(self.inventory.entry(id).start).map_err(read)?;
        let (member, mut content) = raw.member().map_err(archive)?;
        if member.sparse.is_some() {
            return Ok(None);
        }
        if let Some(unpacked) = &layer.unpacked {
            return Ok(Some(see(&mut Window::new(unpacked, raw.at(), member.size))));
        }
        if member.size <= IN_MEMORY {
            let mut bytes = Vec::new();
            copy(&mut content, &mut bytes).map_err(read)?;
            return Ok(Some(see(&mut Cursor::new(bytes))));
        }
        let mut file = tempfile::tempfile_in(self.stage.folder()).map_err(read)?;
        copy(&mut content, &mut file).map_err(read)?;
        file.rewind().map_err(read)?;
        Ok(Some(see(&mut file)))
    }

    /// Shows the contents of many small files one after the other, in the order in which the layers
    /// have them: each layer is decoded once at most.
    pub(crate) fn see_each<K>(
        &self,
        wanted: impl IntoIterator<Item = (EntryId, K)>,
        mut see: impl FnMut(K, &[u8]),
    ) -> Result<(), Error> {
        let mut ordered: BTreeMap<EntryId, Vec<K>> = BTreeMap::new();
        for (id, key) in wanted {
            ordered.entry(id).or_default().push(key);
        }
        let mut open: Option<(usize, Raw<'_>)> = None;
        for (id, keys) in ordered {
            let number = id.layer as usize;
            let mut raw = match open.take() {
                Some((layer, raw)) if layer == number => raw,
                _ => Raw::open(self.stage, &self.blobs[number], &self.inventory.layers()[number])?,
            };
            raw.go_to(self.inventory.entry(id).start).map_err(unread(number))?;
            let (_, mut content) = raw.member().map_err(broken(number))?;
            let mut bytes = Vec::new();
            copy(&mut content, &mut bytes).map_err(unread(number))?;
            for key in keys {
                see(key, &bytes);
            }
            open = Some((number, raw));
        }
        Ok(())
    }
}

/// Of a layer, counted from 0.
fn unread(layer: usize) -> impl Fn(io::Error) -> Error + Copy {
    move |source| Error::Read { layer: layer + 1, source }
}

fn broken(layer: usize) -> impl Fn(archive::Error) -> Error {
    move |error| match error {
        archive::Error::Read(source) => unread(layer)(source),
        source => Error::Archive { layer: layer + 1, source },
    }
}

/// What is larger goes to a file of the stage while it is looked at, in bytes.
const IN_MEMORY: u64 = 1 << 20;

fn copy<R: Read>(content: &mut Archive<R>, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = [0; 1 << 14];
    loop {
        match content.read_content(&mut buffer)? {
            0 => return Ok(()),
            count => to.write_all(&buffer[..count])?,
        }
    }
}

/// A file in an archive that was put aside.
struct Window<'a> {
    reader: UnpackedReader<'a>,
    start: u64,
    size: u64,
    at: u64,
}

impl<'a> Window<'a> {
    fn new(unpacked: &'a Unpacked, start: u64, size: u64) -> Self {
        Self { reader: unpacked.read_from(start), start, size, at: 0 }
    }
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.size.saturating_sub(self.at);
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.reader.read(&mut buffer[..most])?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.reader.go_to(self.start + self.at.min(self.size));
        Ok(self.at)
    }
}
