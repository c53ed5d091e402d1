//! SIGTERM and SIGINT while it waits: no temporary stage, the promised exit code.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use tempfile::tempdir;

use crate::common::{Run, immut, small};

/// While it waits for a registry that says nothing, a signal ends it cleanly.
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

fn kill(signal: &str, process: u32) {
    let killed = Command::new("kill").args(["-s", signal, &process.to_string()]).status();
    assert!(killed.expect("kill").success());
}
