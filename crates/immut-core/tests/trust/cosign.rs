//! Signatures, seen by the real cosign 2 and 3, and theirs seen by immut.

use std::fs;
use std::path::{Path, PathBuf};

use immut_core::name::PinnedRef;
use immut_core::store::{Layout, Source};
use immut_core::trust::{self, KeyPair, KeySource, Password, Transport, verify_command};

use crate::peers;
use crate::scene::{Scene, open_key, public_key, text};

fn cosign_command(scene: &Scene, cosign: &Path) -> String {
    let location = scene.layout().location();
    let image = PinnedRef { location, tag: None, digest: scene.image };
    let command = verify_command(&image, &scene.path("key.pub"), Transport::Trusted);
    command.replacen("cosign", &cosign.display().to_string(), 1)
}

fn cosigns() -> impl Iterator<Item = (&'static str, PathBuf)> {
    ["cosign2", "cosign3"].into_iter().filter_map(|name| Some((name, peers::find(name)?)))
}

#[test]
fn cosign_uses_a_key_that_immut_made() {
    for (name, cosign) in cosigns() {
        let scene = Scene::demo();
        let printed = peers::must(&cosign, &["public-key", "--key", text(&scene.path("key.key"))]);
        let own = std::fs::read_to_string(scene.path("key.pub")).expect("the public key");
        assert_eq!(printed.trim(), own.trim(), "{name}");
    }
}

#[test]
fn cosign_verifies_a_layout_that_immut_signed() {
    let shell = Path::new("/bin/sh");
    for (name, cosign) in cosigns() {
        let scene = Scene::demo();
        let unsigned = peers::run(shell, &["-c", &cosign_command(&scene, &cosign)]);
        assert!(!unsigned.status.success(), "{name} accepts an unsigned image");
        scene.sign();
        peers::must(shell, &["-c", &cosign_command(&scene, &cosign)]);
        let other = KeyPair::generate(&Password::new("")).expect("a key");
        std::fs::write(scene.path("key.pub"), other.public_pem()).expect("written");
        let wrong = peers::run(shell, &["-c", &cosign_command(&scene, &cosign)]);
        assert!(!wrong.status.success(), "{name} accepts another key");
    }
}

#[test]
fn skopeo_reads_a_signed_layout() {
    let Some(skopeo) = peers::find("skopeo") else { return };
    let scene = Scene::demo();
    scene.sign();
    let image = format!("oci:{}:demo", text(&scene.path("image")));
    let printed = peers::must(&skopeo, &["inspect", &image]);
    assert!(printed.contains(&scene.image.to_string()), "{printed}");
}

#[test]
fn immut_uses_keys_that_cosign_made() {
    for (name, cosign) in cosigns() {
        let folder = tempfile::tempdir().expect("a folder");
        let prefix = folder.path().join("theirs");
        peers::must(&cosign, &["generate-key-pair", "--output-key-prefix", text(&prefix)]);
        let key = open_key(&folder.path().join("theirs.key"), "pw");
        let public = public_key(&folder.path().join("theirs.pub"));
        assert_eq!(*trust::Signer::public_key(&key), public, "{name}");
        let theirs = fs::read_to_string(folder.path().join("theirs.pub")).expect("read");
        assert_eq!(public.pem(), theirs, "{name}");
    }
}

/// Each kind of key: what immut signs with it in both formats, both cosigns verify.
#[test]
fn cosign_verifies_signatures_by_rsa_and_ed25519_keys() {
    let Some(fixtures) = peers::fixtures("6-sigstore/sigstore-rs/keys") else { return };
    for (name, cosign) in cosigns() {
        for (file, password) in [("rsa_private.key", ""), ("ed25519_encrypted_private.key", "123")]
        {
            let scene = Scene::demo();
            let key = open_key(&fixtures.join(file), password);
            scene.sign_with(&key);
            let public = trust::Signer::public_key(&key).pem();
            fs::write(scene.path("key.pub"), public).expect("written");
            let output =
                peers::run(Path::new("/bin/sh"), &["-c", &cosign_command(&scene, &cosign)]);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name} with {file}: {errors}");
        }
    }
}

#[test]
fn cosign_verifies_a_signed_index() {
    for (_, cosign) in cosigns() {
        let scene = Scene::index();
        scene.sign();
        peers::must(Path::new("/bin/sh"), &["-c", &cosign_command(&scene, &cosign)]);
    }
}

#[test]
fn signing_again_after_the_image_changed_moves_the_mark() {
    for (_, cosign) in cosigns() {
        let mut scene = Scene::demo();
        scene.sign();
        scene.image = scene.changed_image("demo");
        scene.sign();
        peers::must(Path::new("/bin/sh"), &["-c", &cosign_command(&scene, &cosign)]);
        let verified = trust::verify(&scene.layout(), &scene.image, &scene.public_key());
        assert_eq!(verified.expect("verified").found().len(), 2);
    }
}

#[test]
fn a_bundle_alone_is_enough_for_cosign_3() {
    let Some(cosign) = peers::find("cosign3") else { return };
    let scene = Scene::demo();
    let formats = [trust::Format::Bundle].into();
    let options = trust::Options { formats, ..trust::Options::default() };
    trust::sign(&scene.image, &scene.layout(), &scene.key(), &options).expect("signed");
    peers::must(Path::new("/bin/sh"), &["-c", &cosign_command(&scene, &cosign)]);
}

/// The image may get its name before or after it is signed.
#[test]
fn the_order_of_signing_and_naming_does_not_matter() {
    for (_, cosign) in cosigns() {
        let scene = Scene::unnamed();
        scene.sign();
        scene.name("late");
        peers::must(Path::new("/bin/sh"), &["-c", &cosign_command(&scene, &cosign)]);
    }
}

#[test]
fn a_saved_layout_of_cosign_is_read_and_added_to() {
    for (name, cosign) in cosigns() {
        let scene = Scene::demo();
        scene.sign();
        let saved = saved_by_cosign(&scene);
        let verified = trust::verify(&saved, &scene.image, &scene.public_key()).expect(name);
        assert_eq!(verified.found().len(), 2, "{name}: {verified:?}");
        let pair = KeyPair::generate(&Password::new("pw")).expect("a key");
        let other = KeySource::File("other".into());
        let key = trust::KeyText::new(other, pair.private_pem());
        let key = key.private_key(Some(&Password::new("pw"))).expect("opened");
        trust::sign(&scene.image, &saved, &key, &trust::Options::default()).expect("signed");
        for public in [scene.public_key(), trust::Signer::public_key(&key).clone()] {
            fs::write(scene.path("key.pub"), public.pem()).expect("written");
            peers::must(Path::new("/bin/sh"), &["-c", &cosign_command(&scene, &cosign)]);
            let verified = trust::verify(&saved, &scene.image, &public).expect(name);
            assert_eq!(verified.found().len(), 2, "{name}: {verified:?}");
        }
    }
}

/// The layout as `cosign save` leaves it: no names, no fallback index, only its kinds.
fn saved_by_cosign(scene: &Scene) -> Layout {
    let file = scene.path("image/index.json");
    let mut index: serde_json::Value =
        serde_json::from_slice(&fs::read(&file).expect("read")).expect("JSON");
    let lines = index["manifests"].as_array_mut().expect("lines");
    lines.retain(|line| line["annotations"]["kind"].is_string());
    for line in lines {
        let annotations = line["annotations"].as_object_mut().expect("annotations");
        annotations.remove("org.opencontainers.image.ref.name");
    }
    fs::write(&file, index.to_string()).expect("written");
    scene.layout()
}
