//! Manifests and indexes: typed views over the exact bytes.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::media::{self, media_type};
use super::{Compression, Error, Family};
use crate::name::Digest;

/// What names a blob: media type, digest and size in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The media type, as the document that holds this descriptor has it.
    pub media_type: String,
    /// The digest of the content.
    pub digest: Digest,
    /// The size of the content in bytes.
    pub size: u64,
}

impl Descriptor {
    /// The descriptor of `content`.
    pub fn of(media_type: impl Into<String>, content: &[u8]) -> Self {
        Self {
            media_type: media_type.into(),
            digest: Digest::of(content),
            size: content.len() as u64,
        }
    }
}

/// A manifest's or index's exact bytes with their media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawManifest {
    /// The media type, from the document itself or from the store.
    pub media_type: String,
    /// The bytes whose digest names it.
    pub bytes: Vec<u8>,
}

impl RawManifest {
    /// Media type, digest and size.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::of(self.media_type.clone(), &self.bytes)
    }

    /// A manifest from JSON, with the media type that its own field names.
    pub fn from_json(value: &Value) -> Self {
        let media_type = value["mediaType"].as_str().unwrap_or(media_type::OCI_MANIFEST).to_owned();
        Self { media_type, bytes: value.to_string().into_bytes() }
    }
}

/// What a digest names: one image, or an index of several.
#[derive(Debug, Clone)]
pub enum Image {
    /// One image.
    Manifest(Manifest),
    /// Several, one for each platform, and what lies beside them.
    Index(Index),
}

impl Image {
    /// Reads a manifest or an index.
    pub fn parse(raw: RawManifest) -> Result<Self, Error> {
        match kind_of(&raw)? {
            Kind::Manifest => Manifest::parse(raw).map(Self::Manifest),
            Kind::Index => Index::parse(raw).map(Self::Index),
        }
    }

    /// The bytes it was read from.
    pub fn raw(&self) -> &RawManifest {
        match self {
            Self::Manifest(manifest) => &manifest.raw,
            Self::Index(index) => &index.raw,
        }
    }
}

/// An image manifest.
#[derive(Debug, Clone)]
pub struct Manifest {
    raw: RawManifest,
    json: Value,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

impl Manifest {
    /// Reads an image manifest; artifacts and layers that cannot be read are refused.
    pub fn parse(raw: RawManifest) -> Result<Self, Error> {
        let json = parse_json("the manifest", &raw.bytes)?;
        let config: Descriptor = field(&json, "config")?;
        let layers: Vec<Descriptor> = field(&json, "layers")?;
        let artifact = json["artifactType"].as_str().map(str::to_owned).or_else(|| {
            let known = [media_type::OCI_CONFIG, media_type::DOCKER_CONFIG];
            (!known.contains(&config.media_type.as_str())).then(|| config.media_type.clone())
        });
        if let Some(kind) = artifact {
            return Err(Error::Artifact(kind));
        }
        for (index, layer) in layers.iter().enumerate() {
            media::check_layer(index, &layer.media_type)?;
        }
        Ok(Self { raw, json, config, layers })
    }

    /// The exact bytes.
    pub fn raw(&self) -> &RawManifest {
        &self.raw
    }

    /// The document, for an edit that keeps unknown fields.
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// The manifest's own digest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.raw.bytes)
    }

    /// The config's descriptor.
    pub fn config(&self) -> &Descriptor {
        &self.config
    }

    /// The layers' descriptors, lowest first.
    pub fn layers(&self) -> &[Descriptor] {
        &self.layers
    }

    /// Whose media types it speaks.
    pub fn family(&self) -> Family {
        if self.raw.media_type == media_type::DOCKER_MANIFEST {
            Family::Docker
        } else {
            Family::Oci
        }
    }

    /// The media type for a layer of this image with that compression.
    pub fn layer_media_type(&self, compression: Compression) -> String {
        self.family().layer(compression)
    }
}

/// An image index (OCI) or manifest list (Docker).
#[derive(Debug, Clone)]
pub struct Index {
    raw: RawManifest,
    json: Value,
    entries: Vec<IndexEntry>,
}

/// One line of an index.
#[derive(Debug, Clone)]
pub struct IndexEntry {
    /// What it names.
    pub descriptor: Descriptor,
    /// The platform, if it says one.
    pub platform: Option<Platform>,
    /// For an attestation manifest: the digest of the manifest that it is about.
    pub attests: Option<Digest>,
}

impl Index {
    /// Reads an index.
    pub fn parse(raw: RawManifest) -> Result<Self, Error> {
        let json = parse_json("the index", &raw.bytes)?;
        let lines: Vec<Value> = field(&json, "manifests")?;
        let entries = lines.iter().map(IndexEntry::parse).collect::<Result<_, _>>()?;
        Ok(Self { raw, json, entries })
    }

    /// The exact bytes.
    pub fn raw(&self) -> &RawManifest {
        &self.raw
    }

    /// The document, for an edit that keeps unknown fields.
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// Its lines, in order.
    pub fn entries(&self) -> &[IndexEntry] {
        &self.entries
    }
}

impl IndexEntry {
    fn parse(line: &Value) -> Result<Self, Error> {
        let malformed = |reason: String| Error::Malformed { what: "an entry of the index", reason };
        let descriptor = Descriptor::deserialize(line).map_err(|e| malformed(e.to_string()))?;
        let platform = match line.get("platform") {
            None | Some(Value::Null) => None,
            Some(value) => {
                Some(Platform::deserialize(value).map_err(|e| malformed(e.to_string()))?)
            }
        };
        let annotations = &line["annotations"];
        let attests = (annotations["vnd.docker.reference.type"] == "attestation-manifest")
            .then(|| annotations["vnd.docker.reference.digest"].as_str()?.parse().ok())
            .flatten();
        Ok(Self { descriptor, platform, attests })
    }
}

/// An operating system and a processor: `linux/amd64`, `linux/arm/v7`.
///
/// ```
/// use immut_core::image::Platform;
/// let platform: Platform = "linux/arm64/v8".parse()?;
/// assert!(platform.matches(&"linux/arm64".parse()?));
/// # Ok::<(), immut_core::image::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct Platform {
    /// Operating system, such as `linux`.
    pub os: String,
    /// Processor architecture, as Go names it.
    pub architecture: String,
    /// Variant of the architecture, such as `v7`.
    #[serde(default)]
    pub variant: Option<String>,
}

impl Platform {
    /// Whether `self`, found in an image, is what `asked` means; a variant counts only if asked.
    pub fn matches(&self, asked: &Self) -> bool {
        self.os == asked.os
            && self.architecture == asked.architecture
            && (asked.variant.is_none() || self.variant == asked.variant)
    }
}

impl std::str::FromStr for Platform {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut parts = text.splitn(3, '/').map(str::to_owned);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(os), Some(architecture), variant)
                if !os.is_empty() && !architecture.is_empty() =>
            {
                Ok(Self { os, architecture, variant })
            }
            _ => Err(Error::Malformed {
                what: "the platform",
                reason: format!("{text:?} is not OS/ARCHITECTURE[/VARIANT], such as linux/amd64"),
            }),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

enum Kind {
    Manifest,
    Index,
}

/// The document's own `mediaType` decides, then the store's word, then its shape (OCI 1.0 allowed
/// documents without the field).
fn kind_of(raw: &RawManifest) -> Result<Kind, Error> {
    let json = parse_json("the manifest", &raw.bytes)?;
    if json["schemaVersion"] == 1 {
        return Err(Error::ManifestType(
            "application/vnd.docker.distribution.manifest.v1+json".into(),
        ));
    }
    match json["mediaType"].as_str().unwrap_or(&raw.media_type) {
        media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST => Ok(Kind::Manifest),
        media_type::OCI_INDEX | media_type::DOCKER_LIST => Ok(Kind::Index),
        _ if json["manifests"].is_array() && json["layers"].is_null() => Ok(Kind::Index),
        _ if json["layers"].is_array() && json["manifests"].is_null() => Ok(Kind::Manifest),
        other => Err(Error::ManifestType(other.to_owned())),
    }
}

pub(super) fn parse_json(what: &'static str, bytes: &[u8]) -> Result<Value, Error> {
    let json: Value = serde_json::from_slice(bytes)
        .map_err(|e| Error::Malformed { what, reason: e.to_string() })?;
    if json.is_object() {
        Ok(json)
    } else {
        Err(Error::Malformed { what, reason: "it is no JSON object".into() })
    }
}

fn field<T: for<'de> Deserialize<'de>>(json: &Value, name: &'static str) -> Result<T, Error> {
    T::deserialize(&json[name])
        .map_err(|e| Error::Malformed { what: "the manifest", reason: format!("{name}: {e}") })
}
