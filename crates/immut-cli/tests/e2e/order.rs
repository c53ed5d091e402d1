//! In which order things are published, seen by a registry of our own that logs and fails.

use immut_testkit::registry::{Fault, Registry};
use tempfile::tempdir;

use crate::common::{key, run, small, text};

/// The writes of a log, as words: `blob`, `manifest`, `signature`, `tag`.
fn writes(registry: &Registry) -> Vec<&'static str> {
    let log = registry.log();
    let written = log.iter().filter(|line| line.method == "PUT" && line.status < 300);
    let mut words: Vec<_> = written.map(|line| kind(&line.target)).collect();
    words.dedup();
    words
}

fn kind(target: &str) -> &'static str {
    let Some((_, name)) = target.split_once("/manifests/") else { return "blob" };
    if name.starts_with("sha256-") {
        "signature"
    } else if name.starts_with("sha256") {
        "manifest"
    } else {
        "tag"
    }
}

/// Blobs, then manifests by digest, then signatures, and the tag at the very end.
#[test]
fn the_tag_is_written_last_and_signatures_before_it() {
    let (folder, registry) = (tempdir().expect("a folder"), Registry::start());
    let image = small().write(&folder.path().join("image")).reference();
    let key = key(folder.path(), "k");
    let to = format!("{}/out/app", registry.host());
    run(&["harden", &image, "--to", &to, "--tag", "v1", "--tag", "v1.2", "--key", text(&key)])
        .code(0);
    let writes = writes(&registry);
    assert_eq!(writes[..2], ["blob", "manifest"], "{writes:?}");
    assert_eq!(writes.last(), Some(&"tag"), "{writes:?}");
    let first = |word| writes.iter().position(|one| *one == word).expect("written");
    assert!(first("signature") < first("tag"), "{writes:?}");
    assert_eq!(writes.iter().filter(|word| **word == "tag").count(), 1, "{writes:?}");
    let tags = registry.tags("out/app");
    assert!(tags.contains_key("v1") && tags.contains_key("v1.2"), "{tags:?}");
}

/// When signing fails, no tag is written.
#[test]
fn without_a_signature_there_is_no_tag() {
    let (folder, registry) = (tempdir().expect("a folder"), Registry::start());
    let image = small().write(&folder.path().join("image")).reference();
    let key = key(folder.path(), "k");
    registry.fail("PUT", "/manifests/sha256-", 99, Fault::Status(403, Vec::new()));
    let to = format!("{}/out/app:v1", registry.host());
    let failed = run(&["harden", &image, "--to", &to, "--key", text(&key)]).code(5);
    assert_eq!(failed.stdout, "");
    failed.says(&["sign the image", "403"]);
    assert!(!registry.tags("out/app").contains_key("v1"));
}

/// The destination may be the source's own repository.
#[test]
fn an_image_can_be_hardened_into_its_own_repository() {
    let (folder, registry) = (tempdir().expect("a folder"), Registry::start());
    let image = small().write(&folder.path().join("image")).reference();
    let repository = format!("{}/demo/app", registry.host());
    let first = run(&[
        "harden",
        &image,
        "--to",
        &repository,
        "--tag",
        "a",
        "--no-sign",
        "--keep",
        "rule:shell",
    ]);
    let first = first.code(0);
    let second =
        run(&["harden", first.line(), "--to", &repository, "--tag", "b", "--no-sign"]).code(0);
    assert_ne!(first.line(), second.line());
    let tags = registry.tags("demo/app");
    assert!(first.line().ends_with(&tags["a"]) && second.line().ends_with(&tags["b"]), "{tags:?}");
}
