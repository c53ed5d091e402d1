//! Keys, `sign` and `verify`, with cosign on the other side.

use std::fs;
use std::path::Path;

use immut_testkit::peers;
use tempfile::{TempDir, tempdir};

use crate::common::{
    PASSWORD, Run, cosign_says, cosigns, immut, key, mode, must, peer, registry, run, small, text,
};

/// An unsigned image in a layout, and a key.
struct Scene {
    folder: TempDir,
    image: String,
}

impl Scene {
    fn new() -> Self {
        let folder = tempdir().expect("a folder");
        let image = small().write(&folder.path().join("image")).reference();
        key(folder.path(), "k");
        Self { folder, image }
    }

    fn path(&self, name: &str) -> String {
        text(&self.folder.path().join(name)).to_owned()
    }

    /// The image in a repository of the real registry.
    fn pushed(&self, repository: &str) -> Option<String> {
        let to = format!("{}/{repository}", registry()?.host);
        Some(run(&["harden", &self.image, "--to", &to, "--no-sign"]).code(0).line().to_owned())
    }
}

/// A key pair is made with the right modes, and never over an existing file.
#[test]
fn a_key_is_never_overwritten() {
    let folder = tempdir().expect("a folder");
    let key = key(folder.path(), "k");
    assert_eq!((mode(&key), mode(&key.with_extension("pub"))), (0o600, 0o644));
    let made = fs::read(&key).expect("a key");
    let prefix = key.with_extension("");
    run(&["key", "generate", text(&prefix)]).code(2).says(&["k.key exists", "never overwritten"]);
    fs::remove_file(&key).expect("removed");
    run(&["key", "generate", text(&prefix)]).code(2).says(&["k.pub exists"]);
    assert!(!key.exists());
    fs::write(&key, &made).expect("written");
    for cosign in cosigns() {
        let public = must(&cosign, &["public-key", "--key", text(&key)]);
        assert_eq!(
            public.trim(),
            fs::read_to_string(key.with_extension("pub")).expect("a key").trim()
        );
    }
}

/// `sign` and `verify` as verbs; the second time nothing is signed.
#[test]
fn an_image_that_is_there_is_signed_and_verified() {
    let scene = Scene::new();
    let (private, public) = (scene.path("k.key"), scene.path("k.pub"));
    run(&["verify", &scene.image, "--key", &public]).code(6).says(&["has no signature"]);
    let signed = run(&["sign", &scene.image, "--key", &private]).code(0);
    assert_eq!(signed.line(), scene.image);
    let verified = run(&["verify", &scene.image, "--key", &public]).code(0);
    assert_eq!(verified.line(), scene.image);
    run(&["sign", &scene.image, "--key", &private]).code(0).says(&["was there already"]);
    for cosign in cosigns() {
        cosign_says(&cosign, signed.last()).code(0);
    }
    let tag = format!("oci:{}:latest", scene.path("image"));
    run(&["sign", &tag, "--key", &private]).code(2).says(&[&scene.image]);
    run(&["verify", &scene.image, "--key", &private]).code(2).says(&["is a private key"]);
    run(&["sign", &scene.image, "--key", &public]).code(2).says(&["is a public key"]);
}

/// Cosign's own key from the environment; a wrong password is 2.
#[test]
fn a_key_that_cosign_made_is_taken_from_the_environment() {
    for cosign in cosigns() {
        let scene = Scene::new();
        must(&cosign, &["generate-key-pair", "--output-key-prefix", &scene.path("theirs")]);
        let pem = fs::read_to_string(scene.path("theirs.key")).expect("a key");
        let mut command = immut(&["sign", &scene.image, "--key", "env://SIGNING_KEY"]);
        let signed = Run::of(command.env("SIGNING_KEY", &pem)).code(0);
        assert!(!signed.stderr.contains("BEGIN"), "{signed}");
        signed.says(&["cosign public-key --key env://SIGNING_KEY"]);
        run(&["verify", &scene.image, "--key", &scene.path("theirs.pub")]).code(0);
        let mut command = immut(&["sign", &scene.image, "--key", "env://SIGNING_KEY"]);
        command.env("SIGNING_KEY", &pem).env("COSIGN_PASSWORD", "not it");
        Run::of(&mut command).code(2).says(&["the password does not open the key"]);
        let mut command = immut(&["sign", &scene.image, "--key", &scene.path("theirs.key")]);
        Run::of(command.env_remove("COSIGN_PASSWORD")).code(2).says(&["set COSIGN_PASSWORD"]);
    }
    let scene = Scene::new();
    run(&["sign", &scene.image, "--key", "env://NO_SUCH_KEY"])
        .code(2)
        .says(&["NO_SUCH_KEY is not set"]);
    let missing = run(&["sign", &scene.image, "--key", &scene.path("no.key")]).code(2);
    missing.says(&["no.key", "hint: `immut key generate "]);
}

/// A P-384 key is refused with the reason.
#[test]
fn a_key_that_cosign_could_not_verify_is_refused() {
    let Some(openssl) = peers::require("openssl") else { return };
    let scene = Scene::new();
    let key = scene.path("p384.key");
    must(&openssl, &["ecparam", "-name", "secp384r1", "-genkey", "-noout", "-out", &key]);
    run(&["sign", &scene.image, "--key", &key]).code(2).says(&["cannot be used", "P-384"]);
}

/// An attestation by the key is no signature, though cosign 3 takes it for one.
#[test]
fn an_attestation_alone_is_no_signature() {
    let Some(cosign) = peers::require("cosign3") else { return };
    let scene = Scene::new();
    let Some(image) = scene.pushed("attested/app") else { return };
    let (config, predicate) = (offline(&cosign, &scene), scene.path("predicate.json"));
    fs::write(&predicate, r#"{"a":1}"#).expect("written");
    let key = scene.path("k.key");
    let attest =
        ["attest", "--key", &key, "--yes", "--signing-config", &config, "--type", "custom"];
    must(&cosign, &[&attest[..], &["--predicate", &predicate, &image]].concat());
    run(&["verify", &image, "--key", &scene.path("k.pub")]).code(6).says(&["has no signature"]);
}

/// What cosign 2 and 3 sign, `immut verify` accepts.
#[test]
fn signatures_that_cosign_made_are_accepted() {
    for cosign in cosigns() {
        let scene = Scene::new();
        let name = cosign.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let Some(image) = scene.pushed(&format!("by/{name}")) else { return };
        let (key, config) = (scene.path("k.key"), offline(&cosign, &scene));
        let offline: &[&str] = if name == "cosign2" {
            &["--tlog-upload=false"]
        } else {
            &["--signing-config", &config]
        };
        must(&cosign, &[&["sign", "--key", &key, "--yes"], offline, &[&image]].concat());
        run(&["verify", &image, "--key", &scene.path("k.pub")]).code(0);
        run(&["sign", &image, "--key", &key]).code(0);
        run(&["verify", &image, "--key", &scene.path("k.pub")]).code(0);
    }
}

/// A signing config without services (cosign 3), so that nothing is asked of the network.
fn offline(cosign: &Path, scene: &Scene) -> String {
    let config = scene.path("signing-config.json");
    let none =
        ["--no-default-fulcio", "--no-default-oidc", "--no-default-rekor", "--no-default-tsa"];
    peer(cosign, &[&["signing-config", "create"], &none[..], &["--out", &config]].concat());
    config
}

/// A key without a password is asked for nothing, and `--generate-key` loads what it made.
#[test]
fn generate_key_says_what_it_cannot_do() {
    let scene = Scene::new();
    let to = format!("oci:{}", scene.path("out"));
    let harden =
        |key: &str| run(&["harden", &scene.image, "--to", &to, "--key", key, "--generate-key"]);
    harden("env://X").code(2).says(&["makes a file"]);
    harden(&scene.path("mine")).code(2).says(&["ends in .key"]);
    harden(&scene.path("no/such/folder/mine.key")).code(7);
    assert!(!Path::new(&scene.path("out")).exists());
    let mut command = immut(&["key", "generate", &scene.path("plain")]);
    Run::of(command.env("COSIGN_PASSWORD", "")).code(0);
    let mut command = immut(&["sign", &scene.image, "--key", &scene.path("plain.key")]);
    Run::of(command.env_remove("COSIGN_PASSWORD")).code(0);
    assert_eq!(PASSWORD, "pw");
}
