//! An app profile on its way into a plan: which one, and what of the config it changes.

mod asks;
mod command;
mod files;
mod suggest;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::json;

pub(super) use asks::unmet;
use command::{Command, start_of};
use files::Edits;
pub(super) use suggest::suggest;

use super::choices::with_test;
use super::convert::Converted;
use super::drops::Draft;
use super::places::Place;
use super::{Action, Choices, Error, Step, accounts, because, command_line, id};
use crate::apps::{App, Choice, Mount, Port, Sign, Started};
use crate::image::{Healthcheck, RuntimeConfig};
use crate::inventory::EntryId;
use crate::needs::{Closure, Files, Look, pointer};
use crate::path::RootPath;

/// What an app profile does to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The profile's name.
    pub name: String,
    /// What people call the application.
    pub title: String,
    /// The start, if it changes.
    pub start: Option<Restart>,
    /// The test of the health check, if it changes.
    pub healthcheck: Option<Vec<String>>,
    /// Ports that the image exposed and that move.
    pub ports: Vec<Port>,
    /// Files that change.
    pub edits: Vec<EditedFile>,
    /// What the entrypoint script did and nobody does any more, and what to do instead.
    pub notes: Vec<String>,
}

/// A start that changes: entrypoint and cmd in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    /// As it was.
    pub before: Vec<String>,
    /// As it will be.
    pub after: Vec<String>,
}

/// A file that an app profile changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditedFile {
    /// Its name, links followed.
    pub path: RootPath,
    /// The changes.
    pub changes: Vec<Change>,
}

/// A change of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Why, as the profile says it.
    pub why: String,
    /// How often it was made.
    pub count: usize,
}

/// A profile that was found to be the image's.
pub(super) struct Fitting<'a> {
    app: &'a App,
    /// Where it is.
    program: String,
    started: Started,
    command: Command,
    sign: Option<Sign>,
}

impl<'a> Fitting<'a> {
    /// The profile that the caller wants, as it fits an image that starts as `look` says.
    pub(super) fn chosen(choices: &'a Choices, look: &Look<'_>) -> Result<Option<Self>, Error> {
        match &choices.app {
            None => Ok(None),
            Some(Choice::This(app)) => Self::of(app, look, choices.entrypoint.is_some()).map(Some),
            Some(Choice::Auto) => {
                let mut fitting = Self::all(look);
                match (fitting.len(), fitting.pop()) {
                    (1, Some(one)) => Ok(Some(one)),
                    (0, _) => Err(Error::NoApp { start: command_line(&start_of(look.config)) }),
                    (_, last) => {
                        let all = fitting.iter().chain(&last);
                        let names: Vec<&str> = all.map(|one| one.app.name.as_str()).collect();
                        Err(Error::SeveralApps { names: names.join(", ") })
                    }
                }
            }
        }
    }

    /// The built-in profiles that recognise an image.
    fn all(look: &Look<'_>) -> Vec<Fitting<'static>> {
        let each = App::builtin().iter().filter_map(|app| Fitting::of(app, look, false).ok());
        each.collect()
    }

    /// A profile, if it recognises the image; where the caller says how it starts, its program is enough.
    fn of(app: &'a App, look: &Look<'_>, start_is_chosen: bool) -> Result<Self, Error> {
        let matching = |glob: &str| look.names_matching(glob);
        let command = Command::of(look);
        let sign = app.recognises(&matching, command.own());
        let program = app.program(&matching).filter(|_| sign.is_some() || start_is_chosen);
        let Some(program) = program else {
            return Err(Error::OtherApp {
                sought: sought(app),
                start: command_line(&command.words),
            });
        };
        let Some(started) = app.started(&matching) else {
            return Err(Error::NoAppStart { name: app.name.clone() });
        };
        Ok(Self { app, program, started, command, sign })
    }

    /// Changes the config, as far as the caller does not say himself what it has to be.
    pub(super) fn apply(
        self,
        draft: &Draft<'_>,
        files: &Files<'_>,
        choices: &Choices,
        converted: &mut Converted,
    ) -> Result<Fitted<'a>, Error> {
        let before = start_of(&converted.config);
        let mut moved = None;
        if let Some(new) = self.start(draft, files, choices, &converted.config)? {
            moved = new.port;
            converted.replace(Action::SetEntrypoint { to: new.entrypoint });
            if choices.cmd.is_none() && new.cmd != converted.config.cmd() {
                converted.replace(Action::SetCmd { to: new.cmd });
            }
        }
        let healthcheck = self.healthcheck(draft, files, choices, converted);
        if let Some(test) = &healthcheck {
            let check = with_test(&converted.config, test);
            converted.replace(Action::SetHealthcheck { to: Some(check) });
        }
        for (name, value) in &self.app.env {
            if converted.config.env(name).is_none() {
                let (name, value) = (name.clone(), value.clone());
                converted.replace(Action::SetVariable { name, value });
            }
        }
        let after = start_of(&converted.config);
        let ports = self.app.ports.iter().filter(|port| converted.config.exposes(port.from));
        let applied = Applied {
            name: self.app.name.clone(),
            title: self.app.title.clone(),
            start: (before != after).then_some(Restart { before, after }),
            healthcheck,
            ports: ports.copied().collect(),
            edits: Vec::new(),
            notes: self.app.notes.clone(),
        };
        Ok(Fitted { fitting: self, applied, moved })
    }

    /// The account that the application's data belong to.
    pub(super) fn account(&self) -> Option<&'a str> {
        self.app.user.as_deref()
    }

    /// What makes a plan apply it.
    fn choice(&self) -> Choice {
        Choice::This(Arc::new(self.app.clone()))
    }

    /// The new entrypoint and cmd; none where the image starts the application itself already.
    fn start(
        &self,
        draft: &Draft<'_>,
        files: &Files<'_>,
        choices: &Choices,
        config: &RuntimeConfig,
    ) -> Result<Option<NewStart>, Error> {
        let look = Look::new(draft.inventory, config, files);
        let Self { started, command, .. } = self;
        let argv = command.own();
        let Some(sign) = self.sign.filter(|_| choices.entrypoint.is_none()) else {
            return Ok(None);
        };
        let whole = &command.words[..];
        let done = [argv, whole].iter().any(|words| words.starts_with(&started.entrypoint));
        if command.is_itself(sign, &look) || done {
            return Ok(None);
        }
        let words = &argv[sign.words..];
        if choices.cmd.as_ref().is_some_and(|cmd| cmd.len() > words.len()) {
            let entrypoint = command_line(&started.entrypoint);
            return Err(Error::CmdIsApp { name: self.app.name.clone(), entrypoint });
        }
        let cmd = if words.is_empty() { &started.cmd[..] } else { words };
        let port = started.port.filter(|_| words.is_empty() && choices.cmd.is_none());
        let entrypoint = command.wrappers.iter().chain(&started.entrypoint).cloned().collect();
        Ok(Some(NewStart { entrypoint, cmd: cmd.to_vec(), port }))
    }

    /// The profile's health check, where the image has one that loses its shell.
    fn healthcheck(
        &self,
        draft: &Draft<'_>,
        files: &Files<'_>,
        choices: &Choices,
        converted: &mut Converted,
    ) -> Option<Vec<String>> {
        let look = Look::new(draft.inventory, &converted.config, files);
        if choices.healthcheck.is_some() || self.started.healthcheck.is_empty() {
            return None;
        }
        let scripted = match converted.config.healthcheck() {
            Healthcheck::Exec(words) => words
                .first()
                .and_then(|word| look.executable(word))
                .and_then(|path| draft.inventory.resolve(&path).found)
                .is_some_and(|file| draft.loses_interpreter(&file)),
            Healthcheck::Shell(_) | Healthcheck::None => false,
        };
        if !scripted && converted.refusals.remove(pointer::HEALTHCHECK).is_none() {
            return None;
        }
        let test = ["CMD".to_owned()].into_iter().chain(self.started.healthcheck.iter().cloned());
        Some(test.collect())
    }
}

/// A start that a profile asks for.
struct NewStart {
    entrypoint: Vec<String>,
    cmd: Vec<String>,
    /// The port that the cmd moves.
    port: Option<u16>,
}

/// A profile that fits, with what it does to the config.
pub(super) struct Fitted<'a> {
    fitting: Fitting<'a>,
    applied: Applied,
    /// The port that its start moves.
    moved: Option<u16>,
}

/// What a profile does, with the files' new contents.
pub(super) struct Profiled {
    applied: Applied,
    contents: Vec<(RootPath, Vec<u8>)>,
    /// What it could not do.
    notes: Vec<String>,
}

impl Fitted<'_> {
    /// What the profile says is needed, with what it needs itself; and what it works on, as far as that
    /// does not go.
    pub(super) fn closure(&self, draft: &Draft<'_>, look: &Look<'_>) -> Closure {
        let Fitting { app, program, started, .. } = &self.fitting;
        let volumes = app.writable.iter().filter(|one| one.kind == Mount::Volume);
        let worked_on = (app.readable.iter())
            .chain(app.edits.iter().map(|edit| &edit.file))
            .chain(volumes.map(|one| &one.path));
        let worked_on = worked_on.flat_map(|glob| look.matching(glob));
        let names = started.when.iter().chain([program]).filter_map(|name| name.parse().ok());
        let all: BTreeSet<RootPath> = (app.needs.iter().flat_map(|glob| look.matching(glob)))
            .chain(worked_on.filter(|path| !draft.removes_way(path)))
            .chain(names)
            .collect();
        Closure::of_profile(look, &app.name, &all.into_iter().collect::<Vec<_>>())
    }

    /// What configuration will say.
    pub(super) fn texts(&self, look: &Look<'_>) -> Result<BTreeMap<RootPath, Vec<u8>>, Error> {
        Ok(self.fitting.edits(&BTreeSet::new(), look)?.contents.into_iter().collect())
    }

    /// The folders that the application writes to.
    pub(super) fn places(&self, look: &Look<'_>) -> Vec<Place> {
        let folders = self.fitting.app.folders(&|glob| look.names_matching(glob)).into_iter();
        let place = |(path, kind, create): (String, Mount, bool)| {
            Some(Place { path: path.parse().ok()?, kind, create, rule: id("app-profile") })
        };
        folders.filter_map(place).collect()
    }

    /// The files that its user has to be able to read, links followed.
    pub(super) fn readable(&self, look: &Look<'_>) -> BTreeSet<RootPath> {
        let globs = self.fitting.app.readable.iter();
        let names = globs.flat_map(|glob| look.names_matching(glob));
        names.filter_map(|path| look.inventory.resolve(&path.parse().ok()?).found).collect()
    }

    /// Makes the edits. A port that edits or starts move is moved only if one of them did.
    pub(super) fn files(
        mut self,
        dropped: &BTreeSet<EntryId>,
        look: &Look<'_>,
    ) -> Result<Profiled, Error> {
        let edits = self.fitting.edits(dropped, look)?;
        let Edits { contents, files, ports, mut notes } = edits;
        let app = self.fitting.app;
        self.applied.edits = files;
        self.applied.ports.retain(|port| {
            let moved = self.moved == Some(port.from) || ports.contains(&port.from);
            let goes = moved || !app.moves(port.from);
            if !goes {
                notes.push(format!(
                    "port {} stays exposed: nothing that app profile {} knows listens on it",
                    port.from, app.name
                ));
            }
            goes
        });
        Ok(Profiled { applied: self.applied, contents, notes })
    }
}

impl Profiled {
    /// Adds the steps on files and ports, and what is told.
    pub(super) fn finish(
        self,
        top: &accounts::Edit<'_>,
        steps: &mut Vec<Step>,
        notes: &mut Vec<String>,
    ) -> Applied {
        let ports = self.applied.ports.iter();
        let ports = ports.map(|port| step(Action::MovePort { from: port.from, to: port.to }));
        steps.extend(top.replacing(self.contents, id("app-profile")).chain(ports));
        notes.extend(self.notes);
        self.applied
    }
}

impl Converted {
    /// Changes the config, whatever was changed there before.
    fn replace(&mut self, action: Action) {
        let same = |step: &Step| match (&step.action, &action) {
            (Action::SetVariable { name, .. }, Action::SetVariable { name: new, .. }) => {
                name == new
            }
            (old, new) => std::mem::discriminant(old) == std::mem::discriminant(new),
        };
        self.steps.retain(|step| !same(step));
        match &action {
            Action::SetEntrypoint { to } => self.config.set("Entrypoint", json!(to)),
            Action::SetCmd { to } => self.config.set("Cmd", json!(to)),
            Action::SetHealthcheck { to } => self.config.set("Healthcheck", json!(to)),
            Action::SetVariable { name, value } => self.config.set_env(name, value),
            _ => {}
        }
        self.steps.push(step(action));
    }
}

/// A step that an app profile asks for.
fn step(action: Action) -> Step {
    Step { action, because: because(id("app-profile")) }
}

/// What a profile looks for, in words.
fn sought(app: &App) -> String {
    let programs: Vec<&str> = app.recognise.programs.iter().map(|glob| &**glob).collect();
    let starts = app.recognise.entrypoints.iter().chain(&app.recognise.words);
    let starts: Vec<&str> = starts.chain(&app.recognise.launchers).map(String::as_str).collect();
    format!("{} (one of {}, started by {})", app.name, programs.join(" "), starts.join(" "))
}
