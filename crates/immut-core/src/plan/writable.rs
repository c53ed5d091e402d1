//! What the user has to be able to write: the image's volumes, what `--writable` names, and what an
//! application is known to write to.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::drops::Draft;
use super::reach::User;
use super::user::PlannedUser;
use super::{Action, Because, Choices, Step, id};
use crate::finding::RuleId;
use crate::image::Manifest;
use crate::inventory::{InodeId, Inventory, Kind};
use crate::needs::Look;
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

/// What is mounted where a container has to be able to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mount {
    /// Memory: what is in it may go with the container.
    Tmpfs,
    /// A volume: what is in it has to stay.
    Volume,
}

impl Mount {
    /// `tmpfs` or `volume`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tmpfs => "tmpfs",
            Self::Volume => "volume",
        }
    }
}

/// A path that shall belong to the user, as it is asked for.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// A directory with all that lies in it, or a file.
    pub(super) path: RootPath,
    /// What has to be mounted there.
    pub(super) kind: Mount,
    /// Whether it is made where it is missing; else it is passed over.
    pub(super) create: bool,
    /// Why.
    pub(super) rule: RuleId,
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
    /// What the user has to read and could not, with what lies in it.
    readable: BTreeMap<RootPath, ((u32, u32), Because)>,
    /// Directories that come, with their owners.
    made: BTreeMap<RootPath, ((u32, u32), Because)>,
}

/// What is asked of one place, by all who ask.
struct Asked {
    path: RootPath,
    kind: Mount,
    create: bool,
    because: Because,
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
        let rights = id.map(|id| User::new(inventory, id));
        let mut there: BTreeMap<RootPath, Vec<Asked>> = BTreeMap::new();
        for asked in gathered(places) {
            match found(draft, &asked.path) {
                Some(found) => there.entry(found).or_default().push(asked),
                None => writables.missing(draft, asked, choices),
            }
        }
        let mut whole: HashSet<RootPath> = HashSet::new();
        for (found, all) in there {
            let covered = std::iter::successors(Some(found.clone()), RootPath::parent)
                .any(|above| whole.contains(&above));
            let kept = all.iter().any(|asked| is_kept(asked, choices));
            let because = all.iter().flat_map(|asked| asked.because.iter().cloned()).collect();
            let kinds: Vec<Mount> = all.iter().map(|asked| asked.kind).collect();
            if is_system(&found) {
                writables.notes.push(format!(
                    "{found} is the system's, and stays as it is although it is a volume"
                ));
                continue;
            }
            writables.record(inventory, &found, all);
            if let Some(rights) = rights.as_ref().filter(|_| !covered && !kept)
                && writables.give(draft, &found, rights, &Because::new(because))
            {
                whole.insert(found.clone());
                let volume = kinds.contains(&Mount::Volume) && user.change.is_some();
                let changed =
                    writables.given.contains_key(&found) || writables.made.contains_key(&found);
                if volume && changed {
                    writables.tell_of_old_volumes(&found);
                }
            }
        }
        writables.list.sort_by(|a, b| a.path.cmp(&b.path));
        writables
    }

    /// A place that is there: a file is no place where anything is mounted.
    fn record(&mut self, inventory: &Inventory, found: &RootPath, all: Vec<Asked>) {
        let directory = inventory.lookup(found).is_none_or(|one| one.kind == Kind::Directory);
        for asked in all {
            self.grounds.extend(inventory.resolve(&asked.path).links);
            if directory || asked.kind == Mount::Volume {
                let Asked { path, kind, because, .. } = asked;
                self.list.push(Writable { path, kind, because });
            }
        }
        self.grounds.push(found.clone());
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
            self.made.insert(implied, (owner, because.clone()));
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
        let Asked { path, kind, create, because } = asked;
        if !create || (kind == Mount::Volume && self.owner.is_none()) {
            return;
        }
        let Some((ground, whole)) = ground(draft, &path) else {
            self.notes.push(format!("{path} leads to nothing in the image, and is not made"));
            return;
        };
        self.grounds.extend(draft.inventory.resolve(&path).links);
        self.grounds.push(ground.clone());
        self.list.push(Writable { path, kind, because: because.clone() });
        if because.iter().any(|rule| choices.profile.keeps_rule(rule)) {
            return;
        }
        let owner = self.owner.unwrap_or_default();
        let missing = std::iter::successors(Some(whole.clone()), RootPath::parent);
        for directory in missing.take_while(|path| *path != ground) {
            let owner = if directory == whole { owner } else { (0, 0) };
            let (had, all) = self.made.entry(directory).or_default();
            if *had == (0, 0) {
                *had = owner;
            }
            Arc::make_mut(all).extend(because.iter().cloned());
        }
    }

    fn tell_of_old_volumes(&mut self, path: &RootPath) {
        let Some((uid, gid)) = self.owner else { return };
        self.notes.push(format!(
            "{path} belongs to {uid}:{gid}; a volume or a host folder that is there already keeps \
             its owner until it is given away (chown -R {uid}:{gid})"
        ));
    }

    /// Lets the user read a file that it has to read and not to write: where the mode lets a group pass
    /// or read, the user's group gets it, with all that lies in the directory; else it becomes the
    /// user's.
    pub(super) fn let_read(
        &mut self,
        draft: &Draft<'_>,
        user: &PlannedUser,
        path: &RootPath,
        rule: &str,
    ) {
        let inventory = draft.inventory;
        let (Some(id), Some(owner)) = (user.id.filter(|id| id.uid != 0), self.owner) else {
            return;
        };
        let rights = User::new(inventory, id);
        let mut way: Vec<RootPath> =
            std::iter::successors(Some(path.clone()), RootPath::parent).collect();
        way.reverse();
        for name in way {
            let Some(inode) = inventory.lookup(&name) else { continue };
            let had = self.owner_of(inventory, &name).unwrap_or((inode.uid, inode.gid));
            if rights.may_read(inode, had) || is_system(&name) || draft.removal(&name).is_some() {
                continue;
            }
            let by_group = rights.as_member(owner.1).may_read(inode, (had.0, owner.1));
            let new = if by_group { (had.0, owner.1) } else { owner };
            self.readable.insert(name, (new, super::because(super::id(rule))));
        }
    }

    /// The owner that a name of the merged view will have, if it changes.
    pub(super) fn owner_of(&self, inventory: &Inventory, path: &RootPath) -> Option<(u32, u32)> {
        let name = inventory.names().get(path)?;
        let mut above = std::iter::successors(Some(path.clone()), RootPath::parent);
        if let Some((owner, _)) = above.find_map(|path| self.readable.get(&path)) {
            return Some(*owner);
        }
        if self.inodes.contains(&name.inode) && name.entry.is_some() {
            return self.owner;
        }
        self.made.get(path).map(|(owner, _)| *owner)
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

    /// Adds the directories that come to those of other steps, and gives what has to be writable. One that comes anyway gets the user
    /// for its owner if either wants it so.
    pub(super) fn make(self, steps: &mut Vec<Step>) -> Vec<Writable> {
        let mut made = self.made;
        for step in &mut *steps {
            let Action::AddDirectory { path, owner, .. } = &mut step.action else { continue };
            let Some((wanted, because)) = made.remove(path) else { continue };
            if *owner == (0, 0) {
                *owner = wanted;
            }
            Arc::make_mut(&mut step.because).extend(because.iter().cloned());
        }
        steps.extend(made.into_iter().map(|(path, (owner, because))| {
            let action = Action::AddDirectory { path, mode: 0o755, owner, layer: None };
            Step { action, because }
        }));
        self.list
    }
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

fn is_kept(asked: &Asked, choices: &Choices) -> bool {
    asked.because.iter().any(|rule| choices.profile.keeps_rule(rule))
}

/// Where a path leads, unless that goes.
fn found(draft: &Draft<'_>, path: &RootPath) -> Option<RootPath> {
    draft.inventory.resolve(path).found.filter(|found| draft.removal(found).is_none())
}

/// What is there of a path that is not there itself, and where the whole of it will be. None where a
/// link that leads nowhere, or something that is no directory, is in the way.
fn ground(draft: &Draft<'_>, path: &RootPath) -> Option<(RootPath, RootPath)> {
    let inventory = draft.inventory;
    let mut rest: Vec<Vec<u8>> = Vec::new();
    let mut above = path.clone();
    let ground = loop {
        match found(draft, &above) {
            Some(ground) => break ground,
            None => rest.push(above.file_name().to_vec()),
        }
        above = above.parent()?;
    };
    let first = ground.join(rest.last()?);
    let free = inventory.lookup(&first).is_none() || draft.removal(&first).is_some();
    let directory = ground.is_root()
        || inventory.lookup(&ground).is_some_and(|inode| inode.kind == Kind::Directory);
    let whole = rest.iter().rev().fold(ground.clone(), |path, name| path.join(name));
    (free && directory && !is_system(&whole)).then_some((ground, whole))
}

/// A place that an image's annotation records.
#[derive(Serialize, Deserialize)]
struct Recorded {
    path: String,
    kind: Mount,
}

/// The annotation of a manifest in OCI's format that lists paths which have to be writable, as a JSON
/// list of objects with `path` and `kind`.
pub(crate) const ANNOTATION: &str = "io.github.immut.writable";

/// The most places that are looked at in an image; no application has as many.
const MOST_PLACES: usize = 1000;

/// What is asked of an image: its volumes, what an earlier run recorded, what the caller names. The
/// text says what was not looked at.
pub(super) fn places(
    manifest: &Manifest,
    look: &Look<'_>,
    choices: &Choices,
) -> (Vec<Place>, Option<String>) {
    let place = |kind, create, rule| move |path| Place { path, kind, create, rule: id(rule) };
    let volumes = volumes(look).map(place(Mount::Volume, true, "volume"));
    let recorded = recorded(manifest).into_iter().filter_map(|one| {
        let path = one.path.parse().ok()?;
        Some(Place { path, kind: one.kind, create: false, rule: id("recorded-writable") })
    });
    let mut places: Vec<Place> = volumes.chain(recorded).take(MOST_PLACES + 1).collect();
    let unseen = (places.len() > MOST_PLACES).then(|| {
        format!("the image has more than {MOST_PLACES} volumes; the others stay as they are")
    });
    places.truncate(MOST_PLACES);
    let chosen = choices.writable.iter().cloned();
    places.extend(chosen.map(place(Mount::Tmpfs, true, "chosen-writable")));
    (places, unseen)
}

fn volumes<'a>(look: &'a Look<'_>) -> impl Iterator<Item = RootPath> + 'a {
    let volumes = look.config.inner("Volumes").and_then(|volumes| volumes.as_object());
    volumes.into_iter().flatten().filter_map(|(path, _)| look.in_working_dir(path))
}

/// What an earlier run recorded in the manifest; nothing if that cannot be read.
fn recorded(manifest: &Manifest) -> Vec<Recorded> {
    let text = manifest.json()["annotations"][ANNOTATION].as_str();
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// The value of [`ANNOTATION`]; none if nothing has to be writable.
pub(crate) fn annotation(writable: &[Writable]) -> Option<String> {
    let record = |one: &Writable| Recorded { path: one.path.to_string(), kind: one.kind };
    let all: Vec<Recorded> = writable.iter().map(record).collect();
    (!all.is_empty()).then(|| serde_json::json!(all).to_string())
}

/// Whether a directory is the system's own, and can belong to no application.
pub(super) fn is_system(path: &RootPath) -> bool {
    const TOP: [&[u8]; 12] = [
        b"bin", b"dev", b"etc", b"lib", b"lib32", b"lib64", b"libexec", b"libx32", b"proc",
        b"sbin", b"sys", b"usr",
    ];
    let mut parts = path.components();
    match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => true,
        (Some(b"proc" | b"sys"), ..) => true,
        (Some(top), None, _) => TOP.contains(&top),
        (Some(b"usr"), Some(below), None) => TOP.contains(&below),
        _ => false,
    }
}
