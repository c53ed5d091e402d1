//! What a plan takes away, entry by entry.

use std::collections::HashMap;

use super::{Action, Because, Plan};
use crate::inventory::{EntryId, Inventory, Kind};
use crate::name::Digest;
use crate::path::RootPath;

/// An entry that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Its name.
    pub path: RootPath,
    /// The layer that holds it, from 0.
    pub layer: usize,
    /// `file`, `directory`, `symlink`, `hardlink`, `special` or `marker`.
    pub kind: &'static str,
    /// The rules.
    pub because: Because,
    /// Bytes of a regular file.
    pub size: Option<u64>,
    /// Digest of a regular file's content, which `harden` adds; sparse files have none.
    pub digest: Option<Digest>,
    /// The entry with that content.
    pub(crate) content: Option<EntryId>,
}

impl Plan {
    /// Each entry of the image that this plan drops, with the rules.
    pub fn removed(&self, inventory: &Inventory) -> Vec<Removed> {
        let mut by_name = HashMap::new();
        let mut by_entry = HashMap::new();
        for step in &self.steps {
            match &step.action {
                Action::Remove { path } => {
                    by_name.insert(path.clone(), &step.because);
                }
                Action::DropHidden { entry, .. }
                | Action::DropMarker { entry, .. }
                | Action::DropTable { entry, .. } => {
                    by_entry.insert(*entry, &step.because);
                }
                _ => {}
            }
        }
        let rules = |id: EntryId, path: &RootPath| {
            let mut above = path.ancestors();
            by_entry
                .get(&id)
                .copied()
                .or_else(|| above.find_map(|path| by_name.get(&path).copied()))
        };
        let entries = inventory.entries().filter(|(_, entry)| entry.kind != Kind::Ignored);
        let gone = entries.filter_map(|(id, entry)| Some((id, rules(id, &entry.path)?)));
        gone.map(|(id, because)| removed(inventory, id, because)).collect()
    }
}

fn removed(inventory: &Inventory, id: EntryId, because: &Because) -> Removed {
    let entry = inventory.entry(id);
    let kind = match entry.kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Symlink(_) => "symlink",
        Kind::Hardlink(_) => "hardlink",
        Kind::Special => "special",
        Kind::Whiteout | Kind::Opaque | Kind::Ignored => "marker",
    };
    let file =
        entry.inode.map(|inode| inventory.inode(inode)).filter(|inode| inode.kind == Kind::File);
    Removed {
        path: entry.path.clone(),
        layer: id.layer as usize,
        kind,
        because: because.clone(),
        size: file.map(|inode| inode.size),
        digest: None,
        content: file.filter(|inode| inode.fingerprint.is_some()).and_then(|inode| inode.carrier),
    }
}
