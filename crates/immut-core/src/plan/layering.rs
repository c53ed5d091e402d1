//! Which file lies in which layer of the new image.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::drops::{Draft, Finished};
use super::packages::{self, Owned};
use super::{Action, Package, Step, because, id, tables};
use crate::inventory::{Entry, EntryId, InodeId, Inventory, Kind, Layer, Name};
use crate::needs::Files;
use crate::path::RootPath;

/// How files are laid out in layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layering {
    /// In the layers that they are in; those without a hit keep their blob.
    #[default]
    Preserve,
    /// In one layer, which holds the merged view and nothing else.
    Squash,
    /// In a layer for each package, or group of small ones, and on top one for the rest.
    Package,
}

/// A layer of a new layering.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bundle {
    /// The packages whose files it holds; none: it holds what no other layer does.
    pub packages: Vec<Package>,
    /// Their files.
    pub(crate) paths: BTreeSet<RootPath>,
}

/// Which packages own what, if files are laid out by it.
pub(super) fn owned(layering: Layering, draft: &Draft<'_>, files: &Files<'_>) -> Vec<Owned> {
    match layering {
        Layering::Package => packages::owned(draft, files),
        Layering::Preserve | Layering::Squash => Vec::new(),
    }
}

/// Lays the files out as it was chosen, if they are not laid out so already. What a step says of
/// single layers is no longer true then, and goes.
pub(super) fn arrange(
    layering: Layering,
    inventory: &Inventory,
    finished: &Finished,
    owned: Vec<Owned>,
    steps: &mut Vec<Step>,
) {
    let bundles = match layering {
        Layering::Preserve => return,
        Layering::Squash if is_squashed(inventory, finished, steps) => return,
        Layering::Squash => vec![Bundle::default()],
        Layering::Package => {
            let bundles = bundles(inventory, &finished.names, owned);
            if is_arranged(inventory, &finished.names, &bundles, steps) {
                return;
            }
            bundles
        }
    };
    steps.retain(|step| !is_of_layers(&step.action));
    let tables = tables::of(inventory).into_iter().filter(|id| !finished.dropped.contains(id));
    let lazy = because(id("lazy-table"));
    steps.extend(tables.collect::<BTreeSet<EntryId>>().into_iter().map(|entry| {
        let path = inventory.entry(entry).path.clone();
        Step { action: Action::DropTable { entry, path }, because: lazy.clone() }
    }));
    let because = because(id("chosen-layers"));
    steps.push(Step { action: Action::Arrange { bundles }, because });
}

/// Whether there will be one layer in which each entry is a name of the merged view.
fn is_squashed(inventory: &Inventory, finished: &Finished, steps: &[Step]) -> bool {
    let emptied = steps.iter().filter(|step| matches!(step.action, Action::DropEmptied { .. }));
    let on_top = steps.iter().any(|step| {
        matches!(
            step.action,
            Action::EditFile { entry: None, .. } | Action::AddDirectory { layer: None, .. }
        )
    });
    let layers = inventory.layers().len() - emptied.count() + usize::from(on_top);
    let named = finished.names.values().filter(|name| name.entry.is_some()).count();
    let entries = inventory.entries().count() - finished.dropped.len();
    layers <= 1 && entries == named
}

/// A bundle for each large package, then those of small ones, then one for the rest.
fn bundles(
    inventory: &Inventory,
    names: &BTreeMap<RootPath, Name>,
    owned: Vec<Owned>,
) -> Vec<Bundle> {
    let owned = without_shared(inventory, names, owned);
    let mut large = LARGE;
    let mut bundles = loop {
        let bundles = bundles_from(inventory, names, &owned, large);
        if bundles.len() < MOST_LAYERS {
            break bundles;
        }
        large = large.saturating_mul(2);
    };
    bundles.push(Bundle::default());
    bundles
}

/// So many bytes of files and more have a layer of their own. What shares a layer with others is
/// sent again when one of them changes, so groups are kept small.
const LARGE: u64 = 256 << 10;
/// Groups of small packages. To which one a package belongs depends on its name alone, so that it is
/// the same in every image and for every version.
const GROUPS: u32 = 32;
/// Engines have at most 127 layers, and users add their own. Where there would be more, packages
/// have to be larger for one of their own.
const MOST_LAYERS: usize = 100;

fn bundles_from(
    inventory: &Inventory,
    names: &BTreeMap<RootPath, Name>,
    owned: &[Owned],
    large: u64,
) -> Vec<Bundle> {
    // Sizes are as files declare them; none is as large as no limit at all.
    let size = |path: &RootPath| inventory.inode(names[path].inode).size;
    let mut alone = Vec::new();
    let mut groups: BTreeMap<u32, Bundle> = BTreeMap::new();
    for Owned { package, paths } in owned.iter().filter(|one| !one.paths.is_empty()) {
        let all: u64 = paths.iter().map(size).fold(0, u64::saturating_add).min(u64::MAX - 1);
        let (packages, paths) = (package.clone(), paths.iter().cloned());
        if all >= large {
            alone.push(Bundle { packages: vec![packages], paths: paths.collect() });
        } else {
            let group = crc32fast::hash(package.name.as_bytes()) % GROUPS;
            let bundle = groups.entry(group).or_default();
            bundle.packages.push(packages);
            bundle.paths.extend(paths);
        }
    }
    alone.extend(groups.into_values());
    alone
}

/// What belongs to one package alone: configuration and what changes while a system runs is
/// the image's, of several owners the first counts, and an inode that has names of several owners
/// comes with the rest, under all its names.
fn without_shared(
    inventory: &Inventory,
    names: &BTreeMap<RootPath, Name>,
    mut packages: Vec<Owned>,
) -> Vec<Owned> {
    let mut owners: HashMap<RootPath, usize> = HashMap::new();
    for (number, one) in packages.iter().enumerate() {
        for path in one.paths.iter().filter(|path| is_constant(path) && names.contains_key(*path)) {
            owners.entry(path.clone()).or_insert(number);
        }
    }
    let several = |inode| inventory.entries_of(inode).len() > 1;
    let mut homes: HashMap<InodeId, Option<usize>> = HashMap::new();
    for (path, name) in names.iter().filter(|(_, name)| several(name.inode)) {
        let owner = owners.get(path).copied();
        let home = homes.entry(name.inode).or_insert(owner);
        home.take_if(|home| Some(*home) != owner);
    }
    for (number, one) in packages.iter_mut().enumerate() {
        one.paths.retain(|path| {
            let owns = owners.get(path) == Some(&number);
            owns && homes.get(&names[path].inode).is_none_or(Option::is_some)
        });
    }
    packages
}

fn is_constant(path: &RootPath) -> bool {
    !CHANGING.iter().any(|folder| path.as_bytes().starts_with(folder))
}

const CHANGING: [&[u8]; 4] = [b"etc/", b"lib/apk/", b"usr/lib/apk/", b"var/"];

/// Whether nothing changes and each layer has the entries that it would have, in their order.
fn is_arranged(
    inventory: &Inventory,
    names: &BTreeMap<RootPath, Name>,
    bundles: &[Bundle],
    steps: &[Step],
) -> bool {
    let changes = |step: &Step| {
        step.action.path().is_some() || matches!(step.action, Action::DropEmptied { .. })
    };
    let layers = inventory.layers();
    let wanted = spread(bundles, names);
    let same = |(layer, paths): (&Layer, &Vec<RootPath>)| {
        let same = |(entry, path): (&Entry, &RootPath)| {
            let inode = inventory.inode(names[path].inode);
            let directories = inode.kind == Kind::Directory && entry.kind == Kind::Directory;
            let same = directories || entry.inode == Some(names[path].inode);
            same && entry.path == *path
                && (entry.mode, entry.uid, entry.gid) == (inode.mode, inode.uid, inode.gid)
        };
        layer.entries.len() == paths.len() && layer.entries.iter().zip(paths).all(same)
    };
    !steps.iter().any(changes)
        && layers.len() == wanted.len()
        && layers.iter().zip(&wanted).all(same)
}

/// Whether an action is about what one layer holds for another, or about a layer as such.
fn is_of_layers(action: &Action) -> bool {
    matches!(
        action,
        Action::DropMarker { .. }
            | Action::Carry { .. }
            | Action::Relink { .. }
            | Action::DropEmptied { .. }
            | Action::Compress { .. }
    )
}

/// The names of each layer in order, with the directories above them; of the whole merged view.
pub(crate) fn spread(bundles: &[Bundle], names: &BTreeMap<RootPath, Name>) -> Vec<Vec<RootPath>> {
    let mut placed = HashSet::new();
    let mut layers = Vec::new();
    for bundle in bundles.iter().filter(|bundle| !bundle.packages.is_empty()) {
        let files = bundle.paths.iter().filter(|path| names.contains_key(*path));
        let layer = with_parents(files, names);
        placed.extend(layer.iter().cloned());
        layers.push(layer.into_iter().collect());
    }
    let rest = names.keys().filter(|path| !placed.contains(*path));
    let rest = with_parents(rest, names);
    if !rest.is_empty() || layers.is_empty() {
        layers.push(rest.into_iter().collect());
    }
    layers
}

fn with_parents<'a>(
    paths: impl Iterator<Item = &'a RootPath>,
    names: &BTreeMap<RootPath, Name>,
) -> BTreeSet<RootPath> {
    let mut all = BTreeSet::new();
    for path in paths {
        let mut next = Some(path.clone());
        while let Some(path) = next.filter(|path| names.contains_key(path)) {
            next = path.parent().filter(|parent| !parent.is_root() && !all.contains(parent));
            all.insert(path);
        }
    }
    all
}
