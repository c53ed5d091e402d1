//! What the start may read, and a new user may not: told, since nothing says whether it is read.

use std::collections::{BTreeMap, HashSet};

use super::drops::Draft;
use super::reach::{Check, MOST_TOLD, Words, flags};
use super::user::PlannedUser;
use super::writable::Writables;
use super::{Conflict, Problem, accounts};
use crate::inventory::Kind;
use crate::needs::{Access, Closure, Edge, Hop, Look, Start};
use crate::path::RootPath;

/// The most that is listed of one folder.
const MOST_LISTED: usize = 3;

/// What a new user may not read of files and folders that the start may read, and of its home.
pub(super) fn notes(
    draft: &Draft<'_>,
    look: &Look<'_>,
    user: &PlannedUser,
    closure: &Closure,
    writables: &Writables,
    conflicts: &[Conflict],
) -> Vec<String> {
    let Some(id) = user.id.filter(|_| user.is_another()) else { return Vec::new() };
    let check = Check::new(look.inventory, id, writables);
    let refused = conflicts.iter().filter_map(|one| denied(&one.problem));
    let mut telling =
        Telling { draft, look, check, seen: refused.cloned().collect(), told: vec![] };
    telling.files(closure);
    telling.folders(closure);
    telling.home();
    telling.told
}

/// What is told, and of which paths all is said.
struct Telling<'a> {
    draft: &'a Draft<'a>,
    look: &'a Look<'a>,
    check: Check<'a>,
    seen: HashSet<RootPath>,
    told: Vec<String>,
}

impl Telling<'_> {
    fn tell(&mut self, path: RootPath, text: String) {
        if self.told.len() < MOST_TOLD {
            self.seen.insert(path);
            self.told.push(text);
        }
    }

    /// Tells of one path, unless all is said of it.
    fn problem(&mut self, who: &str, problem: &Problem) {
        let Some(path) = denied(problem).filter(|path| !self.seen.contains(*path)) else { return };
        let give = flags([path]).map_or_else(String::new, |give| format!("; {give}"));
        self.tell(path.clone(), format!("{who}: {problem}{give}"));
    }

    fn is_full(&self) -> bool {
        self.told.len() >= MOST_TOLD
    }

    /// Files that configuration, variables and lines of scripts name.
    fn files(&mut self, closure: &Closure) {
        let words = Words::of(self.look);
        for start in &closure.starts {
            for edge in &start.edges {
                if self.is_full() {
                    return;
                }
                let Some(who) = self.names(start, edge, &words) else { continue };
                if let Some(problem) = self.check.along(edge, &start.needs[edge.to].path) {
                    self.problem(&who, &problem);
                }
            }
        }
    }

    /// Who names a file, if it is one that the start may go without.
    fn names(&self, start: &Start, edge: &Edge, words: &Words) -> Option<String> {
        let from = &start.needs[edge.from?];
        let need = &start.needs[edge.to];
        match edge.why.last()? {
            line @ Hop::Setting { .. } => Some(format!("{}, {line}", from.path)),
            variable @ Hop::Variable(_) => Some(variable.to_string()),
            word @ Hop::Word(_) => {
                let may_read = !need.certain && need.access == Access::Read;
                let told = may_read && !words.name(self.look, edge);
                told.then(|| format!("{}, {word} for {}", edge.pointer, from.path))
            }
            _ => None,
        }
    }

    /// What lies in folders that may be read as a whole.
    fn folders(&mut self, closure: &Closure) {
        let mut folders: BTreeMap<&RootPath, &Hop> = BTreeMap::new();
        for start in &closure.starts {
            for edge in &start.edges {
                let need = &start.needs[edge.to];
                if let Some(why) = edge.why.last().filter(|why| is_own(why, &need.path))
                    && need.is_folder(self.look.inventory)
                {
                    folders.entry(&need.path).or_insert(why);
                }
            }
        }
        let mut last: Option<&RootPath> = None;
        for (folder, why) in folders {
            if !last.is_some_and(|last| folder.is_within(last)) && !self.is_full() {
                last = Some(folder);
                self.folder(folder, why);
            }
        }
    }

    fn folder(&mut self, folder: &RootPath, why: &Hop) {
        if let Some(problem) = self.check.entering(folder) {
            return self.problem(&format!("{folder}, {why}"), &problem);
        }
        let (first, count) = self.beneath(folder);
        let Some(Problem::Denied { user, .. }) = first.first() else { return };
        let more = match count - first.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let all = first.iter().filter_map(denied).collect();
        let paths = if count > first.len() { vec![folder] } else { all };
        let give = flags(paths).map_or_else(String::new, |give| format!("{give}, or "));
        let listed = first.iter().map(listed).collect::<Vec<_>>().join(", ");
        let text = format!(
            "{folder}, {why}: user {user} may not read {count} of what lies in it: {listed}{more}; \
             {give}--user UID:GID (a user that may)"
        );
        self.tell(folder.clone(), text);
    }

    /// The first of what the user may not read beneath a folder, and how much there is of it: files, and
    /// folders with anything in them.
    fn beneath(&self, folder: &RootPath) -> (Vec<Problem>, usize) {
        let inventory = self.look.inventory;
        let (mut first, mut count) = (Vec::new(), 0);
        let mut locked: Option<&RootPath> = None;
        for (path, name) in inventory.beneath(folder) {
            let kind = &inventory.inode(name.inode).kind;
            let apart = match kind {
                Kind::File => false,
                Kind::Directory => inventory.beneath(path).next().is_none(),
                _ => true,
            };
            if apart || locked.is_some_and(|locked| path.is_within(locked)) {
                continue;
            }
            if self.draft.removal(path).is_some() {
                continue;
            }
            let Some(problem) = self.check.open(path) else { continue };
            locked = if *kind == Kind::Directory { Some(path) } else { locked };
            if !self.seen.contains(path) {
                count += 1;
                first.extend((count <= MOST_LISTED).then_some(problem));
            }
        }
        (first, count)
    }

    /// A home that the config names, and that is not the user's.
    fn home(&mut self) {
        let home = self.look.config.env("HOME").filter(|home| home.starts_with('/'));
        let Some(path) = home.and_then(|home| home.parse::<RootPath>().ok()) else { return };
        let found = self.look.inventory.resolve(&path).found;
        let directory = found.and_then(|found| self.look.inventory.lookup(&found));
        if directory.is_none_or(|inode| inode.kind != Kind::Directory) {
            return;
        }
        let Some(problem) = self.check.writing(self.draft, &path) else { return };
        let own = accounts::home_of(self.look.inventory, self.check.user());
        let own = match own.filter(|own| *own != path) {
            Some(own) => format!("HOME={own}, the user's own"),
            None => "another HOME".to_owned(),
        };
        let give = denied(&problem).and_then(|path| flags([path]));
        let give = give.map_or_else(String::new, |give| format!("{give}, or "));
        self.told.push(format!(
            "the config says HOME={path}, but {problem}: what is kept there fails; {give}start it \
             with {own}"
        ));
    }
}

/// Whether a folder is one of the application's: those of a rule are, but for the system's settings.
fn is_own(why: &Hop, folder: &RootPath) -> bool {
    match why {
        Hop::Folder(_) | Hop::Setting { .. } => true,
        Hop::Loaded(_) => folder.components().next() != Some(b"etc"),
        _ => false,
    }
}

/// The path that the user is denied.
fn denied(problem: &Problem) -> Option<&RootPath> {
    match problem {
        Problem::Denied { path, .. } => Some(path),
        _ => None,
    }
}

fn listed(problem: &Problem) -> String {
    match problem {
        Problem::Denied { path, mode, owner: (uid, gid), .. } => {
            format!("{path} (mode {mode:04o}, owner {uid}:{gid})")
        }
        other => other.to_string(),
    }
}
