//! What a document is, before its parts are looked at.

use serde::Deserialize;
use serde_json::Value;

use super::media::media_type::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use super::{Error, RawManifest};

/// The two documents that a digest can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One image.
    Manifest,
    /// Several.
    Index,
}

impl Kind {
    /// What a document is, by its shape, which its own `mediaType` must agree with (OCI 1.0 allowed
    /// documents without that field). One that can be taken for either is refused, since engines and
    /// registries would differ about it (CVE-2021-41190).
    pub(super) fn of(raw: &RawManifest) -> Result<Self, Error> {
        let json = parse_json("the manifest", &raw.bytes)?;
        if json["schemaVersion"] == 1 {
            return Err(Error::ManifestType(DOCKER_SCHEMA_1.to_owned()));
        }
        let said = match json["mediaType"].as_str() {
            None => None,
            Some(OCI_MANIFEST | DOCKER_MANIFEST) => Some(Self::Manifest),
            Some(OCI_INDEX | DOCKER_LIST) => Some(Self::Index),
            Some(other) => return Err(Error::ManifestType(other.to_owned())),
        };
        let shape = Self::of_shape(&json)?;
        if said.is_some_and(|said| said != shape) {
            let own = &json["mediaType"];
            return Err(malformed(format!("its mediaType is {own}, but it is {}", shape.name())));
        }
        Ok(shape)
    }

    fn of_shape(json: &Value) -> Result<Self, Error> {
        let has = |field: &str| !json[field].is_null();
        match (has("manifests"), has("config") || has("layers")) {
            (true, false) => Ok(Self::Index),
            (false, true) => Ok(Self::Manifest),
            (true, true) => {
                let reason = "it lists both manifests and the parts of an image, so that it can be \
                    taken for an index or for an image";
                Err(malformed(reason.to_owned()))
            }
            (false, false) => Err(malformed("it lists neither layers nor manifests".to_owned())),
        }
    }

    /// The media type of such a document: the one that its store gave, if that can be.
    pub(super) fn media_type(self, stored: &str) -> &str {
        match (self, stored) {
            (Self::Manifest, OCI_MANIFEST | DOCKER_MANIFEST)
            | (Self::Index, OCI_INDEX | DOCKER_LIST) => stored,
            (Self::Manifest, _) => OCI_MANIFEST,
            (Self::Index, _) => OCI_INDEX,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Manifest => "an image manifest",
            Self::Index => "an index",
        }
    }
}

/// Bytes as a JSON object.
pub(super) fn parse_json(what: &'static str, bytes: &[u8]) -> Result<Value, Error> {
    let json: Value = serde_json::from_slice(bytes)
        .map_err(|e| Error::Malformed { what, reason: e.to_string() })?;
    if json.is_object() {
        Ok(json)
    } else {
        Err(Error::Malformed { what, reason: "it is no JSON object".into() })
    }
}

/// A field that has to be there.
pub(super) fn field<T: for<'de> Deserialize<'de>>(
    json: &Value,
    name: &'static str,
) -> Result<T, Error> {
    match &json[name] {
        Value::Null => Err(malformed(format!("it has no field {name}"))),
        value => T::deserialize(value).map_err(|e| malformed(format!("its field {name}: {e}"))),
    }
}

/// Refuses annotations that are no map of strings, as engines do.
pub(super) fn check_annotations(what: &'static str, json: &Value) -> Result<(), Error> {
    let fine = match &json["annotations"] {
        Value::Null => true,
        Value::Object(map) => map.values().all(Value::is_string),
        _ => false,
    };
    if fine {
        return Ok(());
    }
    Err(Error::Malformed { what, reason: "its annotations are no map of strings".to_owned() })
}

fn malformed(reason: String) -> Error {
    Error::Malformed { what: "the manifest", reason }
}

const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+json";
