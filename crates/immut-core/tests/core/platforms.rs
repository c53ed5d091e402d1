//! One platform of an index, copied alone: found as `harden` finds it, and taken as it is.

use immut_core::image::Platform;
use immut_core::progress::Silent;
use immut_core::store::Layout;
use immut_core::{Copying, copy};
use immut_testkit::recipe::{Fault, IndexRecipe, Recipe};

use crate::common::Scene;
use crate::index::{clean, linux, windows};
use crate::kinds::without_platform;
use crate::nested::lose;

/// The digest of the copy, or what was said instead.
fn copied(scene: &Scene, asked: &str) -> Result<String, String> {
    let to = Layout::create(&scene.folder.path().join("out")).expect("a layout");
    let platform: Platform = asked.parse().expect("a platform");
    let platform = Some(&platform);
    let how =
        Copying { to: &to, tags: &[], platform, all_referrers: false, jobs: 1, progress: &Silent };
    let copied = copy(&scene.digest, &scene.source(), &how).map_err(|error| error.to_string())?;
    Ok(copied.reference.digest.to_string())
}

/// The copy is that image.
fn is_copied(index: &IndexRecipe, asked: &str, image: &Recipe) {
    assert_eq!(copied(&Scene::of_index(index), asked), Ok(image.build().digest));
}

#[test]
fn a_platform_in_an_inner_index_is_copied() {
    let inner = IndexRecipe::new().image(&linux("arm64")).image(&linux("s390x"));
    let index = IndexRecipe::new().image(&linux("amd64")).nested(&inner).attestation(0);
    is_copied(&index, "linux/s390x", &linux("s390x"));
    let told = copied(&Scene::of_index(&index), "linux/arm/v7").expect_err("not there");
    assert!(told.ends_with("it has linux/amd64, linux/arm64, linux/s390x"), "{told}");
}

#[test]
fn a_line_without_a_platform_is_that_of_its_config() {
    let index = without_platform(IndexRecipe::new(), &linux("arm64"));
    let index = without_platform(index, &windows());
    is_copied(&index, "linux/arm64", &linux("arm64"));
    is_copied(&index, "windows/amd64", &windows());
    let told = copied(&Scene::of_index(&index), "linux/amd64").expect_err("not there");
    assert!(told.ends_with("is not in this image; it has linux/arm64, windows/amd64"), "{told}");
}

#[test]
fn a_platform_without_a_system_says_nothing() {
    let index = IndexRecipe::new()
        .image_with(&linux("arm64"), |line| line["platform"]["os"] = "".into())
        .image_with(&linux("amd64"), |line| line["platform"]["os"] = "unknown".into());
    is_copied(&index, "linux/arm64", &linux("arm64"));
    is_copied(&index, "linux/amd64", &linux("amd64"));
}

#[test]
fn an_index_of_nothing_has_no_platforms() {
    let told = copied(&Scene::of_index(&IndexRecipe::new()), "linux/amd64").expect_err("empty");
    assert!(told.ends_with("is not in this image, which has no platforms"), "{told}");
}

#[test]
fn a_manifest_that_is_named_twice_is_one_manifest() {
    let index = IndexRecipe::new().image(&clean("amd64")).image(&clean("amd64"));
    is_copied(&index.clone().nested(&index), "linux/amd64", &clean("amd64"));
}

#[test]
fn what_is_copied_may_be_no_image_that_is_hardened() {
    let wasm = Recipe::artifact(None, "application/vnd.wasm.config.v0+json", "application/wasm");
    let index = IndexRecipe::new().image(&linux("amd64")).image_with(&wasm, |line| {
        line["platform"] = serde_json::json!({ "os": "wasi", "architecture": "wasm" });
    });
    let index = index.blob(b"{}");
    is_copied(&index, "wasi/wasm", &wasm);
    let encrypted = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted";
    let encrypted = linux("arm64").fault(Fault::MediaType(encrypted.into()));
    is_copied(&IndexRecipe::new().image(&encrypted), "linux/arm64", &encrypted);
}

#[test]
fn a_platform_that_a_partial_copy_lacks_is_named() {
    let scene = Scene::of_index(&IndexRecipe::new().image(&linux("amd64")).image(&linux("arm64")));
    lose(&scene, &linux("arm64").build().digest);
    let told = copied(&scene, "linux/arm64").expect_err("not there");
    let said = "platform linux/arm64 is named by the index, but its manifest is not in oci:";
    assert!(told.starts_with(said), "{told}");
    assert_eq!(copied(&scene, "linux/amd64"), Ok(linux("amd64").build().digest));
}
