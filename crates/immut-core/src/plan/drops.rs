//! What follows from removals: hidden entries, dead markers, carriers, emptied layers.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::lowest::Lowest;
use super::{Action, Because, Step, because, id, tables};
use crate::finding::RuleId;
use crate::inventory::{
    Entry, EntryId, Fingerprint, InodeId, Inventory, Kind, Name, Replay, beneath, replay,
};
use crate::path::RootPath;
use crate::rules::SMALLEST_IDENTITY;

/// Removals and header changes on their way to steps.
pub(super) struct Draft<'a> {
    pub(super) inventory: &'a Inventory,
    removed: BTreeMap<RootPath, Because>,
    hidden: BTreeMap<EntryId, Because>,
    markers: BTreeSet<EntryId>,
    /// Tables of contents of layers that are written anew.
    tables: BTreeSet<EntryId>,
    /// All tables of contents.
    lazy: HashSet<EntryId>,
    /// Where hidden entries are found by layer and name.
    hidden_names: HashMap<(u32, RootPath), Vec<EntryId>>,
    /// Names of hidden entries that a rule drops: markers must not name them either.
    ruled: HashSet<RootPath>,
    modes: BTreeMap<RootPath, (u16, Because)>,
    capabilities: BTreeMap<RootPath, Because>,
    /// Trees that change their owner.
    owners: BTreeMap<RootPath, Given>,
    /// Whether hidden entries go from layers that nothing else touches too.
    purge_hidden: bool,
}

/// A tree that changes its owner.
struct Given {
    owner: (u32, u32),
    /// The headers that change.
    headers: Vec<EntryId>,
    because: Because,
}

/// Steps with what they amount to.
pub(super) struct Finished {
    pub(super) steps: Vec<Step>,
    /// The merged view that is left.
    pub(super) names: BTreeMap<RootPath, Name>,
    pub(super) dropped: BTreeSet<EntryId>,
    /// Layers in which files may be edited: those that are written anew, and all of them where nothing
    /// may be hidden.
    pub(super) hits: BTreeSet<u32>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(inventory: &'a Inventory, purge_hidden: bool) -> Self {
        let mut hidden_names: HashMap<(u32, RootPath), Vec<EntryId>> = HashMap::new();
        for (id, entry) in inventory.entries().filter(|(id, _)| inventory.is_hidden(*id)) {
            hidden_names.entry((id.layer, entry.path.clone())).or_default().push(id);
        }
        Self {
            inventory,
            removed: BTreeMap::new(),
            hidden: BTreeMap::new(),
            markers: BTreeSet::new(),
            tables: BTreeSet::new(),
            lazy: tables::of(inventory),
            hidden_names,
            ruled: HashSet::new(),
            modes: BTreeMap::new(),
            capabilities: BTreeMap::new(),
            owners: BTreeMap::new(),
            purge_hidden,
        }
    }

    pub(super) fn remove(&mut self, path: RootPath, rule: &RuleId) {
        add(self.removed.entry(path).or_default(), rule);
    }

    pub(super) fn clear_mode(&mut self, path: &RootPath, rule: &RuleId) {
        let bits = self.inventory.lookup(path).map_or(0, |inode| inode.any_mode & 0o6000);
        let (all, because) = self.modes.entry(path.clone()).or_default();
        *all |= bits;
        add(because, rule);
    }

    pub(super) fn clear_capability(&mut self, path: &RootPath, rule: &RuleId) {
        add(self.capabilities.entry(path.clone()).or_default(), rule);
    }

    /// Gives a tree to an owner.
    pub(super) fn set_owner(&mut self, path: RootPath, owner: (u32, u32), because: Because) {
        let headers = self.inventory.headers_of_others(&path, owner);
        self.owners.insert(path, Given { owner, headers, because });
    }

    /// A hidden entry goes, whatever the rule's remedy: nobody sees it. One whose file is visible
    /// by another name is dealt with there.
    pub(super) fn drop_hidden(&mut self, layer: usize, path: &RootPath, rule: &RuleId) {
        let Ok(layer) = u32::try_from(layer) else { return };
        let key = (layer, path.clone());
        for id in self.hidden_names.get(&key).into_iter().flatten() {
            add(self.hidden.entry(*id).or_default(), rule);
        }
        self.ruled.insert(key.1);
    }

    /// Whether any name is removed.
    pub(super) fn removes(&self) -> bool {
        !self.removed.is_empty()
    }

    /// The rules that remove a name, or a directory above it.
    pub(super) fn removal(&self, path: &RootPath) -> Option<&Because> {
        let above = std::iter::successors(Some(path.clone()), RootPath::parent);
        above.into_iter().find_map(|path| self.removed.get(&path))
    }

    /// Whether what a path leads to goes, or a link on the way.
    pub(super) fn removes_way(&self, path: &RootPath) -> bool {
        let way = self.inventory.resolve(path);
        way.links.iter().chain(&way.found).any(|name| self.removal(name).is_some())
    }

    /// Whether a rule removes a name, or a directory above it.
    pub(super) fn is_removed_by(&self, path: &RootPath, rule: &RuleId) -> bool {
        self.removal(path).is_some_and(|because| because.contains(rule))
    }

    /// The privilege that a file loses, in a word.
    pub(super) fn loss(&self, path: &RootPath) -> Option<&'static str> {
        if self.capabilities.contains_key(path) {
            return Some("file capability");
        }
        self.modes.contains_key(path).then_some("setuid or setgid bit")
    }

    /// All steps on files, with those that follow from others.
    pub(super) fn finish(mut self) -> Finished {
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

    /// A tree covers what lies in it, and what goes needs no other change.
    fn forget_what_goes(&mut self) {
        let covered: Vec<RootPath> = self
            .removed
            .keys()
            .filter(|path| path.parent().is_some_and(|parent| self.removal(&parent).is_some()))
            .cloned()
            .collect();
        for path in covered {
            if let Some(because) = self.removed.remove(&path)
                && let Some(above) = std::iter::successors(path.parent(), RootPath::parent)
                    .find(|above| self.removed.contains_key(above))
            {
                add_all(self.removed.entry(above).or_default(), &because);
            }
        }
        let stays: Vec<RootPath> =
            self.modes.keys().chain(self.capabilities.keys()).cloned().collect();
        for path in stays {
            if self.removal(&path).is_some() {
                self.modes.remove(&path);
                self.capabilities.remove(&path);
            }
        }
        self.count_inodes_once();
        let covered: Vec<EntryId> = self
            .hidden
            .keys()
            .filter(|id| self.removal(&self.inventory.entry(**id).path).is_some())
            .copied()
            .collect();
        for id in covered {
            self.hidden.remove(&id);
        }
    }

    /// Headers are changed by inode: one of its names stands for all.
    fn count_inodes_once(&mut self) {
        let inventory = self.inventory;
        let inode = |path: &RootPath| inventory.names().get(path).map(|name| name.inode);
        let mut modes: HashMap<_, (RootPath, u16, Because)> = HashMap::new();
        for (path, (bits, because)) in std::mem::take(&mut self.modes) {
            let (_, all, rules) =
                modes.entry(inode(&path)).or_insert_with(|| (path, 0, Because::default()));
            *all |= bits;
            add_all(rules, &because);
        }
        self.modes =
            modes.into_values().map(|(path, bits, because)| (path, (bits, because))).collect();
        let mut seen = HashSet::new();
        self.capabilities.retain(|path, _| seen.insert(inode(path)));
    }

    /// What is removed is gone: hidden entries with the same bytes go too, in every layer, unless a
    /// file that stays has those bytes.
    fn drop_hidden_copies(&mut self) {
        let mut gone: HashMap<Fingerprint, Because> = HashMap::new();
        let mut stays = HashSet::new();
        for (id, entry) in self.inventory.entries() {
            let Some(content) = self.content(id) else { continue };
            match self.removal(&entry.path).or_else(|| self.hidden.get(&id)) {
                Some(because) => {
                    gone.entry(content).or_insert_with(|| because.clone());
                }
                None if !self.inventory.is_hidden(id) => {
                    stays.insert(content);
                }
                None => {}
            }
        }
        gone.retain(|content, _| !stays.contains(content));
        let copies: Vec<(EntryId, Because)> = self
            .inventory
            .entries()
            .filter(|(id, entry)| {
                self.inventory.is_hidden(*id) && self.removal(&entry.path).is_none()
            })
            .filter_map(|(id, _)| Some((id, gone.get(&self.content(id)?)?.clone())))
            .collect();
        for (id, because) in copies {
            self.ruled.insert(self.inventory.entry(id).path.clone());
            add_all(self.hidden.entry(id).or_default(), &because);
        }
    }

    /// The fingerprint of a file's bytes, if they are many enough to tell files apart.
    fn content(&self, id: EntryId) -> Option<Fingerprint> {
        let inode = self.inventory.inode(self.inventory.entry(id).inode?);
        inode.fingerprint.filter(|_| inode.size >= SMALLEST_IDENTITY)
    }

    /// Entries that the steps so far drop.
    fn dropped(&self) -> BTreeSet<EntryId> {
        let by_name = self.inventory.entries().filter(|(_, entry)| {
            entry.kind != Kind::Ignored && self.removal(&entry.path).is_some()
        });
        by_name.map(|(id, _)| id).chain(self.hidden.keys().copied()).collect()
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
        let homes = self.layers_of_inodes(dropped);
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
    fn can_go(&self, id: EntryId, homes: &HashMap<InodeId, (u32, u32)>) -> bool {
        let inode = self.inventory.entry(id).inode.filter(|_| self.inventory.is_hidden(id));
        inode.is_some_and(|inode| homes.get(&inode) == Some(&(id.layer, id.layer)))
    }

    /// For each inode the first and the last layer that still name it.
    fn layers_of_inodes(&self, dropped: &BTreeSet<EntryId>) -> HashMap<InodeId, (u32, u32)> {
        let mut homes = HashMap::new();
        for (id, entry) in self.inventory.entries().filter(|(id, _)| !dropped.contains(id)) {
            if let Some(inode) = entry.inode {
                homes.entry(inode).or_insert((id.layer, id.layer)).1 = id.layer;
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

    fn steps(&self) -> Vec<Step> {
        let path_of = |id: &EntryId| self.inventory.entry(*id).path.clone();
        let (dead, lazy) = (because(id("hidden-entry")), because(id("lazy-table")));
        let removed = self
            .removed
            .iter()
            .map(|(path, because)| (Action::Remove { path: path.clone() }, because.clone()));
        let modes = self.modes.iter().map(|(path, (bits, because))| {
            (Action::ClearMode { path: path.clone(), bits: *bits }, because.clone())
        });
        let capabilities = self.capabilities.iter().map(|(path, because)| {
            (Action::ClearCapability { path: path.clone() }, because.clone())
        });
        let hidden = self.hidden.iter().map(|(entry, because)| {
            (Action::DropHidden { entry: *entry, path: path_of(entry) }, because.clone())
        });
        let markers = self.markers.iter().map(|entry| {
            (Action::DropMarker { entry: *entry, path: path_of(entry) }, dead.clone())
        });
        let tables = self
            .tables
            .iter()
            .map(|entry| (Action::DropTable { entry: *entry, path: path_of(entry) }, lazy.clone()));
        let all = removed.chain(modes).chain(capabilities).chain(hidden).chain(markers);
        let all = all.chain(tables);
        all.map(|(action, because)| Step { action, because }).collect()
    }

    /// Trees in which a header is left that changes.
    fn owner_steps(&self, dropped: &BTreeSet<EntryId>) -> Vec<Step> {
        let left = |given: &Given| given.headers.iter().any(|id| !dropped.contains(id));
        let trees = self.owners.iter().filter(|(_, given)| left(given));
        let step = |(path, given): (&RootPath, &Given)| {
            let action = Action::SetOwner { path: path.clone(), owner: given.owner };
            Step { action, because: given.because.clone() }
        };
        trees.map(step).collect()
    }

    /// Hardlinks that lose their target become the file, or link to another name.
    fn link_steps(&self, replayed: &Replay) -> Vec<Step> {
        let because = because(id("hidden-entry"));
        let carries = replayed.carries.iter().filter_map(|entry| {
            let there = self.inventory.entry(*entry);
            let from = self.inventory.inode(there.inode?).carrier?;
            Some(Action::Carry { entry: *entry, path: there.path.clone(), from })
        });
        let relinks = replayed.retargets.iter().map(|(entry, target)| {
            let path = self.inventory.entry(*entry).path.clone();
            Action::Relink { entry: *entry, path, target: target.clone() }
        });
        carries.chain(relinks).map(|action| Step { action, because: because.clone() }).collect()
    }
}

/// Adds a rule to those that something is because of.
fn add(because: &mut Because, rule: &RuleId) {
    Arc::make_mut(because).insert(rule.clone());
}

/// Adds the rules of something else, which may be the only ones.
fn add_all(because: &mut Because, others: &Because) {
    if because.is_empty() {
        *because = others.clone();
    } else {
        Arc::make_mut(because).extend(others.iter().cloned());
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
