//! The official redis image in each profile, started for real.

use std::path::Path;
use std::thread;
use std::time::Duration;

use immut_testkit::fixtures;

use crate::common::{CONFINED, FOLDER, Podman, json_file, run, text};

/// It starts read-only, without capabilities, as a user that is not root, and answers. What asks is
/// kept by name, so that it is there in `minimal` too, with its libraries.
#[test]
fn redis_starts_in_each_profile() {
    let (Some(fixtures), Some(podman)) = (fixtures::folder(), Podman::find()) else { return };
    let layout = fixtures.join("9-built/redis-bookworm-oci");
    let index = json_file(&layout.join("index.json"));
    let digest = index["manifests"][0]["digest"].as_str().expect("a digest");
    let source = format!("oci:{}@{digest}", layout.display());
    let mut sizes = Vec::new();
    for profile in ["baseline", "distroless", "minimal"] {
        let archive = FOLDER.folder.join(format!("profile-{profile}.tar"));
        let image = format!("docker-archive:{}", archive.display());
        let to = format!("{image}:redis:{profile}");
        let receipt = FOLDER.folder.join(format!("profile-{profile}.json"));
        let start = ["--entrypoint", r#"["redis-server"]"#, "--cmd", r#"["--save",""]"#];
        let harden = ["harden", &source, "--to", &to, "--no-sign", "--profile", profile];
        let more = ["--keep", "/usr/bin/redis-cli", "--receipt", text(&receipt)];
        run(&[&harden[..], &start, &more].concat()).code(0);
        let after = json_file(&receipt)["platforms"][0]["after"].clone();
        sizes.push(after["bytes"].as_u64().expect("bytes"));
        run(&["check", &image]).code(0);
        answers(&podman, &archive, &format!("redis-{profile}"));
    }
    assert!(sizes.is_sorted_by(|more, less| more > less), "{sizes:?}");
}

/// Ends the test unless redis starts from the image, confined, answers, and has no shell.
fn answers(podman: &Podman, archive: &Path, name: &str) {
    let id = podman.load(archive);
    let start = [&["run", "-d", "--name", name, "--tmpfs=/data"][..], &CONFINED, &[&id]].concat();
    podman.run(&start).code(0);
    let answered = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(100));
        podman.run(&["exec", name, "redis-cli", "ping"]).stdout.trim() == "PONG"
    });
    let (logs, user) = (podman.run(&["logs", name]), podman.run(&["top", name, "huser"]));
    podman.run(&["rm", "-f", "-t", "1", name]);
    assert!(answered, "{logs}");
    assert!(user.stdout.contains("65532"), "{user}");
    let shell = ["run", "--rm", "--entrypoint=/bin/sh"];
    let shell = [&shell[..], &CONFINED, &[&id, "-c", "true"]].concat();
    podman.run(&shell).code(127);
}
