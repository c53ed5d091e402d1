//! Archives of images: those that podman, skopeo and crane write are read, and they read ours.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use immut_testkit::peers;
use immut_testkit::recipe::digest_of;
use tempfile::{TempDir, tempdir};

use crate::common::{Podman, Run, digest, immut, json_file, key, must, run, text, workspace};

/// The image of `testdata`, by digest.
fn demo() -> String {
    let index = json_file(&workspace("testdata/demo/index.json"));
    let digest = index["manifests"][0]["digest"].as_str().expect("a digest");
    format!("oci:{}@{digest}", text(&workspace("testdata/demo")))
}

/// What `audit` finds, without the name of the image.
fn findings(reference: &str) -> String {
    let audit = run(&["audit", reference]).code(0).stdout;
    audit.split_once('\n').expect("lines").1.trim_start().to_owned()
}

/// The output as a docker archive, loaded by podman and run.
#[test]
fn podman_loads_and_runs_a_docker_archive() {
    let folder = tempdir().expect("a folder");
    let file = folder.path().join("hardened.tar");
    let to = format!("docker-archive:{}:demo/loaded:v1", text(&file));
    let hardened = run(&["harden", &demo(), "--to", &to, "--no-sign"]).code(0);
    if let Some(crane) = peers::require("crane") {
        must(&crane, &["validate", "--tarball", text(&file)]);
    }
    let Some(podman) = Podman::find() else { return };
    podman.run(&["load", "-q", "-i", text(&file)]).code(0);
    let inspected =
        podman.run(&["image", "inspect", "--format", "{{.Id}}", "demo/loaded:v1"]).code(0);
    assert_eq!(format!("sha256:{}", inspected.line()), hardened.digest());
    podman.serves(inspected.line(), "loaded");
}

/// The output as an OCI archive, read by skopeo, podman and tar, signature included.
#[test]
fn skopeo_reads_an_oci_archive() {
    let folder = tempdir().expect("a folder");
    let (key, file) = (key(folder.path(), "k"), folder.path().join("hardened.tar"));
    let to = format!("oci-archive:{}:v1", text(&file));
    let hardened = run(&["harden", &demo(), "--to", &to, "--key", text(&key)]).code(0);
    assert!(hardened.last().starts_with("immut verify --key "), "{hardened}");
    let public = key.with_extension("pub");
    run(&["verify", hardened.line(), "--key", text(&public)]).code(0);
    run(&["verify", &to, "--key", text(&public)]).code(0);
    must(Path::new("tar"), &["-tf", text(&file)]);
    if let Some(skopeo) = peers::require("skopeo") {
        let found = must(&skopeo, &["inspect", "--format", "{{.Digest}}", &to]);
        assert_eq!(found.trim(), hardened.digest());
        let copied = format!("dir:{}", text(&folder.path().join("copied")));
        must(&skopeo, &["copy", "-q", "--insecure-policy", &to, &copied]);
    }
    if let Some(podman) = Podman::find() {
        podman.run(&["load", "-q", "-i", text(&file)]).code(0);
    }
}

/// The output as a layout, read by skopeo, umoci and crane.
#[test]
fn skopeo_umoci_and_crane_read_a_layout() {
    let folder = tempdir().expect("a folder");
    let layout = folder.path().join("hardened");
    let to = format!("oci:{}:v1", text(&layout));
    let hardened = run(&["harden", &demo(), "--to", &to, "--no-sign"]).code(0);
    if let Some(skopeo) = peers::require("skopeo") {
        let found = must(&skopeo, &["inspect", "--format", "{{.Digest}}", &to]);
        assert_eq!(found.trim(), hardened.digest());
    }
    if let Some(umoci) = peers::require("umoci") {
        let image = to.strip_prefix("oci:").expect("a layout");
        let bundle = folder.path().join("bundle");
        must(&umoci, &["unpack", "--rootless", "--image", image, text(&bundle)]);
        assert!(bundle.join("rootfs/usr/sbin/lighttpd").is_file());
    }
    let Some((crane, registry)) = peers::require("crane").zip(crate::common::registry()) else {
        return;
    };
    let remote = format!("{}/archives/layout:v1", registry.host);
    must(&crane, &["push", text(&layout), &remote]);
    must(&crane, &["validate", "--remote", &remote]);
    assert_eq!(must(&crane, &["digest", &remote]).trim(), hardened.digest());
}

/// Archives of the image of `testdata`, written by others.
fn written_by_others(folder: &TempDir) -> Vec<String> {
    let at = |name: &str| folder.path().join(name);
    let mut all = Vec::new();
    let from = format!("oci:{}:demo", text(&workspace("testdata/demo")));
    if let Some(skopeo) = peers::require("skopeo") {
        for (kind, name) in
            [("docker-archive", "skopeo-docker.tar"), ("oci-archive", "skopeo-oci.tar")]
        {
            let to = format!("{kind}:{}", text(&at(name)));
            must(&skopeo, &["copy", "-q", "--insecure-policy", &from, &format!("{to}:app:v1")]);
            all.push(to);
        }
    }
    if let Some((crane, registry)) = peers::require("crane").zip(crate::common::registry()) {
        let remote = format!("{}/archives/source:v1", registry.host);
        must(&crane, &["push", text(&workspace("testdata/demo")), &remote]);
        must(&crane, &["pull", &remote, text(&at("crane.tar"))]);
        all.push(format!("docker-archive:{}", text(&at("crane.tar"))));
    }
    if let Some((podman, docker)) = Podman::find().zip(all.first()) {
        let file = docker.strip_prefix("docker-archive:").expect("an archive");
        podman.run(&["load", "-q", "-i", file]).code(0);
        for (kind, name) in
            [("docker-archive", "podman-docker.tar"), ("oci-archive", "podman-oci.tar")]
        {
            podman.run(&["save", "-q", "--format", kind, "-o", text(&at(name)), "app:v1"]).code(0);
            all.push(format!("{kind}:{}", text(&at(name))));
        }
    }
    all
}

#[test]
fn archives_that_others_write_are_read() {
    let folder = tempdir().expect("a folder");
    let expected = findings(&demo());
    assert!(expected.contains("shell"), "{expected}");
    for archive in written_by_others(&folder) {
        assert_eq!(findings(&archive), expected, "{archive}");
    }
}

/// Through a pipe and compressed by the real programs; nothing is left of what it was unpacked to.
#[test]
fn archives_come_through_a_pipe() {
    let folder = tempdir().expect("a folder");
    let file = folder.path().join("a.tar");
    let to = format!("docker-archive:{}:app:v1", text(&file));
    let hardened = run(&["harden", &demo(), "--to", &to, "--no-sign"]).code(0);
    let mut files = vec![file.clone()];
    for (program, extension) in [("gzip", "gz"), ("xz", "xz"), ("zstd", "zst")] {
        let Some(program) = peers::require(program) else { continue };
        let packed = PathBuf::from(format!("{}.{extension}", file.display()));
        let output = File::create(&packed).expect("created");
        let mut command = Command::new(program);
        let done = command.args(["-c", "-1", text(&file)]).stdout(Stdio::from(output)).status();
        assert!(done.expect("started").success());
        files.push(packed);
    }
    let spool = tempdir().expect("a folder");
    for file in files {
        let pinned = format!("docker-archive:-@{}", hardened.digest());
        let mut command = immut(&["audit", &pinned, "--fail-on", "info"]);
        command.env("TMPDIR", spool.path()).stdin(File::open(&file).expect("a file"));
        let piped = Run::of(&mut command).code(0);
        assert!(piped.stdout.contains("no findings"), "{}: {piped}", file.display());
        assert_eq!(fs::read_dir(spool.path()).expect("a folder").count(), 0);
    }
}

/// Hardening from an archive: the tag is refused with the digest that the archive's image has.
#[test]
fn an_archive_is_pinned_by_its_image_id() {
    let folder = tempdir().expect("a folder");
    let file = folder.path().join("a.tar");
    let Some(skopeo) = peers::require("skopeo") else { return };
    let from = format!("oci:{}:demo", text(&workspace("testdata/demo")));
    let archive = format!("docker-archive:{}", text(&file));
    must(&skopeo, &["copy", "-q", "--insecure-policy", &from, &format!("{archive}:app:v1")]);
    let to = format!("oci:{}", text(&folder.path().join("out")));
    let refused = run(&["harden", &archive, "--to", &to, "--no-sign"]).code(2);
    let now = refused.stderr.split("it names ").nth(1).expect("a hint").split(' ').next();
    let pinned = now.expect("a name");
    let config = must(&skopeo, &["inspect", "--config", "--raw", &archive]);
    assert_eq!(digest(pinned), digest_of(config.as_bytes()));
    let receipt = folder.path().join("receipt.json");
    run(&["harden", pinned, "--to", &to, "--no-sign", "--receipt", text(&receipt)]).code(0);
    assert_eq!(json_file(&receipt)["source"], pinned);
    assert!(findings(&to).contains("no findings"));
}

#[test]
fn what_an_archive_cannot_hold_is_said_before_the_work() {
    let folder = tempdir().expect("a folder");
    let (key, file) = (key(folder.path(), "k"), folder.path().join("a.tar"));
    let archive = format!("docker-archive:{}", text(&file));
    let image = demo();
    let refused = |to: &str, more: &[&str], words: &[&str]| {
        let run = run(&[&["harden", &image, "--to", to][..], more].concat()).code(2).says(words);
        assert!(!run.stderr.contains("layer 1"), "{run}");
        assert!(!file.exists());
    };
    refused(&archive, &["--key", text(&key)], &["no room for signatures", "--no-sign"]);
    refused(&archive, &["--no-sign", "--tag", "v1"], &["whole names"]);
    refused(&format!("{archive}:No Name"), &["--no-sign"], &["is no name of an image"]);
    refused("docker-archive:-", &["--no-sign"], &["standard output"]);
    let there = format!("oci-archive:{}", text(folder.path()));
    refused(&there, &["--no-sign"], &["is a folder"]);
    let saved = format!("{archive}:app:v1");
    run(&["harden", &image, "--to", &saved, "--no-sign"]).code(0);
    let audit = run(&["audit", &saved]).code(0);
    let pinned = audit.stdout.lines().find(|line| line.contains('@')).expect("a name").to_owned();
    // Not even a key is looked for.
    let sign = run(&["sign", pinned.trim(), "--key", "/no/such.key"]).code(2);
    sign.says(&["nothing can be added", "copy it to a layout or a registry"]);
}
