//! The result of several platforms.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use super::Outcome;
use crate::image::{Descriptor, Image, Index, RawManifest};
use crate::name::Digest;
use crate::options::Options;

/// The result: the manifest, or the index with its lines brought up to date.
pub(super) fn assemble(
    image: &Image,
    platforms: &[Outcome],
    options: &Options,
) -> (RawManifest, Vec<Digest>) {
    match (image, platforms) {
        (_, [only]) if options.platforms.len() == 1 => {
            (only.rewritten.manifest.raw().clone(), Vec::new())
        }
        (Image::Index(index), _) => new_index(index, platforms),
        (_, [only, ..]) => (only.rewritten.manifest.raw().clone(), Vec::new()),
        (image, []) => (image.raw().clone(), Vec::new()),
    }
}

fn new_index(index: &Index, platforms: &[Outcome]) -> (RawManifest, Vec<Digest>) {
    let new: BTreeMap<Digest, Descriptor> = platforms
        .iter()
        .map(|one| (one.source.digest, one.rewritten.manifest.raw().descriptor()))
        .collect();
    let same: HashSet<Digest> =
        new.iter().filter(|(old, new)| **old == new.digest).map(|(old, _)| *old).collect();
    let mut attestations = Vec::new();
    let old_lines = index.json()["manifests"].as_array().cloned().unwrap_or_default();
    let mut lines: Vec<Value> = Vec::new();
    for (entry, mut line) in index.entries().iter().zip(old_lines.clone()) {
        if let Some(new) = new.get(&entry.descriptor.digest) {
            line["digest"] = json!(new.digest);
            line["size"] = json!(new.size);
            lines.push(line);
        } else if entry.attests.is_some_and(|about| same.contains(&about)) {
            attestations.push(entry.descriptor.digest);
            lines.push(line);
        }
    }
    if lines == old_lines {
        return (index.raw().clone(), attestations);
    }
    let mut json = index.json().clone();
    json["manifests"] = lines.into();
    let raw = RawManifest {
        media_type: index.raw().media_type.clone(),
        bytes: json.to_string().into_bytes(),
    };
    (raw, attestations)
}
