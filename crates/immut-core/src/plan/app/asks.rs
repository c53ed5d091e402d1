//! What the configuration of a known application asks of a user that cannot do it.

use std::collections::{BTreeMap, BTreeSet};

use super::files::{Left, Room, all, by_file};
use super::{Choice, Choices, Command};
use crate::apps::{App, Ask, Demand, Edit, Found};
use crate::inventory::EntryId;
use crate::needs::{Hop, Look, pointer};
use crate::path::{RootPath, lossy};
use crate::plan::against::{Against, KEEP_BROKEN};
use crate::plan::drops::Draft;
use crate::plan::reach::{Check, giving};
use crate::plan::{Conflict, Problem};

/// What speaks against an image that starts a known application itself: what its configuration asks of
/// the user and the user may not do. Of an app profile that is applied the edits count as made.
pub(in crate::plan) fn unmet(
    draft: &Draft<'_>,
    look: &Look<'_>,
    choices: &Choices,
    check: &Check<'_>,
) -> Against {
    let known = match &choices.app {
        Some(Choice::This(app)) => std::slice::from_ref(&**app),
        Some(Choice::Auto) | None => App::builtin(),
    };
    let (mut against, edited) = (Against::default(), choices.app.is_some());
    let command = Command::of(look);
    for app in known.iter().filter(|app| !app.asks.is_empty()) {
        let sign = app.recognises(&|glob| look.names_matching(glob), command.own());
        let Some(sign) = sign.filter(|sign| command.is_itself(*sign, look)) else { continue };
        let (program, words) = (&command.own()[0], &command.own()[sign.words..]);
        let named = words.iter().take(MOST_WORDS).filter_map(|word| named(look, word)).collect();
        let words = words.join("\n");
        Asks { app, program, draft, look, check, edited, words, named }.unmet(&mut against);
    }
    against
}

/// An application, and what its user is asked with.
struct Asks<'a> {
    app: &'a App,
    /// Its first word.
    program: &'a str,
    draft: &'a Draft<'a>,
    look: &'a Look<'a>,
    check: &'a Check<'a>,
    /// Whether its edits are made.
    edited: bool,
    /// The words that are for it, one in each line.
    words: String,
    /// Paths that they name.
    named: BTreeSet<RootPath>,
}

/// A configuration file, with all that is about it.
struct Configuration<'a> {
    path: RootPath,
    asks: Vec<&'a Ask>,
    edits: Vec<&'a Edit>,
}

/// Where something is asked for.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// The configuration; none: the words of the start.
    file: Option<&'a RootPath>,
    found: Option<&'a Found>,
}

impl<'a> Asks<'a> {
    fn unmet(&self, against: &mut Against) {
        for ask in self.app.asks.iter().filter(|ask| ask.file.is_none()) {
            self.asked(ask, None, &self.words, &mut against.conflicts);
        }
        let wanted = self.configurations(&mut against.unseen);
        let mut of_files = Vec::new();
        self.look.see_each(wanted, |Configuration { path, asks, edits }, bytes| {
            let Ok(text) = str::from_utf8(bytes) else {
                return against.unseen.push(unlooked(&path, "it is no text"));
            };
            let edited = all(text, &edits).map(|(edited, _)| edited);
            let text = edited.as_deref().unwrap_or(text);
            let mut conflicts = Vec::new();
            for ask in asks {
                self.asked(ask, Some(&path), text, &mut conflicts);
            }
            of_files.push((path, conflicts));
        });
        of_files.sort_by(|a, b| a.0.cmp(&b.0));
        against.conflicts.extend(of_files.into_iter().flat_map(|(_, conflicts)| conflicts));
    }

    /// The files that it reads and that something is asked of, with the entries of their contents.
    fn configurations(&self, unseen: &mut Vec<String>) -> Vec<(EntryId, Configuration<'a>)> {
        let app = self.app;
        let asks = app.asks.iter().filter_map(|ask| Some((ask.file.as_ref()?, ask)));
        let mut edits: BTreeMap<RootPath, Vec<&Edit>> = BTreeMap::new();
        if self.edited {
            edits = by_file(self.look, app.edits.iter().map(|edit| (&edit.file, edit)));
        }
        let (mut wanted, mut room) = (Vec::new(), Room::default());
        for (path, mut asks) in by_file(self.look, asks) {
            asks.retain(|ask| self.reads(&path, ask));
            let Some(file) = Left::of(self.look.inventory, &path, None) else { continue };
            if asks.is_empty() || self.draft.removal(&path).is_some() {
                continue;
            }
            match file.text() {
                Ok((entry, size)) if room.take(size) => {
                    let edits = edits.remove(&path).filter(|_| file.editable().is_ok());
                    let edits = edits.unwrap_or_default();
                    wanted.push((entry, Configuration { path, asks, edits }));
                }
                Ok(_) => {
                    unseen.push(unlooked(&path, "there is more of it than configuration is"));
                    break;
                }
                Err(reason) => unseen.push(unlooked(&path, reason)),
            }
        }
        wanted
    }

    /// Whether it reads a file: it is named, or nothing else is.
    fn reads(&self, file: &RootPath, ask: &Ask) -> bool {
        if self.named.is_empty() {
            return !ask.named;
        }
        file.ancestors().any(|path| self.named.contains(&path))
    }

    /// Adds what a text asks for and the user may not do.
    fn asked(&self, ask: &Ask, file: Option<&RootPath>, text: &str, conflicts: &mut Vec<Conflict>) {
        if ask.is_waived(&[text, &self.words]) {
            return;
        }
        let found = ask.demand.found(text);
        match &ask.demand {
            Demand::Root(_) => conflicts.extend(self.root(file, &found)),
            Demand::Writes(_) => {
                for found in &found {
                    let path = found.group.as_deref().and_then(|path| self.path(ask, path));
                    let place = Place { file, found: Some(found) };
                    conflicts.extend(path.and_then(|path| self.writing(&path, place)));
                }
            }
            Demand::Folders(globs) => {
                let folders = globs.iter().flat_map(|glob| self.look.names_matching(glob));
                let paths = folders.filter_map(|folder| folder.parse().ok());
                let place = Place { file, found: None };
                conflicts.extend(paths.filter_map(|path| self.writing(&path, place)));
            }
        }
    }

    /// A path of a configuration, a variable at its beginning set.
    fn path(&self, ask: &Ask, written: &str) -> Option<RootPath> {
        if let Some(rest) = written.strip_prefix("${") {
            let (name, rest) = rest.split_once('}')?;
            return absolute(&(self.look.config.env(name)? + rest));
        }
        let within = ask.base.as_deref().filter(|_| !written.starts_with('/'));
        absolute(&within.map_or_else(|| written.to_owned(), |base| format!("{base}/{written}")))
    }

    /// A conflict where root is asked for, by the first place of several.
    fn root(&self, file: Option<&RootPath>, found: &[Found]) -> Option<Conflict> {
        let first = found.first()?;
        let more = if found.len() > 1 { ", and so do other lines" } else { "" };
        let user = self.check.user();
        let what =
            format!("`{}` asks for root, which user {user} is not{more}", short(&first.line));
        let place = Place { file, found: Some(first) };
        Some(self.conflict(Problem::Broken { what }, place, vec![KEEP_BROKEN.to_owned()]))
    }

    /// A conflict where something has to be written that the user may not write.
    fn writing(&self, path: &RootPath, place: Place<'_>) -> Option<Conflict> {
        let problem = self.check.writing(self.draft, path)?;
        let give = giving(&problem).map(|(_, flag)| flag);
        let settle = give.into_iter().chain([KEEP_BROKEN.to_owned()]).collect();
        Some(self.conflict(problem, place, settle))
    }

    fn conflict(&self, problem: Problem, place: Place<'_>, settle: Vec<String>) -> Conflict {
        let Place { file, found } = place;
        let line = found.map(|Found { number, line, .. }| match file {
            Some(_) => Hop::Line { number: *number, text: short(line) },
            None => Hop::Word(short(line)),
        });
        // What is asked for without a line is what the profile knows.
        let profile = found.is_none().then(|| Hop::Profile(self.app.name.clone()));
        let program = Hop::Word(self.program.to_owned());
        let chain = [program].into_iter().chain(file.cloned().map(Hop::File));
        let entrypoint = !self.look.config.entrypoint().is_empty();
        Conflict {
            pointer: if entrypoint { pointer::ENTRYPOINT } else { pointer::CMD },
            problem,
            chain: chain.chain(line).chain(profile).collect(),
            unconverted: None,
            settle,
        }
    }
}

/// The path that a word of a command names, or what follows its equals sign: one that looks like a path,
/// or is there. Devices are no configuration.
fn named(look: &Look<'_>, word: &str) -> Option<RootPath> {
    let value = word.split_once('=').map_or(word, |(_, value)| value);
    if value.is_empty() {
        return None;
    }
    let path = look.in_working_dir(value)?;
    let there = look.inventory.resolve(&path).found;
    let is_path = there.is_some() || value.starts_with(['/', '.']);
    let path = there.unwrap_or(path);
    let device = matches!(path.components().next(), Some(b"dev" | b"proc"));
    (is_path && !device).then_some(path)
}

fn absolute(path: &str) -> Option<RootPath> {
    path.starts_with('/').then(|| path.parse().ok()).flatten()
}

fn unlooked(path: &RootPath, reason: &str) -> String {
    format!("what {path} asks of the user was not looked at: {reason}")
}

/// A line as a message shows it.
fn short(line: &str) -> String {
    const MOST: usize = 60;
    match line.char_indices().nth(MOST) {
        Some((end, _)) => lossy(&line.as_bytes()[..end]) + "…",
        None => lossy(line.as_bytes()),
    }
}

/// The most words of a start that are looked at for paths; a real one has some ten.
const MOST_WORDS: usize = 1000;
