//! The fallback index of referrers, for stores without the referrers API.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Error;
use crate::image::{self, Descriptor, RawManifest, media_type};
use crate::name::Digest;

/// The subject of a manifest, if it is about another one.
pub(crate) fn subject(manifest: &RawManifest) -> Option<Digest> {
    let json: Value = serde_json::from_slice(&manifest.bytes).ok()?;
    json["subject"]["digest"].as_str()?.parse().ok()
}

/// The subject and the descriptor of a document that is a manifest about another one.
pub(super) fn about(bytes: &[u8]) -> Option<(Digest, Descriptor)> {
    let json: Value = match bytes.first() {
        Some(b'{') => serde_json::from_slice(bytes).ok()?,
        _ => return None,
    };
    let kind = json["mediaType"].as_str().unwrap_or(media_type::OCI_MANIFEST);
    let subject = json["subject"]["digest"].as_str()?.parse().ok()?;
    Some((subject, Descriptor::of(kind, bytes)))
}

/// Manifests of signatures have about a thousand bytes; where referrers are sought among all blobs,
/// larger ones are passed over unread.
pub(super) const MAX_REFERRER: u64 = 256 << 10;

/// The media type that a manifest or index itself names.
pub(super) fn media_type(bytes: &[u8]) -> Option<String> {
    let json: Value = serde_json::from_slice(bytes).ok()?;
    json["mediaType"].as_str().map(str::to_owned)
}

/// The manifests that a list of referrers names.
///
/// Lines that cannot be read (another digest algorithm, say) are passed over: whoever may write
/// there could otherwise hide all the others.
pub(super) fn listed(index: &RawManifest) -> Result<Vec<Descriptor>, Error> {
    let json = parse(index)?;
    let lines = json["manifests"].as_array().map_or(&[][..], Vec::as_slice);
    Ok(lines.iter().filter_map(|line| Descriptor::deserialize(line).ok()).collect())
}

/// The fallback index with `manifest` added; none when it is listed already.
///
/// Lines and fields that are not known are kept: other tools' signatures live there too.
pub(super) fn merge(
    old: Option<&RawManifest>,
    manifest: &RawManifest,
) -> Result<Option<RawManifest>, Error> {
    let mut index = match old {
        Some(old) => parse(old)?,
        None => json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [] }),
    };
    let added = add(&mut index, line(manifest));
    Ok(added.then(|| list(&index)))
}

/// The fallback index with the lines of both.
pub(super) fn union(old: &RawManifest, new: &RawManifest) -> Result<RawManifest, Error> {
    let mut index = parse(old)?;
    for line in parse(new)?["manifests"].as_array().into_iter().flatten() {
        add(&mut index, line.clone());
    }
    Ok(list(&index))
}

/// Adds a line; false if there is one for that manifest.
fn add(index: &mut Value, line: Value) -> bool {
    let Some(lines) = index["manifests"].as_array_mut() else { return false };
    let is_new = lines.iter().all(|old| old["digest"] != line["digest"]);
    if is_new {
        lines.push(line);
    }
    is_new
}

fn list(index: &Value) -> RawManifest {
    let media_type = index["mediaType"].as_str().unwrap_or(media_type::OCI_INDEX).to_owned();
    RawManifest { media_type, bytes: index.to_string().into_bytes() }
}

/// An index as JSON, with a list of manifests in it.
fn parse(index: &RawManifest) -> Result<Value, Error> {
    let json: Value = serde_json::from_slice(&index.bytes).unwrap_or_default();
    if json["manifests"].is_array() {
        return Ok(json);
    }
    let reason = "it is no index with a list of manifests".to_owned();
    Err(image::Error::Malformed { what: "the list of referrers", reason }.into())
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
