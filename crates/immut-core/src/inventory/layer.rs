//! One streaming pass over one layer.

use std::io::{self, BufRead, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::keep::{Keeper, is_wanted};
use super::probe::Probe;
use super::read::{Budget, Error};
use super::{Entry, EntryId, Fingerprint, Inode, Inventory, Kind, Layer, Limits, Sought};
use crate::archive::{self, Archive, BLOCK, Member, Sparse, Type};
use crate::codec::{Decoder, Spans};
use crate::image::Compression;
use crate::inventory::probe::Content;
use crate::name::Digest;
use crate::parallel::ahead;
use crate::path::{self, RootPath};
use crate::store::PuttingAside;

/// What a pass over a layer gives; inodes come when layers are merged.
#[derive(Debug)]
pub(crate) struct Indexed {
    pub(crate) layer: Layer,
    /// For each entry of a regular file: what its content is.
    pub(super) files: Vec<FileFacts>,
    /// What is kept of files, by entry.
    pub(super) kept: Vec<(u32, Vec<u8>)>,
}

/// What is known of a regular file's content.
#[derive(Debug)]
pub(super) struct FileFacts {
    pub(super) entry: u32,
    pub(super) size: u64,
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) content: Content,
}

/// What manifest and config say of a layer.
pub(super) struct Expected {
    /// Digest of the archive.
    pub(super) diff_id: Digest,
    /// Size of the blob in bytes.
    pub(super) compressed: u64,
}

/// The most zeros that end an archive; GNU tar fills up to 10 KiB.
const MAX_END: u64 = 64 << 10;

/// Reads a layer to its end: entries, digests, contents. `number` counts from 0. Reading the blob,
/// decoding it and looking at it happen side by side.
pub(super) fn index(
    number: usize,
    blob: &mut (dyn Read + Send),
    expected: &Expected,
    looking: &Looking<'_>,
    aside: Option<PuttingAside>,
) -> Result<Indexed, Error> {
    let read = |source| Error::Read { layer: number + 1, source };
    let (mut found, spans) = std::thread::scope(|scope| {
        let (mut raw, _) = ahead(scope, blob);
        let head = raw.fill_buf().map_err(read)?;
        let compression =
            Compression::of_magic(head).ok_or(Error::Compression { layer: number + 1 })?;
        let decoder = Decoder::new(compression, raw, Limits::ZSTD_WINDOW_LOG).map_err(read)?;
        let (tar, decoding) = ahead(scope, decoder);
        let most = looking.budget.archive_limit(expected.compressed);
        let tar = Hashed::new(tar, looking.budget, most, aside);
        let mut found = walk(number, tar, looking, Known::nothing())?;
        found.layer.compression = compression;
        let (spans, mut raw) = decoding.join().expect("a decoder does not panic").finish();
        // What follows the compressed stream belongs to the blob and is checked with it.
        io::copy(&mut raw, &mut io::sink()).map_err(read)?;
        Ok::<_, Error>((found, spans))
    })?;
    found.layer.spans = spans;
    let (listed, diff_id) = (expected.diff_id, found.layer.diff_id);
    if diff_id != listed {
        return Err(Error::DiffId { layer: number + 1, listed, found: diff_id });
    }
    Ok(found)
}

/// Reads a new layer's archive while it is written.
pub(super) fn index_new(
    number: usize,
    archive: impl BufRead,
    looking: &Looking<'_>,
    known: Known<'_>,
) -> Result<Indexed, Error> {
    let tar = Hashed::new(archive, looking.budget, u64::MAX, None);
    walk(number, tar, looking, known)
}

/// What is known of a new layer's files already, since their contents are those of an old layer.
#[derive(Debug)]
pub(crate) struct Known<'a> {
    inventory: Option<&'a Inventory>,
    files: std::vec::IntoIter<Option<EntryId>>,
}

impl<'a> Known<'a> {
    /// For each regular file of the new layer, in order, the entry whose content it has.
    pub(crate) fn new(inventory: &'a Inventory, files: Vec<Option<EntryId>>) -> Self {
        Self { inventory: Some(inventory), files: files.into_iter() }
    }

    /// Nothing is known.
    pub(crate) fn nothing() -> Self {
        Self { inventory: None, files: Vec::new().into_iter() }
    }

    /// What is known of an entry, which takes its name from there: names are what an inventory holds
    /// most of, and there are two inventories for a while.
    fn next(&mut self, entry: &mut Entry, index: u32, member: &Member) -> Option<FileFacts> {
        if entry.kind != Kind::File {
            return None;
        }
        let id = self.files.next().flatten()?;
        let inventory = self.inventory?;
        let old = inventory.entry(id);
        if old.path == entry.path {
            entry.path = old.path.clone();
        }
        let inode = inventory.inode(old.inode?);
        let Inode { size, fingerprint, .. } = *inode;
        let facts = FileFacts { entry: index, size, fingerprint, content: inode.content.clone() };
        (size == member.size).then_some(facts)
    }
}

/// What is looked for, and how much is read at most.
pub(super) struct Looking<'a> {
    pub(super) sought: &'a Sought,
    pub(super) budget: &'a Budget,
    /// Where databases go while they are read; none: to the system's folder for that.
    pub(super) folder: Option<&'a Path>,
}

fn walk<R: BufRead>(
    number: usize,
    tar: Hashed<'_, R>,
    looking: &Looking<'_>,
    mut known: Known<'_>,
) -> Result<Indexed, Error> {
    let layer = number + 1;
    let read_error = |source| Error::Read { layer, source };
    let archive_error = |error| match error {
        archive::Error::Read(source) => read_error(source),
        source => Error::Archive { layer, source },
    };
    let Looking { sought, budget, folder } = *looking;
    let mut archive = Archive::new(tar);
    let mut entries = Vec::new();
    let mut contents = Contents { files: Vec::new(), keeper: Keeper::new(sought, folder) };
    let end = loop {
        let start = archive.go_to_next().map_err(archive_error)?;
        let Some(member) = archive.next().map_err(archive_error)? else { break start };
        let name = member.path.as_bytes().len() + member.link.len();
        let index = budget.count_entry(layer, entries.len(), name)?;
        let mut entry = entry(&member, start).map_err(archive_error)?;
        let facts =
            known.next(&mut entry, index, &member).filter(|_| !is_wanted(&entry.path, sought));
        if let Some(facts) = facts {
            contents.files.push(facts);
        } else if entry.kind == Kind::File {
            let read = contents.read(index, &member, &entry.path, &mut archive, sought);
            read.map_err(archive_error)?;
        }
        entries.push(entry);
    };
    let (tar, zeros) = archive.finish().map_err(read_error)?;
    entries.shrink_to_fit();
    contents.files.shrink_to_fit();
    let (diff_id, size) = (Digest::finish(tar.hasher), tar.size);
    let rest = size.saturating_sub(end);
    let blocks = (2 * BLOCK as u64..=MAX_END).contains(&rest) && rest.is_multiple_of(BLOCK as u64);
    let clean_end = zeros && blocks;
    let Contents { files, keeper: Keeper { kept, unseen, .. } } = contents;
    let layer = Layer {
        diff_id,
        compression: Compression::None,
        size,
        entries,
        end,
        clean_end,
        spans: Spans::none(),
        unpacked: tar.aside.and_then(PuttingAside::finish),
        unseen,
    };
    Ok(Indexed { layer, files, kept })
}

struct Contents<'a> {
    files: Vec<FileFacts>,
    keeper: Keeper<'a>,
}

impl Contents<'_> {
    /// Reads a regular file: its fingerprint, what it is, and its bytes where they are kept.
    fn read<R: Read>(
        &mut self,
        entry: u32,
        member: &Member,
        path: &RootPath,
        archive: &mut Archive<R>,
        sought: &Sought,
    ) -> Result<(), archive::Error> {
        let refuse = |reason: &str| refused(path, reason);
        let mut hasher = blake3::Hasher::new();
        let mut probe = Probe::new(sought);
        let mut expansion = member.sparse.as_ref().map(Sparse::expansion);
        let mut keep = self.keeper.begin(path, member.size, expansion.is_some());
        let mut buffer = [0; 1 << 14];
        loop {
            let count = archive.read_content(&mut buffer)?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            match &mut expansion {
                None => probe.feed(&buffer[..count]),
                Some(expansion) => expansion
                    .feed(&buffer[..count], &mut |piece| probe.feed(piece))
                    .map_err(refuse)?,
            }
            self.keeper.feed(&mut keep, &buffer[..count], path).map_err(archive::Error::Read)?;
        }
        if let Some(expansion) = &expansion {
            expansion.finish().map_err(refuse)?;
        }
        self.keeper.end(keep, entry, path).map_err(archive::Error::Read)?;
        let fingerprint = member.sparse.is_none().then(|| Fingerprint::finish(&hasher));
        let content = probe.finish();
        self.files.push(FileFacts { entry, size: member.size, fingerprint, content });
        Ok(())
    }
}

fn refused(path: &RootPath, reason: &str) -> archive::Error {
    archive::Error::Entry { name: path.to_string(), reason: reason.to_owned() }
}

fn entry(member: &Member, start: u64) -> Result<Entry, archive::Error> {
    let refuse = |reason: &str| refused(&member.path, reason);
    let (path, kind) = match marker(&member.path) {
        _ if member.kind == Type::Global => (member.path.clone(), Kind::Ignored),
        Marker::None => (member.path.clone(), kind(member).map_err(|reason| refuse(&reason))?),
        Marker::Opaque(directory) => (directory, Kind::Opaque),
        Marker::Whiteout(path) => (path, Kind::Whiteout),
        Marker::Hostile => return Err(refuse("it is a whiteout of nothing, `.` or `..`")),
    };
    if path.is_root() && !matches!(kind, Kind::Directory | Kind::Opaque | Kind::Ignored) {
        return Err(refuse("it would replace the root directory"));
    }
    let id = |id: u64| u32::try_from(id).map_err(|_| refuse("its owner is no 32-bit number"));
    Ok(Entry {
        start,
        path,
        kind,
        mode: member.mode,
        uid: id(member.uid)?,
        gid: id(member.gid)?,
        capability: member.has_capability(),
        inode: None,
    })
}

fn kind(member: &Member) -> Result<Kind, String> {
    Ok(match member.kind {
        Type::File => Kind::File,
        Type::Directory => Kind::Directory,
        Type::Symlink if member.link.len() > path::MAX_LEN => {
            return Err(format!("its link target has more than {} bytes", path::MAX_LEN));
        }
        Type::Symlink => Kind::Symlink(member.link.clone().into()),
        Type::Hardlink => Kind::Hardlink(
            RootPath::parse(&member.link).map_err(|error| format!("its link target: {error}"))?,
        ),
        Type::CharDevice | Type::BlockDevice | Type::Fifo => Kind::Special,
        Type::Global => Kind::Ignored,
    })
}

enum Marker {
    None,
    Whiteout(RootPath),
    Opaque(RootPath),
    Hostile,
}

/// Layer markers, image specification 1.1, "Representing Changes".
fn marker(path: &RootPath) -> Marker {
    if is_metadata(path) {
        return Marker::None;
    }
    let Some(hidden) = path.file_name().strip_prefix(b".wh.") else { return Marker::None };
    let parent = path.parent().unwrap_or_else(RootPath::root);
    match hidden {
        b".wh..opq" => Marker::Opaque(parent),
        b"" | b"." | b".." => Marker::Hostile,
        name => Marker::Whiteout(parent.join(name)),
    }
}

/// Whether a name is aufs's own (`.wh..wh.plnk` and the like): no engine unpacks it, so it is in no
/// view, and hidden like anything else that only a download shows.
pub(super) fn is_metadata(path: &RootPath) -> bool {
    let mut components = path.components();
    let last = components.next_back();
    let own = |component: &[u8]| component.starts_with(b".wh..wh.");
    components.any(own) || last.is_some_and(|last| own(last) && last != b".wh..wh..opq")
}

/// Hashes the archive, holds it to the budget and puts it aside, piece by piece as it streams by.
struct Hashed<'a, R> {
    inner: R,
    hasher: Sha256,
    budget: &'a Budget,
    size: u64,
    most: u64,
    aside: Option<PuttingAside>,
    /// Bytes of the current piece that were not handed out yet.
    left: usize,
}

impl<'a, R: BufRead> Hashed<'a, R> {
    fn new(inner: R, budget: &'a Budget, most: u64, aside: Option<PuttingAside>) -> Self {
        Self { inner, hasher: Sha256::new(), budget, size: 0, most, aside, left: 0 }
    }
}

impl<R: BufRead> Read for Hashed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.inner.fill_buf()?;
        if self.left == 0 {
            self.left = piece.len();
            self.hasher.update(piece);
            self.size += piece.len() as u64;
            self.budget.count_bytes(piece.len() as u64, self.size, self.most)?;
            if let Some(aside) = &mut self.aside {
                aside.put(piece);
            }
        }
        let count = self.left.min(buffer.len());
        buffer[..count].copy_from_slice(&piece[piece.len() - self.left..][..count]);
        self.left -= count;
        self.inner.consume(count);
        Ok(count)
    }
}
