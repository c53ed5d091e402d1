//! [`Recipe`]: small images from code, written as an OCI layout.
//!
//! ```
//! use immut_testkit::recipe::Recipe;
//! let folder = tempfile::tempdir()?;
//! let image = Recipe::new()
//!     .layer(|l| l.dir("/bin", 0o755).file("/bin/sh", 0o4755, "#!").hardlink("/bin/ash", "/bin/sh"))
//!     .user("redis")
//!     .name("demo")
//!     .write(folder.path());
//! assert!(image.digest.starts_with("sha256:"));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Equal recipes give equal bytes. The options called faults write images that are wrong on
//! purpose.

mod built;
mod encode;
mod faults;
mod index;
mod layer;
mod layout;
mod lazy;

pub use built::{Built, BuiltLayer};
pub use encode::{Encoding, digest_of};
pub use faults::Fault;
pub use index::{BuiltIndex, IndexRecipe};
pub use layer::{LayerRecipe, LongNames, Naming, pax_record};

use faults::Layer;
use serde_json::{Value, json};

/// An image under construction.
#[derive(Debug, Clone)]
pub struct Recipe {
    layers: Vec<Layer>,
    config: Value,
    manifest: Value,
    history: Vec<Value>,
    has_history: bool,
    docker: bool,
    name: Option<String>,
}

impl Recipe {
    /// An image for linux/amd64 without layers, user and command.
    pub fn new() -> Self {
        Self {
            layers: Vec::new(),
            config: json!({
                "created": CREATED, "architecture": "amd64", "os": "linux", "config": {},
            }),
            manifest: json!({ "schemaVersion": 2 }),
            history: Vec::new(),
            has_history: false,
            docker: false,
            name: None,
        }
    }

    /// A manifest of something else than an image, with one layer: its `artifactType`, if it has one,
    /// and the media types of its config, `{}`, and its layer.
    pub fn artifact(kind: Option<&str>, config: &str, layer: &str) -> Self {
        let content = format!("content of {layer}").into_bytes();
        let line = descriptor(layer, &content);
        Self::new().tar_layer(Encoding::Plain, content).manifest(|json| {
            json["config"] = descriptor(config, b"{}");
            json["layers"] = json!([line]);
            if let Some(kind) = kind {
                json["artifactType"] = kind.into();
            }
        })
    }

    /// Adds a layer, compressed with gzip.
    #[must_use]
    pub fn layer(self, build: impl FnOnce(LayerRecipe) -> LayerRecipe) -> Self {
        self.layer_as(Encoding::Gzip, build)
    }

    /// Adds a layer with that encoding.
    #[must_use]
    pub fn layer_as(
        self,
        encoding: Encoding,
        build: impl FnOnce(LayerRecipe) -> LayerRecipe,
    ) -> Self {
        self.tar_layer(encoding, build(LayerRecipe::new()).into_tar())
    }

    /// Adds a layer that is that archive, or whatever else the bytes are.
    #[must_use]
    pub fn tar_layer(mut self, encoding: Encoding, tar: Vec<u8>) -> Self {
        let created_by = format!("layer {}", self.layers.len());
        self.history.push(json!({ "created": CREATED, "created_by": created_by }));
        self.layers.push(Layer {
            tar,
            encoding,
            blob: None,
            annotations: None,
            faults: Vec::new(),
        });
        self
    }

    /// Adds a layer in the format eStargz: a gzip member for each file, a landmark, a table of
    /// contents as the last entry, a footer, and the annotation that vouches for the table.
    #[must_use]
    pub fn estargz_layer(self, build: impl FnOnce(LayerRecipe) -> LayerRecipe) -> Self {
        let lazy = lazy::estargz(&build(LayerRecipe::new()).ending([]).into_tar());
        let mut recipe = self.tar_layer(Encoding::Gzip, lazy.tar);
        recipe.last_layer().blob = Some(lazy.blob);
        recipe.layer_annotation(lazy::TOC_DIGEST, &lazy.toc_digest)
    }

    /// Sets an annotation of the last added layer's descriptor.
    #[must_use]
    pub fn layer_annotation(mut self, key: &str, value: &str) -> Self {
        self.last_layer().annotations.get_or_insert_with(|| json!({}))[key] = value.into();
        self
    }

    /// Adds a layer that is that archive, stored as those bytes; `encoding` is what its media type
    /// says.
    #[must_use]
    pub fn blob_layer(self, encoding: Encoding, tar: Vec<u8>, blob: Vec<u8>) -> Self {
        let mut recipe = self.tar_layer(encoding, tar);
        recipe.last_layer().blob = Some(blob);
        recipe
    }

    /// Makes the last added layer wrong.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.last_layer().faults.push(fault);
        self
    }

    /// Whether the config has a history, one entry for each layer.
    #[must_use]
    pub fn history(mut self, wanted: bool) -> Self {
        self.has_history = wanted;
        self
    }

    /// Adds a history entry that made no layer, such as `ENV A=b`.
    #[must_use]
    pub fn step(mut self, created_by: &str) -> Self {
        let entry = json!({ "created": CREATED, "created_by": created_by, "empty_layer": true });
        self.history.push(entry);
        self.history(true)
    }

    /// Edits the config document; `rootfs` and `history` are kept if this sets them.
    #[must_use]
    pub fn config(mut self, edit: impl FnOnce(&mut Value)) -> Self {
        edit(&mut self.config);
        self
    }

    /// Edits the manifest; `mediaType`, `config` and `layers` are kept if this sets them.
    #[must_use]
    pub fn manifest(mut self, edit: impl FnOnce(&mut Value)) -> Self {
        edit(&mut self.manifest);
        self
    }

    /// Sets the user.
    #[must_use]
    pub fn user(self, user: &str) -> Self {
        self.config(|json| json["config"]["User"] = user.into())
    }

    /// Sets the entrypoint.
    #[must_use]
    pub fn entrypoint(self, words: &[&str]) -> Self {
        self.config(|json| json["config"]["Entrypoint"] = words.into())
    }

    /// Sets the command.
    #[must_use]
    pub fn cmd(self, words: &[&str]) -> Self {
        self.config(|json| json["config"]["Cmd"] = words.into())
    }

    /// Adds an environment variable, `NAME=VALUE`.
    #[must_use]
    pub fn env(self, assignment: &str) -> Self {
        self.config(|json| {
            let env = &mut json["config"]["Env"];
            if env.is_null() {
                *env = json!([]);
            }
            env.as_array_mut().expect("a list").push(assignment.into());
        })
    }

    /// Sets the health check, such as `json!({"Test": ["CMD", "a"]})`.
    #[must_use]
    pub fn healthcheck(self, check: Value) -> Self {
        self.config(|json| json["config"]["Healthcheck"] = check)
    }

    /// Sets the working directory.
    #[must_use]
    pub fn workdir(self, folder: &str) -> Self {
        self.config(|json| json["config"]["WorkingDir"] = folder.into())
    }

    /// Sets a label.
    #[must_use]
    pub fn label(self, key: &str, value: &str) -> Self {
        self.config(|json| json["config"]["Labels"][key] = value.into())
    }

    /// Sets the platform.
    #[must_use]
    pub fn platform(self, os: &str, architecture: &str) -> Self {
        self.config(|json| {
            json["os"] = os.into();
            json["architecture"] = architecture.into();
        })
    }

    /// Sets the variant of the architecture, such as `v7`.
    #[must_use]
    pub fn variant(self, variant: &str) -> Self {
        self.config(|json| json["variant"] = variant.into())
    }

    /// Sets an annotation of the manifest.
    #[must_use]
    pub fn annotation(self, key: &str, value: &str) -> Self {
        self.manifest(|json| json["annotations"][key] = value.into())
    }

    /// Uses the media types of Docker's schema 2.
    #[must_use]
    pub fn docker(mut self) -> Self {
        self.docker = true;
        self
    }

    /// The name (`org.opencontainers.image.ref.name`) in the layout.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    fn last_layer(&mut self) -> &mut Layer {
        self.layers.last_mut().expect("there is a layer")
    }
}

impl Default for Recipe {
    fn default() -> Self {
        Self::new()
    }
}

/// A descriptor of `content`.
pub fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest_of(content), "size": content.len() })
}

const CREATED: &str = "2024-01-01T00:00:00Z";
const REF_NAME: &str = "org.opencontainers.image.ref.name";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

#[cfg(test)]
mod tests;
