//! The fallback index of referrers, for stores without the referrers API.

use serde_json::{Value, json};

use super::Error;
use crate::image::{Descriptor, Image, Index, RawManifest, media_type};
use crate::name::Digest;

/// The subject of a manifest, if it is about another one.
pub(super) fn subject(manifest: &RawManifest) -> Option<Digest> {
    let json: Value = serde_json::from_slice(&manifest.bytes).ok()?;
    json["subject"]["digest"].as_str()?.parse().ok()
}

/// The manifests that a fallback index lists.
pub(super) fn listed(index: &RawManifest) -> Result<Vec<Descriptor>, Error> {
    match Image::parse(index.clone())? {
        Image::Index(index) => Ok(index.entries().iter().map(|e| e.descriptor.clone()).collect()),
        Image::Manifest(_) => Ok(Vec::new()),
    }
}

/// The fallback index with `manifest` added; none when it is listed already.
///
/// Lines and fields that are not known are kept: other tools' signatures live there too.
pub(super) fn merge(
    old: Option<&RawManifest>,
    manifest: &RawManifest,
) -> Result<Option<RawManifest>, Error> {
    let mut index = match old {
        Some(old) => Index::parse(old.clone())?.json().clone(),
        None => json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [] }),
    };
    let line = line(manifest);
    let Some(lines) = index["manifests"].as_array_mut() else { return Ok(None) };
    if lines.iter().any(|old| old["digest"] == line["digest"]) {
        return Ok(None);
    }
    lines.push(line);
    Ok(Some(RawManifest::from_json(&index)))
}

fn line(manifest: &RawManifest) -> Value {
    let mut line = json!(manifest.descriptor());
    let json: Value = serde_json::from_slice(&manifest.bytes).unwrap_or_default();
    let artifact_type = match &json["artifactType"] {
        Value::Null => &json["config"]["mediaType"],
        own => own,
    };
    for (field, value) in [("artifactType", artifact_type), ("annotations", &json["annotations"])] {
        if !value.is_null() {
            line[field] = value.clone();
        }
    }
    line
}
