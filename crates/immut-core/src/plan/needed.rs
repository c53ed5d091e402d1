//! [`Needed`]: what stays although a profile removes what is not needed.

use std::collections::HashSet;

use super::user::PlannedUser;
use crate::inventory::{Inventory, Kind};
use crate::needs::{Closure, Look};
use crate::path::RootPath;
use crate::rules::Base;
use crate::user::Accounts;

/// Names of the merged view that stay, with the directories above them.
#[derive(Debug, Default)]
pub(super) struct Needed {
    names: HashSet<RootPath>,
    /// Directories with all that lies in them.
    trees: HashSet<RootPath>,
}

impl Needed {
    /// Whether a name stays.
    pub(super) fn holds(&self, path: &RootPath) -> bool {
        self.names.contains(path) || self.lies_in_tree(path)
    }

    fn lies_in_tree(&self, path: &RootPath) -> bool {
        let mut above = path.ancestors();
        above.any(|path| self.trees.contains(&path))
    }
}

/// Gathers what is needed, links followed.
pub(super) struct Gather<'a> {
    inventory: &'a Inventory,
    needed: Needed,
    /// Links that were not followed yet.
    links: Vec<RootPath>,
}

impl<'a> Gather<'a> {
    pub(super) fn new(inventory: &'a Inventory) -> Self {
        Self { inventory, needed: Needed::default(), links: Vec::new() }
    }

    /// What starts need, words that name files among it.
    pub(super) fn closure(mut self, closure: &Closure) -> Self {
        for start in &closure.starts {
            for edge in &start.edges {
                edge.links.iter().for_each(|link| self.name(link));
                self.whole(&start.needs[edge.to].path);
            }
        }
        self
    }

    /// Files and directories with all that lies in them.
    pub(super) fn paths(mut self, paths: impl IntoIterator<Item = RootPath>) -> Self {
        for path in paths {
            self.follow(&path);
        }
        self
    }

    /// Where the container begins, what it writes to, and its user's home.
    pub(super) fn places(
        mut self,
        look: &Look<'_>,
        user: &PlannedUser,
        writable: &[RootPath],
    ) -> Self {
        for name in writable {
            self.name(name);
        }
        let accounts = Accounts::of(self.inventory);
        let account = user.id.and_then(|user| accounts.by_uid(user.uid));
        let home = account.map(|account| account.home.as_str());
        for place in std::iter::once(look.config.working_dir()).chain(home) {
            let Some(path) = look.in_working_dir(place) else { continue };
            let resolution = self.inventory.resolve(&path);
            resolution.links.iter().chain(&resolution.found).for_each(|name| self.name(name));
        }
        self
    }

    /// What an image keeps in any case, and links whose ends stay.
    pub(super) fn base(mut self, base: &Base) -> Self {
        let inventory = self.inventory;
        for (path, name) in inventory.names().iter().filter(|(path, _)| base.has(path)) {
            match inventory.inode(name.inode).kind {
                Kind::Symlink(_) if base.has_link(path) => {}
                Kind::Symlink(_) => self.follow(path),
                _ => self.name(path),
            }
        }
        for path in inventory.names().keys().filter(|path| base.has_link(path)) {
            let found = inventory.resolve(path).found;
            // What leads nowhere stays: a folder that no layer mentions is no more when it is empty.
            if found.is_none_or(|found| self.needed.holds(&found)) {
                self.follow_link(path);
            }
        }
        self
    }

    pub(super) fn finish(self) -> Needed {
        self.needed
    }

    /// A path with the links on its way, and what lies in it.
    fn follow(&mut self, path: &RootPath) {
        let resolution = self.inventory.resolve(path);
        resolution.links.iter().for_each(|link| self.name(link));
        match resolution.found {
            Some(found) => self.whole(&found),
            // A link whose end comes with the container, such as /proc/mounts.
            None => self.name(path),
        }
    }

    /// A link and the links it leads over; of what it leads to, the name alone.
    fn follow_link(&mut self, path: &RootPath) {
        let resolution = self.inventory.resolve(path);
        resolution.links.iter().chain(&resolution.found).for_each(|name| self.name(name));
    }

    /// A name, and if it is a directory all that lies in it, with what links in it lead to.
    fn whole(&mut self, path: &RootPath) {
        self.tree(path);
        while let Some(link) = self.links.pop() {
            let resolution = self.inventory.resolve(&link);
            resolution.links.iter().for_each(|link| self.name(link));
            if let Some(found) = resolution.found {
                self.tree(&found);
            }
        }
    }

    fn tree(&mut self, path: &RootPath) {
        self.name(path);
        let directory =
            self.inventory.lookup(path).is_some_and(|inode| inode.kind == Kind::Directory);
        if !directory || path.is_root() || self.needed.lies_in_tree(path) {
            return;
        }
        let beneath = self.inventory.beneath(path);
        let links = beneath.filter(|(_, name)| is_link(&self.inventory.inode(name.inode).kind));
        let links: Vec<RootPath> = links.map(|(path, _)| path.clone()).collect();
        self.links.extend(links);
        self.needed.trees.insert(path.clone());
    }

    /// A name with the directories above it.
    fn name(&mut self, path: &RootPath) {
        let mut above = Some(path.clone());
        while let Some(path) = above {
            above = path.parent();
            if !self.needed.names.insert(path) {
                break;
            }
        }
    }
}

fn is_link(kind: &Kind) -> bool {
    matches!(kind, Kind::Symlink(_))
}
