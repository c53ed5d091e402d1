//! Whether a user may reach, read, execute and enter what the start needs.

use super::drops::Draft;
use super::places::is_system;
use super::user::PlannedUser;
use super::writable::{Writables, found, ground};
use super::{Conflict, Problem};
use crate::inventory::{Inode, Inventory, Kind};
use crate::needs::{Access, Closure, Edge, Hop, Look, pointer};
use crate::path::RootPath;
use crate::user::{Accounts, UserId};

const READ: u16 = 0o4;
const WRITE: u16 = 0o2;
const EXECUTE: u16 = 0o1;

/// What the user may not do although the start needs it.
pub(super) fn denied(
    look: &Look<'_>,
    user: &PlannedUser,
    closure: &Closure,
    check: &Check<'_>,
) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    for start in &closure.starts {
        for edge in &start.edges {
            let need = &start.needs[edge.to];
            let chain = || start.chain_of(edge);
            if user.is_another() && !need.certain && is_named_file(look, edge) {
                let problem = check.way(edge, &need.path).or_else(|| check.open(&need.path));
                conflicts.extend(problem.map(|problem| named(edge.pointer, problem, chain())));
            }
            if need.certain && need.access != Access::Named {
                let problem =
                    check.way(edge, &need.path).or_else(|| check.access(&need.path, need.access));
                conflicts.extend(problem.map(|problem| conflict(edge.pointer, problem, chain())));
            }
        }
    }
    conflicts.extend(check.working_dir(look));
    conflicts
}

/// What configuration names and the user may not read: told, since nothing says when it is read.
pub(super) fn unreadable(
    inventory: &Inventory,
    user: &PlannedUser,
    closure: &Closure,
    writables: &Writables,
) -> Vec<String> {
    let Some(id) = user.id.filter(|_| user.is_another()) else { return Vec::new() };
    let check = Check::new(inventory, id, writables);
    let mut told = Vec::new();
    for start in &closure.starts {
        for edge in &start.edges {
            let (Some(line @ Hop::Setting { .. }), Some(from)) = (edge.why.last(), edge.from)
            else {
                continue;
            };
            let need = &start.needs[edge.to];
            let problem = check.way(edge, &need.path).or_else(|| check.open(&need.path));
            told.extend(problem.map(|problem| {
                let give = giving(&problem).map_or_else(String::new, |flag| format!("; {flag}"));
                format!("{}, {line}: {problem}{give}", start.needs[from].path)
            }));
            if told.len() >= MOST_TOLD {
                return told;
            }
        }
    }
    told
}

/// The most that is told of what the user may not read.
const MOST_TOLD: usize = 20;

/// Whether an edge leads from a path among the words of entrypoint and cmd to what it names.
fn is_named_file(look: &Look<'_>, edge: &Edge) -> bool {
    let Some(Hop::Word(word)) = edge.why.last() else { return false };
    let is_start = matches!(edge.pointer, pointer::ENTRYPOINT | pointer::CMD);
    let words = || look.config.entrypoint().into_iter().chain(look.config.cmd());
    is_start && word.contains('/') && words().any(|one| one == *word)
}

fn conflict(pointer: &'static str, problem: Problem, chain: Vec<Hop>) -> Conflict {
    let settle = vec!["--user UID:GID (a user that may)".to_owned()];
    Conflict { pointer, problem, chain, unconverted: None, settle }
}

/// A conflict about what the start only reads or enters: it can be given to the user.
fn named(pointer: &'static str, problem: Problem, chain: Vec<Hop>) -> Conflict {
    let give = giving(&problem);
    let mut conflict = conflict(pointer, problem, chain);
    conflict.settle.splice(0..0, give);
    conflict
}

/// The flag that gives the user what it is denied, if that may be given.
pub(super) fn giving(problem: &Problem) -> Option<String> {
    match problem {
        Problem::Denied { path, .. } if !is_system(path) => {
            Some(format!("--writable {path} (gives it to the user)"))
        }
        _ => None,
    }
}

/// Who asks, with all groups.
pub(super) struct User {
    id: UserId,
    groups: Vec<u32>,
}

impl User {
    pub(super) fn new(accounts: &Accounts, id: UserId) -> Self {
        Self { id, groups: accounts.groups_of(id) }
    }

    /// Whether it may change a file, or make others in a directory. What belongs to it counts: the
    /// mode is its own to change. Links and devices are nobody's to write.
    pub(super) fn may_write(&self, inode: &Inode) -> bool {
        let asked = match inode.kind {
            Kind::Directory => WRITE | EXECUTE,
            Kind::File => WRITE,
            _ => return true,
        };
        inode.uid == self.id.uid
            || self.granted(inode.mode, (inode.uid, inode.gid)) & asked == asked
    }

    /// Whether it may read a file, or pass through a directory, that has this owner.
    pub(super) fn may_read(&self, inode: &Inode, owner: (u32, u32)) -> bool {
        let asked = if inode.kind == Kind::Directory { EXECUTE } else { READ };
        self.granted(inode.mode, owner) & asked != 0
    }

    /// The same user, in that group alone.
    pub(super) fn as_member(&self, group: u32) -> Self {
        Self { id: self.id, groups: vec![group] }
    }

    /// The bits that the kernel asks: the owner's for the owner, the group's for the group, and the
    /// others' for the rest.
    fn granted(&self, mode: u16, (uid, gid): (u32, u32)) -> u16 {
        if uid == self.id.uid {
            mode >> 6
        } else if self.groups.contains(&gid) {
            mode >> 3
        } else {
            mode
        }
    }
}

/// Asks what a user may do, with what will belong to it.
pub(super) struct Check<'a> {
    inventory: &'a Inventory,
    user: User,
    /// What will belong to the user.
    writables: &'a Writables,
}

impl<'a> Check<'a> {
    pub(super) fn new(inventory: &'a Inventory, id: UserId, writables: &'a Writables) -> Self {
        Self { inventory, user: User::new(&Accounts::of(inventory), id), writables }
    }

    /// Who asks.
    pub(super) fn user(&self) -> UserId {
        self.user.id
    }

    /// What keeps the user from writing a file or to a directory, or from making it where it is not
    /// there. Nothing is said of devices, and of what has no directory yet: nobody could write it.
    pub(super) fn writing(&self, draft: &Draft<'_>, path: &RootPath) -> Option<Problem> {
        let there = found(draft, path).map(|there| (there.clone(), there));
        let (there, whole) = there.or_else(|| ground(draft, path))?;
        if whole.components().next() == Some(b"dev") {
            return None;
        }
        if there != whole && whole.parent().as_ref() != Some(&there) {
            return None;
        }
        let write = || self.may(&there, WRITE, "write to");
        let directory =
            self.inventory.lookup(&there).is_some_and(|one| one.kind == Kind::Directory);
        let enter = || self.may(&there, EXECUTE, "make files in").filter(|_| directory);
        self.reach(&there).or_else(write).or_else(enter)
    }

    /// What keeps the user from what an edge leads to.
    fn way(&self, edge: &Edge, file: &RootPath) -> Option<Problem> {
        edge.links.iter().chain([file]).find_map(|name| self.reach(name))
    }

    /// What keeps the user from a directory, or from a file: one that it may execute is as good as one
    /// that it may read.
    fn open(&self, path: &RootPath) -> Option<Problem> {
        let kind = self.inventory.lookup(path).map(|inode| &inode.kind);
        if kind == Some(&Kind::Directory) {
            return self.may(path, EXECUTE, "enter");
        }
        self.may(path, EXECUTE, "execute").and_then(|_| self.may(path, READ, "read"))
    }

    /// What the user may not do with a file itself.
    fn access(&self, file: &RootPath, access: Access) -> Option<Problem> {
        let read = || self.may(file, READ, "read");
        let execute = || self.may(file, EXECUTE, "execute");
        match access {
            Access::Named => None,
            Access::Read => read(),
            Access::Execute => execute(),
            Access::Interpret => execute().or_else(read),
        }
    }

    /// Engines make a working directory that is missing.
    fn working_dir(&self, look: &Look<'_>) -> Option<Conflict> {
        let written = look.config.working_dir();
        let folder = look.in_working_dir(written)?;
        let found = self.inventory.resolve(&folder).found?;
        let problem = self.reach(&found).or_else(|| self.may(&found, EXECUTE, "enter"))?;
        Some(named(pointer::WORKING_DIR, problem, vec![Hop::Word(written.to_owned())]))
    }

    /// The first directory above a name that the user may not pass.
    fn reach(&self, name: &RootPath) -> Option<Problem> {
        let above = name.parent().iter().flat_map(RootPath::top_down).collect::<Vec<_>>();
        above.iter().find_map(|directory| self.may(directory, EXECUTE, "pass through"))
    }

    /// What is wrong when the user may not use a right on an inode, as it will be owned.
    fn may(&self, path: &RootPath, right: u16, verb: &'static str) -> Option<Problem> {
        let inode = self.inventory.lookup(path)?;
        let owner = self.writables.owner_of(self.inventory, path);
        let (mode, owner) = (inode.mode, owner.unwrap_or((inode.uid, inode.gid)));
        let granted = match self.user.id.uid {
            // Root may all but execute a file that nobody may.
            0 => inode.kind == Kind::Directory || right != EXECUTE || mode & 0o111 != 0,
            _ => self.user.granted(mode, owner) & right != 0,
        };
        if granted {
            return None;
        }
        let user = self.user.id.to_string();
        Some(Problem::Denied { user, right: verb, path: path.clone(), mode, owner })
    }
}
