//! Digests of files that go, for the receipt.

use std::collections::{BTreeSet, HashMap};

use sha2::{Digest as _, Sha256};

use super::Error;
use super::layer::{io_error, member, number_of};
use crate::inventory::{EntryId, Raw, Subject};
use crate::name::Digest;
use crate::plan::Removed;
use crate::store::Layout;

/// Adds the digests of the removed files' contents; sparse files have none. Only these files are
/// read: what a digest is for of the others is done by their fingerprints.
pub(crate) fn add_digests(
    removed: &mut [Removed],
    subject: &Subject<'_>,
    stage: &Layout,
) -> Result<(), Error> {
    let carriers: BTreeSet<EntryId> = removed.iter().filter_map(|one| one.content).collect();
    let mut digests = HashMap::new();
    for number in 0..subject.manifest.layers().len() {
        let layer = number_of(number);
        let wanted = carriers.iter().filter(|id| id.layer == layer);
        digests.extend(of_layer(number, wanted.copied().collect(), subject, stage)?);
    }
    for one in removed {
        one.digest = one.content.and_then(|id| digests.get(&id).copied());
    }
    Ok(())
}

fn of_layer(
    number: usize,
    wanted: Vec<EntryId>,
    subject: &Subject<'_>,
    stage: &Layout,
) -> Result<Vec<(EntryId, Digest)>, Error> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let layer = &subject.inventory.layers()[number];
    let mut raw = Raw::open(stage, &subject.manifest.layers()[number], layer)?;
    let mut digests = Vec::new();
    for id in wanted {
        raw.go_to(subject.inventory.entry(id).start).map_err(io_error(number))?;
        let (_, mut archive) = member(&mut raw, number)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match archive.read_content(&mut buffer).map_err(io_error(number))? {
                0 => break,
                count => hasher.update(&buffer[..count]),
            }
        }
        digests.push((id, Digest::finish(hasher)));
    }
    raw.finish().map_err(io_error(number))?;
    Ok(digests)
}
