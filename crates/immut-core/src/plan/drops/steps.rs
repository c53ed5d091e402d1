//! A draft as steps.

use std::collections::BTreeSet;

use super::super::{Action, Step, because, id};
use super::{Draft, Given};
use crate::inventory::{EntryId, Replay};
use crate::path::RootPath;

impl Draft<'_> {
    pub(super) fn steps(&self) -> Vec<Step> {
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
    pub(super) fn owner_steps(&self, dropped: &BTreeSet<EntryId>) -> Vec<Step> {
        let left = |given: &Given| given.headers.iter().any(|id| !dropped.contains(id));
        let trees = self.owners.iter().filter(|(_, given)| left(given));
        let step = |(path, given): (&RootPath, &Given)| {
            let action = Action::SetOwner { path: path.clone(), owner: given.owner };
            Step { action, because: given.because.clone() }
        };
        trees.map(step).collect()
    }

    /// Hardlinks that lose their target become the file, or link to another name.
    pub(super) fn link_steps(&self, replayed: &Replay) -> Vec<Step> {
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
