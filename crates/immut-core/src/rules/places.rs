//! Places: folders and files of a family that are no executables.

use globset::GlobSet;

use super::Rule;
use super::catalog::{self, Places};
use super::files::{Hits, Search};
use crate::finding::Evidence;
use crate::inventory::Inventory;
use crate::path::RootPath;

/// Adds a rule's places to the hits: trees of the merged view, and hidden entries one by one. A
/// place is one signal; the second is that its family is in the image.
pub(super) fn find(rule: &Rule, inventory: &Inventory, search: &Search<'_>, hits: &mut Hits) {
    for group in &rule.places {
        let patterns = catalog::globs(&group.paths).expect("patterns are checked when read");
        if !has_family(group, inventory, search, hits) {
            continue;
        }
        let evidence = |index: usize| {
            vec![
                Evidence::Place(group.paths[index].clone()),
                Evidence::Family(group.family.clone()),
            ]
        };
        for path in inventory.names().keys() {
            if let Some(index) = matched(&patterns, path)
                && !hits.trees.keys().any(|tree| path.is_within(tree))
            {
                hits.trees.insert(path.clone(), evidence(index));
            }
        }
        for (id, entry) in inventory.entries() {
            if !inventory.is_hidden(id) {
                continue;
            }
            if let Some(index) = ancestors(&entry.path).find_map(|path| matched(&patterns, &path)) {
                hits.add(inventory, id, evidence(index));
            }
        }
    }
}

/// Whether the family is in the image: one of its executables is a hit, or a file that shows it is
/// there, in any layer.
fn has_family(group: &Places, inventory: &Inventory, search: &Search<'_>, hits: &Hits) -> bool {
    let present = catalog::globs(&group.present).expect("patterns are checked when read");
    search.has_family(&group.family, hits)
        || inventory.entries().any(|(_, entry)| matched(&present, &entry.path).is_some())
}

fn matched(patterns: &GlobSet, path: &RootPath) -> Option<usize> {
    patterns.matches(std::str::from_utf8(path.as_bytes()).ok()?).first().copied()
}

fn ancestors(path: &RootPath) -> impl Iterator<Item = RootPath> {
    path.ancestors()
}
