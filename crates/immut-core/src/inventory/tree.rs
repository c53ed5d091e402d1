//! [`Tree`]: a name with all that lies beneath it, inode by inode.

use std::collections::HashSet;

use super::{EntryId, InodeId, Inventory, Kind};
use crate::path::RootPath;

/// A name of the merged view with all that lies beneath it. Links are not followed.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Its inodes, by one of their names, that have no name elsewhere. Devices and FIFOs are not
    /// among them.
    pub(crate) own: Vec<(RootPath, InodeId)>,
    /// Names in it of files that have a name elsewhere too.
    pub(crate) shared: Vec<RootPath>,
    /// Directories in it that no layer mentions.
    pub(crate) implied: Vec<RootPath>,
}

impl Inventory {
    /// A name with all that lies beneath it.
    pub(crate) fn tree(&self, path: &RootPath) -> Tree {
        let mut tree = Tree::default();
        let mut seen = HashSet::new();
        let itself = self.names.get_key_value(path);
        for (name, at) in itself.into_iter().chain(self.beneath(path)) {
            if at.entry.is_none() {
                tree.implied.push(name.clone());
            } else if self.inode(at.inode).kind != Kind::Special && seen.insert(at.inode) {
                if self.has_name_outside(at.inode, path) {
                    tree.shared.push(name.clone());
                } else {
                    tree.own.push((name.clone(), at.inode));
                }
            }
        }
        tree
    }

    /// The headers that name the inodes of a tree and have another owner, hidden ones too: those of
    /// inodes that have no name elsewhere.
    pub(crate) fn headers_of_others(&self, path: &RootPath, owner: (u32, u32)) -> Vec<EntryId> {
        let own = self.tree(path).own.into_iter();
        let all = own.flat_map(|(_, inode)| self.entries_of(inode).iter().copied());
        all.filter(|id| (self.entry(*id).uid, self.entry(*id).gid) != owner).collect()
    }

    fn has_name_outside(&self, inode: InodeId, tree: &RootPath) -> bool {
        let entries = self.entries_of(inode).iter().map(|id| (*id, &self.entry(*id).path));
        let mut outside = entries.filter(|(_, name)| !name.is_within(tree));
        outside.any(|(id, name)| self.names.get(name).is_some_and(|at| at.entry == Some(id)))
    }
}
