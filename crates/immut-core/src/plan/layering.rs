//! Which file lies in which layer of the new image.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::drops::Finished;
use super::{Action, Package, Step, because, id, tables};
use crate::inventory::{EntryId, Inventory, Name};
use crate::path::RootPath;

/// How files are laid out in layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layering {
    /// In the layers that they are in; those without a hit keep their blob.
    #[default]
    Preserve,
    /// In one layer, which holds the merged view and nothing else.
    Squash,
}

/// A layer of a new layering.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bundle {
    /// The packages whose files it holds; none: it holds what no other layer does.
    pub packages: Vec<Package>,
    /// Their files.
    pub(crate) paths: BTreeSet<RootPath>,
}

/// Lays the files out as it was chosen, if they are not laid out so already. What a step says of
/// single layers is no longer true then, and goes.
pub(super) fn arrange(
    layering: Layering,
    inventory: &Inventory,
    finished: &Finished,
    steps: &mut Vec<Step>,
) {
    let bundles = match layering {
        Layering::Preserve => return,
        Layering::Squash if is_squashed(inventory, finished, steps) => return,
        Layering::Squash => vec![Bundle::default()],
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
