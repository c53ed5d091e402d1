//! [`ShellForm`]: a command that a shell runs, found in a command line.

use super::Look;
use super::exec_form::{Environment, ExecForm, Purpose, Refusal, exec_form, invocation};
use super::facts::Facts;
use super::walk::unwrap_in_place;
use super::wrappers::MOST_WRAPPERS;
use crate::inventory::Kind;
use crate::path::RootPath;

/// `sh -c COMMAND` in a command line, itself or behind programs that run what their arguments say.
#[derive(Debug, Clone)]
pub(crate) struct ShellForm {
    /// The index of the word that names the shell.
    pub(crate) at: usize,
    /// That word.
    pub(crate) shell: String,
    /// Its command, and what is different without the shell.
    command: Result<(String, Vec<&'static str>), Refusal>,
}

impl Look<'_> {
    /// Finds `sh -c COMMAND` in a command line.
    pub(crate) fn shell_form(&self, words: &[String]) -> Option<ShellForm> {
        let mut at = 0;
        for _ in 0..=MOST_WRAPPERS {
            let command = match invocation(&words[at..]) {
                Ok(Some(found)) => Some(Ok((found.command.to_owned(), found.notes))),
                Ok(None) => None,
                Err(refusal) => Some(Err(refusal)),
            };
            if let Some(command) = command {
                return Some(ShellForm { at, shell: words.get(at)?.clone(), command });
            }
            at += unwrap_in_place(&words[at..], &self.variables())?.0;
        }
        None
    }

    /// Where a command line begins behind programs that only run it, and their words as far as they do
    /// not make it another user's.
    pub(crate) fn unwrapped(&self, words: &[String]) -> (usize, Vec<String>) {
        let (mut at, mut wrappers) = (0, Vec::new());
        for _ in 0..MOST_WRAPPERS {
            let unwrapped = unwrap_in_place(&words[at..], &self.variables());
            let Some((by, changes_user)) = unwrapped else { break };
            if !changes_user {
                wrappers.extend_from_slice(&words[at..at + by]);
            }
            at += by;
        }
        (at, wrappers)
    }

    /// Whether the kernel starts a file by itself.
    pub(crate) fn kernel_starts(&self, path: &RootPath) -> bool {
        let found = self.inventory.resolve(path).found;
        match found.and_then(|file| self.facts(&file)) {
            Some(Facts::Elf(_)) => true,
            Some(Facts::Text(text)) => text.starts_with(b"#!"),
            Some(Facts::Broken(_)) | None => false,
        }
    }
}

impl ShellForm {
    /// `sh -c COMMAND` as a whole command line.
    pub(super) fn of(command: &str) -> Self {
        Self { at: 0, shell: "sh".to_owned(), command: Ok((command.to_owned(), Vec::new())) }
    }

    /// The exec form of its command.
    pub(crate) fn exec_form(&self, look: &Look<'_>, purpose: Purpose) -> Result<ExecForm, Refusal> {
        let (command, notes) = self.command.clone()?;
        let surroundings = Surroundings { look, variables: look.variables() };
        let mut form = exec_form(&command, purpose, &surroundings)?;
        form.notes.extend(notes);
        Ok(form)
    }
}

struct Surroundings<'a> {
    look: &'a Look<'a>,
    variables: Vec<String>,
}

impl Environment for Surroundings<'_> {
    fn is_dir(&self, path: &RootPath) -> bool {
        let found = self.look.inventory.resolve(path).found;
        let inode = found.and_then(|found| self.look.inventory.lookup(&found));
        inode.is_some_and(|inode| inode.kind == Kind::Directory)
    }

    fn variables(&self) -> &[String] {
        &self.variables
    }
}
