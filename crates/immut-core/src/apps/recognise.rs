//! How an application is recognised by an image's start, and how it is started instead.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::text::{self, Pattern, is_match};
use super::{App, Matching};

/// How an application is recognised: its program, and the start that means it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recognise {
    /// Paths of its program; one has to be there.
    #[serde(deserialize_with = "text::some")]
    pub programs: Vec<Pattern>,
    /// Paths of which none may be there, where another application has the same program.
    #[serde(default)]
    pub without: Vec<Pattern>,
    /// Entrypoint scripts of official images.
    #[serde(default)]
    pub entrypoints: Vec<String>,
    /// First words that such a script gives to it, without their folder, as globs; those that begin
    /// with a dash always are.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// First words of a start that mean it, without their folder, as globs.
    #[serde(deserialize_with = "text::some")]
    pub words: Vec<String>,
    /// Programs that start it, as globs; their words are not for it.
    #[serde(default)]
    pub launchers: Vec<String>,
}

/// One way to start it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, try_from = "Written")]
pub struct Start {
    /// Paths that all have to be there.
    pub when: Vec<Pattern>,
    /// Exec form; `{N}` is the path that the Nth of `when` matched, counted from 0. Empty: what the
    /// image has stays.
    pub entrypoint: Vec<String>,
    /// Exec form, where the image's start says no words of its own.
    pub cmd: Vec<String>,
    /// Exec form of a health check, in place of one that needs a shell.
    pub healthcheck: Vec<String>,
    /// The port that its cmd moves, if that is what it does.
    pub port: Option<u16>,
}

/// The same as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    when: Vec<Pattern>,
    #[serde(default)]
    entrypoint: Vec<String>,
    #[serde(default)]
    cmd: Vec<String>,
    #[serde(default)]
    healthcheck: Vec<String>,
    port: Option<u16>,
}

/// A start with its placeholders filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// The paths that it was chosen by.
    pub when: Vec<String>,
    /// Exec form; empty: what the image has stays.
    pub entrypoint: Vec<String>,
    /// Exec form.
    pub cmd: Vec<String>,
    /// Exec form; empty: no health check of its own.
    pub healthcheck: Vec<String>,
    /// The port that its cmd moves.
    pub port: Option<u16>,
}

/// How a start means an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sign {
    /// How many of its words only lead to the application; the others are for it.
    pub words: usize,
    /// Whether the first of them is the application itself.
    pub itself: bool,
}

impl App {
    /// Whether an image that starts with these words is this application's, and by which of them.
    ///
    /// `argv` is entrypoint and cmd with wrappers taken off. Its program has to be there, and the
    /// start has to be an entrypoint script of its official image followed by one of its words, or
    /// one of its words itself.
    pub fn recognises(&self, matching: &Matching<'_>, argv: &[String]) -> Option<Sign> {
        self.program(matching)?;
        let Recognise { entrypoints, arguments, words, launchers, .. } = &self.recognise;
        let one_of =
            |globs: &[String], word: &str| globs.iter().any(|glob| is_match(glob, last(word)));
        let named = |word: &str| one_of(words, word) || one_of(launchers, word);
        let passed_on = |word: &str| word.starts_with('-') || one_of(arguments, word);
        let first = argv.first()?;
        let scripted = entrypoints.iter().any(|one| last(one) == last(first));
        let program = match argv.get(1) {
            _ if named(first) => 0,
            Some(word) if scripted && named(word) => 1,
            Some(word) if scripted && passed_on(word) => return Some(Sign::script(1)),
            None if scripted => return Some(Sign::script(1)),
            _ => return None,
        };
        let launched = one_of(launchers, &argv[program]);
        let words = if launched { argv.len() } else { program + 1 };
        Some(Sign { words, itself: program == 0 && !launched })
    }

    /// Its program in this image; none if it is not there, or another application's.
    pub fn program(&self, matching: &Matching<'_>) -> Option<String> {
        let Recognise { programs, without, .. } = &self.recognise;
        if without.iter().any(|glob| !matching(glob).is_empty()) {
            return None;
        }
        programs.iter().find_map(|glob| matching(glob).into_iter().next())
    }

    /// How it is started in this image; none if no start fits.
    pub fn started(&self, matching: &Matching<'_>) -> Option<Started> {
        self.start.iter().find_map(|start| start.fill(matching))
    }
}

impl Sign {
    fn script(words: usize) -> Self {
        Self { words, itself: false }
    }
}

/// A path without its folder.
fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

impl Start {
    fn fill(&self, matching: &Matching<'_>) -> Option<Started> {
        let first = |glob: &Pattern| matching(glob).into_iter().next();
        let when: Vec<String> = self.when.iter().map(first).collect::<Option<_>>()?;
        let fill = |words: &[String]| -> Vec<String> {
            let fill = |word: &String| {
                let paths = when.iter().enumerate();
                paths.fold(word.clone(), |word, (at, path)| word.replace(&placeholder(at), path))
            };
            words.iter().map(fill).collect()
        };
        Some(Started {
            entrypoint: fill(&self.entrypoint),
            cmd: fill(&self.cmd),
            healthcheck: fill(&self.healthcheck),
            port: self.port,
            when,
        })
    }
}

impl TryFrom<Written> for Start {
    type Error = String;

    /// Each placeholder has to have its condition.
    fn try_from(written: Written) -> Result<Self, String> {
        let Written { when, entrypoint, cmd, healthcheck, port } = written;
        let known: BTreeSet<String> = (0..when.len()).map(placeholder).collect();
        for word in entrypoint.iter().chain(&cmd).chain(&healthcheck) {
            let plain = known.iter().fold(word.clone(), |word, one| word.replace(one, ""));
            if plain.contains('{') {
                return Err(format!("{word:?} names a path that its `when` does not have"));
            }
        }
        Ok(Self { when, entrypoint, cmd, healthcheck, port })
    }
}

fn placeholder(at: usize) -> String {
    format!("{{{at}}}")
}
