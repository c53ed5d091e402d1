//! What `docker save` writes: `manifest.json` says which members are an image's config and layers.
//!
//! There is no document of the format; this is what docker, podman, skopeo, crane, bazel and kaniko
//! write. Layers are in folders named by ids of docker before 1.10, as `layer.tar`, and may be links
//! to another image's; or beside the config; or, since docker 25, below `blobs/sha256` of an OCI
//! layout in the same archive.

use std::collections::{BTreeMap, HashMap};
use std::io;

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::packed::{Packed, Piece};
use crate::image::{Compression, Descriptor, Family, RawManifest, media_type};
use crate::name::{Digest, Location, Reference};
use crate::path::{RootPath, lossy};
use crate::store::{Error, pour};

/// The images of an archive that docker saved, with manifests made for them: it has none.
#[derive(Debug, Default)]
pub(super) struct Saved {
    pub(super) images: Vec<SavedImage>,
    pub(super) blobs: BTreeMap<Digest, Piece>,
    /// Digests that were computed: images share layers.
    digests: HashMap<Piece, Digest>,
}

#[derive(Debug)]
pub(super) struct SavedImage {
    /// The digest of its config: docker's image ID.
    pub(super) id: Digest,
    pub(super) names: Vec<String>,
    pub(super) manifest: RawManifest,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

impl Saved {
    /// Reads `manifest.json` and the configs.
    pub(super) fn read(packed: &Packed) -> Result<Self, Error> {
        let Some(bytes) = packed.document("manifest.json")? else {
            return Err(packed.broken(without_manifest(packed)));
        };
        let lines: Vec<Line> = serde_json::from_slice(&bytes)
            .map_err(|error| packed.broken(format!("its manifest.json: {error}")))?;
        let mut saved = Self::default();
        for line in lines {
            saved.add(packed, line)?;
        }
        Ok(saved)
    }

    fn add(&mut self, packed: &Packed, line: Line) -> Result<(), Error> {
        if self.images.len() == MOST_IMAGES {
            return Err(packed.broken(format!("it has more than {MOST_IMAGES} images")));
        }
        let what = lossy(line.config.as_bytes());
        if what.is_empty() {
            return Err(packed.broken("an image in its manifest.json has no config"));
        }
        let config = packed.document(&line.config)?;
        let config = config.ok_or_else(|| lacks(packed, &line.config))?;
        let blob = Descriptor::of(media_type::OCI_CONFIG, &config);
        let listed = piece(packed, &line.config)?;
        self.blobs.insert(blob.digest, listed);
        let json: Value = serde_json::from_slice(&config)
            .map_err(|error| packed.broken(format!("its {what}: {error}")))?;
        let diff_ids = Vec::<Digest>::deserialize(&json["rootfs"]["diff_ids"])
            .map_err(|error| packed.broken(format!("the diff_ids of {what}: {error}")))?;
        let names = line.layers.unwrap_or_default();
        if names.len() != diff_ids.len() {
            let (layers, listed) = (names.len(), diff_ids.len());
            return Err(packed.broken(format!(
                "its manifest.json has {layers} layers and {what} lists {listed}"
            )));
        }
        let mut layers = Vec::new();
        for (name, diff_id) in names.iter().zip(diff_ids) {
            layers.push(self.layer(packed, name, diff_id)?);
        }
        let manifest = RawManifest::from_json(&json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": blob, "layers": layers,
        }));
        let image =
            SavedImage { id: blob.digest, names: line.repo_tags.unwrap_or_default(), manifest };
        match self.images.iter_mut().find(|known| known.id == image.id) {
            Some(known) => known.names.extend(image.names),
            None => self.images.push(image),
        }
        Ok(())
    }

    /// A layer's descriptor. Of one that is not compressed the digest is known: it is the `diff_id`,
    /// and verified when it is read.
    fn layer(&mut self, packed: &Packed, name: &str, diff_id: Digest) -> Result<Descriptor, Error> {
        let piece = piece(packed, name)?;
        let compression = compression(packed, piece, name)?;
        let digest = match compression {
            Compression::None => diff_id,
            Compression::Gzip | Compression::Zstd => self.digest(packed, piece)?,
        };
        self.blobs.insert(digest, piece);
        let media_type = Family::Oci.layer(compression);
        Ok(Descriptor { media_type, digest, size: piece.size })
    }

    fn digest(&mut self, packed: &Packed, piece: Piece) -> Result<Digest, Error> {
        if let Some(known) = self.digests.get(&piece) {
            return Ok(*known);
        }
        let digest = digest(packed, piece)?;
        self.digests.insert(piece, digest);
        Ok(digest)
    }

    /// The image with that name; `redis:7` and `docker.io/library/redis:7` are the same.
    pub(super) fn named(&self, name: &str) -> Option<&SavedImage> {
        let wanted = full_name(name);
        self.images.iter().find(|image| image.names.iter().any(|own| full_name(own) == wanted))
    }
}

/// A name with host and tag filled in as docker does.
fn full_name(name: &str) -> String {
    match name.parse::<Reference>() {
        Ok(Reference { location: location @ Location::Registry(_), tag, .. }) => {
            format!("{location}:{}", tag.as_deref().unwrap_or("latest"))
        }
        _ => name.to_owned(),
    }
}

fn piece(packed: &Packed, name: &str) -> Result<Piece, Error> {
    let path = RootPath::parse(name.as_bytes()).map_err(|e| packed.broken(e.to_string()))?;
    packed.piece(&path).ok_or_else(|| lacks(packed, name))
}

fn lacks(packed: &Packed, name: &str) -> Error {
    let name = lossy(name.as_bytes());
    packed.broken(format!("its manifest.json names {name}, which is not in it"))
}

fn compression(packed: &Packed, piece: Piece, name: &str) -> Result<Compression, Error> {
    let mut head = Vec::new();
    let start = Piece { size: piece.size.min(6), ..piece };
    io::Read::read_to_end(&mut packed.section(start)?, &mut head)
        .map_err(|error| packed.broken(error.to_string()))?;
    Compression::of_magic(&head).ok_or_else(|| {
        let name = lossy(name.as_bytes());
        packed.broken(format!("{name} is compressed in another way than gzip or zstd"))
    })
}

fn digest(packed: &Packed, piece: Piece) -> Result<Digest, Error> {
    let mut hasher = Sha256::new();
    let unread = |error: io::Error| packed.broken(error.to_string());
    pour(&mut packed.section(piece)?, unread, |piece| {
        hasher.update(piece);
        Ok(())
    })?;
    Ok(Digest::finish(hasher))
}

/// Nobody saves as many images at once.
const MOST_IMAGES: usize = 1000;

/// What an archive without `manifest.json` may be instead.
fn without_manifest(packed: &Packed) -> &'static str {
    let has = |name: &str| packed.names().any(|member| member.as_bytes() == name.as_bytes());
    if has("index.json") {
        "it has index.json and no manifest.json: it is an OCI archive, named oci-archive:FILE"
    } else if has("repositories") {
        "it was saved by docker before 1.10 (it has repositories and no manifest.json); \
         load it with docker and save it again"
    } else {
        "it has no manifest.json, so it is nothing that docker saved (a root file system is no image)"
    }
}
