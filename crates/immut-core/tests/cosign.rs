//! Signatures, seen by the real cosign 2 and 3, and theirs seen by immut.

mod peers;

use std::path::{Path, PathBuf};

use immut_core::name::{Digest, PinnedRef};
use immut_core::store::{Layout, Sink, Source, copy};
use immut_core::trust::{
    self, KeyPair, KeySource, Password, PublicKey, Signer, Transport, sign_all, verify_command,
};

/// A layout with the demo image, named `demo`, and keys made by immut.
struct Place {
    folder: tempfile::TempDir,
    image: Digest,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let from = Layout::open(&peers::workspace().join("testdata/demo")).expect("the demo");
        let to = Layout::create(&folder.path().join("image")).expect("a layout");
        let image = from.tagged("demo").expect("read").expect("demo").descriptor().digest;
        let copied = copy(&image, &from, &to).expect("copied");
        to.tag("demo", copied.raw()).expect("named");
        let pair = KeyPair::generate(&Password::new("pw")).expect("a key");
        pair.write(&folder.path().join("key")).expect("written");
        Self { folder, image }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn layout(&self) -> Layout {
        Layout::open(&self.path("image")).expect("a layout")
    }

    fn sign(&self, key: &Path) {
        let key = KeySource::File(key.to_owned()).read().expect("a key");
        let key = key.private_key(Some(&Password::new("pw"))).expect("the password");
        let options = trust::Options::default();
        sign_all(&self.image, &self.layout(), &key, &options).expect("signed");
    }

    fn cosign_command(&self, cosign: &Path) -> String {
        let location = self.layout().location();
        let image = PinnedRef { location, tag: None, digest: self.image };
        let command = verify_command(&image, &self.path("key.pub"), Transport::Trusted);
        command.replacen("cosign", &cosign.display().to_string(), 1)
    }
}

fn public_key(path: &Path) -> PublicKey {
    KeySource::File(path.to_owned()).read().expect("read").public_key().expect("a public key")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn cosign_uses_a_key_that_immut_made() {
    for name in ["cosign2", "cosign3"] {
        let Some(cosign) = peers::find(name) else { continue };
        let place = Place::new();
        let printed = peers::must(&cosign, &["public-key", "--key", text(&place.path("key.key"))]);
        let own = std::fs::read_to_string(place.path("key.pub")).expect("the public key");
        assert_eq!(printed.trim(), own.trim(), "{name}");
    }
}

#[test]
fn cosign_verifies_a_layout_that_immut_signed() {
    let shell = Path::new("/bin/sh");
    for name in ["cosign2", "cosign3"] {
        let Some(cosign) = peers::find(name) else { continue };
        let place = Place::new();
        let unsigned = peers::run(shell, &["-c", &place.cosign_command(&cosign)]);
        assert!(!unsigned.status.success(), "{name} accepts an unsigned image");
        place.sign(&place.path("key.key"));
        peers::must(shell, &["-c", &place.cosign_command(&cosign)]);
        let other = KeyPair::generate(&Password::new("")).expect("a key");
        std::fs::write(place.path("key.pub"), other.public_pem()).expect("written");
        let wrong = peers::run(shell, &["-c", &place.cosign_command(&cosign)]);
        assert!(!wrong.status.success(), "{name} accepts another key");
    }
}

#[test]
fn skopeo_reads_a_signed_layout() {
    let Some(skopeo) = peers::find("skopeo") else { return };
    let place = Place::new();
    place.sign(&place.path("key.key"));
    let image = format!("oci:{}:demo", text(&place.path("image")));
    let printed = peers::must(&skopeo, &["inspect", &image]);
    assert!(printed.contains(&place.image.to_string()), "{printed}");
}

#[test]
fn immut_verifies_what_it_signed() {
    let place = Place::new();
    place.sign(&place.path("key.key"));
    let verified =
        trust::verify(&place.layout(), &place.image, &public_key(&place.path("key.pub")));
    let verified = verified.expect("verified");
    assert_eq!(verified.value().digest, place.image);
    assert_eq!(verified.found().len(), 2, "{verified:?}");
    assert_eq!(verified.rejected(), []);
}

#[test]
fn the_loaded_key_is_the_written_one() {
    let place = Place::new();
    let key = KeySource::File(place.path("key.key")).read().expect("read");
    assert!(key.needs_password());
    let key = key.private_key(Some(&Password::new("pw"))).expect("opened");
    assert_eq!(*key.public_key(), public_key(&place.path("key.pub")));
}
