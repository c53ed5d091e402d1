//! One layer: what is kept of it, and what changes.

use std::collections::HashSet;
use std::io::{self, Read, Write};

use super::encode::{Blob, Encoded, Encoder, Way, encode};
use super::fates::{Added, Fate, Fates, What};
use super::spool::Spool;
use super::{Error, Making, NewLayer, config};
use crate::archive::{Archive, BLOCK, Head, Member, zero_blocks};
use crate::image::{Compression, Descriptor};
use crate::inventory::{EntryId, Kind, Known, Layer, Raw, Subject};
use crate::path::RootPath;
use crate::progress::{Part, Task, Told, Work};
use crate::store::{Early, Layout, Source};

/// Everything a layer's rewrite looks at.
pub(super) struct Scene<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) fates: &'a Fates<'a>,
    pub(super) stage: &'a Layout,
    pub(super) date: &'a config::Date,
    pub(super) making: Making<'a>,
}

impl Scene<'_> {
    /// What becomes of a layer.
    pub(super) fn layer(&self, number: usize, spool: &Spool) -> Result<NewLayer, Error> {
        let old = &self.subject.manifest.layers()[number];
        let layer = &self.subject.inventory.layers()[number];
        if !self.fates.touches(number) {
            self.lend(number, spool)?;
            return Ok(NewLayer::Same { blob: old.clone(), diff_id: layer.diff_id });
        }
        if self.fates.empties(number) {
            self.lend(number, spool)?;
            return Ok(NewLayer::Dropped);
        }
        let part = Part::Layer { number, of: self.subject.manifest.layers().len() };
        let reading = &self.making.reading;
        let (task, platform) = (Task::Rewrite, reading.platform);
        let work = Work { task, platform, part, digest: old.digest, total: layer.size };
        let mut told = Told::start(reading.progress, work);
        let way = self.way(old, layer)?;
        let compression = way.compression;
        let raw = Raw::open(self.stage, old, layer)?;
        let known = Known::new(self.subject.inventory, self.known_files(number, layer));
        let encoded = encode(number, way, self.blob()?, reading, known, |out| {
            Filter { scene: self, number, spool, raw, told: &mut told, out }.run(layer)
        })?;
        told.encoded(encoded.encoding);
        let new = self.keep(self.new_part(number), encoded, compression)?;
        told.done();
        Ok(new)
    }

    /// For each regular file of the layer as it will be, the entry whose content it keeps.
    fn known_files(&self, number: usize, layer: &Layer) -> Vec<Option<EntryId>> {
        let ids = (0..).map(|index| EntryId { layer: number_of(number), index });
        let mut files = Vec::new();
        for (id, entry) in ids.zip(&layer.entries) {
            let fate = self.fates.of(id);
            let carries = fate.is_some_and(|one| one.carries.is_some());
            if fate.is_some_and(|one| one.dropped) || !(entry.kind == Kind::File || carries) {
                continue;
            }
            let changes = carries || fate.is_some_and(|one| one.content.is_some());
            files.push((!changes).then_some(id));
        }
        files
    }

    /// How a layer is encoded: with what can be copied of the old blob, unless it is compressed in
    /// another way.
    fn way<'w>(&'w self, old: &Descriptor, layer: &'w Layer) -> Result<Way<'w>, Error> {
        let compression = self.making.compression.of(layer.compression);
        let copies = !self.making.recompress
            && compression == layer.compression
            && !layer.spans.list().is_empty();
        let old = if copies { Some((&layer.spans, self.stage.open(old)?)) } else { None };
        Ok(Way { compression, old })
    }

    /// Puts aside what later layers take over from a layer that is not written.
    fn lend(&self, number: usize, spool: &Spool) -> Result<(), Error> {
        let wanted = self.fates.wanted_of(number_of(number));
        if wanted.is_empty() {
            return Ok(());
        }
        let layer = &self.subject.inventory.layers()[number];
        let mut raw = Raw::open(self.stage, &self.subject.manifest.layers()[number], layer)?;
        for id in wanted {
            raw.go_to(self.subject.inventory.entry(id).start).map_err(io_error(number))?;
            let (member, mut archive) = member(&mut raw, number)?;
            let folder = self.stage.folder();
            spool.put(id, &member, &mut archive, folder).map_err(io_error(number))?;
        }
        raw.finish().map_err(io_error(number))
    }

    /// What is added on top, as a layer of its own.
    pub(super) fn top_layer(&self) -> Result<Option<NewLayer>, Error> {
        let number = self.subject.manifest.layers().len();
        let on_top: Vec<&Added<'_>> =
            self.fates.added.iter().filter(|added| added.layer.is_none()).collect();
        if on_top.is_empty() {
            return Ok(None);
        }
        // As the layer below, which is how whoever pulls the image can read layers.
        let below = self.subject.inventory.layers().last();
        let compression = below.map_or(Compression::Gzip, |layer| layer.compression);
        let way = Way { compression: self.making.compression.of(compression), old: None };
        let compression = way.compression;
        let reading = &self.making.reading;
        let known = Known::nothing();
        let encoded = encode(number, way, self.blob()?, reading, known, |out| {
            let mut written = HashSet::new();
            for added in on_top {
                self.write_parents(added.path, &mut written, out).map_err(io_error(number))?;
                if written.insert(added.path.clone()) {
                    self.write_added(added, out).map_err(io_error(number))?;
                }
            }
            out.write_all(&END).map_err(io_error(number))
        })?;
        self.keep(self.new_part(number), encoded, compression).map(Some)
    }

    /// Where a new blob goes.
    pub(super) fn blob(&self) -> Result<Blob<'_>, Error> {
        Ok(Blob::new(self.stage.scratch()?, self.making.early.and_then(Early::begin)))
    }

    /// What a layer, or after them the one on top, is to the new image.
    fn new_part(&self, number: usize) -> Part {
        self.fates.part(number, self.subject.manifest.layers().len())
    }

    /// Puts a new blob, which is that part of the new image, into the stage.
    pub(super) fn keep(
        &self,
        part: Part,
        encoded: Encoded<'_>,
        compression: Compression,
    ) -> Result<NewLayer, Error> {
        let Encoded { scratch, digest, size, encoding, mut indexed, sending } = encoded;
        self.stage.keep(scratch, &digest)?;
        let media_type = self.subject.manifest.layer_media_type(compression);
        indexed.layer.compression = compression;
        let blob = Descriptor { media_type, digest, size };
        if let Some(sending) = sending {
            sending.finish(&blob, part, self.making.reading.platform);
        }
        Ok(NewLayer::Written { blob, encoding, indexed: Box::new(indexed) })
    }

    /// The directories above a new file, as the image will have them: a layer that left them out would
    /// give them default modes where engines keep each layer in a folder of its own.
    fn write_parents(
        &self,
        path: &RootPath,
        written: &mut HashSet<RootPath>,
        out: &mut Encoder<'_>,
    ) -> io::Result<()> {
        let mut parents: Vec<RootPath> = path
            .ancestors()
            .skip(1)
            .filter(|parent| !parent.is_root() && !written.contains(parent))
            .collect();
        parents.reverse();
        for parent in parents {
            if let Some((mode, owner)) = self.attributes(&parent) {
                let what = What::Directory { mode, owner };
                self.write_added(&Added { path: &parent, layer: None, what }, out)?;
                written.insert(parent);
            }
        }
        Ok(())
    }

    pub(super) fn attributes(&self, path: &RootPath) -> Option<(u16, (u32, u32))> {
        self.fates.attributes(self.subject.inventory, path)
    }

    pub(super) fn write_added(&self, added: &Added<'_>, out: &mut Encoder<'_>) -> io::Result<()> {
        match added.what {
            What::Directory { mode, owner } => {
                out.write_all(&Head::new(added.path, true, mode, owner, self.date.epoch).to_bytes())
            }
            What::File(content) => {
                let (mode, owner) = self.attributes(added.path).unwrap_or((0o644, (0, 0)));
                let mut head = Head::new(added.path, false, mode, owner, self.date.epoch);
                head.set_size(content.len() as u64);
                out.write_all(&head.to_bytes())?;
                write_content(content, out)
            }
        }
    }
}

/// How archives end.
pub(super) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Takes a layer's archive over, entry by entry.
struct Filter<'f, 'a, 'e> {
    scene: &'f Scene<'a>,
    number: usize,
    spool: &'f Spool,
    raw: Raw<'f>,
    told: &'f mut Told<'a>,
    out: &'f mut Encoder<'e>,
}

impl Filter<'_, '_, '_> {
    /// Entries without a fate are kept as they stand, neighbours together; the others are read.
    fn run(mut self, layer: &Layer) -> Result<(), Error> {
        let fates = self.scene.fates;
        let number = number_of(self.number);
        let mut kept = 0;
        for (index, entry) in (0..).zip(&layer.entries) {
            let id = EntryId { layer: number, index };
            if fates.of(id).is_none() && !fates.wanted.contains(&id) {
                continue;
            }
            let next = layer.entries.get(id.index as usize + 1);
            let next = next.map_or(layer.end, |next| next.start);
            self.keep(kept, entry.start)?;
            kept = self.entry(id, entry.start, next)?;
        }
        self.keep(kept, layer.end.min(layer.size))?;
        let end = self.end(layer, kept);
        end.map_err(io_error(self.number))?;
        self.raw.finish().map_err(io_error(self.number))
    }

    fn keep(&mut self, start: u64, end: u64) -> Result<(), Error> {
        if start < end {
            self.out.keep(start..end, &mut self.raw).map_err(io_error(self.number))?;
            self.told.reached(end);
        }
        Ok(())
    }

    /// What comes after the entries, which were kept from an offset on.
    fn end(&mut self, layer: &Layer, kept: u64) -> io::Result<()> {
        // An archive may end without the padding of its last entry, which matters if that is kept.
        let missing = layer.end.saturating_sub(layer.size.max(kept));
        let missing = usize::try_from(missing).map_err(io::Error::other)?;
        self.out.write_all(&END[..missing])?;
        for added in self.scene.fates.added.iter().filter(|one| one.layer == Some(self.number)) {
            self.scene.write_added(added, self.out)?;
        }
        if layer.clean_end {
            self.out.keep(layer.end..layer.size, &mut self.raw)
        } else {
            self.out.write_all(&END)
        }
    }

    /// Does with an entry what its fate says, and gives the offset at which the archive is kept
    /// again: that of its content, or of the `next` entry.
    fn entry(&mut self, id: EntryId, start: u64, next: u64) -> Result<u64, Error> {
        let (fates, unchanged) = (self.scene.fates, Fate::default());
        let fate = fates.of(id).unwrap_or(&unchanged);
        let lent = fates.wanted.contains(&id);
        if fate.dropped && !lent {
            return Ok(next);
        }
        self.raw.go_to(start).map_err(io_error(self.number))?;
        let (mut member, mut archive) = member(&mut self.raw, self.number)?;
        if lent {
            let folder = self.scene.stage.folder();
            self.spool.put(id, &member, &mut archive, folder).map_err(io_error(self.number))?;
        }
        if fate.dropped {
            return Ok(next);
        }
        let written = match (fate.carries, fate.content) {
            (Some(from), _) => self.carry(&member, from, fate),
            (None, Some(content)) => {
                edit(&mut member.head, fate);
                member.head.set_size(content.len() as u64);
                let head = self.out.write_all(&member.head.to_bytes());
                head.and_then(|()| write_content(content, self.out))
            }
            (None, None) => {
                edit(&mut member.head, fate);
                let head = self.out.write_all(&member.head.to_bytes());
                if !lent {
                    head.map_err(io_error(self.number))?;
                    return Ok(self.raw.at());
                }
                head.and_then(|()| self.take_back(id))
            }
        };
        written.map_err(io_error(self.number))?;
        Ok(next)
    }

    /// Writes the content of an entry that was put aside.
    fn take_back(&mut self, id: EntryId) -> io::Result<()> {
        let (member, mut spooled) = self.spool.get(id)?;
        copy_content(&mut spooled, self.out, member.stored)
    }

    /// Writes a hardlink as the regular file whose name went.
    fn carry(&mut self, link: &Member, from: EntryId, fate: &Fate<'_>) -> io::Result<()> {
        let (file, mut spooled) = self.spool.get(from)?;
        let mut head = file.head.carried_by(link);
        edit(&mut head, fate);
        // Attributes come with the file's headers.
        if self.scene.fates.of(from).is_some_and(|file| file.clear_capability) {
            head.clear_capability();
        }
        self.out.write_all(&head.to_bytes())?;
        copy_content(&mut spooled, self.out, file.stored)
    }
}

/// Reads the member at which the archive stands; its content follows.
pub(super) fn member<'r, 'a>(
    raw: &'r mut Raw<'a>,
    number: usize,
) -> Result<(Member, Archive<&'r mut Raw<'a>>), Error> {
    raw.member().map_err(|source| Error::Archive { layer: number + 1, source })
}

fn edit(head: &mut Head, fate: &Fate<'_>) {
    if fate.clear != 0 {
        head.clear_mode(fate.clear);
    }
    if fate.clear_capability {
        head.clear_capability();
    }
    if let Some(owner) = fate.owner {
        head.set_owner(owner);
    }
    if let Some(target) = fate.target {
        head.set_link(target);
    }
}

/// Copies a member's content with its padding.
pub(super) fn copy_content<R: Read>(
    archive: &mut Archive<R>,
    out: &mut impl Write,
    size: u64,
) -> io::Result<()> {
    let mut buffer = [0; 1 << 14];
    loop {
        let count = archive.read_content(&mut buffer)?;
        if count == 0 {
            return out.write_all(zero_blocks(size));
        }
        out.write_all(&buffer[..count])?;
    }
}

pub(super) fn write_content(content: &[u8], out: &mut Encoder<'_>) -> io::Result<()> {
    out.write_all(content)?;
    out.write_all(zero_blocks(content.len() as u64))
}

pub(super) fn number_of(layer: usize) -> u32 {
    u32::try_from(layer).expect("an image has fewer than 2^32 layers")
}

pub(super) fn io_error(number: usize) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { layer: number + 1, source }
}
