//! What follows from a draft: what would come back into view, dead markers, hidden entries of layers
//! that are written anew, emptied layers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::lowest::Lowest;
use super::super::{Action, Step, because, id};
use super::Draft;
use crate::inventory::{Entry, EntryId, InodeId, Kind, Name, Replay, beneath, replay};
use crate::path::RootPath;

/// Steps with what they amount to.
pub(in crate::plan) struct Finished {
    pub(in crate::plan) steps: Vec<Step>,
    /// The merged view that is left.
    pub(in crate::plan) names: BTreeMap<RootPath, Name>,
    pub(in crate::plan) dropped: BTreeSet<EntryId>,
    /// Layers in which files may be edited: those that are written anew, and all of them where nothing
    /// may be hidden.
    pub(in crate::plan) hits: BTreeSet<u32>,
}

impl<'a> Draft<'a> {
    /// All steps on files, with those that follow from others.
    pub(in crate::plan) fn finish(mut self) -> Finished {
        self.forget_what_goes();
        self.drop_hidden_copies();
        let mut dropped = self.dropped();
        let replayed = loop {
            let replayed = replay(self.inventory, &dropped);
            let hits = self.hits(&dropped, &replayed);
            let more = self.consequences(&dropped, &replayed, &hits);
            if more.is_empty() {
                break replayed;
            }
            dropped.extend(more);
        };
        let mut hits = self.hits(&dropped, &replayed);
        let emptied = self.emptied(&dropped, &hits);
        let mut steps = self.steps();
        steps.extend(self.owner_steps(&dropped));
        steps.extend(self.link_steps(&replayed));
        steps.extend(emptied);
        if self.purge_hidden {
            // Else what is edited would be hidden by its successor.
            hits = (0..).zip(self.inventory.layers()).map(|(number, _)| number).collect();
        }
        Finished { steps, names: replayed.names, dropped, hits }
    }

    /// Layers that a step touches.
    fn hits(&self, dropped: &BTreeSet<EntryId>, replayed: &Replay) -> BTreeSet<u32> {
        let modes = self
            .modes
            .iter()
            .flat_map(|(path, (bits, _))| self.inventory.headers_with(path, *bits));
        let capabilities =
            self.capabilities.keys().flat_map(|path| self.inventory.headers_with_capability(path));
        let owners = self.owners.values().flat_map(|given| given.headers.iter().copied());
        let headers = modes.chain(capabilities).chain(owners).filter(|id| !dropped.contains(id));
        let links = replayed.retargets.iter().map(|(id, _)| *id);
        let carries = replayed.carries.iter().copied();
        dropped
            .iter()
            .copied()
            .chain(headers)
            .chain(links)
            .chain(carries)
            .map(|id| id.layer)
            .collect()
    }

    /// What else has to go: entries that would come back into view, then in layers that are written
    /// anew what is hidden, and everywhere markers of removed names that hide nothing any more.
    fn consequences(
        &mut self,
        dropped: &BTreeSet<EntryId>,
        replayed: &Replay,
        hits: &BTreeSet<u32>,
    ) -> Vec<EntryId> {
        let back = self.resurfaced(replayed);
        if !back.is_empty() {
            return back;
        }
        let because = because(id("hidden-entry"));
        let lowest = self.lowest_layers(dropped);
        let homes = self.layers_of_files(dropped, replayed);
        let left = self.inventory.entries().filter(|(id, _)| !dropped.contains(id));
        let mut more = Vec::new();
        for (id, entry) in left {
            let written = hits.contains(&id.layer);
            let hit = written || self.purge_hidden;
            match entry.kind {
                _ if self.lazy.contains(&id) => {
                    if written {
                        self.tables.insert(id);
                        more.push(id);
                    }
                }
                Kind::Ignored => {}
                Kind::Whiteout | Kind::Opaque => {
                    let of_removed = self.ruled.contains(&entry.path);
                    if (hit || of_removed)
                        && !hides(&lowest, id.layer, &entry.path, entry.kind == Kind::Whiteout)
                    {
                        self.markers.insert(id);
                        more.push(id);
                    }
                }
                _ => {
                    // A directory stays while anything is left beneath it, in whatever layer: some
                    // engines want to see it before what lies in it.
                    let needed =
                        entry.kind == Kind::Directory && lowest.beneath(&entry.path).is_some();
                    if hit
                        && !needed
                        && self.can_go(id, &homes)
                        && !hides(&lowest, id.layer, &entry.path, false)
                    {
                        self.hidden.insert(id, because.clone());
                        more.push(id);
                    }
                }
            }
        }
        more
    }

    /// Entries in the view that is left which were not in the view before: something that hid them
    /// went. A lower layer's table of contents may: it is about that layer alone, and goes with a
    /// change of it.
    fn resurfaced(&mut self, replayed: &Replay) -> Vec<EntryId> {
        let before = self.inventory.names();
        let because = because(id("hidden-entry"));
        let mut back = Vec::new();
        for (path, name) in &replayed.names {
            let Some(entry) = name.entry.filter(|id| !self.lazy.contains(id)) else { continue };
            if before.get(path).is_none_or(|old| old.inode != name.inode) {
                self.hidden.insert(entry, because.clone());
                back.push(entry);
            }
        }
        back
    }

    /// Whether a hidden entry may go although no rule asks: not if another layer links to it.
    fn can_go(&self, id: EntryId, homes: &Homes) -> bool {
        let inode = self.inventory.entry(id).inode.filter(|_| self.inventory.is_hidden(id));
        inode.is_some_and(|inode| homes.of(inode, id) == Some((id.layer, id.layer)))
    }

    /// Where each file is still named.
    fn layers_of_files(&self, dropped: &BTreeSet<EntryId>, replayed: &Replay) -> Homes {
        let mut homes = Homes::default();
        for id in &replayed.carries {
            if let Some(inode) = self.inventory.entry(*id).inode {
                homes.begins.entry(inode).or_default().push(*id);
            }
        }
        for (id, entry) in self.inventory.entries().filter(|(id, _)| !dropped.contains(id)) {
            if let Some(inode) = entry.inode {
                let file = (inode, homes.file(inode, id));
                homes.layers.entry(file).or_insert((id.layer, id.layer)).1 = id.layer;
            }
        }
        homes
    }

    /// For each name the lowest layer that still has it.
    fn lowest_layers(&self, dropped: &BTreeSet<EntryId>) -> Lowest<'a> {
        let inventory = self.inventory;
        let left = inventory
            .entries()
            .filter(|(id, entry)| entry.inode.is_some() && !dropped.contains(id));
        Lowest::new(left.map(|(id, entry)| (&entry.path, id.layer)))
    }

    /// Layers from which a step took something and nothing is left but directories that lower
    /// layers have too. One layer stays in any case: engines want an image to have one.
    fn emptied(&self, dropped: &BTreeSet<EntryId>, hits: &BTreeSet<u32>) -> Vec<Step> {
        let mut directories: BTreeMap<RootPath, (u16, u32, u32)> = BTreeMap::new();
        let owners = self.owners.values();
        let owners: HashMap<EntryId, (u32, u32)> =
            owners.flat_map(|given| given.headers.iter().map(|id| (*id, given.owner))).collect();
        let mut emptied = Vec::new();
        for (layer, number) in self.inventory.layers().iter().zip(0..) {
            let left = || {
                let entries = (0..).zip(&layer.entries);
                entries.filter(|(index, _)| {
                    !dropped.contains(&EntryId { layer: number, index: *index })
                })
            };
            let attributes = |index: u32, entry: &Entry| {
                let owner = owners.get(&EntryId { layer: number, index });
                let (uid, gid) = owner.copied().unwrap_or((entry.uid, entry.gid));
                (entry.mode, uid, gid)
            };
            let nothing_new = left().all(|(index, entry)| {
                let same = attributes(index, entry);
                entry.kind == Kind::Directory && directories.get(&entry.path) == Some(&same)
            });
            if hits.contains(&number) && nothing_new {
                emptied.push(number as usize);
            }
            for (index, entry) in left() {
                if entry.kind == Kind::Directory {
                    directories.insert(entry.path.clone(), attributes(index, entry));
                } else if entry.kind != Kind::Ignored {
                    forget(&mut directories, &entry.path);
                }
            }
        }
        if emptied.len() == self.inventory.layers().len() {
            emptied.pop();
        }
        let because = because(id("empty-layer"));
        let step = |layer| Step { action: Action::DropEmptied { layer }, because: because.clone() };
        emptied.into_iter().map(step).collect()
    }
}

/// The layers that name files. An inode is several files where a hardlink becomes the regular file:
/// what comes then has nothing to do with what was before.
#[derive(Default)]
struct Homes {
    /// The entries with which new files of an inode begin, in order.
    begins: HashMap<InodeId, Vec<EntryId>>,
    /// The first and the last layer that still name each file of an inode.
    layers: HashMap<(InodeId, usize), (u32, u32)>,
}

impl Homes {
    /// Which file of its inode an entry is.
    fn file(&self, inode: InodeId, id: EntryId) -> usize {
        self.begins.get(&inode).map_or(0, |begins| begins.partition_point(|begin| *begin <= id))
    }

    fn of(&self, inode: InodeId, id: EntryId) -> Option<(u32, u32)> {
        self.layers.get(&(inode, self.file(inode, id))).copied()
    }
}

/// Takes a path and all beneath it out of an ordered map.
fn forget<V>(map: &mut BTreeMap<RootPath, V>, path: &RootPath) {
    map.remove(path);
    let within: Vec<RootPath> = beneath(map, path).map(|(path, _)| path.clone()).collect();
    for path in within {
        map.remove(&path);
    }
}

/// Whether something of a lower layer lies beneath a path, or at it.
fn hides(lowest: &Lowest<'_>, layer: u32, path: &RootPath, itself: bool) -> bool {
    let lower = |found: u32| found < layer;
    (itself && lowest.at(path).is_some_and(lower)) || lowest.beneath(path).is_some_and(lower)
}
