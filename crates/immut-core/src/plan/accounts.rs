//! `/etc/passwd` and `/etc/group` brought in step with the new user and the shells that go.

use std::collections::BTreeSet;

use super::id;
use super::user::PlannedUser;
use super::{Action, Step};
use crate::finding::RuleId;
use crate::inventory::{EntryId, Inventory, Kind};
use crate::path::RootPath;
use crate::user::{Accounts, UserId};

const NOLOGIN: &str = "/sbin/nologin";
const NAME: &str = "nonroot";
const HOME: &str = "/home/nonroot";

/// The home that a user has or gets; none where there are no accounts.
pub(super) fn home_of(inventory: &Inventory, user: UserId) -> Option<RootPath> {
    let accounts = Accounts::of(inventory);
    let account = accounts.by_uid(user.uid);
    let home = account.map_or(HOME, |account| account.home.as_str());
    home.parse().ok().filter(|_| accounts.has_passwd() && home.starts_with('/'))
}

/// Where accounts are edited.
pub(super) struct Edit<'a> {
    pub(super) inventory: &'a Inventory,
    pub(super) dropped: &'a BTreeSet<EntryId>,
    /// Layers that are written anew anyway: what they hold is edited in place.
    pub(super) hits: &'a BTreeSet<u32>,
}

impl Edit<'_> {
    pub(super) fn steps(&self, user: &PlannedUser) -> Vec<Step> {
        let accounts = Accounts::of(self.inventory);
        if !accounts.has_passwd() {
            return Vec::new();
        }
        let new = user.change.as_ref().map(|(id, _)| *id);
        let passwd = self.edit("/etc/passwd", |text| self.passwd(text, &accounts, new));
        let group = self.edit("/etc/group", |text| group(text, &accounts, new));
        let home = new.map(|user| self.home(&accounts, user)).unwrap_or_default();
        let because = super::because(id("account"));
        let actions = passwd.into_iter().chain(group).chain(home);
        actions.map(|action| Step { action, because: because.clone() }).collect()
    }

    /// The steps that give files of the merged view, by their own names, new contents.
    pub(super) fn replacing(
        &self,
        contents: Vec<(RootPath, Vec<u8>)>,
        rule: RuleId,
    ) -> impl Iterator<Item = Step> {
        let because = super::because(rule);
        contents.into_iter().map(move |(path, content)| {
            let entry = self.in_place(&path);
            Step { action: Action::EditFile { path, entry, content }, because: because.clone() }
        })
    }

    /// An edit of a file of the merged view; none when the content stays.
    fn edit(&self, path: &str, change: impl FnOnce(&str) -> String) -> Option<Action> {
        let path = self.inventory.resolve(&path.parse().ok()?).found?;
        let text = std::str::from_utf8(self.inventory.text(&path)?).ok()?;
        let changed = change(text);
        if changed == text {
            return None;
        }
        let entry = self.in_place(&path);
        Some(Action::EditFile { path, entry, content: changed.into_bytes() })
    }

    /// The entry that holds a file, if its layer is written anew and it has no other name.
    pub(super) fn in_place(&self, path: &RootPath) -> Option<EntryId> {
        let name = self.inventory.names().get(path)?;
        let entry = name.entry.filter(|entry| self.hits.contains(&entry.layer))?;
        let alone = self.inventory.entries_of(name.inode) == [entry];
        (alone && self.inventory.entry(entry).kind == Kind::File).then_some(entry)
    }

    fn passwd(&self, text: &str, accounts: &Accounts, new: Option<UserId>) -> String {
        let mut lines: Vec<String> =
            text.lines().map(|line| self.without_lost_shell(line)).collect();
        if let Some(UserId { uid, gid }) = new.filter(|user| accounts.by_uid(user.uid).is_none()) {
            let name = free_name(uid, |name| accounts.by_name(name).is_some());
            lines.push(format!("{name}:x:{uid}:{}:{NAME}:{HOME}:{NOLOGIN}", gid.unwrap_or(uid)));
        }
        if lines.iter().map(String::as_str).eq(text.lines()) {
            text.to_owned()
        } else {
            joined(&lines)
        }
    }

    /// A line of `/etc/passwd` whose login shell is about to go gets one that lets nobody in.
    fn without_lost_shell(&self, line: &str) -> String {
        match line.rsplit_once(':') {
            Some((rest, shell)) if line.matches(':').count() == 6 && self.goes(shell) => {
                format!("{rest}:{NOLOGIN}")
            }
            _ => line.to_owned(),
        }
    }

    /// Whether a program is in the image and about to go.
    pub(super) fn goes(&self, program: &str) -> bool {
        let Ok(path) = program.parse::<RootPath>() else { return false };
        if path.is_root() {
            return false;
        }
        let resolution = self.inventory.resolve(&path);
        let mut names = resolution.links.iter().chain(&resolution.found);
        names.any(|name| {
            let entry = self.inventory.names().get(name).and_then(|name| name.entry);
            entry.is_some_and(|entry| self.dropped.contains(&entry))
        })
    }

    /// The user's home directory, and directories above it, where they are missing.
    fn home(&self, accounts: &Accounts, user: UserId) -> Vec<Action> {
        let account = accounts.by_uid(user.uid);
        let home = account.map_or(HOME, |account| account.home.as_str());
        let owner = accounts.owner_of(user);
        let Ok(path) = home.parse::<RootPath>() else { return Vec::new() };
        if !home.starts_with('/') || path.is_root() || home == "/nonexistent" {
            return Vec::new();
        }
        let (there, path) = self.follow(&path);
        let missing = path.ancestors().take_while(|path| *path != there);
        let mut missing: Vec<RootPath> = missing.collect();
        missing.reverse();
        let layer = missing.first().and_then(|first| self.layer_for(first));
        let action = |directory: RootPath| {
            let (mode, owner) = if directory == path { (0o700, owner) } else { (0o755, (0, 0)) };
            Action::AddDirectory { path: directory, mode, owner, layer }
        };
        missing.into_iter().map(action).collect()
    }

    /// What there is of a path with its links followed, and where the whole of it will be: a
    /// directory must not take the place of a link above it.
    fn follow(&self, path: &RootPath) -> (RootPath, RootPath) {
        let mut rest = Vec::new();
        let mut above = path.clone();
        loop {
            if let Some(there) = self.inventory.resolve(&above).found {
                let whole =
                    rest.iter().rev().fold(there.clone(), |path, name: &Vec<u8>| path.join(name));
                return (there, whole);
            }
            rest.push(above.file_name().to_vec());
            above = above.parent().unwrap_or_else(RootPath::root);
        }
    }

    /// The layer that holds `/etc/passwd`, if it is written anew, has the parent directory, and no
    /// later layer says anything about that place.
    fn layer_for(&self, path: &RootPath) -> Option<usize> {
        let passwd = self.inventory.resolve(&"/etc/passwd".parse().ok()?).found?;
        let layer = self.in_place(&passwd)?.layer;
        let parent = path.parent()?;
        let is_parent = |id: EntryId| self.inventory.entry(id).path == parent;
        let has_place = parent.is_root()
            || self
                .inventory
                .names()
                .get(&parent)?
                .entry
                .is_some_and(|id| id.layer == layer && is_parent(id));
        let covered = self.inventory.entries().any(|(id, entry)| {
            id.layer > layer
                && (entry.path.is_within(path)
                    || path.is_within(&entry.path) && !entry.path.is_root())
                && entry.kind != Kind::Directory
        });
        (has_place && !covered).then_some(layer as usize)
    }
}

fn group(text: &str, accounts: &Accounts, new: Option<UserId>) -> String {
    let Some(user) = new else { return text.to_owned() };
    let (_, gid) = accounts.owner_of(user);
    if accounts.groups().iter().any(|group| group.gid == gid) {
        return text.to_owned();
    }
    let name = free_name(gid, |name| accounts.groups().iter().any(|group| group.name == name));
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.push(format!("{name}:x:{gid}:"));
    joined(&lines)
}

/// `nonroot`, unless somebody else has that name.
fn free_name(id: u32, taken: impl Fn(&str) -> bool) -> String {
    if taken(NAME) { format!("{NAME}-{id}") } else { NAME.to_owned() }
}

fn joined(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}
