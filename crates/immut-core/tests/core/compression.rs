//! `--compression`: how new layers are compressed.

use immut_core::Options;
use immut_core::image::Compression;
use immut_core::plan::Recoding;
use immut_core::rewrite::LayerOutcome;
use immut_testkit::contents;
use immut_testkit::recipe::{Encoding, LayerRecipe, Recipe};

use crate::common::Scene;

fn recoding(compression: Compression) -> Options {
    let mut options = Options::default();
    options.choices.compression = Recoding::As(compression);
    options
}

fn shell(layer: LayerRecipe) -> LayerRecipe {
    layer.file("/bin/bash", 0o755, contents::bash()).file("/etc/kept", 0o644, "kept")
}

fn app(layer: LayerRecipe) -> LayerRecipe {
    layer.file("/app", 0o755, contents::program())
}

/// A layer with a hit and one without, each encoded so.
fn image(encoding: Encoding) -> Recipe {
    Recipe::new().layer_as(encoding, shell).layer_as(encoding, app).user("7").entrypoint(&["/app"])
}

/// The compression of each layer, by its first bytes and by its media type.
fn compressions(recipe: &Recipe, options: &Options) -> Vec<(Option<Compression>, String)> {
    let done = Scene::of(recipe).harden(options);
    let again = done.again(options);
    assert_eq!(again.digest(), done.hardened.digest(), "hardening twice is hardening once");
    let layers = done.hardened.platforms[0].rewritten.manifest.layers().to_vec();
    let blob = |digest: &immut_core::name::Digest| {
        std::fs::read(done.stage.folder().join("blobs/sha256").join(digest.hex())).expect("a blob")
    };
    let kind = |media_type: &str| media_type.rsplit('.').next().unwrap_or_default().to_owned();
    layers
        .iter()
        .map(|one| (Compression::of_magic(&blob(&one.digest)), kind(&one.media_type)))
        .collect()
}

#[test]
fn new_layers_are_compressed_as_they_were_or_as_is_said() {
    let gzip = || (Some(Compression::Gzip), "tar+gzip".to_owned());
    let zstd = || (Some(Compression::Zstd), "tar+zstd".to_owned());
    let keep = Options::default();
    assert_eq!(compressions(&image(Encoding::Gzip), &keep), [gzip(), gzip()]);
    assert_eq!(compressions(&image(Encoding::Zstd), &keep), [zstd(), zstd()]);
    // A layer without a hit keeps its blob.
    let to_zstd = recoding(Compression::Zstd);
    assert_eq!(compressions(&image(Encoding::Gzip), &to_zstd), [zstd(), gzip()]);
}

#[test]
fn layers_that_are_not_compressed_are_if_that_is_said() {
    let plain = || (Some(Compression::None), "tar".to_owned());
    let gzip = || (Some(Compression::Gzip), "tar+gzip".to_owned());
    let recipe = image(Encoding::Plain);
    assert_eq!(compressions(&recipe, &Options::default()), [plain(), plain()]);
    assert_eq!(compressions(&recipe, &recoding(Compression::Gzip)), [gzip(), gzip()]);
    let done = Scene::of(&recipe).harden(&recoding(Compression::Gzip));
    let kept = Scene::of(&recipe).harden(&Options::default());
    assert!(done.tars() == kept.tars(), "the archives are the same");
    let outcomes = &done.hardened.platforms[0].rewritten.layers;
    assert!(outcomes.iter().all(|one| matches!(one, LayerOutcome::Rewritten(..))), "{outcomes:?}");
}
