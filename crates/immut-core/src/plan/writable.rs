//! What the user has to be able to write: the image's volumes, what `--writable` names, and what an
//! application is known to write to.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::drops::Draft;
use super::places::{Place, is_system};
use super::reach::User;
use super::user::PlannedUser;
use super::{Action, Because, Choices, Step};
use crate::apps::Mount;
use crate::finding::RuleId;
use crate::inventory::{Inode, InodeId, Inventory, Kind, MOST_LINKS, Name};
use crate::path::RootPath;
use crate::user::Accounts;

/// A path that has to be writable under a read-only root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writable {
    /// The path, as it was asked for.
    pub path: RootPath,
    /// What has to be mounted there.
    pub kind: Mount,
    /// Why.
    pub because: Because,
}

/// What is done so that the user can write where it has to.
#[derive(Debug, Default)]
pub(super) struct Writables {
    /// What has to be writable, in order.
    pub(super) list: Vec<Writable>,
    /// Names that stay: what is there of each place, and the links on the way.
    pub(super) grounds: Vec<RootPath>,
    /// What is worth knowing.
    pub(super) notes: Vec<String>,
    /// Who gets it; none where the user is root, or unknown.
    owner: Option<(u32, u32)>,
    /// Trees that change their owner.
    given: BTreeMap<RootPath, Because>,
    /// The inodes in them.
    inodes: HashSet<InodeId>,
    /// Places of which all belongs to the user.
    whole: HashSet<RootPath>,
    /// What the user has to read and could not, with what lies in it.
    readable: BTreeMap<RootPath, ((u32, u32), Because)>,
    /// Directories that come, with their owners.
    made: BTreeMap<RootPath, ((u32, u32), Because)>,
    /// Directories in the trees that no layer mentions: they come if anything is left in them.
    implied: BTreeMap<RootPath, Because>,
}

/// What is asked of one place, by all who ask.
struct Asked {
    path: RootPath,
    kind: Mount,
    create: bool,
    because: Because,
}

impl Asked {
    /// Whether a rule that asks is kept.
    fn is_kept(&self, choices: &Choices) -> bool {
        self.because.iter().any(|rule| choices.profile.keeps_rule(rule))
    }

    /// The rules of all.
    fn because(all: &[Self]) -> Because {
        Because::new(all.iter().flat_map(|asked| asked.because.iter().cloned()).collect())
    }
}

impl From<Asked> for Writable {
    fn from(Asked { path, kind, because, .. }: Asked) -> Self {
        Self { path, kind, because }
    }
}

impl Writables {
    /// What has to be done for places. Nothing is where the user may write already, and where rules
    /// are kept that ask for it.
    pub(super) fn of(
        places: Vec<Place>,
        draft: &Draft<'_>,
        user: &PlannedUser,
        choices: &Choices,
    ) -> Self {
        let inventory = draft.inventory;
        let accounts = Accounts::of(inventory);
        let id = user.id.filter(|id| id.uid != 0);
        let mut writables = Self { owner: id.map(|id| accounts.owner_of(id)), ..Self::default() };
        let rights = id.map(|id| User::new(&accounts, id));
        let mut there: BTreeMap<RootPath, Vec<Asked>> = BTreeMap::new();
        for asked in gathered(places) {
            match found(draft, &asked.path) {
                Some(found) => there.entry(found).or_default().push(asked),
                None => writables.missing(draft, asked, choices),
            }
        }
        for (found, all) in there {
            writables.stand(inventory, &found, &all);
            if is_system(&found) {
                writables.notes.push(format!("{found} is the system's, so no user gets it"));
                continue;
            }
            let kept = all.iter().any(|asked| asked.is_kept(choices));
            let covered = kept || writables.is_whole(&found);
            if let Some(rights) = rights.as_ref().filter(|_| !covered)
                && writables.give(draft, &found, rights, &Asked::because(&all))
            {
                let volume = all.iter().any(|asked| asked.kind == Mount::Volume);
                if volume && user.is_another() {
                    writables.tell_of_old_volumes(&found);
                }
                writables.whole.insert(found.clone());
            }
            writables.record(inventory, &found, all);
        }
        writables.list.sort_by(|a, b| a.path.cmp(&b.path));
        writables
    }

    /// What is there of places stays, with the links on the way.
    fn stand(&mut self, inventory: &Inventory, found: &RootPath, all: &[Asked]) {
        let links = all.iter().flat_map(|asked| inventory.resolve(&asked.path).links);
        self.grounds.extend(links.chain([found.clone()]));
    }

    /// Places that are there have to be writable. A file is none where anything is mounted, unless the
    /// image says so.
    fn record(&mut self, inventory: &Inventory, found: &RootPath, all: Vec<Asked>) {
        let directory = inventory.lookup(found).is_none_or(|one| one.kind == Kind::Directory);
        let mounted = all.into_iter().filter(|one| directory || one.kind == Mount::Volume);
        self.list.extend(mounted.map(Writable::from));
    }

    /// Gives a tree to the user, if it may not write all of it. False where only its own entries in a
    /// directory are anybody's, as in `/tmp`: then what lies beneath was not looked at.
    fn give(
        &mut self,
        draft: &Draft<'_>,
        path: &RootPath,
        rights: &User,
        because: &Because,
    ) -> bool {
        let inventory = draft.inventory;
        if inventory.lookup(path).is_some_and(|inode| inode.mode & 0o1002 == 0o1002) {
            return false;
        }
        let Some(owner) = self.owner else { return false };
        let tree = inventory.tree(path);
        let stays = |name: &RootPath| draft.removal(name).is_none();
        let denied = |(name, inode): &(RootPath, InodeId)| {
            !rights.may_write(inventory.inode(*inode)) && stays(name)
        };
        if tree.own.iter().any(denied) {
            self.inodes.extend(tree.own.iter().map(|(_, inode)| *inode));
            self.given.insert(path.clone(), because.clone());
        }
        for implied in tree.implied.into_iter().filter(stays) {
            if implied == *path {
                self.made.insert(implied, (owner, because.clone()));
            } else {
                self.implied.insert(implied, because.clone());
            }
        }
        let shared = |name: &&RootPath| {
            inventory.lookup(name).is_some_and(|inode| !rights.may_write(inode)) && stays(name)
        };
        let shared: Vec<&RootPath> = tree.shared.iter().filter(shared).collect();
        if let Some(first) = shared.first() {
            self.notes.push(format!(
                "{} of {path} have names elsewhere too, such as {first}, and keep their owner",
                shared.len()
            ));
        }
        true
    }

    /// A place that is not there is made, where it is wanted, with the directories above it.
    fn missing(&mut self, draft: &Draft<'_>, asked: Asked, choices: &Choices) {
        if !asked.create {
            return;
        }
        let Some((ground, whole)) = ground(draft, &asked.path) else {
            let path = &asked.path;
            self.notes.push(format!("{path} leads to nothing in the image, and is not made"));
            return;
        };
        self.stand(draft.inventory, &ground, std::slice::from_ref(&asked));
        let by_engine = asked.kind == Mount::Volume && self.owner.is_none();
        let (kept, because) = (asked.is_kept(choices), asked.because.clone());
        self.list.push(asked.into());
        if kept || by_engine {
            return;
        }
        let owner = self.owner.unwrap_or_default();
        let missing = whole.ancestors();
        for directory in missing.take_while(|path| *path != ground) {
            let owner = if directory == whole { owner } else { (0, 0) };
            let (had, all) = self.made.entry(directory).or_default();
            if *had == (0, 0) {
                *had = owner;
            }
            Arc::make_mut(all).extend(because.iter().cloned());
        }
        self.whole.insert(whole);
    }

    /// Whether a name lies in a place of which all belongs to the user.
    fn is_whole(&self, path: &RootPath) -> bool {
        let mut above = path.ancestors();
        above.any(|above| self.whole.contains(&above))
    }

    fn tell_of_old_volumes(&mut self, path: &RootPath) {
        let changes = self.given.contains_key(path) || self.made.contains_key(path);
        let Some((uid, gid)) = self.owner.filter(|_| changes) else { return };
        self.notes.push(format!(
            "{path} belongs to {uid}:{gid}; a volume or a host folder that is there already keeps \
             its owner until it is given away (chown -R {uid}:{gid})"
        ));
    }

    /// Lets the user read files that it has to read and not to write: where the mode lets a group pass
    /// or read, the user's group gets it, with all that lies in the directory; else it becomes the
    /// user's. Directories at the top are everybody's, and stay as they are.
    pub(super) fn let_read(
        &mut self,
        draft: &Draft<'_>,
        user: &PlannedUser,
        paths: &BTreeSet<RootPath>,
        rule: &RuleId,
    ) {
        let inventory = draft.inventory;
        let (Some(id), Some(owner)) = (user.id.filter(|id| id.uid != 0), self.owner) else {
            return;
        };
        let rights = User::new(&Accounts::of(inventory), id);
        let is_top = |name: &RootPath, inode: &Inode| {
            inode.kind == Kind::Directory && name.components().nth(1).is_none()
        };
        for name in paths.iter().flat_map(RootPath::top_down) {
            let Some(inode) = inventory.lookup(&name).filter(|inode| !is_top(&name, inode)) else {
                continue;
            };
            let had = self.owner_of(inventory, &name).unwrap_or((inode.uid, inode.gid));
            if rights.may_read(inode, had) || is_system(&name) || draft.removal(&name).is_some() {
                continue;
            }
            let by_group = rights.as_member(owner.1).may_read(inode, (had.0, owner.1));
            let new = if by_group { (had.0, owner.1) } else { owner };
            self.readable.insert(name, (new, super::because(rule.clone())));
        }
    }

    /// The owner that a name of the merged view will have, if it changes.
    pub(super) fn owner_of(&self, inventory: &Inventory, path: &RootPath) -> Option<(u32, u32)> {
        let name = inventory.names().get(path)?;
        let mut above = path.ancestors();
        if let Some((owner, _)) = above.find_map(|path| self.readable.get(&path)) {
            return Some(*owner);
        }
        if self.inodes.contains(&name.inode) && name.entry.is_some() {
            return self.owner;
        }
        let implied = || self.implied.get(path).and(self.owner);
        self.made.get(path).map(|(owner, _)| *owner).or_else(implied)
    }

    /// Gives the trees away.
    pub(super) fn draft(&self, draft: &mut Draft<'_>) {
        for (path, because) in &self.given {
            if let Some(owner) = self.owner {
                draft.set_owner(path.clone(), owner, because.clone());
            }
        }
        for (path, (owner, because)) in &self.readable {
            draft.set_owner(path.clone(), *owner, because.clone());
        }
    }

    /// Adds the directories that come to the steps, of which `names` are left, and gives what has to be
    /// writable. One that comes anyway gets the user for its owner if either wants it so, or if it lies
    /// in what belongs to the user.
    pub(super) fn make(
        mut self,
        steps: &mut Vec<Step>,
        names: &BTreeMap<RootPath, Name>,
    ) -> Vec<Writable> {
        let user = self.owner.unwrap_or_default();
        let left = std::mem::take(&mut self.implied).into_iter();
        let left = left.filter(|(path, _)| names.contains_key(path));
        self.made.extend(left.map(|(path, because)| (path, (user, because))));
        let mut made = std::mem::take(&mut self.made);
        for step in &mut *steps {
            let Action::AddDirectory { path, mode, owner, .. } = &mut step.action else { continue };
            let wanted = made.remove(path);
            if is_everybodys(path) {
                (*mode, *owner) = EVERYBODYS;
            } else if *owner == (0, 0) && self.is_whole(path) {
                *owner = user;
            }
            if let Some((_, because)) = wanted {
                Arc::make_mut(&mut step.because).extend(because.iter().cloned());
            }
        }
        steps.extend(made.into_iter().map(|(path, (owner, because))| {
            let owner = if self.is_whole(&path) { user } else { owner };
            let (bits, owner) = if is_everybodys(&path) { EVERYBODYS } else { (0o755, owner) };
            let action = Action::AddDirectory { path, mode: bits, owner, layer: None };
            Step { action, because }
        }));
        self.list
    }
}

/// Mode and owner of directories where everybody may write and nobody delete what is another's.
const EVERYBODYS: (u16, (u32, u32)) = (0o1777, (0, 0));

/// Whether every program takes it that it may write there.
fn is_everybodys(path: &RootPath) -> bool {
    matches!(path.as_bytes(), b"tmp" | b"var/tmp")
}

/// Places by their paths, each once; what has to stay is a volume, whoever else wants memory there.
fn gathered(places: Vec<Place>) -> impl Iterator<Item = Asked> {
    let mut all: BTreeMap<RootPath, (Mount, bool, BTreeSet<RuleId>)> = BTreeMap::new();
    for Place { path, kind, create, rule } in places {
        let (mount, make, rules) = all.entry(path).or_insert((kind, create, BTreeSet::new()));
        (*mount, *make) = ((*mount).max(kind), *make || create);
        rules.insert(rule);
    }
    all.into_iter().map(|(path, (kind, create, because))| Asked {
        path,
        kind,
        create,
        because: Because::new(because),
    })
}

/// Where a path leads, unless that goes.
pub(super) fn found(draft: &Draft<'_>, path: &RootPath) -> Option<RootPath> {
    draft.inventory.resolve(path).found.filter(|found| draft.removal(found).is_none())
}

/// What is there of a path that is not there itself, and where the whole of it will be: a link that
/// leads nowhere yet is followed to what it names. None where something that is no directory is in the
/// way, or links go round.
pub(super) fn ground(draft: &Draft<'_>, path: &RootPath) -> Option<(RootPath, RootPath)> {
    let inventory = draft.inventory;
    let mut path = path.clone();
    for _ in 0..MOST_LINKS {
        let mut rest: Vec<Vec<u8>> = Vec::new();
        let mut above = path;
        let ground = loop {
            match found(draft, &above) {
                Some(ground) => break ground,
                None => rest.push(above.file_name().to_vec()),
            }
            above = above.parent()?;
        };
        let beneath = |path: RootPath, rest: &[Vec<u8>]| {
            rest.iter().rev().fold(path, |path, name| path.join(name))
        };
        let first = ground.join(rest.last()?);
        let there = inventory.lookup(&first).filter(|_| draft.removal(&first).is_none());
        match there.map(|inode| &inode.kind) {
            Some(Kind::Symlink(target)) if climbs_at_once(target) => {
                path = beneath(first.link_target(target), &rest[..rest.len() - 1]);
            }
            Some(_) => return None,
            None => {
                let directory = ground.is_root()
                    || inventory.lookup(&ground).is_some_and(|one| one.kind == Kind::Directory);
                let whole = beneath(ground.clone(), &rest);
                return (directory && !is_system(&whole)).then_some((ground, whole));
            }
        }
    }
    None
}

/// Whether a link's `..` come before all else, if there are any: then it is read as it stands.
fn climbs_at_once(target: &[u8]) -> bool {
    let parts = target.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    parts.skip_while(|part| part == b"..").all(|part| part != b"..")
}
