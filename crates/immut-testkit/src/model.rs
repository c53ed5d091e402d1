//! [`Tree`]: what a stack of layers comes to, computed in the plainest way there is.
//!
//! It is the oracle of property tests, so it has no tricks: a map of names, a list of inodes, two
//! loops for each layer. Deletions (whiteouts, opaque directories) see only lower layers, whatever
//! the order of the entries; then the layer's other entries are added in order. Paths are taken
//! literally, no link is followed: an entry whose parent is no directory replaces that parent by a
//! directory, as overlayfs shows it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use tar::EntryType;

/// One entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path, without a leading slash; for markers the path that they are about.
    pub path: String,
    /// What it is.
    pub item: Item,
    /// Permission bits, setuid, setgid and sticky among them.
    pub mode: u32,
    /// Numeric user and group.
    pub owner: (u64, u64),
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A directory.
    Directory,
    /// A regular file with that content.
    File(Vec<u8>),
    /// Another name for what that path names.
    Hardlink(String),
    /// A symbolic link, its target as written.
    Symlink(String),
    /// A named pipe.
    Fifo,
    /// A character or block device.
    Device,
    /// The path is gone from the layers below.
    Whiteout,
    /// All beneath the path is gone from the layers below.
    Opaque,
}

/// A tree of files after some layers.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// Path to the inode's number and the layer that last wrote this name.
    names: BTreeMap<String, (usize, usize)>,
    inodes: Vec<Inode>,
    layers: usize,
}

#[derive(Debug, Clone)]
struct Inode {
    item: Item,
    mode: u32,
    owner: (u64, u64),
}

/// What is seen at each path; the root itself is left out.
pub type View = BTreeMap<String, Seen>;

/// What is seen at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What it is; never a hardlink or a marker.
    pub item: Item,
    /// Permission bits, setuid, setgid and sticky among them.
    pub mode: u32,
    /// Numeric user and group.
    pub owner: (u64, u64),
    /// The other names of the same inode, sorted.
    pub twins: Vec<String>,
}

impl Tree {
    /// The tree that all these layers make, lowest first.
    pub fn of(layers: &[Vec<Entry>]) -> Self {
        let mut tree = Self::default();
        for layer in layers {
            tree.apply(layer);
        }
        tree
    }

    /// The tree that all these archives make, lowest first.
    pub fn of_tars<T: AsRef<[u8]>>(layers: &[T]) -> Self {
        let layers = layers.iter().map(|tar| read_tar(tar.as_ref())).collect::<Vec<_>>();
        Self::of(&layers)
    }

    /// Puts one more layer on top.
    ///
    /// Panics if a hardlink's target is not there.
    pub fn apply(&mut self, layer: &[Entry]) {
        for entry in layer {
            match entry.item {
                Item::Whiteout => self.remove(&entry.path),
                Item::Opaque => self.remove_beneath(&entry.path),
                _ => {}
            }
        }
        for entry in layer {
            match &entry.item {
                Item::Whiteout | Item::Opaque => {}
                Item::Directory => self.add_directory(entry),
                Item::Hardlink(target) => self.add_hardlink(entry, target),
                _ => self.add(entry),
            }
        }
        self.layers += 1;
    }

    /// What is seen at each path.
    pub fn view(&self) -> View {
        self.names
            .iter()
            .map(|(path, (inode, _))| (path.clone(), self.seen(path, *inode)))
            .collect()
    }

    /// The item at a path.
    pub fn item(&self, path: &str) -> Option<&Item> {
        self.names.get(path).map(|(inode, _)| &self.inodes[*inode].item)
    }

    /// Mode and owner at a path.
    pub fn metadata(&self, path: &str) -> Option<(u32, (u64, u64))> {
        let inode = &self.inodes[self.names.get(path)?.0];
        Some((inode.mode, inode.owner))
    }

    /// The layer that last wrote this name, counted from 0.
    pub fn layer_of(&self, path: &str) -> Option<usize> {
        self.names.get(path).map(|(_, layer)| *layer)
    }

    /// All paths, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    fn seen(&self, path: &str, number: usize) -> Seen {
        let Inode { item, mode, owner } = self.inodes[number].clone();
        let same = |(other, (inode, _)): (&String, &(usize, usize))| {
            (*inode == number && other != path).then(|| other.clone())
        };
        Seen { item, mode, owner, twins: self.names.iter().filter_map(same).collect() }
    }

    fn remove(&mut self, path: &str) {
        self.names.remove(path);
        self.remove_beneath(path);
    }

    fn remove_beneath(&mut self, directory: &str) {
        self.names.retain(|path, _| !is_beneath(path, directory));
    }

    fn add_directory(&mut self, entry: &Entry) {
        if entry.path.is_empty() {
            return; // The root is no name.
        }
        if self.item(&entry.path) == Some(&Item::Directory) {
            let (number, layer) = self.names.get_mut(&entry.path).expect("it was just seen");
            *layer = self.layers;
            self.inodes[*number] = inode_of(entry);
        } else {
            self.add(entry);
        }
    }

    fn add(&mut self, entry: &Entry) {
        self.make_parents(&entry.path);
        self.remove(&entry.path);
        self.inodes.push(inode_of(entry));
        self.names.insert(entry.path.clone(), (self.inodes.len() - 1, self.layers));
    }

    /// The header of a hardlink counts for the inode, as engines have it.
    fn add_hardlink(&mut self, entry: &Entry, target: &str) {
        self.make_parents(&entry.path);
        let found = self.names.get(target).copied();
        let (number, _) = found.unwrap_or_else(|| panic!("{}: no target {target}", entry.path));
        if entry.path != target {
            self.remove(&entry.path);
        }
        self.names.insert(entry.path.clone(), (number, self.layers));
        self.inodes[number].mode = entry.mode;
        self.inodes[number].owner = entry.owner;
    }

    fn make_parents(&mut self, path: &str) {
        let Some((parent, _)) = path.rsplit_once('/') else { return };
        if self.item(parent) != Some(&Item::Directory) {
            let (path, item) = (parent.to_owned(), Item::Directory);
            self.add(&Entry { path, item, mode: 0o755, owner: (0, 0) });
        }
    }
}

/// Reads an archive's entries with the `tar` crate; global headers are left out.
pub fn read_tar(bytes: &[u8]) -> Vec<Entry> {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().unwrap().map(Result::unwrap);
    let entries = entries.filter(|entry| !entry.header().entry_type().is_pax_global_extensions());
    entries.map(|entry| read_entry(entry)).collect()
}

fn read_entry(mut entry: tar::Entry<'_, &[u8]>) -> Entry {
    let header = entry.header().clone();
    let path = normal(&entry.path_bytes());
    let link = entry.link_name_bytes().unwrap_or_default().into_owned();
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
    let (path, item) = if name == ".wh..wh..opq" {
        (folder.to_owned(), Item::Opaque)
    } else if let Some(name) = name.strip_prefix(".wh.") {
        (format!("{folder}/{name}").trim_start_matches('/').to_owned(), Item::Whiteout)
    } else {
        let item = match header.entry_type() {
            EntryType::Directory => Item::Directory,
            EntryType::Link => Item::Hardlink(normal(&link)),
            EntryType::Symlink => Item::Symlink(String::from_utf8_lossy(&link).into_owned()),
            EntryType::Fifo => Item::Fifo,
            EntryType::Char | EntryType::Block => Item::Device,
            _ => {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                Item::File(content)
            }
        };
        (path, item)
    };
    let owner = (header.uid().unwrap(), header.gid().unwrap());
    Entry { path, item, mode: header.mode().unwrap() & 0o7777, owner }
}

/// What is seen in a folder of this machine.
pub fn walk(folder: &Path) -> View {
    let mut found = Vec::new();
    walk_into(folder, "", &mut found);
    let twins = |path: &str, inode: u64| {
        let same = found.iter().filter(|(other, _, number)| *number == inode && other != path);
        let mut names = same.map(|(other, ..)| other.clone()).collect::<Vec<_>>();
        names.sort();
        names
    };
    let seen = |(path, seen, inode): &(String, Seen, u64)| {
        (path.clone(), Seen { twins: twins(path, *inode), ..seen.clone() })
    };
    found.iter().map(seen).collect()
}

fn walk_into(folder: &Path, prefix: &str, found: &mut Vec<(String, Seen, u64)>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let metadata = fs::symlink_metadata(entry.path()).unwrap();
        let kind = metadata.file_type();
        let item = if kind.is_dir() {
            Item::Directory
        } else if kind.is_symlink() {
            let target = fs::read_link(entry.path()).unwrap();
            Item::Symlink(target.to_string_lossy().into_owned())
        } else if kind.is_fifo() {
            Item::Fifo
        } else if kind.is_file() {
            Item::File(fs::read(entry.path()).unwrap())
        } else {
            Item::Device
        };
        let mode = metadata.mode() & 0o7777;
        let owner = (metadata.uid().into(), metadata.gid().into());
        let seen = Seen { item, mode, owner, twins: Vec::new() };
        found.push((path.clone(), seen, metadata.ino()));
        if kind.is_dir() {
            walk_into(&entry.path(), &format!("{path}/"), found);
        }
    }
}

/// The same view with all owners set to root's, for tools that cannot change owners.
pub fn without_owners(mut view: View) -> View {
    for seen in view.values_mut() {
        seen.owner = (0, 0);
    }
    view
}

fn inode_of(entry: &Entry) -> Inode {
    Inode { item: entry.item.clone(), mode: entry.mode, owner: entry.owner }
}

/// Whether `path` lies beneath `directory`, not being it.
pub(crate) fn is_beneath(path: &str, directory: &str) -> bool {
    directory.is_empty() || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

fn normal(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::LayerRecipe;

    fn tree(layers: &[fn(LayerRecipe) -> LayerRecipe]) -> Tree {
        let tars = layers.iter().map(|layer| layer(LayerRecipe::new()).into_tar());
        Tree::of_tars(&tars.collect::<Vec<_>>())
    }

    fn file(content: &str) -> Item {
        Item::File(content.as_bytes().to_vec())
    }

    #[test]
    fn overwriting_one_name_leaves_the_others() {
        let tree = tree(&[
            |l| l.file("a", 0o644, "old").hardlink("b", "a").hardlink("c", "b"),
            |l| l.file("a", 0o644, "new"),
        ]);
        assert_eq!(tree.item("a"), Some(&file("new")));
        assert_eq!(tree.view()["b"].twins, ["c"]);
        assert_eq!(tree.item("c"), Some(&file("old")));
    }

    #[test]
    fn deletions_see_only_lower_layers() {
        for upper in [
            |l: LayerRecipe| l.opaque("a").file("a/new", 0o644, ""),
            |l: LayerRecipe| l.file("a/new", 0o644, "").opaque("a"),
            |l: LayerRecipe| l.file("a/new", 0o644, "").whiteout("a/new").whiteout("a/old"),
        ] {
            let tree = tree(&[|l| l.dir("a", 0o700).file("a/old", 0o644, ""), upper]);
            assert_eq!(tree.paths().collect::<Vec<_>>(), ["a", "a/new"]);
        }
    }

    #[test]
    fn directories_merge_and_files_replace() {
        let tree = tree(&[
            |l| l.dir("a", 0o700).file("a/x", 0o644, "").dir("b", 0o755).file("b/x", 0o644, ""),
            |l| l.dir("a", 0o2755).symlink("b", "a"),
            |l| l.file("b/y", 0o644, ""),
        ]);
        assert_eq!(tree.paths().collect::<Vec<_>>(), ["a", "a/x", "b", "b/y"]);
        assert_eq!(tree.metadata("a"), Some((0o2755, (0, 0))));
    }

    #[test]
    fn a_hardlinks_header_counts_for_the_inode() {
        let tree = tree(&[|l| l.file("a", 0o755, "").hardlink_as("b", "a", 0o4755)]);
        assert_eq!(tree.metadata("a"), Some((0o4755, (0, 0))));
    }
}
