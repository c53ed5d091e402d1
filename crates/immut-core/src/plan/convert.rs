//! Commands of the shell form that become the exec form, where that is provably the same.

use std::collections::BTreeMap;

use serde_json::json;

use super::choices::with_test;
use super::drops::Draft;
use super::{Action, Choices, Step, because, id};
use crate::image::{Healthcheck, RuntimeConfig};
use crate::needs::{ExecForm, Files, Look, Purpose, Refusal, ShellForm, Suggestion, pointer};

/// A config whose commands do without a shell, as far as they can.
pub(super) struct Converted {
    pub(super) config: RuntimeConfig,
    pub(super) steps: Vec<Step>,
    /// What is different all the same.
    pub(super) notes: Vec<String>,
    /// Why a command stays as it is, by the part of the config that it comes from.
    pub(super) refusals: BTreeMap<&'static str, Refused>,
}

/// Why a command has no exec form, and what could take its place.
pub(super) struct Refused {
    pub(super) reason: String,
    /// A command that does less, as the words of the part of the config.
    pub(super) instead: Option<Vec<String>>,
}

/// Converts what the image itself says; what the user says stays as it is said. Nothing changes
/// unless the shell goes.
pub(super) fn convert(
    draft: &Draft<'_>,
    config: RuntimeConfig,
    files: &Files<'_>,
    choices: &Choices,
) -> Converted {
    let (steps, notes, refusals) = (Vec::new(), Vec::new(), BTreeMap::new());
    let mut converted = Converted { config, steps, notes, refusals };
    if choices.entrypoint.is_none() && choices.cmd.is_none() {
        converted.start(draft, files);
    }
    if choices.healthcheck.is_none() {
        converted.healthcheck(draft, files);
    }
    converted
}

impl Converted {
    fn start(&mut self, draft: &Draft<'_>, files: &Files<'_>) {
        let (entrypoint, cmd) = (self.config.entrypoint(), self.config.cmd());
        let words: Vec<String> = entrypoint.iter().chain(&cmd).cloned().collect();
        let look = Look::new(draft.inventory, &self.config, files);
        let Some(shell) = look.shell_form(&words).filter(|shell| goes(draft, &look, shell)) else {
            return;
        };
        let in_entrypoint = shell.at < entrypoint.len();
        let part = if in_entrypoint { pointer::ENTRYPOINT } else { pointer::CMD };
        let form = match exec_form(&look, &shell, Purpose::Start) {
            Ok(form) => form,
            Err(refused) => return drop(self.refusals.insert(part, refused)),
        };
        self.environment(&form);
        let command: Vec<String> = words[..shell.at].iter().chain(&form.argv).cloned().collect();
        if in_entrypoint {
            self.step(Action::SetEntrypoint { to: command.clone() });
            self.config.set("Entrypoint", json!(command));
            if !cmd.is_empty() {
                // A shell took these for its own $0, $1, ...; the program would take them for words.
                self.step(Action::SetCmd { to: Vec::new() });
                self.config.unset("Cmd");
            }
        } else {
            let command = command[entrypoint.len()..].to_vec();
            self.step(Action::SetCmd { to: command.clone() });
            self.config.set("Cmd", json!(command));
        }
        self.notes.extend(form.notes.iter().map(|note| format!("start without a shell: {note}")));
    }

    fn healthcheck(&mut self, draft: &Draft<'_>, files: &Files<'_>) {
        let words = match self.config.healthcheck() {
            Healthcheck::Shell(command) => {
                let shell = self.config.shell();
                shell.into_iter().chain([command]).collect()
            }
            Healthcheck::Exec(words) => words,
            Healthcheck::None => return,
        };
        let look = Look::new(draft.inventory, &self.config, files);
        let Some(shell) = look.shell_form(&words).filter(|shell| goes(draft, &look, shell)) else {
            return;
        };
        let form = match exec_form(&look, &shell, Purpose::HealthCheck) {
            Ok(form) => form,
            Err(refused) => {
                return drop(self.refusals.insert(pointer::HEALTHCHECK, refused));
            }
        };
        let test = ["CMD".to_owned()].into_iter().chain(words[..shell.at].iter().cloned());
        let check = with_test(&self.config, &test.chain(form.argv).collect::<Vec<_>>());
        self.step(Action::SetHealthcheck { to: Some(check.clone()) });
        self.config.set("Healthcheck", check);
    }

    /// What the shell would have set for its command.
    fn environment(&mut self, form: &ExecForm) {
        for (name, value) in &form.env {
            self.step(Action::SetVariable { name: name.clone(), value: value.clone() });
            self.config.set_env(name, value);
        }
        if let Some(to) = &form.workdir {
            let to = to.to_string();
            self.config.set("WorkingDir", json!(to));
            self.step(Action::SetWorkingDir { to });
        }
    }

    fn step(&mut self, action: Action) {
        self.steps.push(Step { action, because: because(id("exec-form")) });
    }
}

/// Whether the shell of a command goes.
fn goes(draft: &Draft<'_>, look: &Look<'_>, shell: &ShellForm) -> bool {
    look.executable(&shell.shell).is_some_and(|path| draft.removes_way(&path))
}

/// The exec form, if its program is there and the kernel starts it: a text without `#!` was run by the
/// shell itself.
fn exec_form(look: &Look<'_>, shell: &ShellForm, purpose: Purpose) -> Result<ExecForm, Refused> {
    let form = shell.exec_form(look, purpose).map_err(|refusal| refused(&refusal))?;
    let program = form.argv.first().map(String::as_str).unwrap_or_default();
    let refuse = |reason| Err(Refused { reason, instead: None });
    match look.executable(program) {
        None => refuse(format!("{program:?} is no program of the image")),
        Some(path) if !look.kernel_starts(&path) => {
            refuse(format!("{path} is neither an ELF file nor a script with a first line #!"))
        }
        Some(_) => Ok(form),
    }
}

fn refused(refusal: &Refusal) -> Refused {
    let instead = match &refusal.suggestion {
        Some(Suggestion::Instead(argv)) => Some(argv.clone()),
        Some(Suggestion::WriteOut(_)) | None => None,
    };
    let hint = match &refusal.suggestion {
        Some(Suggestion::WriteOut(name)) => format!("; write the value of {name} out"),
        _ => String::new(),
    };
    Refused { reason: format!("{refusal}{hint}"), instead }
}
