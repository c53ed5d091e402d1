//! [`IndexRecipe`]: several images under one digest.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{
    Built, DOCKER_LIST, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, REF_NAME, Recipe, descriptor,
    digest_of, layout,
};

/// An index under construction; its lines are in the order of the calls.
///
/// ```
/// use immut_testkit::recipe::{IndexRecipe, Recipe};
/// let folder = tempfile::tempdir()?;
/// let index = IndexRecipe::new()
///     .image(&Recipe::new())
///     .image(&Recipe::new().platform("linux", "arm64"))
///     .attestation(0)
///     .name("demo")
///     .write(folder.path());
/// assert_eq!(index.images.len(), 2);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct IndexRecipe {
    images: Vec<Built>,
    lines: Vec<Value>,
    blobs: Vec<(String, Vec<u8>)>,
    docker: bool,
    name: Option<String>,
    annotations: Option<Value>,
}

/// An index as it was built.
#[derive(Debug, Clone)]
pub struct BuiltIndex {
    /// The layout's folder; empty if it was only built.
    pub path: PathBuf,
    /// The index's digest, `sha256:...`.
    pub digest: String,
    /// The index's bytes.
    pub index: Vec<u8>,
    /// The index's descriptor, with the name as the layout has it.
    pub descriptor: Value,
    /// The images.
    pub images: Vec<Built>,
    /// Digest and bytes of all blobs, the images' and the index itself among them.
    pub blobs: Vec<(String, Vec<u8>)>,
}

impl BuiltIndex {
    /// The pinned reference to it: `oci:FOLDER@sha256:...`.
    pub fn reference(&self) -> String {
        format!("oci:{}@{}", self.path.display(), self.digest)
    }
}

impl IndexRecipe {
    /// An index without lines.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an image; the line has the platform of the image's config.
    #[must_use]
    pub fn image(self, recipe: &Recipe) -> Self {
        self.image_with(recipe, |_| {})
    }

    /// Adds an image and edits its line, for example its platform.
    #[must_use]
    pub fn image_with(mut self, recipe: &Recipe, edit: impl FnOnce(&mut Value)) -> Self {
        let image = recipe.build();
        let mut line = image.descriptor.clone();
        edit(&mut line);
        self.lines.push(line);
        self.blobs.extend(image.blobs.clone());
        self.images.push(image);
        self
    }

    /// Adds an attestation manifest about the image with that number, as `BuildKit` does.
    #[must_use]
    pub fn attestation(mut self, about: usize) -> Self {
        let statement = br#"{"_type":"https://in-toto.io/Statement/v0.1"}"#.to_vec();
        let config = json!({
            "architecture": "unknown", "os": "unknown", "config": {},
            "rootfs": { "type": "layers", "diff_ids": [digest_of(&statement)] },
        });
        let config = config.to_string().into_bytes();
        let mut layer = descriptor("application/vnd.in-toto+json", &statement);
        layer["annotations"] =
            json!({ "in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2" });
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": descriptor(OCI_CONFIG, &config), "layers": [layer],
        });
        let mut line = descriptor(OCI_MANIFEST, manifest.to_string().as_bytes());
        line["annotations"] = json!({
            "vnd.docker.reference.digest": self.images[about].digest,
            "vnd.docker.reference.type": "attestation-manifest",
        });
        line["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
        let blobs = [statement, config, manifest.to_string().into_bytes()];
        self.blobs.extend(blobs.map(|blob| (digest_of(&blob), blob)));
        self.line(line)
    }

    /// Adds an index inside the index.
    #[must_use]
    pub fn nested(mut self, inner: &Self) -> Self {
        let built = inner.build();
        self.blobs.extend(built.blobs);
        self.line(built.descriptor)
    }

    /// Adds any line.
    #[must_use]
    pub fn line(mut self, line: Value) -> Self {
        self.lines.push(line);
        self
    }

    /// Adds a blob that only a line or nothing names.
    #[must_use]
    pub fn blob(mut self, content: &[u8]) -> Self {
        self.blobs.push((digest_of(content), content.to_vec()));
        self
    }

    /// Sets an annotation of the index.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.get_or_insert_with(|| json!({}))[key] = value.into();
        self
    }

    /// Makes it a manifest list of Docker's.
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

    /// Builds the index and its images without writing them.
    pub fn build(&self) -> BuiltIndex {
        let media_type = if self.docker { DOCKER_LIST } else { OCI_INDEX };
        let mut index =
            json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": self.lines });
        if let Some(annotations) = &self.annotations {
            index["annotations"] = annotations.clone();
        }
        let index = index.to_string().into_bytes();
        let mut line = descriptor(media_type, &index);
        if let Some(name) = &self.name {
            line["annotations"] = json!({ REF_NAME: name });
        }
        let mut blobs = self.blobs.clone();
        blobs.push((digest_of(&index), index.clone()));
        BuiltIndex {
            path: PathBuf::new(),
            digest: digest_of(&index),
            index,
            descriptor: line,
            images: self.images.clone(),
            blobs,
        }
    }

    /// Writes the index and its images into the layout at `folder`; `index.json` names the index
    /// only.
    pub fn write(&self, folder: &Path) -> BuiltIndex {
        let mut built = self.build();
        layout::write(folder, &built.blobs, built.descriptor.clone());
        folder.clone_into(&mut built.path);
        for image in &mut built.images {
            folder.clone_into(&mut image.path);
        }
        built
    }
}
