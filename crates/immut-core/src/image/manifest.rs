//! Manifests and indexes: typed views over the exact bytes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::media::{self, media_type};
use super::shape::{Kind, check_annotations, field, parse_json};
use super::{Artifact, Compression, Error, Family, Platform};
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

    /// A manifest whose media type is its own word, else that of whoever listed it, else that of an
    /// OCI manifest (OCI 1.0 allowed documents without the field).
    pub fn listed(bytes: Vec<u8>, listed: Option<String>) -> Self {
        let json: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let own = json["mediaType"].as_str().map(str::to_owned);
        let media_type = own.or(listed).unwrap_or_else(|| media_type::OCI_MANIFEST.to_owned());
        Self { media_type, bytes }
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
        let kind = Kind::of(&raw)?;
        let raw = RawManifest { media_type: kind.media_type(&raw.media_type).to_owned(), ..raw };
        match kind {
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
    /// Reads an image manifest; an artifact is refused. See [`Manifest::check_layers`].
    pub fn parse(raw: RawManifest) -> Result<Self, Error> {
        let json = parse_json("the manifest", &raw.bytes)?;
        let config: Descriptor = field(&json, "config")?;
        let layers: Vec<Descriptor> = field(&json, "layers")?;
        check_annotations("the manifest", &json)?;
        for line in json["layers"].as_array().into_iter().flatten().chain([&json["config"]]) {
            check_annotations("a descriptor of the manifest", line)?;
        }
        match Artifact::of(&json, &config, &layers) {
            Some(artifact) => Err(Error::Artifact(artifact)),
            None => Ok(Self { raw, json, config, layers }),
        }
    }

    /// Refuses layers that cannot be read: encrypted ones, those whose bytes are elsewhere, and what
    /// is no archive of files.
    pub fn check_layers(&self) -> Result<(), Error> {
        let mut layers = self.layers.iter().enumerate();
        layers.try_for_each(|(index, layer)| media::check_layer(index, &layer.media_type))
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
        check_annotations("the index", &json)?;
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
        check_annotations("an entry of the index", line)?;
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
