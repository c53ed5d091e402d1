//! What is left when entries are dropped: the merge played again without them.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::layer::is_metadata;
use super::merge::View;
use super::{EntryId, InodeId, Inventory, Kind, Name};
use crate::path::RootPath;

/// The outcome of dropping entries.
#[derive(Debug)]
pub(crate) struct Replay {
    /// The merged view of what is left, with the inodes of the whole image.
    pub(crate) names: BTreeMap<RootPath, Name>,
    /// Hardlinks that have to become the regular file, since the name with the bytes is gone: the
    /// first surviving name does (the carrier rule).
    pub(crate) carries: Vec<EntryId>,
    /// Hardlinks whose target is gone while another name of the inode is there: they link to it.
    pub(crate) retargets: Vec<(EntryId, RootPath)>,
}

/// Merges the layers again without the dropped entries.
pub(crate) fn replay(inventory: &Inventory, dropped: &BTreeSet<EntryId>) -> Replay {
    let mut replaying = Replaying {
        inventory,
        view: View::default(),
        links: HashMap::new(),
        carries: Vec::new(),
        retargets: Vec::new(),
    };
    for (layer, number) in inventory.layers.iter().zip(0..) {
        let id = |index| EntryId { layer: number, index };
        let left = || (0..).zip(&layer.entries).filter(|(index, _)| !dropped.contains(&id(*index)));
        for (_, entry) in left() {
            replaying.view.delete(entry);
        }
        for (index, _) in left() {
            replaying.add(id(index));
        }
    }
    Replay {
        names: replaying.view.names,
        carries: replaying.carries,
        retargets: replaying.retargets,
    }
}

struct Replaying<'a> {
    inventory: &'a Inventory,
    view: View,
    /// Entries of inodes that have several, as they came; the first of each has its name still, as
    /// far as that was asked.
    links: HashMap<InodeId, VecDeque<EntryId>>,
    carries: Vec<EntryId>,
    retargets: Vec<(EntryId, RootPath)>,
}

impl Replaying<'_> {
    fn add(&mut self, id: EntryId) {
        let entry = self.inventory.entry(id);
        let Some(inode) = entry.inode.filter(|_| !is_metadata(&entry.path)) else { return };
        if let Kind::Hardlink(target) = &entry.kind
            && self.view.link_target(target, &self.inventory.inodes) != Ok(inode)
        {
            match self.other_name(inode, id) {
                Some(name) => self.retargets.push((id, name)),
                None => self.carries.push(id),
            }
        }
        let directory = entry.kind == Kind::Directory;
        let name = Name { inode, entry: Some(id) };
        self.view.put(&entry.path, name, directory, &self.inventory.inodes);
        if self.inventory.entries_of(inode).len() > 1 {
            self.links.entry(inode).or_default().push_back(id);
        }
    }

    /// A name that the inode has at this point of the replay, and keeps when the new one is put.
    fn other_name(&mut self, inode: InodeId, before: EntryId) -> Option<RootPath> {
        let inventory = self.inventory;
        let path = |id: &EntryId| &inventory.entry(*id).path;
        let new = path(&before);
        let names = &self.view.names;
        let there = |id: &EntryId| names.get(path(id)).is_some_and(|name| name.inode == inode);
        let links = self.links.get_mut(&inode)?;
        // What has lost its name is looked at once: crowds of links would else be searched by each.
        while links.front().is_some_and(|id| !there(id)) {
            links.pop_front();
        }
        let keeps = |id: &&EntryId| !path(id).is_within(new) && !new.is_within(path(id));
        links.iter().filter(keeps).find(|id| there(id)).map(|id| path(id).clone())
    }
}
