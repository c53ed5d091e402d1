//! What the start of a container needs, as far as it is followed: the words of entrypoint, cmd and
//! health check that name executables, links on the way to them, and the interpreters of scripts.

use std::fmt;

use crate::image::{Healthcheck, RuntimeConfig};
use crate::inventory::{Content, Inventory, Kind};
use crate::path::{RootPath, lossy};

/// One hop on the way from the config to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hop {
    /// A word of a command line in the config.
    Word(String),
    /// A shell-form command, run by the image's shell.
    ShellForm(String),
    /// A link.
    Link(RootPath),
    /// A file.
    File(RootPath),
    /// The first line of a script.
    Interpreter(String),
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "{word:?}"),
            Self::ShellForm(command) => write!(f, "shell form {command:?}"),
            Self::Link(path) => write!(f, "{path} (link)"),
            Self::File(path) => path.fmt(f),
            Self::Interpreter(line) => write!(f, "#!{line}"),
        }
    }
}

/// A file that the start needs.
#[derive(Debug, Clone)]
pub(super) struct Need {
    pub(super) pointer: &'static str,
    /// The path that leads to it, as config or script have it.
    pub(super) path: RootPath,
    /// All names on the way: each has to stay.
    pub(super) names: Vec<RootPath>,
    pub(super) chain: Vec<Hop>,
    /// Whether the user has to be able to execute it (else it was only named as an argument).
    pub(super) executed: bool,
    /// Whether it is a script, which has to be readable too.
    pub(super) script: bool,
}

/// What is needed, and the words that lead nowhere.
#[derive(Debug, Default)]
pub(super) struct Needs {
    pub(super) found: Vec<Need>,
    pub(super) unseen: Vec<String>,
}

/// As deep as Linux follows interpreters of interpreters.
const DEEPEST: usize = 5;
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const ENTRYPOINT: &str = "/config/Entrypoint";
const CMD: &str = "/config/Cmd";
const HEALTHCHECK: &str = "/config/Healthcheck";

/// A command line as JSON, the way flags take it.
pub fn command_line(words: &[String]) -> String {
    serde_json::Value::from(words).to_string()
}

/// What a config's commands need.
pub(super) fn of_config(inventory: &Inventory, config: &RuntimeConfig) -> Needs {
    let mut walk = Walk { inventory, config, needs: Needs::default() };
    let entrypoint = config.entrypoint();
    let cmd = config.cmd();
    let words =
        entrypoint.iter().map(|word| (ENTRYPOINT, word)).chain(cmd.iter().map(|word| (CMD, word)));
    walk.command(words);
    if entrypoint.is_empty() && cmd.is_empty() {
        walk.needs
            .unseen
            .push("the image has no entrypoint and no cmd, so its start is not known".into());
    }
    match config.healthcheck() {
        Healthcheck::Exec(words) => walk.command(words.iter().map(|word| (HEALTHCHECK, word))),
        Healthcheck::Shell(command) => {
            let shell = config.shell();
            let chain = vec![Hop::ShellForm(command)];
            if let Some(program) = shell.first() {
                walk.word(HEALTHCHECK, program, chain, true);
            }
        }
        Healthcheck::None => {}
    }
    walk.needs
}

/// The executable that the first word of a command means, in an image with that config.
pub(super) fn executable(
    inventory: &Inventory,
    config: &RuntimeConfig,
    word: &str,
) -> Option<RootPath> {
    let runs = |path: &RootPath| {
        let found = inventory.resolve(path).found?;
        let inode = inventory.lookup(&found)?;
        (inode.kind == Kind::File && inode.mode & 0o111 != 0).then(|| path.clone())
    };
    if word.is_empty() {
        return None;
    }
    if word.contains('/') {
        return runs(&in_working_dir(config, word)?);
    }
    let path = config.env("PATH").filter(|path| !path.is_empty());
    let path = path.as_deref().unwrap_or(DEFAULT_PATH);
    path.split(':')
        .find_map(|directory| runs(&in_working_dir(config, directory)?.join(word.as_bytes())))
}

/// A path of the config, which is relative to the working directory unless it is absolute.
pub(super) fn in_working_dir(config: &RuntimeConfig, path: &str) -> Option<RootPath> {
    let base: RootPath = config.working_dir().parse().ok()?;
    Some(base.join(b"x").link_target(path.as_bytes()))
}

struct Walk<'a> {
    inventory: &'a Inventory,
    config: &'a RuntimeConfig,
    needs: Needs,
}

impl Walk<'_> {
    /// The first word is run. Any other word that names an executable may be: tini, env, gosu and
    /// many others run what their arguments say.
    fn command<'w>(&mut self, words: impl Iterator<Item = (&'static str, &'w String)>) {
        for (index, (pointer, word)) in words.enumerate() {
            let first = index == 0;
            if first || executable(self.inventory, self.config, word).is_some() {
                self.word(pointer, word, Vec::new(), first);
            }
        }
    }

    fn word(&mut self, pointer: &'static str, word: &str, mut chain: Vec<Hop>, executed: bool) {
        chain.push(Hop::Word(word.to_owned()));
        match executable(self.inventory, self.config, word) {
            Some(path) => self.file(pointer, &path, chain, executed, 0),
            None => self.needs.unseen.push(format!(
                "{pointer} starts {word:?}, which is no executable of the image; what it needs is not known"
            )),
        }
    }

    fn file(
        &mut self,
        pointer: &'static str,
        path: &RootPath,
        mut chain: Vec<Hop>,
        executed: bool,
        depth: usize,
    ) {
        let resolution = self.inventory.resolve(path);
        chain.extend(resolution.links.iter().cloned().map(Hop::Link));
        chain.push(Hop::File(resolution.end.clone()));
        let Some(found) = resolution.found else {
            let what = chain.iter().map(Hop::to_string).collect::<Vec<_>>().join(" -> ");
            self.needs.unseen.push(format!("{pointer}: {what} is not in the image"));
            return;
        };
        let content = self.inventory.lookup(&found).map(|inode| inode.content.clone());
        let script = matches!(content, Some(Content::Script(_)));
        let names = resolution.links.iter().cloned().chain([found]).collect();
        self.needs.found.push(Need {
            pointer,
            path: path.clone(),
            names,
            chain: chain.clone(),
            executed,
            script,
        });
        if let Some(Content::Script(line)) = content
            && depth < DEEPEST
        {
            self.unread(pointer, path);
            self.interpreter(pointer, &line, chain, executed, depth);
        }
    }

    /// Says that a script's own commands are not followed.
    fn unread(&mut self, pointer: &'static str, path: &RootPath) {
        let line = format!("{pointer}: what the script {path} runs is not followed");
        if !self.needs.unseen.contains(&line) {
            self.needs.unseen.push(line);
        }
    }

    /// The interpreter that a script's first line names, and the program that `env` runs for it.
    fn interpreter(
        &mut self,
        pointer: &'static str,
        line: &[u8],
        mut chain: Vec<Hop>,
        executed: bool,
        depth: usize,
    ) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = lossy(line).trim().to_owned();
        let mut words = text.split_ascii_whitespace();
        let Some(interpreter) = words.next() else { return };
        chain.push(Hop::Interpreter(text.clone()));
        let Some(path) = in_working_dir(self.config, interpreter) else { return };
        self.file(pointer, &path, chain.clone(), executed, depth + 1);
        if path.file_name() == b"env" {
            let program = words.find(|word| !word.starts_with('-') && !word.contains('='));
            if let Some(program) =
                program.and_then(|word| executable(self.inventory, self.config, word))
            {
                self.file(pointer, &program, chain, executed, depth + 1);
            }
        }
    }
}
