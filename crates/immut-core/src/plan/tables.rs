//! Tables of contents of layers that are made for lazy pulling.

use std::collections::HashSet;

use crate::inventory::{EntryId, Inventory, Kind, Layer};

/// The entries that are about the layer itself: in eStargz the last one is a table of the others, and
/// a landmark says where prefetching ends (stargz-snapshotter, `docs/estargz.md`). A file of that name
/// elsewhere in a layer is only a file.
pub(super) fn of(inventory: &Inventory) -> HashSet<EntryId> {
    let mut tables = HashSet::new();
    for (layer, number) in inventory.layers().iter().zip(0..).filter(|(layer, _)| is_lazy(layer)) {
        for (entry, index) in layer.entries.iter().zip(0..) {
            let name = entry.path.as_bytes();
            if entry.kind == Kind::File && (name == TABLE || LANDMARKS.contains(&name)) {
                tables.insert(EntryId { layer: number, index });
            }
        }
    }
    tables
}

fn is_lazy(layer: &Layer) -> bool {
    layer
        .entries
        .last()
        .is_some_and(|last| last.kind == Kind::File && last.path.as_bytes() == TABLE)
}

const TABLE: &[u8] = b"stargz.index.json";
const LANDMARKS: [&[u8]; 2] = [b".prefetch.landmark", b".no.prefetch.landmark"];
