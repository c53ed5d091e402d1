//! A folder with an image in a layout and a key.

use std::path::{Path, PathBuf};

use immut_core::image::{Descriptor, RawManifest, media_type};
use immut_core::name::Digest;
use immut_core::store::{Layout, Sink, Source};
use immut_core::trust::{
    KeyPair, KeySource, LocalKey, Options, Password, PublicKey, Signed, sign_all,
};
use serde_json::{Value, json};

pub(crate) const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// The layout `image`, the keys `key.key` and `key.pub`, and the digest that is signed.
pub(crate) struct Scene {
    folder: tempfile::TempDir,
    pub(crate) image: Digest,
}

impl Scene {
    /// A small image, named `demo`.
    pub(crate) fn demo() -> Self {
        let scene = Self::unnamed();
        scene.name("demo");
        scene
    }

    /// The small image, in no line of `index.json`.
    pub(crate) fn unnamed() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::create(&folder.path().join("image")).expect("a layout");
        let image = small_image(&layout);
        layout.put_manifest(&image).expect("written");
        let pair = KeyPair::generate(&Password::new("pw")).expect("a key");
        pair.write(&folder.path().join("key")).expect("written");
        Self { folder, image: image.descriptor().digest }
    }

    /// An index with the image, another platform, and an attestation manifest.
    pub(crate) fn index() -> Self {
        let mut scene = Self::demo();
        let other = scene.changed_image("other");
        let attestation = scene.artifact(b"{}", "application/vnd.in-toto+json");
        let mut third = scene.line(&attestation, "unknown");
        third["platform"]["os"] = json!("unknown");
        third["annotations"] = json!({
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": scene.image,
        });
        let lines = [scene.line(&scene.image, "amd64"), scene.line(&other, "arm64"), third];
        scene.become_index(&lines);
        scene
    }

    /// The line of an index for a manifest of Linux.
    pub(crate) fn line(&self, digest: &Digest, architecture: &str) -> Value {
        let mut line = json!(self.layout().manifest(digest).expect("there").descriptor());
        line["platform"] = json!({ "os": "linux", "architecture": architecture });
        line
    }

    /// An index with these lines is the image from now on.
    pub(crate) fn become_index(&mut self, lines: &[Value]) {
        let index = RawManifest::from_json(&json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": lines,
        }));
        self.layout().tag("all", &index).expect("named");
        self.image = index.descriptor().digest;
    }

    /// The image with another annotation, under `name`.
    pub(crate) fn changed_image(&self, name: &str) -> Digest {
        let layout = self.layout();
        let demo = layout.tagged("demo").expect("read").expect("demo");
        let mut manifest: Value = serde_json::from_slice(&demo.bytes).expect("JSON");
        manifest["annotations"]["changed"] = json!(name);
        let manifest = RawManifest::from_json(&manifest);
        layout.tag(name, &manifest).expect("named");
        manifest.descriptor().digest
    }

    /// A manifest with one layer, about nothing.
    pub(crate) fn artifact(&self, content: &[u8], kind: &str) -> Digest {
        self.referrer(content, kind, None)
    }

    /// A manifest with one layer about the image.
    pub(crate) fn referrer(&self, content: &[u8], kind: &str, subject: Option<Digest>) -> Digest {
        let layout = self.layout();
        let config = layout.add(media_type::OCI_EMPTY, b"{}").expect("written");
        let layer = layout.add(kind, content).expect("written");
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "artifactType": kind,
            "config": config, "layers": [layer],
        });
        if let Some(subject) = subject {
            let subject = layout.manifest(&subject).expect("there").descriptor();
            manifest["subject"] = json!(subject);
        }
        let manifest = RawManifest::from_json(&manifest);
        layout.put_manifest(&manifest).expect("written");
        manifest.descriptor().digest
    }

    /// Makes `name` the image's name.
    pub(crate) fn name(&self, name: &str) {
        let layout = self.layout();
        layout.tag(name, &layout.manifest(&self.image).expect("there")).expect("named");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout::open(&self.path("image")).expect("a layout")
    }

    pub(crate) fn key(&self) -> LocalKey {
        open_key(&self.path("key.key"), "pw")
    }

    pub(crate) fn public_key(&self) -> PublicKey {
        public_key(&self.path("key.pub"))
    }

    pub(crate) fn sign(&self) -> Vec<Signed> {
        self.sign_with(&self.key())
    }

    pub(crate) fn sign_with(&self, key: &LocalKey) -> Vec<Signed> {
        sign_all(&self.image, &self.layout(), key, &Options::default()).expect("signed").signed
    }

    /// The one bundle of the image: the referrer's descriptor and the bundle's JSON.
    pub(crate) fn bundle(&self) -> Value {
        let layout = self.layout();
        let referrers = layout.referrers(&self.image).expect("read");
        let manifest = layout.manifest(&referrers[0].digest).expect("there");
        let manifest: Value = serde_json::from_slice(&manifest.bytes).expect("JSON");
        serde_json::from_slice(&self.blob(&manifest["layers"][0])).expect("JSON")
    }

    /// The bytes that a descriptor names.
    pub(crate) fn blob(&self, line: &Value) -> Vec<u8> {
        let blob: Descriptor = serde_json::from_value(line.clone()).expect("a descriptor");
        immut_core::store::read_small(&self.layout(), &blob).expect("there")
    }

    /// The manifest under `sha256-HEX.sig`.
    pub(crate) fn legacy(&self) -> Value {
        let found = self.layout().tagged(&self.tag()).expect("read").expect("signed");
        serde_json::from_slice(&found.bytes).expect("JSON")
    }

    pub(crate) fn tag(&self) -> String {
        format!("sha256-{}.sig", self.image.hex())
    }
}

pub(crate) fn open_key(path: &Path, password: &str) -> LocalKey {
    let key = KeySource::File(path.to_owned()).read().expect("read");
    let opened = key.private_key(Some(&Password::new(password)));
    opened.unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn public_key(path: &Path) -> PublicKey {
    KeySource::File(path.to_owned()).read().expect("read").public_key().expect("a public key")
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// One layer, an empty archive, for linux/amd64.
fn small_image(layout: &Layout) -> RawManifest {
    let layer = layout.add(media_type::OCI_LAYER, &[0; 1024]).expect("written");
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": { "Cmd": ["/app"] },
        "rootfs": { "type": "layers", "diff_ids": [layer.digest] },
    });
    let config = layout.add(media_type::OCI_CONFIG, config.to_string().as_bytes());
    RawManifest::from_json(&json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": config.expect("written"), "layers": [layer],
    }))
}
