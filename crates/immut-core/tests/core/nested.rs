//! Indexes inside indexes, manifests that are named twice, and copies that are not whole.

use std::fs;

use immut_core::{Hardened, Options};
use immut_testkit::recipe::{IndexRecipe, Recipe};
use serde_json::Value;

use crate::common::{Done, Scene};
use crate::index::{clean, harden, lines, linux, windows};

fn left_out(hardened: &Hardened) -> Vec<String> {
    hardened.left_out.iter().map(|one| format!("{} {}", one.what, one.reason)).collect()
}

fn told(scene: Scene, options: &Options) -> String {
    scene.try_harden(options).err().expect("refused").to_string()
}

fn only(platforms: &[&str]) -> Options {
    let platforms = platforms.iter().map(|text| text.parse().expect("a platform")).collect();
    Options { platforms, ..Options::default() }
}

/// A document of the stage.
fn document(done: &Done, digest: &Value) -> Value {
    let hex = digest.as_str().and_then(|digest| digest.strip_prefix("sha256:")).expect("a digest");
    let bytes = fs::read(done.stage.folder().join("blobs/sha256").join(hex)).expect("a blob");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// Takes the blob with that digest away, as a partial copy does.
pub(crate) fn lose(scene: &Scene, digest: &str) {
    let hex = digest.strip_prefix("sha256:").expect("a digest");
    fs::remove_file(scene.folder.path().join("image/blobs/sha256").join(hex)).expect("there");
}

#[test]
fn an_index_inside_an_index_is_brought_up_to_date_in_its_place() {
    let inner = IndexRecipe::new().image(&linux("amd64")).annotation("which", "inner");
    let untouched = IndexRecipe::new().image(&clean("arm64")).attestation(0);
    let index = IndexRecipe::new()
        .nested(&inner)
        .nested(&untouched)
        .image(&linux("s390x"))
        .annotation("which", "outer");
    let done = harden(&index);
    assert_eq!(done.hardened.platforms.len(), 3);
    assert_eq!(left_out(&done.hardened), [] as [String; 0]);
    let lines = lines(&done.hardened);
    assert_eq!(lines.len(), 3);
    let new = document(&done, &lines[0]["digest"]);
    assert_eq!(new["annotations"]["which"], "inner");
    let amd64 = &done.hardened.platforms[0].rewritten.manifest;
    assert_eq!(new["manifests"][0]["digest"], amd64.digest().to_string());
    assert_eq!(lines[0]["size"], new.to_string().len());
    assert_eq!(lines[1]["digest"], untouched.build().digest);
    assert_eq!(lines[1], serde_json::json!(untouched.build().descriptor));
    assert!(!done.again(&Options::default()).is_changed());
}

#[test]
fn a_nested_index_goes_out_before_what_names_it() {
    use immut_core::progress::Silent;
    use immut_core::store::Layout;
    use immut_core::{Publication, publish, trust};
    let index = IndexRecipe::new().nested(&IndexRecipe::new().image(&linux("amd64")));
    let done = harden(&index);
    let to = Layout::create(&done.scene.folder.path().join("out")).expect("a layout");
    let signing = trust::Options::default();
    let (tags, progress) = (["it".to_owned()], &Silent);
    let how =
        Publication { to: &to, signer: None, signing: &signing, tags: &tags, jobs: 1, progress };
    publish(&done.hardened, &done.stage, &how).expect("published");
    // Everything that the result names is there: it can be hardened from there.
    let pinned = format!("oci:{}@{}", to.folder().display(), done.hardened.digest());
    let stage = Layout::create(&done.scene.folder.path().join("third")).expect("a stage");
    let pinned = pinned.parse().expect("a reference");
    let again = immut_core::harden(&pinned, &to, &stage, &Options::default()).expect("whole");
    assert!(!again.is_changed());
}

#[test]
fn an_index_whose_inner_ones_have_nothing_to_do_keeps_its_digest() {
    let inner = IndexRecipe::new().image(&clean("amd64")).attestation(0);
    let done = harden(&IndexRecipe::new().nested(&inner).image(&clean("arm64")));
    assert!(!done.hardened.is_changed());
}

#[test]
fn an_inner_index_with_nothing_left_goes() {
    let inner = IndexRecipe::new().image(&windows());
    let done = harden(&IndexRecipe::new().nested(&inner).image(&linux("amd64")));
    assert_eq!(lines(&done.hardened).len(), 1);
    assert!(left_out(&done.hardened)[0].starts_with("windows/amd64 is a Windows image"));
}

#[test]
fn a_platform_is_found_in_an_inner_index() {
    let inner = IndexRecipe::new().image(&linux("amd64")).image(&linux("arm64"));
    let done = Scene::of_index(&IndexRecipe::new().nested(&inner)).harden(&only(&["linux/arm64"]));
    let [one] = &done.hardened.platforms[..] else { panic!("one platform") };
    assert_eq!(done.hardened.digest(), one.rewritten.manifest.digest());
}

#[test]
fn a_tower_of_indexes_is_refused() {
    let tower = |floors: usize| {
        (0..floors).fold(IndexRecipe::new().image(&linux("amd64")), |inner, _| {
            IndexRecipe::new().nested(&inner)
        })
    };
    assert_eq!(harden(&tower(4)).hardened.platforms.len(), 1);
    let told = told(Scene::of_index(&tower(5)), &Options::default());
    assert!(told.contains("more than 4 indexes are nested"), "{told}");
}

#[test]
fn indexes_that_name_the_same_again_and_again_are_read_once() {
    let twenty = |inner: &IndexRecipe| (0..20).fold(IndexRecipe::new(), |all, _| all.nested(inner));
    let inner = IndexRecipe::new().image(&linux("amd64")).image(&linux("amd64"));
    let done = harden(&twenty(&twenty(&twenty(&inner))));
    assert_eq!(done.hardened.platforms.len(), 1);
    assert_eq!(lines(&done.hardened).len(), 20);
}

#[test]
fn a_manifest_for_two_platforms_is_worked_on_once_and_serves_both() {
    let index = IndexRecipe::new()
        .image(&linux("amd64"))
        .image_with(&linux("amd64"), |line| line["platform"]["architecture"] = "arm64".into());
    let done = harden(&index);
    assert_eq!(done.hardened.platforms.len(), 1);
    let new = done.hardened.platforms[0].rewritten.manifest.digest().to_string();
    assert_eq!(lines(&done.hardened).len(), 2);
    assert!(lines(&done.hardened).iter().all(|line| line["digest"] == new));
    let one = Scene::of_index(&index).harden(&only(&["linux/arm64"]));
    assert_eq!(one.hardened.digest().to_string(), new);
    let both = Scene::of_index(&index).harden(&only(&["linux/amd64", "linux/arm64"]));
    assert_eq!(both.hardened.digest(), done.hardened.digest());
}

#[test]
fn several_images_of_one_platform_are_all_hardened() {
    let other = linux("amd64").label("which", "other");
    let index = IndexRecipe::new().image(&linux("amd64")).image(&other).image(&linux("arm64"));
    assert_eq!(harden(&index).hardened.platforms.len(), 3);
    let both = Scene::of_index(&index).harden(&only(&["linux/amd64"]));
    assert_eq!(lines(&both.hardened).len(), 2);
}

#[test]
fn a_line_without_a_platform_has_that_of_its_config() {
    let silent = |recipe: &Recipe, index: IndexRecipe| {
        index.image_with(recipe, |line| {
            line.as_object_mut().expect("a line").remove("platform");
        })
    };
    let index = silent(&linux("amd64"), silent(&linux("arm64"), IndexRecipe::new()));
    let done = Scene::of_index(&index).harden(&only(&["linux/amd64"]));
    let [one] = &done.hardened.platforms[..] else { panic!("one platform") };
    assert_eq!(one.platform.to_string(), "linux/amd64");
    assert_eq!(done.hardened.digest(), one.rewritten.manifest.digest());
    let told = told(Scene::of_index(&index), &only(&["linux/s390x"]));
    assert!(told.contains("it has linux/arm64, linux/amd64"), "{told}");
    let windows = silent(&windows(), silent(&linux("arm64"), IndexRecipe::new()));
    assert!(left_out(&harden(&windows).hardened)[0].starts_with("windows/amd64"));
}

#[test]
fn what_a_partial_copy_lacks_is_left_out_and_named() {
    for lost in ["manifest", "config"] {
        let index = IndexRecipe::new().image(&linux("amd64")).image(&linux("arm64"));
        let scene = || {
            let scene = Scene::of_index(&index);
            let arm64 = linux("arm64").build();
            let config = immut_testkit::recipe::digest_of(&arm64.config);
            lose(&scene, if lost == "manifest" { &arm64.digest } else { &config });
            scene
        };
        let done = scene().harden(&Options::default());
        assert_eq!(lines(&done.hardened).len(), 1);
        let said = format!("linux/arm64 is named by the index, but its {lost} is not in oci:");
        assert!(left_out(&done.hardened)[0].starts_with(&said), "{:?}", done.hardened.left_out);
        let told = told(scene(), &only(&["linux/arm64"]));
        assert!(told.contains(&said), "{told}");
        assert!(!done.again(&Options::default()).is_changed());
    }
}

#[test]
fn an_attestation_that_a_partial_copy_lacks_is_left_out() {
    let index = IndexRecipe::new().image(&clean("amd64")).attestation(0);
    let scene = Scene::of_index(&index);
    let json: Value = serde_json::from_slice(&index.build().index).expect("JSON");
    lose(&scene, json["manifests"][1]["digest"].as_str().expect("a digest"));
    let done = scene.harden(&Options::default());
    assert_eq!(lines(&done.hardened).len(), 1);
    let left = left_out(&done.hardened);
    assert!(left[0].contains("is an attestation about") && left[0].contains("partial"), "{left:?}");
}

#[test]
fn a_layer_that_is_missing_is_named_by_its_number() {
    let image = linux("amd64");
    let scene = Scene::of(&image);
    lose(&scene, image.build().layers[1].descriptor["digest"].as_str().expect("a digest"));
    let told = told(scene, &Options::default());
    assert!(told.contains("layer 2 (sha256:") && told.contains("is not in oci:"), "{told}");
}

#[test]
fn a_line_that_changes_keeps_nothing_of_the_old_content() {
    let index = IndexRecipe::new().image_with(&linux("amd64"), |line| {
        line["data"] = "eyJvbGQiOnRydWV9".into();
        line["urls"] = serde_json::json!(["https://example.com/old"]);
        line["annotations"] = serde_json::json!({ "a": "b" });
    });
    let done = harden(&index);
    let line = &lines(&done.hardened)[0];
    assert!(line.get("data").is_none() && line.get("urls").is_none(), "{line}");
    assert_eq!(line["annotations"]["a"], "b");
}
