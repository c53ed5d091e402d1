//! Whether a user may reach, read, execute and enter what the start needs.

use super::{Conflict, Problem};
use crate::inventory::{Inode, Inventory, Kind};
use crate::needs::{Access, Closure, Hop, Look};
use crate::path::RootPath;
use crate::user::{Accounts, UserId};

const READ: u16 = 0o4;
const EXECUTE: u16 = 0o1;

/// What the user may not do although the start needs it.
pub(super) fn denied(look: &Look<'_>, user: UserId, closure: &Closure) -> Vec<Conflict> {
    let inventory = look.inventory;
    let check = Check { inventory, user, groups: Accounts::of(inventory).groups_of(user) };
    let mut conflicts = Vec::new();
    for start in &closure.starts {
        for edge in &start.edges {
            let need = &start.needs[edge.to];
            if !need.certain || need.access == Access::Named {
                continue;
            }
            let mut names = edge.links.iter().chain([&need.path]);
            let problem = names
                .find_map(|name| check.reach(name))
                .or_else(|| check.access(&need.path, need.access));
            let chain = || start.chain_of(edge);
            conflicts.extend(problem.map(|problem| conflict(edge.pointer, problem, chain())));
        }
    }
    conflicts.extend(check.working_dir(look));
    conflicts
}

fn conflict(pointer: &'static str, problem: Problem, chain: Vec<Hop>) -> Conflict {
    let settle = vec!["--user UID:GID (a user that may)".to_owned()];
    Conflict { pointer, problem, chain, unconverted: None, settle }
}

struct Check<'a> {
    inventory: &'a Inventory,
    user: UserId,
    groups: Vec<u32>,
}

impl Check<'_> {
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
        let granted = match self.user.uid {
            // Root may all but execute a file that nobody may.
            0 => inode.kind == Kind::Directory || right != EXECUTE || inode.mode & 0o111 != 0,
            uid => granted(inode, uid, &self.groups) & right != 0,
        };
        if granted {
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
