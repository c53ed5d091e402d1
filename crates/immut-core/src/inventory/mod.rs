//! An image's files as a value: [`Inventory`].
//!
//! Each layer is read once, while it arrives, and checked against its digests; then the layers are
//! merged. The inventory knows each layer's entries, the hidden ones too, and the merged view of
//! names to inodes; where the bytes are, never the bytes.

mod contents;
mod keep;
mod layer;
mod limits;
mod merge;
mod packages;
mod probe;
mod raw;
mod read;
mod replay;
mod resolve;
pub(crate) mod rpm;
mod tree;

use std::collections::{BTreeMap, HashMap};

pub use contents::Contents;
pub(crate) use contents::FileContent;
pub(crate) use layer::{Indexed, Known};
pub use limits::Limits;
pub(crate) use merge::IMPLIED;
pub use packages::{Owner, Packages};
pub use probe::{Content, Sought};
pub(crate) use raw::Raw;
pub(crate) use read::Fresh;
pub use read::{Error, Reading};
pub(crate) use replay::{Replay, replay};
pub(crate) use resolve::MOST_LINKS;
pub use resolve::Resolution;

use crate::codec::Spans;
use crate::image::{Compression, Manifest, RuntimeConfig};
use crate::name::Digest;
use crate::path::RootPath;
use crate::store::Unpacked;

/// An image's files.
#[derive(Debug)]
pub struct Inventory {
    layers: Vec<Layer>,
    names: BTreeMap<RootPath, Name>,
    inodes: Vec<Inode>,
    /// All entries of inodes that have more than one.
    shared: HashMap<InodeId, Vec<EntryId>>,
    packages: Packages,
    /// What is kept of files by the entry that carries them: the small ones whole, such as
    /// `/etc/passwd`, of databases of rpm the files of packages that were sought.
    kept: BTreeMap<EntryId, Vec<u8>>,
    /// What could not be looked into, for the receipt.
    unseen: Vec<String>,
}

/// An image as rules, plans and the rewrite look at it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its manifest.
    pub manifest: &'a Manifest,
    /// Its config.
    pub config: &'a RuntimeConfig,
    /// Its files.
    pub inventory: &'a Inventory,
}

/// A layer as it was read.
#[derive(Debug)]
pub struct Layer {
    /// The digest of its archive, which the config lists.
    pub diff_id: Digest,
    /// How it is compressed, by its first bytes.
    pub compression: Compression,
    /// Bytes of its archive.
    pub size: u64,
    /// Its entries, in order.
    pub entries: Vec<Entry>,
    /// Where its entries end, in bytes of the archive.
    pub(crate) end: u64,
    /// Whether the archive ends after them as archives do, in zeros.
    pub(crate) clean_end: bool,
    /// Where its blob may be cut.
    pub(crate) spans: Spans,
    /// Its archive, if it was put aside in the stage.
    pub(crate) unpacked: Option<Unpacked>,
    /// What of it could not be looked into.
    pub(crate) unseen: Vec<String>,
}

/// An entry of a layer's archive.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where its first header begins, in bytes of the layer's archive.
    pub(crate) start: u64,
    /// Its name; for a whiteout the name that it hides, for an opaque marker its directory.
    pub path: RootPath,
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Whether its header carries `security.capability`.
    pub capability: bool,
    /// The inode that it names; none for markers.
    pub inode: Option<InodeId>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link with its target as written.
    Symlink(Box<[u8]>),
    /// Another name of a file that is there already.
    Hardlink(RootPath),
    /// A device or FIFO.
    Special,
    /// A whiteout (`.wh.NAME`): the name is gone from here on.
    Whiteout,
    /// An opaque marker (`.wh..wh..opq`): what lower layers have in the directory is gone.
    Opaque,
    /// A PAX global header: no file at all.
    Ignored,
}

/// Which entry: layer and index in it, both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// The layer.
    pub layer: u32,
    /// The entry's index.
    pub index: u32,
}

/// Index of an inode.
pub type InodeId = u32;

/// A name of the merged view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    /// What it names.
    pub inode: InodeId,
    /// The entry that put it there; none for a directory that no layer mentions.
    pub entry: Option<EntryId>,
}

/// Tells whether two files have the same content: its BLAKE3 hash, which costs a fraction of SHA-256.
/// It never leaves the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of `content`.
    pub fn of(content: &[u8]) -> Self {
        Self(blake3::hash(content).into())
    }

    fn finish(hasher: &blake3::Hasher) -> Self {
        Self(hasher.finalize().into())
    }
}

/// A file, directory, link or device; several names may share one.
#[derive(Debug, Clone)]
pub struct Inode {
    /// The entry that carries its bytes; none for a directory that no layer mentions.
    pub carrier: Option<EntryId>,
    /// What it is; never a hardlink or a marker.
    pub kind: Kind,
    /// Permission bits as the last header that names it has them.
    pub mode: u16,
    /// Mode bits that any header that names it has.
    pub any_mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size of the file in bytes.
    pub size: u64,
    /// Whether any header that names it carries `security.capability`.
    pub capability: bool,
    /// Tells a regular file's content from others; none for a sparse file.
    pub fingerprint: Option<Fingerprint>,
    /// What the content is.
    pub content: Content,
}

impl Inventory {
    /// The layers, lowest first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The merged view.
    pub fn names(&self) -> &BTreeMap<RootPath, Name> {
        &self.names
    }

    /// An inode.
    pub fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id as usize]
    }

    /// The inode that a name of the merged view has, links not followed.
    pub fn lookup(&self, path: &RootPath) -> Option<&Inode> {
        self.names.get(path).map(|name| self.inode(name.inode))
    }

    /// An entry.
    pub fn entry(&self, id: EntryId) -> &Entry {
        &self.layers[id.layer as usize].entries[id.index as usize]
    }

    /// All entries with their ids, layer by layer.
    pub fn entries(&self) -> impl Iterator<Item = (EntryId, &Entry)> {
        self.layers.iter().zip(0..).flat_map(|(layer, number)| {
            let id = move |index| EntryId { layer: number, index };
            layer.entries.iter().zip(0..).map(move |(entry, index)| (id(index), entry))
        })
    }

    /// The names of the merged view beneath a directory, not itself.
    pub fn beneath(&self, directory: &RootPath) -> impl Iterator<Item = (&RootPath, &Name)> {
        beneath(&self.names, directory)
    }

    /// Whether an entry is shadowed or whited out by a later one. A directory that another layer
    /// mentions again is not hidden, nor is a marker.
    pub fn is_hidden(&self, id: EntryId) -> bool {
        let entry = self.entry(id);
        let Some(inode) = entry.inode else { return false };
        match self.names.get(&entry.path) {
            None => true,
            Some(name) if name.entry == Some(id) => false,
            Some(name) => {
                let directory = |id| self.inode(id).kind == Kind::Directory;
                !(directory(inode) && directory(name.inode))
            }
        }
    }

    /// All entries that name the inode, in order, hidden ones too.
    pub fn entries_of(&self, inode: InodeId) -> &[EntryId] {
        match self.shared.get(&inode) {
            Some(entries) => entries,
            None => self.inode(inode).carrier.as_slice(),
        }
    }

    /// The headers that name the inode of a name and have one of the mode bits, hidden ones too.
    pub(crate) fn headers_with(&self, path: &RootPath, bits: u16) -> Vec<EntryId> {
        self.headers(path, |entry| entry.mode & bits != 0)
    }

    /// The headers that name the inode of a name and carry `security.capability`.
    pub(crate) fn headers_with_capability(&self, path: &RootPath) -> Vec<EntryId> {
        self.headers(path, |entry| entry.capability)
    }

    fn headers(&self, path: &RootPath, holds: impl Fn(&Entry) -> bool) -> Vec<EntryId> {
        let all = self.names.get(path).map(|name| self.entries_of(name.inode));
        all.unwrap_or_default().iter().copied().filter(|id| holds(self.entry(*id))).collect()
    }

    /// Which packages own which files, as far as it was asked for.
    pub fn packages(&self) -> &Packages {
        &self.packages
    }

    /// The content of a small system file that the merged view has, such as `/etc/passwd`.
    pub fn text(&self, path: &RootPath) -> Option<&[u8]> {
        let found = self.resolve(path).found?;
        let carrier = self.lookup(&found)?.carrier?;
        self.kept.get(&carrier).map(Vec::as_slice)
    }

    /// What could not be looked into.
    pub fn unseen(&self) -> &[String] {
        &self.unseen
    }
}

/// The part of an ordered map that lies beneath a directory.
pub(crate) fn beneath<'a, V>(
    names: &'a BTreeMap<RootPath, V>,
    directory: &RootPath,
) -> impl Iterator<Item = (&'a RootPath, &'a V)> + use<'a, V> {
    use std::ops::Bound;
    let mut first = directory.as_bytes().to_vec();
    if !first.is_empty() {
        first.push(b'/');
    }
    let directory = directory.clone();
    names
        .range::<[u8], _>((Bound::Excluded(first.as_slice()), Bound::Unbounded))
        .take_while(move |(path, _)| path.is_beneath(&directory))
}

#[cfg(test)]
mod tests;
