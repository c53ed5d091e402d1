//! [`ShellUsers`]: what of an application's own source starts a shell later on, as data
//! (`catalog/shell-users.toml`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Deserialize;

use super::facts::ShellCall;
use super::{Closure, Hop, Look, Start};
use crate::inventory::{Content, EntryId, Fingerprint, Kind};
use crate::path::{RootPath, lossy};

const CATALOG: &str = include_str!("../../catalog/shell-users.toml");

static USERS: LazyLock<ShellUsers> =
    LazyLock::new(|| ShellUsers::parse(CATALOG).expect("the built-in catalog is tested"));

/// The most files of an application that are looked into; one without its libraries has some hundred.
const MOST_FILES: usize = 20_000;
/// The most bytes of one that are: larger ones are generated.
const LARGEST: u64 = 1 << 20;
/// The most bytes of all.
const MOST_BYTES: u64 = 64 << 20;
/// The most lines that are told of one start.
const MOST_TOLD: usize = 100;
/// How much of a line is shown.
const MOST_SHOWN: usize = 60;

/// What of sources starts a shell.
struct ShellUsers {
    libraries: Vec<String>,
    words: Vec<String>,
    languages: Vec<Language>,
}

struct Language {
    name: String,
    files: GlobSet,
    programs: GlobSet,
    comments: Vec<String>,
    beside: Option<String>,
    calls: AhoCorasick,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    libraries: Vec<String>,
    words: Vec<String>,
    language: Vec<Described>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    name: String,
    files: Vec<String>,
    programs: Vec<String>,
    comments: Vec<String>,
    beside: Option<String>,
    calls: Vec<String>,
}

impl Closure {
    /// Adds what of the applications' own sources, and of words and variables, starts a shell later on.
    pub(crate) fn tell_shell_users(&mut self, look: &Look<'_>) {
        let users: &'static ShellUsers = &USERS;
        for start in &mut self.starts {
            let mut told: BTreeSet<String> = users.in_words(look, start).collect();
            told.extend(users.in_sources(look, start));
            start.may_need_shell.extend(told);
        }
    }
}

impl ShellUsers {
    fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        let languages = file.language.into_iter().map(Language::of).collect::<Result<_, _>>()?;
        Ok(Self { libraries: file.libraries, words: file.words, languages })
    }

    /// Words of the start, and variables of the config.
    fn in_words(&self, look: &Look<'_>, start: &Start) -> impl Iterator<Item = String> {
        let words = start.edges.iter().flat_map(|edge| &edge.why).filter_map(|hop| match hop {
            Hop::Word(word) => Some(word.clone()),
            _ => None,
        });
        let argv = look.config.entrypoint().into_iter().chain(look.config.cmd());
        let all: BTreeSet<String> = words.chain(argv).chain(look.variables()).collect();
        let hit = |text: &String| self.words.iter().any(|word| text.contains(word.as_str()));
        all.into_iter().filter(hit).map(|text| format!("{:?}", shown(&text)))
    }

    /// Lines of what lies in the application's own folders.
    fn in_sources(&'static self, look: &Look<'_>, start: &Start) -> Vec<String> {
        let (mut sources, mut bytes) = (Vec::new(), 0);
        for path in own_files(look, start) {
            let Some((source, size)) = self.source(look, path) else { continue };
            bytes += size;
            if size > LARGEST {
                continue;
            }
            if sources.len() >= MOST_FILES || bytes > MOST_BYTES {
                break;
            }
            sources.push(source);
        }
        told(look, sources)
    }

    /// A file as a source, with its size; none if it is none.
    fn source(&'static self, look: &Look<'_>, path: RootPath) -> Option<(Source, u64)> {
        let inode = look.inventory.lookup(&path).filter(|inode| inode.kind == Kind::File)?;
        let language = self.language(&path, &inode.content)?;
        let (entry, fingerprint) = (inode.carrier?, inode.fingerprint?);
        Some((Source { path, entry, fingerprint, language }, inode.size))
    }

    fn language(&self, path: &RootPath, content: &Content) -> Option<&Language> {
        let library = |part: &[u8]| self.libraries.iter().any(|library| library.as_bytes() == part);
        if path.components().any(library) {
            return None;
        }
        let name = str::from_utf8(path.file_name()).ok()?;
        self.languages.iter().find(|language| match content {
            Content::Script(line) => language.files.is_match(name) || language.runs(line),
            Content::Other => language.files.is_match(name),
            Content::Elf(_) => false,
        })
    }
}

/// The files of folders that are the application's, and files that words name.
fn own_files(look: &Look<'_>, start: &Start) -> BTreeSet<RootPath> {
    let mut files = BTreeSet::new();
    for edge in &start.edges {
        let need = &start.needs[edge.to];
        match edge.why.last() {
            Some(Hop::Folder(_)) if need.is_folder(look.inventory) => {
                files.extend(look.inventory.beneath(&need.path).map(|(path, _)| path.clone()));
            }
            Some(Hop::Word(_)) => drop(files.insert(need.path.clone())),
            _ => {}
        }
    }
    files
}

/// A file of the application's own source.
struct Source {
    path: RootPath,
    entry: EntryId,
    fingerprint: Fingerprint,
    language: &'static Language,
}

/// Where sources start a shell. Those that were looked into already are not read again.
fn told(look: &Look<'_>, sources: Vec<Source>) -> Vec<String> {
    let (learned, mut calls, mut unread) = (look.learned(), BTreeMap::new(), Vec::new());
    for source in sources {
        match learned.shell_call((source.fingerprint, &source.language.name)) {
            Some(call) => drop(calls.insert(source.path, call)),
            None => unread.push((source.entry, source)),
        }
    }
    look.see_each(unread, |source, text| {
        let call = str::from_utf8(text).ok().and_then(|text| source.language.call(text));
        let call =
            call.map_or(ShellCall::Nowhere, |(number, line)| ShellCall::Line(number, shown(line)));
        learned.put_shell_call((source.fingerprint, &source.language.name), call.clone());
        calls.insert(source.path, call);
    });
    let line = |(path, call)| match call {
        ShellCall::Line(number, line) => Some(format!("{path} line {number}: {line}")),
        ShellCall::Nowhere => None,
    };
    calls.into_iter().filter_map(line).take(MOST_TOLD).collect()
}

impl Language {
    fn of(described: Described) -> Result<Self, String> {
        let Described { name, files, programs, comments, beside, calls } = described;
        let calls = AhoCorasick::new(&calls).map_err(|error| format!("{name}: {error}"))?;
        let (files, programs) = (globs(&files)?, globs(&programs)?);
        Ok(Self { name, files, programs, comments, beside, calls })
    }

    /// Whether a first line `#!` starts its interpreter.
    fn runs(&self, line: &[u8]) -> bool {
        let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let mut names = words.filter_map(|word| word.rsplit(|byte| *byte == b'/').next());
        names.any(|name| str::from_utf8(name).is_ok_and(|name| self.programs.is_match(name)))
    }

    /// The first line that starts a shell, with its number from 1.
    fn call<'t>(&self, text: &'t str) -> Option<(usize, &'t str)> {
        if self.beside.as_ref().is_some_and(|beside| !text.contains(beside.as_str())) {
            return None;
        }
        // Most files have none: that is seen at once.
        self.calls.find(text)?;
        let mut lines = (1..).zip(text.lines());
        lines.find(|(_, line)| {
            let begin = line.trim_start();
            let comment = self.comments.iter().any(|mark| begin.starts_with(mark.as_str()));
            !comment && self.calls.find_iter(line).any(|hit| is_word(line, hit.start()))
        })
    }
}

/// Whether no other word goes on where a text begins.
fn is_word(line: &str, at: usize) -> bool {
    let own = line[at..].starts_with(|first: char| "%.>:".contains(first));
    let before = line[..at].chars().next_back();
    own || !before.is_some_and(|last| last.is_alphanumeric() || "_$.>:".contains(last))
}

fn globs(patterns: &[String]) -> Result<GlobSet, String> {
    let mut globs = GlobSetBuilder::new();
    for pattern in patterns {
        globs.add(GlobBuilder::new(pattern).build().map_err(|error| error.to_string())?);
    }
    globs.build().map_err(|error| error.to_string())
}

/// A text for one line of output.
fn shown(text: &str) -> String {
    let text = lossy(text.trim().as_bytes());
    let cut: String = text.chars().take(MOST_SHOWN).collect();
    if cut.len() < text.len() { format!("{cut}...") } else { cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(file: &str, text: &str) -> Option<usize> {
        let path = file.parse().expect("a path");
        let language = USERS.language(&path, &Content::Other)?;
        language.call(text).map(|(number, _)| number)
    }

    #[test]
    fn the_catalog_is_sorted() {
        let file: File = toml::from_str(CATALOG).expect("TOML");
        assert!(file.libraries.is_sorted() && file.words.is_sorted());
        assert!(file.language.is_sorted_by_key(|one| &one.name));
        for one in &file.language {
            let lists = [&one.files, &one.programs, &one.comments, &one.calls];
            assert!(lists.into_iter().all(|list| list.is_sorted()), "{}", one.name);
        }
    }

    #[test]
    fn calls_of_a_shell_are_found() {
        for (file, text, line) in [
            ("/app/a.py", "import os\n\nos.system('ls')\n", 3),
            ("/app/a.py", "subprocess.run(line, shell=True)\n", 1),
            ("/app/a.js", "const cp = require('child_process')\ncp.exec('ls')\n", 2),
            ("/app/a.ts", "import { exec } from 'child_process'\nawait exec('ls')\n", 2),
            ("/app/a.js", "require('child_process').execSync('ls')\n", 1),
            ("/app/a.php", "<?php\n$x = shell_exec('ls');\n", 2),
            ("/app/a.rb", "puts %x(ls)\n", 1),
            ("/app/a.pl", "my $x = qx{ls};\n", 1),
        ] {
            assert_eq!(call(file, text), Some(line), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_it_is_not() {
        for (file, text) in [
            ("/app/a.py", "# os.system('ls')\nsubprocess.run(['ls'])\n"),
            ("/app/a.py", "mos.system('ls')\n"),
            ("/app/a.js", "/x/.exec('text')\n"),
            ("/app/a.js", "const { spawn } = require('child_process')\nre.exec('text')\n"),
            ("/app/a.php", "curl_exec($handle); $query->exec('x'); PDO::exec('x');\n"),
            ("/app/a.txt", "os.system('ls')\n"),
            ("/app/node_modules/a/a.js", "require('child_process').execSync('ls')\n"),
        ] {
            assert_eq!(call(file, text), None, "{text}");
        }
    }
}
