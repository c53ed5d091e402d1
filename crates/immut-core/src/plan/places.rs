//! [`Place`]: what shall belong to the user, as the image and the caller ask for it.

use serde::{Deserialize, Serialize};

use super::writable::Writable;
use super::{Choices, id};
use crate::apps::Mount;
use crate::finding::RuleId;
use crate::image::Manifest;
use crate::needs::Look;
use crate::path::RootPath;

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
pub(super) fn of(
    manifest: &Manifest,
    look: &Look<'_>,
    choices: &Choices,
) -> (Vec<Place>, Option<String>) {
    let place =
        |kind, create, rule: RuleId| move |path| Place { path, kind, create, rule: rule.clone() };
    let volumes = volumes(look).map(place(Mount::Volume, true, id("volume")));
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
    places.extend(chosen.map(place(Mount::Tmpfs, true, id("chosen-writable"))));
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
        (None | Some(b"proc" | b"sys"), ..) => true,
        (Some(top), None, _) => TOP.contains(&top),
        (Some(b"usr"), Some(below), None) => TOP.contains(&below),
        _ => false,
    }
}
