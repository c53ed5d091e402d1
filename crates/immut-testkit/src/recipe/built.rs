//! From a [`Recipe`] to the image: [`Built`].

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{
    DOCKER_CONFIG, DOCKER_MANIFEST, OCI_CONFIG, OCI_MANIFEST, REF_NAME, Recipe, descriptor,
    digest_of, layout,
};

/// An image as it was built.
#[derive(Debug, Clone)]
pub struct Built {
    /// The layout's folder; empty if it was only built.
    pub path: PathBuf,
    /// The manifest's digest, `sha256:...`.
    pub digest: String,
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// The manifest's descriptor, with the platform and the name as an index has them.
    pub descriptor: Value,
    /// The config's bytes.
    pub config: Vec<u8>,
    /// The layers, lowest first.
    pub layers: Vec<BuiltLayer>,
    /// Digest and bytes of all blobs: layers, config, manifest.
    pub blobs: Vec<(String, Vec<u8>)>,
}

/// A layer as it was built.
#[derive(Debug, Clone)]
pub struct BuiltLayer {
    /// Media type, digest and size, as the manifest has them.
    pub descriptor: Value,
    /// The digest of the archive, as the config has it.
    pub diff_id: String,
    /// The archive.
    pub tar: Vec<u8>,
}

impl Built {
    /// The pinned reference to it: `oci:FOLDER@sha256:...`.
    pub fn reference(&self) -> String {
        format!("oci:{}@{}", self.path.display(), self.digest)
    }

    /// The file of a blob.
    pub fn blob_path(&self, digest: &str) -> PathBuf {
        layout::blob_path(&self.path, digest)
    }
}

impl Recipe {
    /// Builds the image without writing it.
    pub fn build(&self) -> Built {
        let (layers, mut blobs): (Vec<_>, Vec<_>) =
            self.layers.iter().map(|layer| layer.build(self.docker)).unzip();
        let config = self.config_bytes(&layers);
        let kind = if self.docker { DOCKER_CONFIG } else { OCI_CONFIG };
        let mut manifest = self.manifest.clone();
        default(&mut manifest, "mediaType", self.media_type().into());
        default(&mut manifest, "config", descriptor(kind, &config));
        let lines = layers.iter().map(|layer| layer.descriptor.clone()).collect::<Vec<_>>();
        default(&mut manifest, "layers", lines.into());
        let manifest_bytes = manifest.to_string().into_bytes();
        blobs.push(Some((digest_of(&config), config.clone())));
        blobs.push(Some((digest_of(&manifest_bytes), manifest_bytes.clone())));
        Built {
            path: PathBuf::new(),
            digest: digest_of(&manifest_bytes),
            descriptor: self.line(&manifest, &manifest_bytes),
            manifest: manifest_bytes,
            config,
            layers,
            blobs: blobs.into_iter().flatten().collect(),
        }
    }

    /// Writes the image into the layout at `folder`, which is made if it is not there; images
    /// that are there already stay.
    pub fn write(&self, folder: &Path) -> Built {
        let built = self.build();
        layout::write(folder, &built.blobs, built.descriptor.clone());
        Built { path: folder.to_owned(), ..built }
    }

    fn config_bytes(&self, layers: &[BuiltLayer]) -> Vec<u8> {
        let mut config = self.config.clone();
        let diff_ids = layers.iter().map(|layer| layer.diff_id.as_str()).collect::<Vec<_>>();
        default(&mut config, "rootfs", json!({ "type": "layers", "diff_ids": diff_ids }));
        if self.has_history {
            default(&mut config, "history", self.history.clone().into());
        }
        config.to_string().into_bytes()
    }

    fn media_type(&self) -> &'static str {
        if self.docker { DOCKER_MANIFEST } else { OCI_MANIFEST }
    }

    /// What an index says of the image.
    fn line(&self, manifest: &Value, bytes: &[u8]) -> Value {
        let media_type = manifest["mediaType"].as_str().unwrap_or(self.media_type());
        let mut line = descriptor(media_type, bytes);
        let mut platform = json!({
            "architecture": self.config["architecture"], "os": self.config["os"],
        });
        if let Some(variant) = self.config.get("variant") {
            platform["variant"] = variant.clone();
        }
        line["platform"] = platform;
        if let Some(name) = &self.name {
            line["annotations"] = json!({ REF_NAME: name });
        }
        line
    }
}

fn default(json: &mut Value, field: &str, value: Value) {
    json.as_object_mut().expect("an object").entry(field).or_insert(value);
}
