//! The same signatures in a real registry, judged there by the real cosign.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use immut_core::name::PinnedRef;
use immut_core::store::Layout;
use immut_core::trust::{Error, Format, Options, Outcome, Transport, sign, verify, verify_command};
use serde_json::Value;

use crate::peers;
use crate::scene::{Scene, text};

/// Docker's registry, which has no referrers API: the fallback index must do.
struct Registry {
    process: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Registry {
    fn start() -> Option<Self> {
        let program = peers::find("docker-registry")?;
        let folder = tempfile::tempdir().expect("a folder");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("its number").to_string();
        drop(free);
        let settings = folder.path().join("config.yml");
        let mut file = fs::File::create(&settings).expect("a file");
        let storage = folder.path().join("storage");
        writeln!(
            file,
            "version: 0.1\nlog: {{level: error}}\nhttp: {{addr: \"{address}\"}}\n\
             storage: {{filesystem: {{rootdirectory: \"{}\"}}}}",
            storage.display()
        )
        .expect("written");
        let mut command = Command::new(program);
        command.args(["serve", text(&settings)]).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("started");
        let start = Instant::now();
        while TcpStream::connect(&address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "the registry does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(Self { process, address, _folder: folder })
    }

    /// Sends a whole layout with curl: every file as a blob, the manifests, then the names.
    fn upload(&self, curl: &Path, scene: &Scene, repository: &str) {
        let base = format!("http://{}/v2/{repository}", self.address);
        let blobs = scene.path("image/blobs/sha256");
        let names = fs::read_dir(&blobs).expect("blobs");
        let names = names.map(|e| e.expect("entry").file_name().into_string().expect("text"));
        let (mut manifests, mut indexes) = (Vec::new(), Vec::new());
        for name in names {
            let file = format!("@{}", blobs.join(&name).display());
            let start = ["-sfS", "-X", "POST", "-o", "/dev/null", "-w", "%header{location}"];
            let uploads = format!("{base}/blobs/uploads/");
            let place = peers::must(curl, &[&start[..], &[uploads.as_str()]].concat());
            let place = format!("{place}&digest=sha256:{name}");
            let kind = "Content-Type: application/octet-stream";
            peers::must(curl, &["-sfS", "-X", "PUT", "-H", kind, "--data-binary", &file, &place]);
            let json: Value = serde_json::from_slice(&fs::read(blobs.join(&name)).expect("read"))
                .unwrap_or_default();
            let digest = format!("sha256:{name}");
            if json["manifests"].is_array() {
                indexes.push((digest, file, json));
            } else if json["layers"].is_array() {
                manifests.push((digest, file, json));
            }
        }
        let names = scene.layout().names().expect("names");
        let all: Vec<_> = manifests.into_iter().chain(indexes).collect();
        for (digest, file, json) in &all {
            let tags = names.iter().filter(|(_, blob)| blob.digest.to_string() == *digest);
            let tags = tags.map(|(name, _)| name.as_str());
            for reference in std::iter::once(digest.as_str()).chain(tags) {
                let kind = format!("Content-Type: {}", json["mediaType"].as_str().expect("a type"));
                let place = format!("{base}/manifests/{reference}");
                peers::must(
                    curl,
                    &["-sfS", "-X", "PUT", "-H", &kind, "--data-binary", file, &place],
                );
            }
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn cosign_verifies_in_a_registry_what_immut_signed() {
    let Some(curl) = peers::find("curl") else { return };
    let Some(registry) = Registry::start() else { return };
    let both = Scene::index();
    both.sign();
    registry.upload(&curl, &both, "test/both");
    let bundle = Scene::demo();
    let options = |format| Options { formats: [format].into(), ..Options::default() };
    let signed = sign(&bundle.image, &bundle.layout(), &bundle.key(), &options(Format::Bundle));
    signed.expect("signed");
    registry.upload(&curl, &bundle, "test/bundle");
    for (name, scene, repository) in [
        ("cosign2", &both, "test/both"),
        ("cosign3", &both, "test/both"),
        ("cosign3", &bundle, "test/bundle"),
    ] {
        let Some(cosign) = peers::find(name) else { continue };
        let image = format!("{}/{repository}@{}", registry.address, scene.image);
        let image: PinnedRef = image.parse().expect("a name");
        for transport in [Transport::Trusted, Transport::Http, Transport::AnyCertificate] {
            let command = verify_command(&image, &scene.path("key.pub"), transport);
            let command = command.replacen("cosign", text(&cosign), 1);
            peers::must(Path::new("/bin/sh"), &["-c", &command]);
        }
    }
}

/// `cosign load` sends a layout that immut signed to a registry, signatures and all.
#[test]
fn cosign_loads_a_signed_layout_into_a_registry() {
    let Some(cosign) = peers::find("cosign2") else { return };
    let Some(registry) = Registry::start() else { return };
    let scene = Scene::demo();
    scene.sign();
    let image = format!("{}/test/loaded:1", registry.address);
    peers::must(&cosign, &["load", "--dir", text(&scene.path("image")), &image]);
    let image = format!("{}/test/loaded@{}", registry.address, scene.image);
    let image: PinnedRef = image.parse().expect("a name");
    let command = verify_command(&image, &scene.path("key.pub"), Transport::Trusted);
    let command = command.replacen("cosign", text(&cosign), 1);
    peers::must(Path::new("/bin/sh"), &["-c", &command]);
}

/// What the real cosign signs in a registry and saves to a folder, immut verifies.
#[test]
fn immut_verifies_what_cosign_signed() {
    let Some(skopeo) = peers::find("skopeo") else { return };
    for name in ["cosign2", "cosign3"] {
        let Some(cosign) = peers::find(name) else { continue };
        let Some(registry) = Registry::start() else { return };
        let scene = Scene::demo();
        let from = format!("oci:{}:demo", text(&scene.path("image")));
        let to = format!("docker://{}/test/theirs:1", registry.address);
        peers::must(
            &skopeo,
            &["copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false", &from, &to],
        );
        let image = format!("{}/test/theirs@{}", registry.address, scene.image);
        let (key, settings) = (scene.path("key.key"), scene.path("signing.json"));
        // No certificate authority, no log, no timestamps: a key is all there is.
        fs::write(&settings, SIGNING_CONFIG).expect("written");
        let offline = match name {
            "cosign2" => vec!["--tlog-upload=false"],
            _ => vec!["--signing-config", text(&settings)],
        };
        let start = ["sign", "--yes", "--key", text(&key)];
        peers::must(&cosign, &[&start[..], &offline, &[image.as_str()]].concat());
        let saved = scene.path("saved");
        peers::must(&cosign, &["save", "--dir", text(&saved), &image]);
        let saved = Layout::open(&saved).expect("a layout");
        let verified = verify(&saved, &scene.image, &scene.public_key()).expect(name);
        assert_eq!((verified.found().len(), verified.rejected().len()), (1, 0), "{name}");
        let other = Scene::demo().public_key();
        let error = verify(&saved, &scene.image, &other).expect_err(name);
        assert!(matches!(error, Error::OtherKeys { .. }), "{name}: {error}");
        // It is signed by this key already: nothing is to be done for that format.
        let signed = sign(&scene.image, &saved, &scene.key(), &Options::default()).expect("signed");
        let there = signed.outcomes.iter().filter(|(_, o)| *o == Outcome::AlreadyThere).count();
        assert_eq!(there, 1, "{name}");
    }
}

const SIGNING_CONFIG: &str = r#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","rekorTlogConfig":{},"tsaConfig":{}}"#;
