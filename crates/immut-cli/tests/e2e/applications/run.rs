//! Containers in podman, and what asks them: programs in their network, that are not ours.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use immut_testkit::peers;
use immut_testkit::recipe::digest_of;

use crate::common::{FOLDER, Podman, Run, must, text};

/// What an application is asked, and a part of what it has to say.
#[derive(Debug, Clone, Copy)]
pub(super) enum Question {
    /// Its page, by curl.
    Http { port: u16, says: &'static str },
    /// Words of its protocol, sent by curl.
    Words { port: u16, words: &'static str, says: &'static str },
    /// A client of the image that is not hardened.
    Client { words: &'static [&'static str], says: &'static str },
}

/// A container that was started; it is gone when this goes.
#[derive(Debug)]
pub(super) struct Container<'a> {
    podman: &'a Podman,
    id: String,
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        self.podman.run(&["rm", "-f", "-v", "-t", "1", &self.id]);
    }
}

impl<'a> Container<'a> {
    /// Starts an image with these arguments for podman.
    pub(super) fn start(podman: &'a Podman, image: &str, arguments: &[&str]) -> Self {
        let started = podman.run(&[&["run", "--detach"], arguments, &[image]].concat()).code(0);
        Self { podman, id: started.line().to_owned() }
    }

    /// Ends the test unless it answers within half a minute; `image` has the clients.
    pub(super) fn answers(&self, question: Question, image: &str) {
        let mut last = None;
        for _ in 0..150 {
            let Some(process) = self.process() else { break };
            let run = self.ask(question, &process, image);
            if run.stdout.contains(question.expected()) {
                return;
            }
            last = Some(run);
            thread::sleep(Duration::from_millis(200));
        }
        let last = last.map_or_else(String::new, |run| run.to_string());
        panic!(
            "no answer to {question:?}: {last}\nits logs: {}",
            self.podman.run(&["logs", &self.id])
        );
    }

    /// The number of its process; none if it has ended.
    fn process(&self) -> Option<String> {
        let run = self.podman.run(&["inspect", "--format={{.State.Pid}}", &self.id]).code(0);
        Some(run.line().to_owned()).filter(|process| process != "0")
    }

    fn ask(&self, question: Question, process: &str, image: &str) -> Run {
        match question {
            Question::Http { port, .. } => {
                inside(process, &["--silent", &format!("http://127.0.0.1:{port}/")], "")
            }
            Question::Words { port, words, .. } => {
                inside(process, &["--silent", &format!("telnet://127.0.0.1:{port}")], words)
            }
            Question::Client { words, .. } => {
                let network = format!("--network=container:{}", self.id);
                let fixed = ["run", "--rm", &network, "--pull=never", image];
                self.podman.run(&[&fixed[..], words].concat())
            }
        }
    }

    /// The users of its processes, as the machine counts them.
    pub(super) fn users(&self) -> Vec<u32> {
        let top = self.podman.run(&["top", &self.id, "hpid"]).code(0);
        let processes = top.stdout.lines().skip(1).map(|line| format!("/proc/{}", line.trim()));
        processes.filter_map(|process| Some(fs::metadata(process).ok()?.uid())).collect()
    }
}

impl Question {
    fn expected(self) -> &'static str {
        match self {
            Self::Http { says, .. } | Self::Words { says, .. } | Self::Client { says, .. } => says,
        }
    }
}

/// Runs curl in the network of a process.
fn inside(process: &str, arguments: &[&str], input: &str) -> Run {
    let [nsenter, curl] = ["nsenter", "curl"].map(|name| peers::find(name).expect("scripts/peers"));
    let mut command = Command::new(nsenter);
    command.args(["--net", "--target", process]).arg(curl).args(["--max-time", "5"]);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().expect("nsenter");
    let mut stdin = running.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).expect("curl reads");
    drop(stdin);
    Run::from(running.wait_with_output().expect("curl"))
}

/// Takes an image of a layout into podman's store; its name there. podman itself takes no layout
/// whose folder has capital letters.
pub(super) fn load(at: &str) -> Option<String> {
    let skopeo = peers::require("skopeo")?;
    let root = FOLDER.folder.join("podman");
    let name = format!("localhost/{}", digest_of(at.as_bytes()).replace("sha256:", ""));
    let store = format!("[overlay@{}+{}]", root.display(), root.join("run").display());
    must(
        &skopeo,
        &["copy", "--quiet", &format!("oci:{at}"), &format!("containers-storage:{store}{name}")],
    );
    Some(name)
}

/// Arguments that mount a folder, and give it to the container's user.
pub(super) fn volume(folder: &Path, path: &str) -> String {
    format!("--volume={}:{path}:U", text(folder))
}
