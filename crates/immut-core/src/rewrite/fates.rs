//! From steps to what becomes of each entry.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::inventory::{EntryId, Inventory, Kind};
use crate::path::RootPath;
use crate::plan::{Action, Bundle, Plan};
use crate::progress::Part;

/// What becomes of an entry that does not stay as it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Fate<'a> {
    pub(super) dropped: bool,
    /// Mode bits to clear.
    pub(super) clear: u16,
    pub(super) clear_capability: bool,
    /// Another owner and group.
    pub(super) owner: Option<(u32, u32)>,
    /// A hardlink's new target.
    pub(super) target: Option<&'a RootPath>,
    /// The entry whose bytes it takes over.
    pub(super) carries: Option<EntryId>,
    pub(super) content: Option<&'a [u8]>,
}

/// The fates of an image's entries, and what is added to it.
#[derive(Debug, Default)]
pub(super) struct Fates<'a> {
    entries: HashMap<EntryId, Fate<'a>>,
    /// Entries whose bytes another one takes over.
    pub(super) wanted: HashSet<EntryId>,
    emptied: HashSet<usize>,
    /// Layers that are compressed as they are.
    compressed: HashSet<usize>,
    pub(super) added: Vec<Added<'a>>,
    /// Mode and owner of the directories among them.
    directories: HashMap<&'a RootPath, (u16, (u32, u32))>,
    /// The new layers, if all files come in new ones.
    pub(super) bundles: Option<&'a [Bundle]>,
}

/// A file or directory that comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Added<'a> {
    pub(super) path: &'a RootPath,
    /// The layer at whose end it comes; else a layer on top.
    pub(super) layer: Option<usize>,
    pub(super) what: What<'a>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum What<'a> {
    /// New content for a file that a lower layer holds.
    File(&'a [u8]),
    Directory {
        mode: u16,
        owner: (u32, u32),
    },
}

impl<'a> Fates<'a> {
    pub(super) fn new(inventory: &Inventory, plan: &'a Plan) -> Self {
        let mut fates = Self::default();
        let mut removed = HashSet::new();
        for step in &plan.steps {
            fates.take(inventory, &step.action, &mut removed);
        }
        for (id, entry) in inventory.entries() {
            let mut above = entry.path.ancestors();
            if entry.kind != Kind::Ignored && above.any(|path| removed.contains(&path)) {
                fates.of_mut(id).dropped = true;
            }
        }
        fates
    }

    fn take(&mut self, inventory: &Inventory, action: &'a Action, removed: &mut HashSet<RootPath>) {
        match action {
            Action::Remove { path } => {
                removed.insert(path.clone());
            }
            Action::DropHidden { entry, .. }
            | Action::DropMarker { entry, .. }
            | Action::DropTable { entry, .. } => {
                self.of_mut(*entry).dropped = true;
            }
            Action::ClearMode { path, bits } => {
                for id in inventory.headers_with(path, *bits) {
                    self.of_mut(id).clear |= bits;
                }
            }
            Action::ClearCapability { path } => {
                for id in inventory.headers_with_capability(path) {
                    self.of_mut(id).clear_capability = true;
                }
            }
            Action::SetOwner { path, owner } => {
                for id in inventory.headers_of_others(path, *owner) {
                    self.of_mut(id).owner = Some(*owner);
                }
            }
            Action::Carry { entry, from, .. } => {
                self.of_mut(*entry).carries = Some(*from);
                self.wanted.insert(*from);
            }
            Action::Relink { entry, target, .. } => self.of_mut(*entry).target = Some(target),
            Action::DropEmptied { layer } => {
                self.emptied.insert(*layer);
            }
            Action::Compress { layer } => {
                self.compressed.insert(*layer);
            }
            Action::Arrange { bundles } => self.bundles = Some(bundles),
            Action::EditFile { entry: Some(entry), content, .. } => {
                self.of_mut(*entry).content = Some(content);
            }
            Action::EditFile { path, entry: None, content } => {
                self.added.push(Added { path, layer: None, what: What::File(content) });
            }
            Action::AddDirectory { path, mode, owner, layer } => {
                let what = What::Directory { mode: *mode, owner: *owner };
                self.directories.insert(path, (*mode, *owner));
                self.added.push(Added { path, layer: *layer, what });
            }
            Action::SetUser { .. }
            | Action::SetEntrypoint { .. }
            | Action::SetCmd { .. }
            | Action::SetVariable { .. }
            | Action::SetWorkingDir { .. }
            | Action::SetHealthcheck { .. }
            | Action::MovePort { .. } => {}
        }
    }

    pub(super) fn of(&self, id: EntryId) -> Option<&Fate<'a>> {
        self.entries.get(&id)
    }

    /// Mode and owner that a name of the merged view, or one that comes, will have.
    pub(super) fn attributes(
        &self,
        inventory: &Inventory,
        path: &RootPath,
    ) -> Option<(u16, (u32, u32))> {
        let comes = self.directories.get(path).copied();
        let there = || {
            let inode = inventory.lookup(path)?;
            let entry = inventory.names().get(path).and_then(|name| name.entry);
            let fate = entry.and_then(|id| self.of(id));
            let mode = inode.mode & !fate.map_or(0, |fate| fate.clear);
            let owner = fate.and_then(|fate| fate.owner);
            Some((mode, owner.unwrap_or((inode.uid, inode.gid))))
        };
        comes.or_else(there)
    }

    /// The entries that go.
    pub(super) fn dropped(&self) -> BTreeSet<EntryId> {
        self.entries.iter().filter(|(_, fate)| fate.dropped).map(|(id, _)| *id).collect()
    }

    /// Whether the layer has a hit.
    pub(super) fn touches(&self, layer: usize) -> bool {
        self.bundles.is_some()
            || self.emptied.contains(&layer)
            || self.compressed.contains(&layer)
            || self.entries.keys().any(|id| id.layer as usize == layer)
            || self.added.iter().any(|added| added.layer == Some(layer))
    }

    /// The entries of a layer whose bytes others take over, in order.
    pub(super) fn wanted_of(&self, layer: u32) -> Vec<EntryId> {
        let mut wanted: Vec<EntryId> =
            self.wanted.iter().copied().filter(|id| id.layer == layer).collect();
        wanted.sort_unstable();
        wanted
    }

    pub(super) fn empties(&self, layer: usize) -> bool {
        self.emptied.contains(&layer)
    }

    /// What the layer is to the new image, of an old one with `count` layers; after those comes the
    /// one on top.
    pub(super) fn part(&self, layer: usize, count: usize) -> Part {
        let stay = |layers: usize| (0..layers).filter(|one| !self.empties(*one)).count();
        let tops = self.added.iter().any(|added| added.layer.is_none());
        Part::Layer { number: stay(layer), of: stay(count) + usize::from(tops) }
    }

    pub(super) fn carries(&self) -> bool {
        !self.wanted.is_empty()
    }

    fn of_mut(&mut self, id: EntryId) -> &mut Fate<'a> {
        self.entries.entry(id).or_default()
    }
}
