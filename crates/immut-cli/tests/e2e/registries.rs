//! Registries with habits: tags that do not move or do, and lines that break.

use immut_testkit::registry::{Fault, Options, Registry, habits};
use immut_testkit::{contents, peers};
use tempfile::tempdir;

use crate::common::{key, must, registry, run, small, text};

/// A run can be repeated where tags do not move, and another image is refused.
#[test]
fn a_tag_that_does_not_move_takes_the_same_image_again_and_no_other() {
    let folder = tempdir().expect("a folder");
    let key = key(folder.path(), "k");
    let image = small().write(&folder.path().join("image")).reference();
    let other = small().layer(|l| l.file("/other", 0o755, contents::program()));
    let other = other.write(&folder.path().join("other")).reference();
    for rule in [habits::ecr("").immutable, habits::harbor().immutable, habits::quay().immutable] {
        let there = Registry::with(Options { immutable: rule.clone(), ..Options::default() });
        let to = format!("{}/demo/app:v1", there.host());
        let harden = |image: &str| run(&["harden", image, "--to", &to, "--key", text(&key)]);
        let first = harden(&image).code(0).line().to_owned();
        assert_eq!(harden(&image).code(0).line(), first);
        let tags = there.tags("demo/app");
        let refused = harden(&other).code(5).says(&["tag v1: ", "choose another tag"]);
        assert_eq!(refused.stdout, "", "{rule:?}");
        assert_eq!(there.tags("demo/app")["v1"], tags["v1"]);
    }
}

/// What a tag named first is what is audited, though it moves meanwhile.
#[test]
fn a_tag_that_moves_in_mid_run_is_audited_as_it_was() {
    let folder = tempdir().expect("a folder");
    let there = Registry::start();
    let name = |tag: &str| format!("{}/demo/app:{tag}", there.host());
    for (tag, recipe) in [("v1", small()), ("v2", small().layer(|l| l.file("/new", 0o644, "x")))] {
        let image = recipe.write(&folder.path().join(tag)).reference();
        run(&["harden", &image, "--to", &name(tag), "--no-sign"]).code(0);
    }
    let tags = there.tags("demo/app");
    there.fail("GET", "/manifests/v1", 1, Fault::Retag("v1", tags["v2"].clone()));
    let before = there.log().len();
    let audit = run(&["audit", &name("v1")]).code(0);
    let shown = format!("{}{}", audit.stdout, audit.stderr);
    assert!(shown.contains(&tags["v1"]) && !shown.contains(&tags["v2"]), "{audit}");
    assert_eq!(there.tags("demo/app")["v1"], tags["v2"]);
    let asked = &there.log()[before..];
    let by_tag = asked.iter().filter(|line| line.target.contains("/manifests/v1"));
    assert_eq!(by_tag.count(), 1, "{asked:?}");
}

/// Lines that break in both directions, and a registry that is busy, are survived.
#[test]
fn a_run_goes_on_where_the_line_broke() {
    let folder = tempdir().expect("a folder");
    let image = small().write(&folder.path().join("image")).reference();
    let there = Registry::start();
    let to = format!("{}/demo/app:v1", there.host());
    there.fail("PATCH", "/uploads/", 1, Fault::Break(100));
    there.fail("PUT", "/uploads/", 1, Fault::Status(503, Vec::new()));
    let hardened = run(&["harden", &image, "--to", &to, "--no-sign"]).code(0).line().to_owned();
    assert!(there.log().iter().any(|line| line.status == 0), "{:?}", there.log());

    there.fail("GET", "/blobs/", 2, Fault::Cut(50));
    run(&["audit", &hardened]).code(0);
    assert!(there.log().iter().any(|line| line.status == 206), "{:?}", there.log());
}

/// Layers that are sent while they are made are whole; what is there is not sent again.
#[test]
fn layers_that_go_while_they_are_made_are_whole() {
    let (Some(there), Some(crane)) = (registry(), peers::require("crane")) else { return };
    let folder = tempdir().expect("a folder");
    let image = small().write(&folder.path().join("image")).reference();
    let to = format!("{}/ahead/app:v1", there.host);
    let harden = || {
        let before = there.log().len();
        run(&["harden", &image, "--to", &to, "--no-sign"]).code(0);
        let own = there.log().split_off(before);
        own.into_iter().filter(|one| one.1.contains("/ahead/app/")).collect::<Vec<_>>()
    };
    let first = harden();
    must(&crane, &["validate", "--insecure", "--remote", &to]);
    let digest = |target: &str| Some(target.split("sha256").nth(1)?.get(3..67)?.to_owned());
    let of = |method: &str, part: &str| {
        let found = first.iter().filter(move |one| one.0 == method && one.1.contains(part));
        found.filter_map(|one| digest(&one.1)).collect::<Vec<_>>()
    };
    // Nobody asks for a layer that is made: its digest is known when all of it is there.
    let (asked, put) = (of("HEAD", "/blobs/"), of("PUT", "/uploads/"));
    assert!(put.iter().any(|blob| !asked.contains(blob)), "{first:?}");
    let again = harden();
    assert!(!again.iter().any(|one| ["POST", "PATCH"].contains(&one.0.as_str())), "{again:?}");
}
