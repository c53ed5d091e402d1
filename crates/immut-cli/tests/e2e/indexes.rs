//! Images of several platforms.

use immut_testkit::recipe::{BuiltIndex, IndexRecipe};
use immut_testkit::registry::Registry;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::common::{Run, cosign_says, cosigns, json_file, key, run, small, text};

struct Scene {
    folder: TempDir,
    registry: Registry,
    image: BuiltIndex,
}

impl Scene {
    fn new(extend: impl FnOnce(IndexRecipe) -> IndexRecipe) -> Self {
        let folder = tempdir().expect("a folder");
        let both = IndexRecipe::new().image(&small()).image(&small().platform("linux", "arm64"));
        let image = extend(both).name("latest").write(&folder.path().join("image"));
        key(folder.path(), "k");
        Self { folder, registry: Registry::start(), image }
    }

    fn path(&self, name: &str) -> String {
        text(&self.folder.path().join(name)).to_owned()
    }

    fn harden(&self, more: &[&str]) -> Run {
        let (image, to) = (self.image.reference(), format!("{}/out/app:v1", self.registry.host()));
        let (key, receipt) = (self.path("k.key"), self.path("receipt.json"));
        run(&[&["harden", &image, "--to", &to, "--key", &key, "--receipt", &receipt], more]
            .concat())
    }

    fn published(&self, digest: &str) -> Value {
        let bytes = self.registry.manifest("out/app", digest).expect("published");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    /// The command that `immut` printed, for another digest of the repository.
    fn verified(done: &Run, digest: &str) {
        for cosign in cosigns() {
            cosign_says(&cosign, &done.last().replace(done.digest(), digest)).code(0);
        }
    }
}

/// An index goes through whole, and is signed at both levels.
#[test]
fn both_platforms_are_hardened_and_signed_at_both_levels() {
    let scene = Scene::new(|index| index);
    let done = scene.harden(&[]).code(0);
    let index = scene.published(done.digest());
    let lines = index["manifests"].as_array().expect("an index");
    let platforms: Vec<_> =
        lines.iter().map(|line| line["platform"]["architecture"].clone()).collect();
    assert_eq!(platforms, ["amd64", "arm64"]);
    Scene::verified(&done, done.digest());
    for line in lines {
        Scene::verified(&done, line["digest"].as_str().expect("a digest"));
    }
}

/// A Windows platform is left out, and named on stderr, in the receipt and in the plan.
#[test]
fn a_windows_platform_is_left_out_and_named() {
    let scene = Scene::new(|index| index.image(&small().platform("windows", "amd64")));
    let done = scene.harden(&[]).code(0).says(&["left out windows/amd64 is a Windows image"]);
    let index = scene.published(done.digest());
    assert_eq!(index["manifests"].as_array().map(Vec::len), Some(2));
    let receipt = json_file(scene.path("receipt.json").as_ref());
    assert_eq!(receipt["leftOut"][0]["what"], "windows/amd64");
    assert_eq!(receipt["platforms"].as_array().map(Vec::len), Some(2));
    let planned = run(&["plan", &scene.image.reference()]).code(0);
    planned.says(&["left out windows/amd64"]);
    let planned = run(&["plan", &scene.image.reference(), "--format", "json"]).code(0);
    let planned: Value = serde_json::from_str(&planned.stdout).expect("JSON");
    assert_eq!(planned["leftOut"][0]["what"], "windows/amd64");
    scene.harden(&["--platform", "windows/amd64"]).code(3).says(&["Windows"]);
}

/// `--platform` picks one, and its manifest is the product.
#[test]
fn one_platform_that_was_asked_for_is_published_as_a_manifest() {
    let scene = Scene::new(|index| index);
    let done = scene.harden(&["--platform", "linux/arm64"]).code(0);
    let manifest = scene.published(done.digest());
    assert!(manifest["manifests"].is_null() && manifest["layers"].is_array(), "{manifest}");
    let receipt = json_file(scene.path("receipt.json").as_ref());
    assert_eq!(receipt["platforms"][0]["platform"], "linux/arm64");
    assert_eq!(receipt["platforms"].as_array().map(Vec::len), Some(1));
    Scene::verified(&done, done.digest());
    scene
        .harden(&["--platform", "linux/s390x"])
        .code(3)
        .says(&["linux/s390x is not in this image"]);
}
