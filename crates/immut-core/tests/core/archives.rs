//! Archives of images: what docker, crane, podman and skopeo write, and what is made to deceive.

use std::io::Write;
use std::path::{Path, PathBuf};

use immut_core::Options;
use immut_core::name::{Digest, Location, Reference};
use immut_core::store::{self, Archive, Error, Layout, Source, Spool};
use immut_testkit::contents;
use immut_testkit::recipe::{Built, Encoding, LayerRecipe, Recipe};
use immut_testkit::saved::{FORMS, Form, save};
use serde_json::{Value, json};
use tempfile::TempDir;

fn image() -> Built {
    recipe("app").build()
}

fn recipe(app: &str) -> Recipe {
    Recipe::new()
        .layer(|l| l.file("/bin/bash", 0o755, contents::bash()))
        .layer(|l| l.file("/app", 0o755, contents::elf(&[app])))
        .entrypoint(&["/app"])
}

/// The digest of its config: what docker calls the image ID.
fn id(image: &Built) -> Digest {
    Digest::of(&image.config)
}

/// An archive in a file of its own.
struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("file"), bytes).expect("written");
        Self { folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("file")
    }

    fn spool(&self) -> Spool {
        Spool { folder: self.folder.path().to_owned(), limit: 8 << 20 }
    }

    fn docker(&self) -> Result<Archive, Error> {
        Archive::open(&Location::DockerArchive(self.file()), &self.spool())
    }

    fn oci(&self) -> Result<Archive, Error> {
        Archive::open(&Location::OciArchive(self.file()), &self.spool())
    }

    #[track_caller]
    fn is_refused(&self, words: &[&str]) {
        let error = self.docker().expect_err("refused").to_string();
        for word in words {
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}

fn resolved(archive: &dyn Source, reference: &str) -> Result<Digest, Error> {
    store::resolve(archive, &reference.parse::<Reference>().expect("a reference"))
}

fn harden(archive: &Archive, digest: Digest) -> immut_core::Hardened {
    let folder = tempfile::tempdir().expect("a folder");
    let stage = Layout::create(folder.path()).expect("a stage");
    let pinned = format!("docker-archive:file@{digest}").parse().expect("pinned");
    immut_core::harden(&pinned, archive, &stage, &Options::default()).expect("hardened")
}

#[test]
fn every_form_of_docker_save_is_the_same_image() {
    let built = image();
    let mut digests = Vec::new();
    for form in FORMS {
        let scene = Scene::new(&save(form, &[(&built, &["app:v1"])]));
        let archive = scene.docker().expect("read");
        assert_eq!(resolved(&archive, "docker-archive:file").expect("the only one"), id(&built));
        let hardened = harden(&archive, id(&built));
        assert!(hardened.is_changed());
        assert_eq!(hardened.source.digest, id(&built));
        let config = hardened.platforms[0].rewritten.config.to_bytes();
        digests.push((form, hardened.digest(), Digest::of(&config)));
    }
    let (_, first, config) = digests[0];
    for (form, digest, own) in digests {
        assert_eq!(own, config, "{form:?}");
        // The layers of crane's archive are compressed, so they stay that.
        assert_eq!(digest == first, form != Form::Flat, "{form:?}");
    }
}

#[test]
fn an_unchanged_image_keeps_its_digest() {
    let built = Recipe::new()
        .layer(|l| l.file("/app", 0o755, contents::program()))
        .entrypoint(&["/app"])
        .user("7")
        .build();
    let scene = Scene::new(&save(Form::Folders, &[(&built, &[])]));
    assert!(!harden(&scene.docker().expect("read"), id(&built)).is_changed());
}

#[test]
fn images_are_named_by_name_or_digest() {
    let (first, second) = (recipe("1").build(), recipe("2").build());
    let (one, two) = (id(&first), id(&second));
    for form in FORMS {
        let images: [(&Built, &[&str]); 2] =
            [(&first, &["app:v1", "me/app:v1"]), (&second, &["app:v2"])];
        let scene = Scene::new(&save(form, &images));
        let archive = scene.docker().expect("read");
        for (name, meant) in [
            ("app:v1", one),
            ("docker.io/library/app:v1", one),
            ("me/app:v1", one),
            ("app:v2", two),
        ] {
            let found = resolved(&archive, &format!("docker-archive:file:{name}"));
            assert_eq!(found.expect(name), meant);
        }
        assert!(archive.manifest(&two).is_ok());
        let several = resolved(&archive, "docker-archive:file").expect_err("which?").to_string();
        let all = [format!(":app:v1@{one}"), format!(":me/app:v1@{one}"), format!(":app:v2@{two}")];
        assert!(all.iter().all(|name| several.contains(name)), "{several}");
        let other =
            resolved(&archive, "docker-archive:file:app:v3").expect_err("absent").to_string();
        assert!(other.contains("app:v3") && other.contains(":app:v2@"), "{other}");
    }
}

#[test]
fn layers_that_two_images_share_are_read_through_links() {
    let (first, second) = (recipe("1").build(), recipe("2").build());
    let scene = Scene::new(&save(Form::Folders, &[(&first, &["a:1"]), (&second, &["b:1"])]));
    let archive = scene.docker().expect("read");
    let planning =
        crate::common::plan(&id(&second), &archive, &Options::default()).expect("a plan");
    assert!(planning.platforms[0].findings.iter().any(|finding| finding.rule.as_str() == "shell"));
}

#[test]
fn an_image_in_an_oci_archive_has_two_digests() {
    let built = image();
    let scene = Scene::new(&save(Form::Layout, &[(&built, &["app:v1"])]));
    let archive = scene.oci().expect("read");
    let listed = archive.images().expect("listed")[0].clone();
    assert_eq!(listed.name.as_deref(), Some("v1"));
    let by_manifest = archive.manifest(&listed.digest).expect("by its own digest");
    assert_eq!(archive.manifest(&id(&built)).expect("by its config's"), by_manifest);
    assert_eq!(archive.known_as(&by_manifest), listed.digest);
}

#[test]
fn archives_are_read_compressed() {
    let built = image();
    let tar = save(Form::Folders, &[(&built, &["app:v1"])]);
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1))
        .expect("a writer");
    xz.write_all(&tar).expect("written");
    let encoded = [Encoding::Gzip, Encoding::Zstd].map(|encoding| encoding.encode(&tar));
    for bytes in encoded.into_iter().chain([xz.finish().expect("ended")]) {
        let whole = Scene::new(&bytes);
        assert_eq!(
            resolved(&whole.docker().expect("read"), "docker-archive:x").expect("one"),
            id(&built)
        );
        // Nothing of what it was unpacked to is left.
        assert_eq!(whole.folder.path().read_dir().expect("a folder").count(), 1);
        let half = Scene::new(&bytes[..bytes.len() / 2]);
        assert!(matches!(half.docker(), Err(Error::Archive { .. })));
    }
}

#[test]
fn an_archive_that_unpacks_to_more_than_the_limit_is_given_up() {
    let scene = Scene::new(&Encoding::Gzip.encode(&vec![0; 9 << 20]));
    let error = scene.docker().expect_err("too large");
    assert!(matches!(error, Error::TooLarge { limit, .. } if limit == 8 << 20), "{error}");
}

#[test]
fn what_is_no_archive_of_images_is_said() {
    let root = LayerRecipe::new().file("/etc/passwd", 0o644, "x").into_tar();
    Scene::new(&root).is_refused(&["no manifest.json", "root file system"]);
    Scene::new(b"").is_refused(&["no manifest.json"]);
    Scene::new(b"text that is no archive").is_refused(&["not usable"]);
    Scene::new(b"BZh91AY&SY").is_refused(&["bzip2", "gzip, xz and zstd"]);
    let old = LayerRecipe::new().file("repositories", 0o644, "{}").into_tar();
    Scene::new(&old).is_refused(&["before 1.10", "load it"]);
    let oci = LayerRecipe::new().file("index.json", 0o644, "{}").into_tar();
    Scene::new(&oci).is_refused(&["oci-archive:FILE"]);
    let docker = Scene::new(&save(Form::Folders, &[(&image(), &[])]));
    let error = docker.oci().expect_err("no layout").to_string();
    assert!(error.contains("docker-archive:FILE"), "{error}");
    let absent = Location::DockerArchive(Path::new("/nonexistent/x.tar").to_owned());
    assert!(matches!(Archive::open(&absent, &Spool::default()), Err(Error::Io { .. })));
    let folder = Location::OciArchive(docker.folder.path().to_owned());
    let error = Archive::open(&folder, &Spool::default()).expect_err("a folder").to_string();
    assert!(error.contains("oci:DIR"), "{error}");
}

/// An archive with that `manifest.json`, and one small layer.
fn with(manifest: &Value, more: impl FnOnce(LayerRecipe) -> LayerRecipe) -> Scene {
    let layer = LayerRecipe::new().file("/app", 0o755, contents::program()).into_tar();
    let config = json!({ "rootfs": { "diff_ids": [Digest::of(&layer)] } }).to_string();
    let members = LayerRecipe::new()
        .file("config.json", 0o644, config)
        .file("layer.tar", 0o644, layer)
        .file("manifest.json", 0o644, manifest.to_string());
    Scene::new(&more(members).into_tar())
}

fn line(config: &str, layers: &[&str]) -> Value {
    json!([{ "Config": config, "RepoTags": ["a:1"], "Layers": layers }])
}

#[test]
fn archives_made_to_deceive_are_refused() {
    let good = with(&line("config.json", &["layer.tar"]), |l| l);
    assert!(good.docker().is_ok());
    let same = |l| l;
    with(&line("nothing.json", &["layer.tar"]), same).is_refused(&["nothing.json", "not in it"]);
    with(&line("config.json", &["nothing.tar"]), same).is_refused(&["nothing.tar", "not in it"]);
    with(&line("", &["layer.tar"]), same).is_refused(&["has no config"]);
    with(&line("\u{1b}[2J", &["layer.tar"]), same).is_refused(&["\\x1b[2J, which is not in it"]);
    with(&line("config.json", &[]), same).is_refused(&["0 layers", "lists 1"]);
    with(&line("../config.json", &["layer.tar"]), same).is_refused(&["../config.json"]);
    with(&line("layer.tar", &["layer.tar"]), same).is_refused(&["layer.tar"]);
    with(&json!({ "Config": 1 }), same).is_refused(&["manifest.json"]);
    // Links lead nowhere but to other members.
    let linked = line("config.json", &["link"]);
    with(&linked, |l| l.symlink("link", "/etc/passwd")).is_refused(&["link, which is not in it"]);
    with(&linked, |l| l.symlink("link", "../../etc/passwd")).is_refused(&["not in it"]);
    with(&linked, |l| l.symlink("link", "other").symlink("other", "link"))
        .is_refused(&["not in it"]);
    with(&linked, |l| l.fifo("link")).is_refused(&["not in it"]);
    assert!(with(&linked, |l| l.symlink("link", "./layer.tar")).docker().is_ok());
    assert!(with(&linked, |l| l.hardlink("link", "layer.tar")).docker().is_ok());
    with(&line("config.json", &["layer.tar"]), |l| l.file("manifest.json", 0o644, "[]"))
        .is_refused(&["manifest.json twice"]);
    with(&line("config.json", &["layer.tar"]), |l| l.file("config.json", 0o644, "{}"))
        .is_refused(&["config.json twice"]);
}

#[test]
fn a_layer_that_is_not_what_the_config_lists_is_corrupt() {
    let other = LayerRecipe::new().file("/other", 0o755, "x").into_tar();
    let scene = with(&line("config.json", &["other.tar"]), |l| l.file("other.tar", 0o644, other));
    let archive = scene.docker().expect("its documents are fine");
    let digest = resolved(&archive, "docker-archive:x").expect("one");
    let error =
        crate::common::plan(&digest, &archive, &Options::default()).expect_err("other bytes");
    assert!(error.to_string().contains("wrong content"), "{error}");
}

#[test]
fn an_archive_that_ends_too_early_is_refused() {
    let tar = save(Form::Folders, &[(&image(), &["app:v1"])]);
    for end in [100, 512, 700, tar.len() / 2, tar.len() - 2000] {
        let scene = Scene::new(&tar[..end]);
        let error = scene.docker().expect_err("cut").to_string();
        assert!(error.contains("not usable as an archive"), "{end}: {error}");
    }
}
