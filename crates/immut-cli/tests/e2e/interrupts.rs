//! SIGTERM and SIGINT: no tag, no temporary stage, the promised exit code.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use immut_testkit::registry::Registry;
use tempfile::tempdir;

use crate::common::{Run, immut, json_file, small, text, workspace};

/// MUST SHOW: while it waits for a registry that says nothing, a signal ends it cleanly.
#[test]
fn a_signal_leaves_no_stage() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let folder = tempdir().expect("a folder");
        let image = small().write(&folder.path().join("image")).reference();
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let to = format!("{}/out/app:v1", silent.local_addr().expect("an address"));
        let stages = folder.path().join("tmp");
        std::fs::create_dir(&stages).expect("a folder");
        let mut command = immut(&["harden", &image, "--to", &to, "--no-sign"]);
        let command = command.env("TMPDIR", &stages).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("started");
        let connection = silent.accept().expect("it publishes");
        assert_eq!(stages.read_dir().expect("a folder").count(), 1);
        kill(signal, child.id());
        let run = Run::from(child.wait_with_output().expect("ended")).code(code);
        drop(connection);
        assert_eq!(run.stdout, "");
        assert_eq!(stages.read_dir().expect("a folder").count(), 0, "{run}");
    }
}

/// MUST SHOW: a signal at any moment leaves no tag, and no error about the vanished stage.
#[test]
fn a_signal_at_any_moment_leaves_no_tag() {
    let index = json_file(&workspace("testdata/demo/index.json"));
    let digest = index["manifests"][0]["digest"].as_str().expect("a digest");
    let image = format!("oci:{}@{digest}", text(&workspace("testdata/demo")));
    for milliseconds in [60, 150, 300, 450, 600, 750] {
        let (stages, registry) = (tempdir().expect("a folder"), Registry::start());
        let to = format!("{}/out/app:v1", registry.host());
        let mut command = immut(&["harden", &image, "--to", &to, "--no-sign"]);
        let command =
            command.env("TMPDIR", stages.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("started");
        thread::sleep(Duration::from_millis(milliseconds));
        kill("TERM", child.id());
        let run = Run::from(child.wait_with_output().expect("ended"));
        assert!([Some(143), Some(0)].contains(&run.code), "{run}");
        assert_eq!(registry.tags("out/app").is_empty(), run.code == Some(143), "{run}");
        assert!(!run.stderr.contains("error:"), "{run}");
        assert_eq!(stages.path().read_dir().expect("a folder").count(), 0, "{run}");
    }
}

fn kill(signal: &str, process: u32) {
    let killed = Command::new("kill").args(["-s", signal, &process.to_string()]).status();
    assert!(killed.expect("kill").success());
}
