//! A tar archive on disk, by the names of its members.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::archive::{self, Archive, Type};
use crate::path::RootPath;
use crate::store::{Error, MAX_DOCUMENT, io_error, pour};

/// Where an archive that is compressed, or comes as a stream, is unpacked to while it is used.
#[derive(Debug, Clone)]
pub struct Spool {
    /// The folder; the file in it has no name and vanishes with the process.
    pub folder: PathBuf,
    /// The most bytes that it may get.
    pub limit: u64,
}

impl Default for Spool {
    /// The system's temporary folder, and 64 GiB.
    fn default() -> Self {
        Self { folder: std::env::temp_dir(), limit: 64 << 30 }
    }
}

/// Bytes of a file: offset and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Piece {
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// An archive whose members can be read in any order.
#[derive(Debug)]
pub(super) struct Packed {
    file: File,
    /// For messages.
    name: String,
    members: BTreeMap<RootPath, Member>,
    /// Names that several members have.
    twice: BTreeSet<RootPath>,
}

#[derive(Debug)]
enum Member {
    Content(Piece),
    Link(RootPath),
}

impl Packed {
    /// Looks through the archive in `path`; `-` is the standard input.
    pub(super) fn open(path: &Path, spool: &Spool) -> Result<Self, Error> {
        let name = path.display().to_string();
        if path == Path::new("-") {
            return Self::of_stream(io::stdin().lock(), "the standard input".to_owned(), spool);
        }
        let mut file = File::open(path).map_err(io_error("read", path))?;
        let metadata = file.metadata().map_err(io_error("read", path))?;
        if metadata.is_dir() {
            let reason = "it is a folder; a layout in a folder is named oci:DIR".to_owned();
            return Err(Error::Archive { path: name, reason });
        }
        if !metadata.is_file() {
            return Self::of_stream(file, name, spool);
        }
        let head = head(&mut file).map_err(io_error("read", path))?;
        file.rewind().map_err(io_error("read", path))?;
        match compression(&head) {
            None => Self::of_file(file, name),
            Some(_) => Self::of_stream(file, name, spool),
        }
    }

    /// Unpacks a stream, compressed or not, into the spool.
    fn of_stream(mut stream: impl Read, name: String, spool: &Spool) -> Result<Self, Error> {
        let unreadable =
            |error: io::Error| Error::Archive { path: name.clone(), reason: error.to_string() };
        let head = head(&mut stream).map_err(unreadable)?;
        let whole = BufReader::new(io::Cursor::new(head.clone()).chain(stream));
        let mut content = decoder(&head, whole).map_err(unreadable)?;
        let failed = || io_error("unpack the archive (TMPDIR says where) to", &spool.folder);
        let mut file = tempfile::tempfile_in(&spool.folder).map_err(failed())?;
        let mut size = 0;
        pour(&mut *content, unreadable, |piece| {
            size += piece.len() as u64;
            if size > spool.limit {
                let what = format!("{name}, unpacked (--max-bytes N raises the limit),");
                return Err(Error::TooLarge { what, size, limit: spool.limit });
            }
            file.write_all(piece).map_err(failed())
        })?;
        if size == 0 {
            return Err(Error::Archive { path: name, reason: "it is empty".to_owned() });
        }
        file.rewind().map_err(failed())?;
        Self::of_file(file, name)
    }

    fn of_file(file: File, name: String) -> Result<Self, Error> {
        let broken = |reason: String| Error::Archive { path: name.clone(), reason };
        let end = file.metadata().map_err(|error| broken(error.to_string()))?.len();
        let own = file.try_clone().map_err(|error| broken(error.to_string()))?;
        let mut archive = Archive::new(BufReader::new(own));
        let (mut members, mut twice) = (BTreeMap::new(), BTreeSet::new());
        let read = |archive: &mut Archive<_>| -> Result<_, archive::Error> {
            let Some(member) = archive.next()? else { return Ok(None) };
            let offset = archive.pass_over()?;
            Ok(Some((member, offset)))
        };
        while let Some((member, offset)) =
            read(&mut archive).map_err(|error| broken(error.to_string()))?
        {
            let found = match member.kind {
                Type::File if member.sparse.is_none() => {
                    Member::Content(Piece { offset, size: member.stored })
                }
                // A hardlink's target is a member's name, a symlink's is seen from the link.
                Type::Hardlink => Member::Link(RootPath::root().link_target(&member.link)),
                Type::Symlink => Member::Link(member.path.link_target(&member.link)),
                _ => continue,
            };
            if offset.checked_add(member.stored).is_none_or(|last| last > end) {
                return Err(broken(format!("it ends in the middle of {}", member.path)));
            }
            if members.len() == MOST_MEMBERS {
                return Err(broken(format!("it has more than {MOST_MEMBERS} members")));
            }
            if members.insert(member.path.clone(), found).is_some() {
                twice.insert(member.path);
            }
        }
        Ok(Self { file, name, members, twice })
    }

    pub(super) fn broken(&self, reason: impl Into<String>) -> Error {
        Error::Archive { path: self.name.clone(), reason: reason.into() }
    }

    /// The names of all members.
    pub(super) fn names(&self) -> impl Iterator<Item = &RootPath> {
        self.members.keys()
    }

    /// A member's content; links are followed within the archive.
    pub(super) fn piece(&self, path: &RootPath) -> Option<Piece> {
        let mut path = path;
        for _ in 0..MOST_LINKS {
            match self.members.get(path)? {
                Member::Content(piece) => return Some(*piece),
                Member::Link(target) => path = target,
            }
        }
        None
    }

    /// A small member's content; none if there is no such member.
    pub(super) fn document(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = RootPath::parse(name.as_bytes()).map_err(|e| self.broken(e.to_string()))?;
        if self.twice.contains(&path) {
            return Err(
                self.broken(format!("it has {path} twice, and tools differ on which counts"))
            );
        }
        let Some(piece) = self.piece(&path) else { return Ok(None) };
        if piece.size > MAX_DOCUMENT {
            let what = format!("{name} in {}", self.name);
            return Err(Error::TooLarge { what, size: piece.size, limit: MAX_DOCUMENT });
        }
        let mut bytes = Vec::new();
        let read = self.section(piece)?.read_to_end(&mut bytes);
        read.map_err(|error| self.broken(error.to_string()))?;
        Ok(Some(bytes))
    }

    /// Reads a piece; several can be read at the same time.
    pub(super) fn section(&self, piece: Piece) -> Result<Section, Error> {
        let file = self.file.try_clone().map_err(|error| self.broken(error.to_string()))?;
        Ok(Section::new(file, piece))
    }
}

/// A piece of a file as a reader of its own.
#[derive(Debug)]
pub(super) struct Section {
    file: File,
    left: Piece,
}

impl Section {
    pub(super) fn new(file: File, piece: Piece) -> Self {
        Self { file, left: piece }
    }
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left.size).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..most], self.left.offset)?;
        self.left.offset += count as u64;
        self.left.size -= count as u64;
        Ok(count)
    }
}

/// The first bytes, as far as there are any.
fn head(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    from.take(6).read_to_end(&mut head)?;
    Ok(head)
}

#[derive(Debug, Clone, Copy)]
enum Compression {
    Gzip,
    Zstd,
    Xz,
    Bzip2,
}

fn compression(head: &[u8]) -> Option<Compression> {
    match head {
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Some(Compression::Zstd)
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Some(Compression::Xz),
        [b'B', b'Z', b'h', ..] => Some(Compression::Bzip2),
        _ => None,
    }
}

fn decoder<'a>(head: &[u8], stream: impl io::BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression(head) {
        None => Box::new(stream),
        Some(Compression::Gzip) => Box::new(MultiGzDecoder::new(stream)),
        Some(Compression::Zstd) => Box::new(zstd::stream::read::Decoder::with_buffer(stream)?),
        Some(Compression::Xz) => {
            Box::new(lzma_rust2::XzReader::new_mem_limit(stream, true, XZ_MEMORY))
        }
        Some(Compression::Bzip2) => {
            let reason = "it is compressed with bzip2; none, gzip, xz and zstd are read";
            return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
        }
    })
}

/// In KiB; `xz -9` needs 65 MiB.
const XZ_MEMORY: u32 = 100 << 10;
/// An archive of images has a few members for each layer.
const MOST_MEMBERS: usize = 100_000;
const MOST_LINKS: usize = 16;
