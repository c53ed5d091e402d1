//! What hardening costs, step by step: `cargo bench -p immut-core`. `scripts/bench` compares it with
//! other programs.

use std::io::Write as _;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use immut_core::image::{Manifest, RawManifest, RuntimeConfig};
use immut_core::inventory::{Inventory, Limits, Reading, Subject};
use immut_core::progress::Silent;
use immut_core::rules::{Catalog, examine};
use immut_core::store::{Layout, Source};
use immut_core::{Options, harden};
use immut_testkit::contents;
use immut_testkit::recipe::{Built, Encoding, LayerRecipe, Recipe};
use tempfile::TempDir;

fn main() {
    divan::main();
}

/// An image in a layout.
struct Scene {
    folder: TempDir,
    built: Built,
}

impl Scene {
    fn of(recipe: &Recipe) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let built = recipe.write(&folder.path().join("image"));
        Self { folder, built }
    }

    /// 2000 files of 16 KB in one layer, half of them text, with a shell in their midst.
    fn large_layer(encoding: Encoding) -> Self {
        let add = |l: LayerRecipe, number: u32| match number {
            1000 => l.file("/bin/bash", 0o755, contents::bash()),
            _ => l.file(format!("/data/{number}"), 0o644, content(number)),
        };
        let tar = (0..2000).fold(LayerRecipe::new(), add).into_tar();
        let app = Recipe::new().layer(|l| l.file("/app", 0o755, "x")).user("1000");
        Self::of(&app.tar_layer(encoding, tar).entrypoint(&["/app"]))
    }

    /// 50,000 small files in two layers that are not compressed; half of them replace others.
    fn many_entries() -> Self {
        let files = |l: LayerRecipe, from: u32| {
            (from..from + 25_000).fold(l, |l, n| {
                let (path, mode) = (format!("/data/{}/{n}", n % 500), 0o644 | (n % 2) << 11);
                l.file(path, mode, n.to_le_bytes())
            })
        };
        let plain = Encoding::Plain;
        let recipe = Recipe::new().layer_as(plain, |l| files(l, 0));
        Self::of(&recipe.layer_as(plain, |l| files(l, 12_500)))
    }

    fn size(&self) -> usize {
        self.built.layers.iter().map(|layer| layer.tar.len()).sum()
    }

    fn source(&self) -> Layout {
        Layout::open(&self.built.path).expect("a layout")
    }

    fn harden(&self, options: &Options) {
        let stage = self.folder.path().join("stage");
        let layout = Layout::create(&stage).expect("a stage");
        let reference = self.built.reference().parse().expect("a reference");
        let hardened = harden(&reference, &self.source(), &layout, options);
        black_box(hardened.expect("hardened"));
        std::fs::remove_dir_all(stage).expect("removed");
    }

    fn documents(&self) -> (Manifest, RuntimeConfig) {
        let media_type = "application/vnd.oci.image.manifest.v1+json".to_owned();
        let raw = RawManifest { media_type, bytes: self.built.manifest.clone() };
        let manifest = Manifest::parse(raw).expect("a manifest");
        let config = RuntimeConfig::parse(&self.built.config).expect("a config");
        (manifest, config)
    }

    fn read(&self, catalog: &Catalog) -> Inventory {
        let (manifest, config) = self.documents();
        let reading = Reading {
            sought: catalog.sought(),
            limits: &Limits::default(),
            jobs: 1,
            progress: &Silent,
            platform: None,
            folder: None,
        };
        let source: &dyn Source = &self.source();
        Inventory::read(&manifest, &config, source, None, reading).expect("an inventory")
    }
}

/// Text that compresses, or noise that does not.
fn content(number: u32) -> Vec<u8> {
    let mut state = number;
    let mut content = Vec::new();
    while content.len() < 16_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if number.is_multiple_of(2) {
            writeln!(content, "line {} of a file with words", state >> 20).expect("written");
        } else {
            content.push((state >> 24) as u8);
        }
    }
    content
}

#[divan::bench(args = [Encoding::Gzip, Encoding::ZstdFrames(200)], sample_count = 10)]
fn harden_a_large_layer_by_copying(bencher: Bencher<'_, '_>, encoding: Encoding) {
    let scene = Scene::large_layer(encoding);
    let bencher = bencher.counter(BytesCount::new(scene.size()));
    bencher.bench_local(|| scene.harden(&Options::default()));
}

#[divan::bench(args = [Encoding::Gzip, Encoding::ZstdFrames(200)], sample_count = 10)]
fn harden_a_large_layer_by_compressing(bencher: Bencher<'_, '_>, encoding: Encoding) {
    let scene = Scene::large_layer(encoding);
    let options = Options { recompress: true, ..Options::default() };
    let bencher = bencher.counter(BytesCount::new(scene.size()));
    bencher.bench_local(|| scene.harden(&options));
}

#[divan::bench(sample_count = 10)]
fn merge_50_000_entries(bencher: Bencher<'_, '_>) {
    let (scene, catalog) = (Scene::many_entries(), Catalog::builtin());
    bencher.bench_local(|| black_box(scene.read(&catalog)));
}

#[divan::bench(sample_count = 10)]
fn examine_50_000_entries(bencher: Bencher<'_, '_>) {
    let (scene, catalog) = (Scene::many_entries(), Catalog::builtin());
    let (manifest, config) = scene.documents();
    let inventory = scene.read(&catalog);
    let subject = Subject { manifest: &manifest, config: &config, inventory: &inventory };
    bencher.bench_local(|| black_box(examine(&catalog, &subject)));
}
