//! Whether a user may reach, read, execute and enter what the start needs.

use std::collections::{BTreeMap, HashSet};

use super::drops::Draft;
use super::places::is_system;
use super::user::PlannedUser;
use super::writable::{Writables, found, ground};
use super::{Choices, Conflict, Problem};
use crate::image::Healthcheck;
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
            if need.certain && need.access != Access::Named {
                let problem =
                    check.way(edge, &need.path).or_else(|| check.access(&need.path, need.access));
                conflicts.extend(problem.map(|problem| conflict(edge.pointer, problem, chain())));
            }
        }
    }
    if user.is_another() {
        conflicts.extend(denied_words(look, closure, check));
    }
    conflicts.extend(check.working_dir(look));
    conflicts
}

/// Files that words of the config name and the user may not read. Whether they are read, their program
/// decides; where it was another user that did, the image is not the same any more.
pub(super) fn denied_words(look: &Look<'_>, closure: &Closure, check: &Check<'_>) -> Vec<Conflict> {
    let (mut conflicts, words) = (Vec::new(), Words::of(look));
    for start in &closure.starts {
        for edge in &start.edges {
            let need = &start.needs[edge.to];
            if need.certain || !words.name(look, edge) {
                continue;
            }
            let problem = check.along(edge, &need.path);
            let chain = || start.chain_of(edge);
            conflicts.extend(problem.map(|problem| conflict(edge.pointer, problem, chain())));
        }
    }
    conflicts
}

/// The most that is told of what a user may not read.
pub(super) const MOST_TOLD: usize = 20;

/// The words of the config's commands.
pub(super) struct Words {
    start: HashSet<String>,
    health_check: HashSet<String>,
}

impl Words {
    pub(super) fn of(look: &Look<'_>) -> Self {
        let start = look.config.entrypoint().into_iter().chain(look.config.cmd()).collect();
        let health_check = match look.config.healthcheck() {
            Healthcheck::Exec(words) => words.into_iter().collect(),
            Healthcheck::Shell(_) | Healthcheck::None => HashSet::new(),
        };
        Self { start, health_check }
    }

    /// Whether an edge leads from a word to the file that it names: by a path, or by a name in the
    /// working directory. One that is looked for in `PATH` may only happen to have that name.
    pub(super) fn name(&self, look: &Look<'_>, edge: &Edge) -> bool {
        let Some(Hop::Word(word)) = edge.why.last() else { return false };
        let words = match edge.pointer {
            pointer::ENTRYPOINT | pointer::CMD => &self.start,
            pointer::HEALTHCHECK => &self.health_check,
            _ => return false,
        };
        let value = word.split_once('=').map(|(_, value)| value);
        let here = |name: &str| look.in_working_dir(name).as_ref() == Some(&edge.asked);
        let names = word.contains('/') || here(word) || value.is_some_and(here);
        names && words.contains(word)
    }
}

fn conflict(pointer: &'static str, problem: Problem, chain: Vec<Hop>) -> Conflict {
    let settle = vec!["--user UID:GID (a user that may)".to_owned()];
    Conflict { pointer, problem, chain, unconverted: None, settle }
}

/// Names the path first that the user could be given, among the flags of each conflict that this would
/// settle. `left` gives what would speak against the plan with other choices.
pub(super) fn offer(
    conflicts: &mut [Conflict],
    choices: &Choices,
    left: impl Fn(&Choices) -> Option<Vec<Conflict>>,
) {
    let offers = conflicts.iter().filter_map(|one| giving(&one.problem));
    let offers: BTreeMap<RootPath, String> = offers.collect();
    for (path, flag) in offers.into_iter().take(MOST_OFFERS) {
        let mut with = choices.clone();
        with.writable.push(path);
        let Some(left) = left(&with) else { continue };
        for conflict in &mut *conflicts {
            let is_left =
                |one: &Conflict| (one.pointer, &one.chain) == (conflict.pointer, &conflict.chain);
            let about = giving(&conflict.problem).is_some_and(|(_, one)| one == flag);
            if about && !conflict.settle.contains(&flag) && !left.iter().any(is_left) {
                conflict.settle.insert(0, flag.clone());
            }
        }
    }
}

/// The most paths that are tried.
const MOST_OFFERS: usize = 8;

/// A path that the user is denied and that may be given to it, with the flag that does.
pub(super) fn giving(problem: &Problem) -> Option<(RootPath, String)> {
    match problem {
        Problem::Denied { path, .. } => Some((path.clone(), flags([path])?)),
        _ => None,
    }
}

/// The flags that give paths to the user, if they may be given.
pub(super) fn flags<'a>(paths: impl IntoIterator<Item = &'a RootPath>) -> Option<String> {
    let flags = paths.into_iter().filter(|path| !is_system(path));
    let flags: Vec<String> = flags.map(|path| format!("--writable {path}")).collect();
    (!flags.is_empty()).then(|| format!("{} (gives it to the user)", flags.join(" ")))
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

    /// What keeps the user from opening what an edge leads to.
    pub(super) fn along(&self, edge: &Edge, file: &RootPath) -> Option<Problem> {
        self.way(edge, file).or_else(|| self.open(file))
    }

    /// What keeps the user from a folder.
    pub(super) fn entering(&self, folder: &RootPath) -> Option<Problem> {
        self.reach(folder).or_else(|| self.may(folder, EXECUTE, "enter"))
    }

    /// What keeps the user from what an edge leads to.
    fn way(&self, edge: &Edge, file: &RootPath) -> Option<Problem> {
        edge.links.iter().chain([file]).find_map(|name| self.reach(name))
    }

    /// What keeps the user from a directory, or from a file: one that it may execute is as good as one
    /// that it may read.
    pub(super) fn open(&self, path: &RootPath) -> Option<Problem> {
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
        let problem = self.entering(&found)?;
        Some(conflict(pointer::WORKING_DIR, problem, vec![Hop::Word(written.to_owned())]))
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
