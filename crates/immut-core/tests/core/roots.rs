//! Root file systems of real distributions, made into images.

use immut_core::Options;
use immut_core::plan::Plan;
use immut_testkit::recipe::{Encoding, Recipe};

use crate::common::{Done, Scene, fixture, keeping, removed, words};

/// The archive of a root; none for one whose decompressor is not here.
fn root(name: &str) -> Option<Vec<u8>> {
    immut_testkit::fixtures::archive(&fixture("1-rootfs")?.join(name))
}

fn image(name: &str) -> Option<Scene> {
    let architecture = if name.contains("aarch64") || name.contains("arm64") {
        "arm64"
    } else if name.contains("-x86.") {
        "386"
    } else {
        "amd64"
    };
    let recipe = Recipe::new().platform("linux", architecture);
    Some(Scene::of(&recipe.tar_layer(Encoding::Gzip, root(name)?).cmd(&["/bin/sh"])))
}

/// Hardened with an entrypoint that is not there, but comes from elsewhere.
fn hardened(name: &str) -> Option<Done> {
    let scene = image(name)?;
    let mut options = keeping(&["rule:broken-start"]);
    options.choices.entrypoint = words(&["/app"]);
    options.choices.cmd = words(&[]);
    let done = scene.harden(&options);
    assert!(done.hardened.is_changed(), "{name}");
    assert!(!done.again(&options).is_changed(), "{name}: again");
    Some(done)
}

fn refused(name: &str) -> Option<Plan> {
    Some(image(name)?.plan(&Options::default()).plan)
}

const ALPINE: [&str; 4] = [
    "alpine-minirootfs-3.12.12-x86_64.tar.gz",
    "alpine-minirootfs-3.15.11-x86_64.tar.gz",
    "alpine-minirootfs-3.20.3-aarch64.tar.gz",
    "alpine-minirootfs-3.20.3-x86_64.tar.gz",
];
const BUSYBOX: [&str; 4] = [
    "busybox-hardlinks-test23767.tar",
    "busybox-latest-glibc-amd64.tar.gz",
    "busybox-latest-musl-amd64.tar.gz",
    "busybox-latest-uclibc-arm64v8.tar.gz",
];
const OTHERS: [&str; 2] = ["docker-nano-php-latest.tar.xz", "tinycore-11.0-x86.tar.gz"];

#[test]
fn alpine_loses_busybox_with_every_applet_and_keeps_its_loader() {
    for name in ALPINE {
        let Some(done) = hardened(name) else { return };
        let left = done.paths();
        let has = |path: &str| left.iter().any(|left| left == path);
        for gone in ["bin/busybox", "bin/sh", "bin/ls", "usr/bin/wget", "sbin/apk", "etc/apk"] {
            assert!(!has(gone), "{name}: {gone}");
        }
        let loader = if name.contains("aarch64") { "aarch64" } else { "x86_64" };
        assert!(has(&format!("lib/ld-musl-{loader}.so.1")), "{name}");
        assert!(has("lib/apk/db/installed") && has("etc/os-release"), "{name}");
        for tar in done.tars() {
            for mark in [&b"BusyBox v"[..], b"linkname=busybox", b"/bin/busybox"] {
                let found = memchr::memmem::find(&tar, mark).is_some();
                assert!(!found || mark == b"/bin/busybox", "{name}: {mark:?}");
            }
        }
        assert!(!done.text("etc/passwd").contains("/bin/ash"), "{name}");
    }
}

#[test]
fn no_applet_of_busybox_is_left() {
    for name in ALPINE.iter().chain(&BUSYBOX) {
        let (Some(done), Some(tar)) = (hardened(name), root(name)) else { return };
        let before = immut_testkit::model::Tree::of_tars(&[tar]).view();
        let links_to_busybox = |path: &str| match &before[path].item {
            immut_testkit::model::Item::Symlink(target) => target.ends_with("bin/busybox"),
            immut_testkit::model::Item::File(content) => {
                memchr::memmem::find(content, b"multi-call binary").is_some()
            }
            _ => false,
        };
        let applets: Vec<&String> = before.keys().filter(|path| links_to_busybox(path)).collect();
        assert!(applets.len() > 100, "{name}: {} applets", applets.len());
        let left = done.view();
        let still: Vec<_> = applets.iter().filter(|path| left.contains_key(**path)).collect();
        assert!(still.is_empty(), "{name}: {still:?}");
    }
}

#[test]
fn other_roots_lose_their_shells() {
    for name in OTHERS {
        let Some(done) = hardened(name) else { continue };
        let left = done.paths();
        assert!(!left.iter().any(|path| path == "bin/sh" || path == "bin/busybox"), "{name}");
        assert!(!left.is_empty(), "{name}");
    }
}

#[test]
fn roots_that_start_a_shell_are_refused() {
    for name in ALPINE.iter().chain(&BUSYBOX).chain(&OTHERS[1..]) {
        let Some(plan) = refused(name) else { continue };
        let conflicts: Vec<String> = plan.conflicts.iter().map(crate::common::describe).collect();
        assert_eq!(conflicts.len(), 1, "{name}: {conflicts:?}");
        assert!(conflicts[0].starts_with("/config/Cmd needs /bin/"), "{name}: {conflicts:?}");
        assert!(!removed(&plan).is_empty(), "{name}");
    }
}
