//! What speaks against a plan, and what it changes for others.

use std::collections::BTreeSet;

use super::drops::Draft;
use super::needs::{self, Need, Needs};
use super::user::PlannedUser;
use super::{Conflict, Problem, command_line, reach};
use crate::finding::RuleId;
use crate::image::RuntimeConfig;
use crate::inventory::{Content, Inventory};
use crate::path::{RootPath, lossy};

/// What speaks against a draft: the start needs something that goes, or the user may not use it.
pub(super) fn find(
    draft: &Draft<'_>,
    config: &RuntimeConfig,
    needs: &Needs,
    user: &PlannedUser,
) -> Vec<Conflict> {
    let inventory = draft.inventory;
    let mut conflicts: Vec<Conflict> = Vec::new();
    for need in &needs.found {
        let removed = need.names.iter().rev().find_map(|name| Some((name, draft.removal(name)?)));
        let Some((path, because)) = removed else { continue };
        let problem = Problem::Removed { path: path.clone(), because: because.clone() };
        let known =
            conflicts.iter().any(|old| old.pointer == need.pointer && old.problem == problem);
        if !known {
            let settle = settle(inventory, config, need, because);
            conflicts.push(Conflict {
                pointer: need.pointer,
                problem,
                chain: need.chain.clone(),
                settle,
            });
        }
    }
    match user.id {
        Some(user) => conflicts.extend(reach::denied(inventory, config, user, needs)),
        None => conflicts.push(no_such_user(config)),
    }
    conflicts
}

/// What the start loses and can do without in a pod that follows the rules: reported, not refused.
pub(super) fn notes(draft: &Draft<'_>, needs: &Needs) -> Vec<String> {
    let mut notes = Vec::new();
    for need in &needs.found {
        let Some(file) = need.names.last() else { continue };
        let Some(loss) = draft.loss(file) else { continue };
        let note = format!(
            "{file}, which the start needs, loses its {loss}; a pod without privileges could not use it either"
        );
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes
}

/// Scripts that stay although their interpreter goes.
pub(super) fn orphaned(draft: &Draft<'_>) -> Vec<RootPath> {
    let inventory = draft.inventory;
    let names = inventory.names().iter();
    let orphaned = names.filter(|(path, name)| {
        let Content::Script(line) = &inventory.inode(name.inode).content else { return false };
        let line = lossy(line);
        let Some(interpreter) = line.split_ascii_whitespace().next() else { return false };
        let Ok(interpreter) = interpreter.parse() else { return false };
        let way = inventory.resolve(&interpreter);
        draft.removal(path).is_none()
            && way.links.iter().chain(&way.found).any(|name| draft.removal(name).is_some())
    });
    orphaned.map(|(path, _)| path.clone()).collect()
}

fn no_such_user(config: &RuntimeConfig) -> Conflict {
    Conflict {
        pointer: "/config/User",
        problem: Problem::NoSuchUser { user: config.user().to_owned() },
        chain: Vec::new(),
        settle: vec!["--user UID[:GID]".to_owned()],
    }
}

/// The flags that would settle a need of something that is to be removed.
fn settle(
    inventory: &Inventory,
    config: &RuntimeConfig,
    need: &Need,
    because: &BTreeSet<RuleId>,
) -> Vec<String> {
    let rules = because.iter().map(|rule| format!("--keep rule:{rule}"));
    let keep = rules
        .chain([format!("--keep {}", need.path)])
        .map(|flag| format!("{flag} (leaves it in the image)"));
    let other = if need.pointer == "/config/Healthcheck" {
        vec!["--healthcheck '[\"CMD\", ...]'".to_owned(), "--healthcheck none".to_owned()]
    } else {
        vec![start_hint(inventory, config)]
    };
    other.into_iter().chain(keep).collect()
}

/// The full pair of flags: the application's own command where the config shows it.
fn start_hint(inventory: &Inventory, config: &RuntimeConfig) -> String {
    let argv: Vec<String> = config.entrypoint().into_iter().chain(config.cmd()).collect();
    let unwrapped: Vec<String> = match argv.iter().position(|word| word == "-c") {
        Some(at) => argv.get(at + 1).map(|command| simple_words(command)).unwrap_or_default(),
        None => argv.get(1..).unwrap_or_default().to_vec(),
    };
    let own = |word: &String| {
        let path = needs::executable(inventory, config, word)?;
        let found = inventory.resolve(&path).found?;
        let binary = matches!(inventory.lookup(&found)?.content, Content::Elf(_));
        binary.then_some(())
    };
    if unwrapped.first().and_then(own).is_some() {
        return format!("--entrypoint '{}' --cmd '[]'", command_line(&unwrapped));
    }
    "--entrypoint '[\"PROGRAM\", \"ARGUMENT\"]' --cmd '[]' (how the application itself starts)"
        .to_owned()
}

/// The words of a shell command that uses nothing of the shell; else none.
fn simple_words(command: &str) -> Vec<String> {
    let command = command.trim().strip_prefix("exec ").unwrap_or(command.trim());
    let plain = |c: char| c.is_ascii_alphanumeric() || " /._-=:,@+%".contains(c);
    let words: Vec<String> = command.split_ascii_whitespace().map(str::to_owned).collect();
    let assigns = words.first().is_some_and(|word| word.contains('='));
    if command.chars().all(plain) && !assigns { words } else { Vec::new() }
}
