//! The lines of a layout's `index.json`: which manifests there are, and their names.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Error, Listed, cosign};
use crate::image::{Descriptor, media_type};
use crate::name::Digest;

/// The annotation that names a line.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A layout's `index.json` (image specification 1.1, "index.json file").
#[derive(Debug, Clone)]
pub(super) struct Listing(Value);

impl Listing {
    /// A list without lines.
    pub(super) fn empty() -> Self {
        Self(json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [] }))
    }

    /// Reads the document that lies at `path`.
    pub(super) fn parse(bytes: &[u8], path: &str) -> Result<Self, Error> {
        let unusable = |reason: String| Error::Layout { path: path.to_owned(), reason };
        let mut index: Value =
            serde_json::from_slice(bytes).map_err(|error| unusable(error.to_string()))?;
        // docker save writes `null` where there is nothing to list.
        if index.get("manifests").is_some_and(Value::is_null) {
            index["manifests"] = json!([]);
        }
        if index["manifests"].is_array() {
            return Ok(Self(index));
        }
        Err(unusable("it has no list of manifests".to_owned()))
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.0.to_string().into_bytes()
    }

    pub(super) fn lines(&self) -> &[Value] {
        self.0["manifests"].as_array().map_or(&[][..], Vec::as_slice)
    }

    /// The names and what they name, in order.
    pub(super) fn names(&self) -> Vec<(String, Descriptor)> {
        let named = self.lines().iter().filter_map(|line| {
            let descriptor = Descriptor::deserialize(line).ok()?;
            Some((line["annotations"][REF_NAME].as_str()?.to_owned(), descriptor))
        });
        named.collect()
    }

    /// The images that a user can name: lines which are not about other lines.
    pub(super) fn images(&self) -> Vec<Listed> {
        let images = self.lines().iter().filter_map(|line| {
            let name = line["annotations"][REF_NAME].as_str();
            let digest = line["digest"].as_str()?.parse().ok()?;
            is_image(line).then(|| Listed { name: name.map(str::to_owned), digest })
        });
        images.collect()
    }

    /// Two lists: the images, and what is about them.
    pub(super) fn split(&self) -> [Self; 2] {
        let mut both = [self.0.clone(), self.0.clone()];
        for (list, wants_image) in both.iter_mut().zip([true, false]) {
            if let Some(lines) = list["manifests"].as_array_mut() {
                lines.retain(|line| is_image(line) == wants_image);
            }
        }
        both.map(Self)
    }

    /// This list with the lines of another one that are about images.
    pub(super) fn with_companions_of(mut self, other: &Self) -> Self {
        if let Some(lines) = self.0["manifests"].as_array_mut() {
            lines.extend(other.lines().iter().filter(|line| !is_image(line)).cloned());
        }
        self
    }

    /// What a name means: its last line, or what `cosign save` wrote for a signature's tag.
    pub(super) fn named(&self, name: &str) -> Option<Descriptor> {
        let own = self.names().into_iter().rev().find(|(own, _)| own == name);
        own.map(|(_, found)| found).or_else(|| cosign::saved(self.lines(), name))
    }

    /// The media type that a line has for that manifest.
    pub(super) fn media_type(&self, digest: &Digest) -> Option<String> {
        let digest = digest.to_string();
        let line = self.lines().iter().find(|line| line["digest"] == digest)?;
        line["mediaType"].as_str().map(str::to_owned)
    }

    /// Puts a line in; one with the same name is replaced. False if nothing had to change.
    pub(super) fn put(&mut self, manifest: &Descriptor, name: Option<&str>) -> bool {
        let before = self.0.clone();
        let Some(lines) = self.0["manifests"].as_array_mut() else { return false };
        let digest = json!(manifest.digest);
        let same = |old: &Value| old["digest"] == digest;
        // What a line without a name says of the platform, say, stays when it gets one.
        let unnamed = |old: &&Value| same(old) && old["annotations"][REF_NAME].is_null();
        let mut line = lines.iter().find(unnamed).cloned().unwrap_or_else(|| json!(manifest));
        if let Some(name) = name {
            if !line["annotations"].is_object() {
                line["annotations"] = json!({});
            }
            line["annotations"][REF_NAME] = json!(name);
        }
        match name {
            Some(name) => lines.retain(|old| {
                let unnamed = old["annotations"][REF_NAME].is_null();
                old["annotations"][REF_NAME] != name && !(same(old) && unnamed)
            }),
            None if lines.iter().any(same) => return false,
            None => {}
        }
        lines.push(line);
        cosign::arrange(lines, &cosign::subject(name).unwrap_or(manifest.digest));
        self.0 != before
    }
}

/// Whether a line is not about another one.
fn is_image(line: &Value) -> bool {
    let name = line["annotations"][REF_NAME].as_str();
    cosign::subject(name).is_none() && !cosign::is_signature(line)
}
