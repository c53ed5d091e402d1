//! Layers for lazy pulling: their tables of contents are true or gone.

use std::process::Command;

use immut_core::Options;
use immut_core::finding::RuleId;
use immut_core::plan::Action;
use immut_testkit::recipe::{Encoding, Recipe};
use immut_testkit::{contents, peers};
use serde_json::{Value, json};

use crate::common::{Done, Scene, run, unpack};

const TOC_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";

fn estargz() -> Recipe {
    Recipe::new()
        .estargz_layer(|l| l.dir("/etc", 0o755).file("/etc/base", 0o644, "of the base"))
        .estargz_layer(|l| {
            l.dir("/bin", 0o755)
                .file("/bin/bash", 0o755, contents::bash())
                .symlink("/bin/sh", "bash")
        })
        .estargz_layer(|l| l.file("/app", 0o755, contents::program()))
        .entrypoint(&["/app"])
        .user("7")
}

fn tables(done: &Done) -> Vec<bool> {
    let has = |tar: &Vec<u8>| memchr::memmem::find(tar, b"stargz.index.json").is_some();
    done.tars().iter().map(has).collect()
}

#[test]
fn a_table_goes_with_a_change_of_its_layer_and_stays_without() {
    let image = estargz().layer(|l| l.file("/su", 0o4755, contents::program()));
    let image = image.estargz_layer(|l| l.file("/ping", 0o4755, "p").file("/data", 0o644, "d"));
    let done = Scene::of(&image).harden(&Options::default());
    assert_eq!(tables(&done), [true, false, true, false, false]);
    let layers = done.manifest()["layers"].clone();
    let vouched: Vec<bool> = layers
        .as_array()
        .expect("layers")
        .iter()
        .map(|layer| layer["annotations"][TOC_DIGEST].is_string())
        .collect();
    assert_eq!(vouched, [true, false, true, false, false]);
    let old = image.build().layers;
    assert_eq!(layers[0], old[0].descriptor);
    assert_eq!(layers[2], old[2].descriptor);
    let last = &done.tars()[4];
    for gone in [&b"landmark"[..], b"STARGZ", b"chunkDigest"] {
        assert!(memchr::memmem::find(last, gone).is_none(), "{}", String::from_utf8_lossy(gone));
    }
    assert!(!done.again(&Options::default()).is_changed());
}

#[test]
fn each_step_about_a_table_says_why() {
    let planned = Scene::of(&estargz()).plan(&Options::default());
    let steps: Vec<(String, usize)> = planned
        .plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::DropTable { path, entry } => {
                assert_eq!(step.because.first().map(RuleId::as_str), Some("lazy-table"));
                Some((path.to_string(), entry.layer as usize))
            }
            _ => None,
        })
        .collect();
    let told: Vec<_> = steps.iter().map(|(path, layer)| (path.as_str(), *layer)).collect();
    assert_eq!(told, [("/.no.prefetch.landmark", 1), ("/stargz.index.json", 1)]);
    assert!(planned.plan.conflicts.is_empty());
    let removed = planned.plan.removed(&planned.inventory);
    assert!(removed.iter().any(|one| one.path.to_string() == "/stargz.index.json"));
}

#[test]
fn a_lazy_image_without_a_change_keeps_its_digest() {
    let clean = Recipe::new().estargz_layer(|l| l.file("/app", 0o755, contents::program()));
    let done = Scene::of(&clean.entrypoint(&["/app"]).user("7")).harden(&Options::default());
    assert!(!done.hardened.is_changed());
}

#[test]
fn a_file_of_that_name_is_a_file_where_it_is_no_table() {
    let image = Recipe::new()
        .layer(|l| {
            l.file("/stargz.index.json", 0o644, "mine")
                .file("/.prefetch.landmark", 0o644, "mine")
                .file("/su", 0o4755, "x")
        })
        .layer(|l| l.dir("/x", 0o755).file("/x/stargz.index.json", 0o4755, "mine"));
    let done = Scene::of(&image.user("7")).harden(&Options::default());
    let left = done.paths();
    assert_eq!(left, [".prefetch.landmark", "stargz.index.json", "su", "x", "x/stargz.index.json"]);
}

#[test]
fn others_unpack_what_is_left_of_a_lazy_image() {
    let Some(umoci) = peers::require("umoci") else { return };
    let scene = Scene::of(&estargz());
    let before = unpack(&umoci, &scene.folder.path().join("image"), &scene.folder.path().join("b"));
    assert!(before.contains_key("bin/bash") && before.contains_key("stargz.index.json"));
    let done = scene.harden(&Options::default());
    let after = done.unpacked_by(&umoci);
    assert!(!after.contains_key("bin/bash") && after.contains_key("etc/base"));
    assert_eq!(after, done.view());
}

#[test]
fn the_table_of_zstd_chunked_goes_with_a_change_of_its_layer() {
    let Some(skopeo) = peers::require("skopeo") else { return };
    // skopeo compresses what is not compressed yet.
    let image = Recipe::new()
        .layer_as(Encoding::Plain, |l| l.file("/app", 0o755, contents::program()))
        .layer_as(Encoding::Plain, |l| {
            l.file("/su", 0o4755, contents::program()).file("/data", 0o644, "d")
        });
    let scene = Scene::of(&image.entrypoint(&["/app"]).user("7"));
    let at = |name: &str| format!("oci:{}:it", scene.folder.path().join(name).display());
    run(Command::new(skopeo)
        .args(["copy", "-q", "--dest-compress-format", "zstd:chunked"])
        .args([at("image"), at("chunked")]));
    let folder = scene.folder.path().join("chunked");
    let index = std::fs::read(folder.join("index.json")).expect("a layout");
    let index: Value = serde_json::from_slice(&index).expect("JSON");
    let digest = index["manifests"][0]["digest"].as_str().expect("a digest");
    let source = immut_core::store::Layout::open(&folder).expect("a layout");
    let stage = immut_core::store::Layout::create(&scene.folder.path().join("s")).expect("a stage");
    let pinned = format!("oci:{}@{digest}", folder.display()).parse().expect("a reference");
    let done = immut_core::harden(&pinned, &source, &stage, &Options::default()).expect("hardened");
    let manifest = done.platforms[0].rewritten.manifest.json();
    let annotations = |layer: usize| manifest["layers"][layer]["annotations"].clone();
    // Older skopeos write io.containers, newer ones io.github.containers.
    let vouched = annotations(0).to_string();
    assert!(vouched.contains("containers.zstd-chunked.manifest-checksum"), "{manifest}");
    assert_eq!(annotations(1), Value::Null, "{manifest}");
    let blob = &done.platforms[0].rewritten.manifest.layers()[1];
    let mut bytes = Vec::new();
    let mut content = immut_core::store::Source::open(&stage, blob).expect("a blob");
    std::io::Read::read_to_end(&mut content, &mut bytes).expect("whole");
    // The footer's magic, and the frames that other readers skip.
    assert!(memchr::memmem::find(&bytes, b"GNUlInUx").is_none());
    assert!(memchr::memmem::find(&bytes, &[0x50, 0x2a, 0x4d, 0x18]).is_none());
}

#[test]
fn annotations_about_the_old_layers_go_and_others_stay() {
    let image = Recipe::new()
        .layer(|l| l.file("/app", 0o4755, contents::program()))
        .layer_annotation("io.containers.zstd-chunked.manifest-checksum", "sha256:0")
        .annotation("com.amazon.soci.index-digest", "sha256:0")
        .annotation("org.opencontainers.image.title", "kept");
    let done = Scene::of(&image.user("7")).harden(&Options::default());
    assert_eq!(done.manifest()["layers"][0].get("annotations"), None);
    let annotations = done.manifest()["annotations"].clone();
    assert!(annotations.get("com.amazon.soci.index-digest").is_none(), "{annotations}");
    assert_eq!(annotations["org.opencontainers.image.title"], json!("kept"));
    let skipped = Recipe::new().layer_as(Encoding::ZstdFrames(3), |l| l.file("/su", 0o4755, "x"));
    assert!(Scene::of(&skipped).harden(&Options::default()).hardened.is_changed());
}
