//! What the user keeps.

use std::collections::{BTreeSet, HashSet};

use super::{Choices, Kept};
use crate::finding::{Remedy, RuleId};
use crate::inventory::{InodeId, Inventory};
use crate::path::RootPath;
use crate::rules::{Catalog, Keep};

/// What the user keeps, and what of it a rule found.
pub(super) struct Keeping<'a> {
    catalog: &'a Catalog,
    inventory: &'a Inventory,
    choices: &'a Choices,
    names: HashSet<RootPath>,
    /// Multicall binaries that are kept: they stay with all their names.
    whole: HashSet<InodeId>,
    recorded: BTreeSet<Kept>,
}

impl<'a> Keeping<'a> {
    pub(super) fn new(
        catalog: &'a Catalog,
        inventory: &'a Inventory,
        choices: &'a Choices,
    ) -> Self {
        let mut names = HashSet::new();
        let mut whole = HashSet::new();
        for keep in &choices.profile.keep {
            let Keep::Path(path) = keep else { continue };
            let resolution = inventory.resolve(path);
            if let Some(name) =
                resolution.found.as_ref().and_then(|found| inventory.names().get(found))
                && catalog.is_multicall(&inventory.inode(name.inode).content)
            {
                whole.insert(name.inode);
            }
            names.insert(path.clone());
            names.extend(resolution.links);
            names.extend(resolution.found);
        }
        Self { catalog, inventory, choices, names, whole, recorded: BTreeSet::new() }
    }

    pub(super) fn keeps(&mut self, path: &RootPath, rule: &RuleId) -> bool {
        let kept = self.choices.profile.keeps_rule(rule) || self.keeps_name(path);
        if kept {
            self.recorded.insert(Kept { path: path.clone(), rule: rule.clone() });
        }
        kept
    }

    fn keeps_name(&self, path: &RootPath) -> bool {
        if self.names.iter().any(|kept| path.is_within(kept)) {
            return true;
        }
        let found = || self.inventory.names().get(&self.inventory.resolve(path).found?);
        !self.whole.is_empty() && found().is_some_and(|name| self.whole.contains(&name.inode))
    }

    /// What of a tree goes; that a part of it stays is recorded.
    pub(super) fn parts_around_kept(&mut self, path: &RootPath, rule: &RuleId) -> Vec<RootPath> {
        let parts = self.without_kept(path);
        if !parts.contains(path) {
            self.recorded.insert(Kept { path: path.clone(), rule: rule.clone() });
        }
        parts
    }

    /// A tree without what is kept in it: itself, or the parts around.
    pub(super) fn without_kept(&self, path: &RootPath) -> Vec<RootPath> {
        if !self.names.iter().any(|kept| kept.is_beneath(path)) {
            return vec![path.clone()];
        }
        let children =
            self.inventory.beneath(path).filter(|(child, _)| child.parent().as_ref() == Some(path));
        let left = children.filter(|(child, _)| !self.keeps_name(child));
        left.flat_map(|(child, _)| self.without_kept(child)).collect()
    }

    /// What the user keeps by name, and what a rule would have removed and the user keeps: all of it is
    /// there to be used.
    pub(super) fn paths(&self) -> BTreeSet<RootPath> {
        let removes = |kept: &&Kept| {
            self.catalog.rule(kept.rule.as_str()).is_some_and(|rule| rule.remedy == Remedy::Remove)
        };
        let found = self.recorded.iter().filter(removes).map(|kept| &kept.path);
        let applets = self.inventory.names().keys();
        let applets = applets.filter(|path| !self.whole.is_empty() && self.keeps_name(path));
        found.chain(applets).cloned().chain(self.choices.kept_paths()).collect()
    }

    /// What a rule found and stays.
    pub(super) fn into_recorded(self) -> Vec<Kept> {
        self.recorded.into_iter().collect()
    }
}
