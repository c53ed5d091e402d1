//! `immut copy`, judged by docker-registry, crane, skopeo, cosign 2 and 3.

use immut_testkit::peers;
use immut_testkit::recipe::{Fault, IndexRecipe};
use immut_testkit::registry::Registry;
use tempfile::tempdir;

use crate::common::{
    DockerRegistry, cosign_says, cosigns, key, must, peer, registry, run, small, text,
};

/// The requests of a repository that write.
fn writes(registry: &DockerRegistry, repository: &str, from: usize) -> Vec<(String, String, u16)> {
    let log = registry.log().split_off(from);
    let reads = ["GET", "HEAD"];
    let written = |(method, target, _): &(String, String, u16)| {
        target.contains(repository) && !reads.contains(&method.as_str())
    };
    log.into_iter().filter(written).collect()
}

/// An index goes from a layout to a registry, to another repository and back, and
/// programs of others find nothing wrong with it; the second time nothing is written.
#[test]
fn an_index_goes_round_and_stays_the_same() {
    let (Some(registry), Some(crane)) = (registry(), peers::require("crane")) else { return };
    let Some(skopeo) = peers::require("skopeo") else { return };
    let folder = tempdir().expect("a folder");
    let arm = small().platform("linux", "arm64").label("a", "b");
    let index = IndexRecipe::new().image(&small()).image(&arm).name("v1");
    let image = index.write(&folder.path().join("image"));
    let at = |repository: &str| format!("{}/copies/{repository}", registry.host);

    let layout = format!("oci:{}:v1", text(&folder.path().join("image")));
    let first = run(&["copy", &layout, &at("one"), "--tag", "v1", "--tag", "latest"]).code(0);
    assert_eq!(first.line(), format!("{}@{}", at("one"), image.digest));
    let first = first.says(&["names sha256:", "copied", "tagged v1", "tagged latest"]);
    let second = run(&["copy", first.line(), &format!("{}:v2", at("two"))]).code(0);
    second.says(&["mounted", "tagged v2"]);
    for (repository, tag) in [("one", "latest"), ("two", "v2")] {
        let name = format!("{}:{tag}", at(repository));
        assert_eq!(must(&crane, &["digest", "--insecure", &name]).trim(), image.digest);
        must(&crane, &["validate", "--insecure", "--remote", &name]);
        let seen = must(&skopeo, &["inspect", "--tls-verify=false", &format!("docker://{name}")]);
        assert!(seen.contains(&image.digest), "{seen}");
    }

    let back = format!("oci:{}", text(&folder.path().join("back")));
    let copied = run(&["copy", &format!("{}:v2", at("two")), &back]).code(0).says(&["tagged v2"]);
    assert_eq!(copied.line(), format!("{back}@{}", image.digest));
    must(&skopeo, &["inspect", "--raw", &format!("{back}:v2")]);

    let log = registry.log().len();
    let again = run(&["copy", &layout, &at("one"), "--tag", "v1"]).code(0);
    again.says(&["there already", "tag v1 named it already"]);
    assert_eq!(writes(registry, "copies/one", log), []);
}

/// Signatures go along when that is asked for, and cosign 2 and 3 accept the copy.
#[test]
fn cosign_accepts_the_copy_with_all_its_referrers() {
    let Some(registry) = registry() else { return };
    let folder = tempdir().expect("a folder");
    let arm = small().platform("linux", "arm64").label("a", "b");
    let image = IndexRecipe::new().image(&small()).image(&arm).name("v1");
    let image = image.write(&folder.path().join("image")).reference();
    let key = key(folder.path(), "k");
    let at = |repository: &str| format!("{}/signed/{repository}", registry.host);
    let made = run(&["harden", &image, "--to", &at("from"), "--key", text(&key)]).code(0);

    let without = run(&["copy", made.line(), &at("bare")]).code(0);
    let without = without
        .says(&["2 signatures or other manifests about it are not copied", "--all-referrers"]);
    let public = key.with_extension("pub");
    run(&["verify", without.line(), "--key", text(&public)]).code(6);

    let to = format!("{}:v1", at("to"));
    let with = run(&["copy", made.line(), &to, "--all-referrers"]).code(0);
    let with = with.says(&["with 6 signatures or other manifests about it"]);
    run(&["verify", with.line(), "--key", text(&public)]).code(0);
    for cosign in cosigns() {
        let command = format!(
            "cosign verify --key {} --insecure-ignore-tlog=true {}",
            text(&public),
            with.line()
        );
        cosign_says(&cosign, &command).code(0);
    }
    let log = registry.log().len();
    run(&["copy", made.line(), &to, "--all-referrers"]).code(0);
    assert_eq!(writes(registry, "signed/to", log), []);

    // Into a layout as well, where cosign looks for them in its own way.
    let layout = folder.path().join("layout");
    let local = format!("oci:{}", text(&layout));
    run(&["copy", made.line(), &local, "--all-referrers"]).code(0);
    for cosign in cosigns() {
        let arguments = [
            "verify",
            "--key",
            text(&public),
            "--insecure-ignore-tlog=true",
            "--local-image",
            text(&layout),
        ];
        peer(&cosign, &arguments).code(0);
    }
}

/// Archives are read and written too; a docker archive names an image by its config.
#[test]
fn archives_are_copied_from_and_to() {
    let (Some(skopeo), there) = (peers::require("skopeo"), Registry::start()) else { return };
    let folder = tempdir().expect("a folder");
    let image = small().write(&folder.path().join("image"));
    let file = |name: &str| text(&folder.path().join(name)).to_owned();
    let docker = format!("docker-archive:{}:app:v1", file("docker.tar"));
    let oci = format!("oci-archive:{}:v1", file("oci.tar"));
    let saved = run(&["copy", &image.reference(), &docker]).code(0).says(&["tagged app:v1"]);
    assert_ne!(saved.digest(), image.digest);
    let config = must(&skopeo, &["inspect", "--config", "--raw", &docker]);
    assert_eq!(config.as_bytes(), image.config);

    let to = format!("{}/demo/app", there.host());
    let pushed = run(&["copy", &docker, &to, "--tag", "v1"]).code(0);
    run(&["copy", pushed.line(), &oci]).code(0);
    must(&skopeo, &["inspect", "--raw", &oci]);
    let back = run(&["copy", &oci, &format!("oci:{}", file("back"))]).code(0);
    back.says(&["tagged v1"]);
    for (flags, words) in [
        (&["--all-referrers"][..], "leave out --all-referrers, or write an oci-archive"),
        (&["--tag", "x"], "whole names: docker-archive:FILE:NAME:TAG"),
    ] {
        let refused = run(&[&["copy", &image.reference(), &docker], flags].concat());
        refused.code(2).says(&["DEST docker-archive:", words]);
    }
}

#[test]
fn one_platform_has_its_own_digest() {
    let (Some(crane), there) = (peers::require("crane"), Registry::start()) else { return };
    let folder = tempdir().expect("a folder");
    let windows = small().platform("windows", "amd64");
    let image = IndexRecipe::new().image(&small()).image(&windows).write(folder.path());
    let to = format!("{}/demo/app:v1", there.host());
    let reference = image.reference();
    let done = run(&["copy", &reference, &to, "--platform", "windows/amd64"]).code(0);
    assert_eq!(there.tags("demo/app")["v1"], done.digest());
    assert_ne!(done.digest(), image.digest);
    must(&crane, &["validate", "--insecure", "--remote", &to]);
    let refused = run(&["copy", &reference, &to, "--platform", "linux/s390x"]).code(3);
    refused.says(&["linux/s390x is not in this image; it has linux/amd64, windows/amd64"]);
}

/// Each failure says what to do and has its exit code; stdout is empty and no tag is written.
#[test]
fn failures_have_their_words_and_codes() {
    let (folder, there) = (tempdir().expect("a folder"), Registry::start());
    let image = small().write(&folder.path().join("image"));
    let layout = format!("oci:{}", text(&folder.path().join("image")));
    let to = format!("{}/demo/app:v1", there.host());
    let absent = format!("{layout}@sha256:{}", "0".repeat(64));
    let closed = "127.0.0.1:1/demo/app:v1".to_owned();
    let pinned = format!("{to}@{}", image.digest);
    let lying = small().fault(Fault::Content).write(&folder.path().join("lying")).reference();
    for (source, dest, code, words) in [
        (&absent, &to, 2, "is not in oci:"),
        (&format!("{layout}:nothing"), &to, 2, "an image named nothing is not in"),
        (&image.reference(), &pinned, 2, "DEST takes no digest"),
        (&lying, &to, 3, "copy the image"),
        (&closed, &layout, 5, "127.0.0.1:1"),
        (&image.reference(), &closed, 5, "127.0.0.1:1"),
    ] {
        let failed = run(&["copy", source, dest]).code(code).says(&["error: ", words]);
        assert_eq!(failed.stdout, "", "{failed}");
    }
    std::fs::remove_file(
        image.blob_path(image.layers[0].descriptor["digest"].as_str().expect("text")),
    )
    .expect("removed");
    let other = format!("{}/other/app:v1", there.host());
    let failed = run(&["copy", &image.reference(), &other]).code(3);
    let failed = failed.says(&["has only a part of this image: layer 1 of 2"]);
    assert!(!failed.stderr.contains("hint"), "{failed}");
    let sparse = IndexRecipe::new().image(&small()).write(&folder.path().join("sparse"));
    let blobs = folder.path().join("sparse/blobs/sha256");
    let layer = image.layers[0].descriptor["digest"].as_str().expect("text");
    std::fs::remove_file(blobs.join(layer.trim_start_matches("sha256:"))).expect("removed");
    let failed = run(&["copy", &sparse.reference(), &other]).code(3);
    failed.says(&["image: linux/amd64 layer 1 of 2", "hint: --platform OS/ARCHITECTURE"]);
    assert!(there.tags("demo/app").is_empty() && there.tags("other/app").is_empty());
}
