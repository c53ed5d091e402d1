//! Invariant 2: contents stream. Memory is counted for a whole process, so each image gets one.

use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use immut_core::Options;
use immut_core::image::{Descriptor, RawManifest};
use immut_core::name::Digest;
use immut_core::plan::Layering;
use immut_core::store::{self, Layout};
use immut_testkit::recipe::{LayerRecipe, Recipe};
use serde_json::json;

use super::{app, bash};
use crate::common::{Scene, child_image};

/// What a child that hardens an image tells of itself: its peak memory in KiB, and how many entries it
/// removed.
fn run(scene: &Scene) -> (u64, usize) {
    run_with(scene, Layering::Preserve)
}

fn run_with(scene: &Scene, layering: Layering) -> (u64, usize) {
    let image = scene.folder.path().join("image");
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["--ignored", "--exact", "--nocapture", "invariants::memory::child_that_hardens"])
        .env("IMMUT_TEST_LAYERS", format!("{layering:?}"))
        .env("IMMUT_TEST_IMAGE", format!("{}@{}", image.display(), scene.digest))
        .output()
        .expect("a child");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let line = told.lines().find_map(|line| line.strip_prefix("peak KiB and removed: "));
    let (peak, removed) = line.and_then(|line| line.split_once(' ')).expect("two numbers");
    (peak.parse().expect("a number"), removed.parse().expect("a number"))
}

#[test]
#[ignore = "a child of the tests of memory"]
fn child_that_hardens() {
    let Some(image) = child_image() else { return };
    let (folder, digest) = image.split_once('@').expect("a reference");
    let source = Layout::open(Path::new(folder)).expect("a layout");
    let stage = Layout::create(&Path::new(folder).with_file_name("stage")).expect("a stage");
    let pinned = format!("oci:{folder}@{digest}").parse().expect("a reference");
    let mut options = Options { jobs: 2, ..Options::default() };
    options.choices.layering = match std::env::var("IMMUT_TEST_LAYERS").as_deref() {
        Ok("Squash") => Layering::Squash,
        Ok("Package") => Layering::Package,
        _ => Layering::Preserve,
    };
    let hardened = immut_core::harden(&pinned, &source, &stage, &options).expect("hardened");
    assert!(hardened.is_changed());
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let removed = hardened.platforms[0].removed.len();
    println!("\npeak KiB and removed: {} {removed}", peak.trim().trim_end_matches(" kB"));
}

/// An image with one large file in a layer that has a hit, written without holding it.
fn large(megabytes: u64) -> Scene {
    let scene = Scene::of(&Recipe::new().layer(app));
    let folder = scene.folder.path().join("image");
    let layout = Layout::open(&folder).expect("a layout");
    let mut tar = Hashing::new(flate2::write::GzEncoder::new(
        Hashing::new(layout.scratch().expect("a file")),
        flate2::Compression::fast(),
    ));
    let mut header = tar::Header::new_ustar();
    header.set_path("su").expect("a name");
    header.set_mode(0o4755);
    header.set_size(megabytes << 20);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    tar.write_all(header.as_bytes()).expect("written");
    let mut state = 1_u64;
    let piece: Vec<u8> = (0..1 << 20_u32)
        .map(|byte: u32| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // One page in 16 does not compress.
            if (byte / 4096).is_multiple_of(16) { (state >> 56) as u8 } else { 0 }
        })
        .collect();
    for _ in 0..megabytes {
        tar.write_all(&piece).expect("written");
    }
    tar.write_all(&[0; 1024]).expect("written");
    let diff_id = tar.digest();
    let blob = tar.inner.finish().expect("written");
    let (digest, size) = (blob.digest(), blob.size);
    layout.keep(blob.inner, &digest).expect("kept");
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": { "Entrypoint": ["/su"] },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
    });
    let config =
        layout.add("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let layer = Descriptor {
        media_type: "application/vnd.oci.image.layer.v1.tar+gzip".into(),
        digest,
        size,
    };
    let manifest = RawManifest::from_json(&json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config.expect("added"), "layers": [layer],
    }));
    store::Sink::put_manifest(&layout, &manifest).expect("put");
    Scene { digest: manifest.descriptor().digest, ..scene }
}

struct Hashing<W> {
    inner: W,
    hasher: sha2::Sha256,
    size: u64,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, hasher: sha2::Digest::new(), size: 0 }
    }

    fn digest(&self) -> Digest {
        Digest::finish(self.hasher.clone())
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        sha2::Digest::update(&mut self.hasher, &bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

const MOST: u64 = 64 << 10;

#[test]
fn invariant_2_memory_does_not_depend_on_bytes() {
    let (small, big) = (run(&large(8)).0, run(&large(300)).0);
    println!("8 MB: {small} KiB, 300 MB: {big} KiB");
    assert!(big < MOST, "{big} KiB for 300 MB");
    assert!(big < small + 4096, "{small} KiB for 8 MB, {big} KiB for 300 MB");
}

#[test]
fn invariant_2_memory_for_50_000_entries_is_bounded() {
    // A fifth of them lies under files of the second layer, and goes as both layers are written anew.
    let files = |layer: usize, from: usize| {
        move |l: LayerRecipe| {
            (from..from + 25_000).fold(l, |l, n| {
                let name = format!("/usr/share/doc/folder-{}/file-{n}", n / 50);
                l.file(name, 0o644, format!("{layer}-{n}"))
            })
        }
    };
    let recipe = Recipe::new().layer(|l| bash(files(1, 0)(l))).layer(|l| app(files(2, 15_000)(l)));
    let recipe = recipe.entrypoint(&["/app"]);
    for layering in [Layering::Preserve, Layering::Squash, Layering::Package] {
        let (peak, removed) = run_with(&Scene::of(&recipe), layering);
        println!("{layering:?}: {peak} KiB for 50,000 entries, of which {removed} go");
        // Registries and the program itself need some of the 64 MiB, too.
        assert!(peak < MOST - (16 << 10), "{peak} KiB");
        assert!(removed > 10_000, "{removed}");
    }
}
