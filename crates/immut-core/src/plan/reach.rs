//! Whether a user may reach, read, execute and enter what the start needs.

use super::needs::{self, Needs};
use super::{Conflict, Hop, Problem};
use crate::image::RuntimeConfig;
use crate::inventory::{Inode, Inventory};
use crate::path::RootPath;
use crate::user::{Accounts, UserId};

const READ: u16 = 0o4;
const EXECUTE: u16 = 0o1;

/// What the user may not do although the start needs it.
pub(super) fn denied(
    inventory: &Inventory,
    config: &RuntimeConfig,
    user: UserId,
    needs: &Needs,
) -> Vec<Conflict> {
    let check = Check { inventory, user, groups: Accounts::of(inventory).groups_of(user) };
    let mut conflicts = Vec::new();
    for need in needs.found.iter().filter(|need| need.executed) {
        let problem = need.names.iter().find_map(|name| check.reach(name)).or_else(|| {
            let file = need.names.last()?;
            let unreadable = || if need.script { check.may(file, READ, "read") } else { None };
            check.may(file, EXECUTE, "execute").or_else(unreadable)
        });
        conflicts
            .extend(problem.map(|problem| conflict(need.pointer, problem, need.chain.clone())));
    }
    conflicts.extend(check.working_dir(config));
    conflicts
}

fn conflict(pointer: &'static str, problem: Problem, chain: Vec<Hop>) -> Conflict {
    let settle = vec!["--user UID:GID (a user that may)".to_owned()];
    Conflict { pointer, problem, chain, settle }
}

struct Check<'a> {
    inventory: &'a Inventory,
    user: UserId,
    groups: Vec<u32>,
}

impl Check<'_> {
    /// Engines make a working directory that is missing.
    fn working_dir(&self, config: &RuntimeConfig) -> Option<Conflict> {
        let written = config.working_dir();
        let folder = needs::in_working_dir(config, written)?;
        let found = self.inventory.resolve(&folder).found?;
        let problem = self.reach(&found).or_else(|| self.may(&found, EXECUTE, "enter"))?;
        Some(conflict("/config/WorkingDir", problem, vec![Hop::Word(written.to_owned())]))
    }

    /// The first directory above a name that the user may not pass.
    fn reach(&self, name: &RootPath) -> Option<Problem> {
        let mut above: Vec<RootPath> =
            std::iter::successors(name.parent(), RootPath::parent).collect();
        above.reverse();
        above.iter().find_map(|directory| self.may(directory, EXECUTE, "pass through"))
    }

    /// What is wrong when the user may not use a right on an inode; the kernel asks the owner's
    /// bits for the owner, the group's for the group, and the others' for the rest.
    fn may(&self, path: &RootPath, right: u16, verb: &'static str) -> Option<Problem> {
        let inode = self.inventory.lookup(path)?;
        if self.user.uid == 0 || granted(inode, self.user.uid, &self.groups) & right != 0 {
            return None;
        }
        let (mode, owner) = (inode.mode, (inode.uid, inode.gid));
        let user = self.user.to_string();
        Some(Problem::Denied { user, right: verb, path: path.clone(), mode, owner })
    }
}

fn granted(inode: &Inode, uid: u32, groups: &[u32]) -> u16 {
    let shift = if inode.uid == uid {
        6
    } else if groups.contains(&inode.gid) {
        3
    } else {
        0
    };
    inode.mode >> shift
}
