//! Indexes: all platforms or none, attestations, what is no Linux image.

use immut_core::{Error, Hardened, Options};
use immut_testkit::contents;
use immut_testkit::recipe::{IndexRecipe, Recipe};
use serde_json::{Value, json};

use crate::common::{Done, Scene};

pub(crate) fn linux(architecture: &str) -> Recipe {
    let app = Recipe::new()
        .layer(|l| l.file("/app", 0o755, contents::elf(&[architecture])))
        .entrypoint(&["/app"]);
    app.layer(|l| l.file("/bin/bash", 0o755, contents::bash())).platform("linux", architecture)
}

pub(crate) fn clean(architecture: &str) -> Recipe {
    let app =
        Recipe::new().layer(|l| l.file("/app", 0o755, contents::program())).entrypoint(&["/app"]);
    app.user("7").platform("linux", architecture)
}

pub(crate) fn windows() -> Recipe {
    Recipe::new().layer(|l| l.file("/Files/x", 0o644, "x")).platform("windows", "amd64")
}

pub(crate) fn harden(index: &IndexRecipe) -> Done {
    Scene::of_index(index).harden(&Options::default())
}

pub(crate) fn lines(hardened: &Hardened) -> Vec<Value> {
    let json: Value = serde_json::from_slice(&hardened.result.bytes).expect("JSON");
    json["manifests"].as_array().expect("an index").clone()
}

#[test]
fn two_platforms_go_through_whole() {
    let index =
        IndexRecipe::new().image(&linux("amd64")).image(&linux("arm64")).annotation("a", "b");
    let done = harden(&index);
    let json: Value = serde_json::from_slice(&done.hardened.result.bytes).expect("JSON");
    assert_eq!(json["annotations"]["a"], "b");
    assert_eq!(lines(&done.hardened).len(), 2);
    for (line, one) in lines(&done.hardened).iter().zip(&done.hardened.platforms) {
        assert_eq!(line["digest"], one.rewritten.manifest.digest().to_string());
        assert_eq!(line["platform"]["architecture"], one.platform.architecture);
        assert_eq!(one.rewritten.config.user(), "65532:65532");
    }
    assert!(!done.again(&Options::default()).is_changed());
}

#[test]
fn windows_beside_them_is_left_out_and_named() {
    let done =
        harden(&IndexRecipe::new().image(&linux("amd64")).image(&windows()).image(&linux("arm64")));
    assert_eq!(lines(&done.hardened).len(), 2);
    let left: Vec<&str> = done.hardened.left_out.iter().map(|one| one.what.as_str()).collect();
    assert_eq!(left, ["windows/amd64"]);
}

#[test]
fn windows_alone_is_refused() {
    for scene in [Scene::of(&windows()), Scene::of_index(&IndexRecipe::new().image(&windows()))] {
        let error = scene.try_harden(&Options::default()).err().expect("refused");
        assert!(matches!(error, Error::NoPlatform { .. }), "{error:?}");
        assert!(error.to_string().contains("windows/amd64 is a Windows image"), "{error}");
    }
}

#[test]
fn a_platform_that_was_asked_for_has_to_be_there() {
    let index = IndexRecipe::new().image(&linux("amd64")).image(&windows());
    for (platform, reason) in [
        ("windows/amd64", "is a Windows image"),
        ("linux/s390x", "is not in this image; it has linux/amd64, windows/amd64"),
    ] {
        let options = Options {
            platforms: vec![platform.parse().expect("a platform")],
            ..Options::default()
        };
        let error =
            Scene::of_index(&index).try_harden(&options).err().expect("refused").to_string();
        assert!(error.contains(platform) && error.contains(reason), "{error}");
    }
}

#[test]
fn one_platform_gives_a_manifest_and_several_an_index() {
    let index =
        IndexRecipe::new().image(&linux("amd64")).image(&linux("arm64")).image(&linux("s390x"));
    let harden = |platforms: &[&str]| {
        let platforms = platforms.iter().map(|text| text.parse().expect("a platform")).collect();
        Scene::of_index(&index).harden(&Options { platforms, ..Options::default() }).hardened
    };
    let one = harden(&["linux/arm64"]);
    assert_eq!(one.digest(), one.platforms[0].rewritten.manifest.digest());
    assert_eq!(lines(&harden(&["linux/arm64", "linux/amd64"])).len(), 2);
}

#[test]
fn one_conflict_refuses_the_whole() {
    let script = Recipe::new()
        .layer(|l| l.file("/bin/bash", 0o755, contents::bash()).file("/s", 0o755, "#!/bin/bash\n"));
    let index = IndexRecipe::new()
        .image(&linux("amd64"))
        .image(&script.entrypoint(&["/s"]).platform("linux", "arm64"));
    let error = Scene::of_index(&index).try_harden(&Options::default()).err();
    let Some(Error::Conflicts(refused)) = error else { panic!("{error:?}") };
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].platform.to_string(), "linux/arm64");
}

#[test]
fn attestations_stay_with_what_is_unchanged() {
    let index = IndexRecipe::new()
        .image(&linux("amd64"))
        .image(&clean("arm64"))
        .attestation(0)
        .attestation(1);
    let done = harden(&index);
    let about: Vec<Value> = lines(&done.hardened)
        .iter()
        .filter_map(|line| line["annotations"].get("vnd.docker.reference.digest").cloned())
        .collect();
    let unchanged = done.hardened.platforms[1].source.digest.to_string();
    assert_eq!(about, [json!(unchanged)]);
    let left: Vec<&str> = done.hardened.left_out.iter().map(|one| one.reason.as_str()).collect();
    let changed = done.hardened.platforms[0].source.digest;
    assert_eq!(left, [format!("is an attestation about {changed}, which was changed")]);
    assert!(!done.again(&Options::default()).is_changed());
}

#[test]
fn an_index_with_nothing_to_do_keeps_its_digest() {
    let done =
        harden(&IndexRecipe::new().image(&clean("amd64")).image(&clean("arm64")).attestation(1));
    assert!(!done.hardened.is_changed());
}

#[test]
fn a_docker_list_stays_one() {
    let list =
        IndexRecipe::new().docker().image(&linux("amd64").docker()).image(&linux("arm64").docker());
    let done = harden(&list);
    assert_eq!(
        done.hardened.result.media_type,
        "application/vnd.docker.distribution.manifest.list.v2+json"
    );
    for line in lines(&done.hardened) {
        assert_eq!(line["mediaType"], "application/vnd.docker.distribution.manifest.v2+json");
    }
}
