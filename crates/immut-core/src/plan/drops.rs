//! [`Draft`]: removals and header changes on their way to steps.

mod consequences;
mod steps;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

pub(super) use consequences::Finished;

use super::{Because, tables};
use crate::finding::RuleId;
use crate::inventory::{Content, EntryId, Fingerprint, Inventory, Kind};
use crate::path::{RootPath, lossy};
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
        let above = path.ancestors();
        above.into_iter().find_map(|path| self.removed.get(&path))
    }

    /// Whether a file is a script whose interpreter goes.
    pub(super) fn loses_interpreter(&self, path: &RootPath) -> bool {
        let content = self.inventory.lookup(path).map(|inode| &inode.content);
        let Some(Content::Script(line)) = content else { return false };
        let line = lossy(line);
        let Some(interpreter) = line.split_ascii_whitespace().next() else { return false };
        interpreter.parse().is_ok_and(|interpreter| self.removes_way(&interpreter))
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
                && let Some(above) =
                    path.ancestors().skip(1).find(|above| self.removed.contains_key(above))
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
