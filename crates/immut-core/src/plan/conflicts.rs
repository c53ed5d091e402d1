//! What speaks against a plan, and what it changes for others.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::against::{Against, KEEP_BROKEN};
use super::convert::Refused;
use super::drops::Draft;
use super::user::{PlannedUser, present_user};
use super::writable::Writables;
use super::{Choices, Conflict, Problem, app, command_line, reach};
use crate::finding::RuleId;
use crate::image::RuntimeConfig;
use crate::inventory::Subject;
use crate::needs::{Closure, Edge, Files, Gap, Look, Start, broken_start, pointer};
use crate::path::{RootPath, lossy};

/// What speaks against a draft: the start needs something that goes or is not there, or the user may
/// not use it.
pub(super) fn find(
    draft: &Draft<'_>,
    look: &Look<'_>,
    closure: &Closure,
    user: &PlannedUser,
    choices: &Choices,
    refusals: &BTreeMap<&'static str, Refused>,
    writables: &Writables,
) -> Against {
    let Against { mut conflicts, mut unseen } = Against::default();
    for start in &closure.starts {
        for edge in &start.edges {
            conflicts.extend(removed(draft, look, start, edge, refusals.get(edge.pointer)));
        }
        if !choices.profile.keeps_rule(&broken_start()) {
            conflicts.extend(start.gaps.iter().map(broken));
        }
    }
    match user.id {
        Some(id) => {
            let check = reach::Check::new(look.inventory, id, writables);
            conflicts.extend(reach::denied(look, user, closure, &check));
            if id.uid != 0 {
                conflicts.extend(switches(draft, closure));
                if !choices.profile.keeps_rule(&broken_start()) {
                    let unmet = app::unmet(draft, look, choices, &check);
                    conflicts.extend(unmet.conflicts);
                    unseen.extend(unmet.unseen);
                }
            }
        }
        None => conflicts.push(no_such_user(look.config)),
    }
    let mut seen: HashSet<(&'static str, Problem)> = HashSet::new();
    conflicts.retain(|one| seen.insert((one.pointer, one.problem.clone())));
    Against { conflicts, unseen }
}

/// What the start of an image as it is needs, and what keeps it from starting.
pub(crate) fn obstacles(
    subject: &Subject<'_>,
    choices: &Choices,
    files: &Files<'_>,
) -> (Closure, Against) {
    let config = choices.applied_to(subject.config);
    let look = Look::new(subject.inventory, &config, files);
    let closure = Closure::of(&look, &choices.start_with, &choices.kept_paths());
    let user = present_user(subject, choices);
    let draft = Draft::new(subject.inventory, choices.purges_hidden());
    let none = (BTreeMap::new(), Writables::default());
    let mut against = find(&draft, &look, &closure, &user, choices, &none.0, &none.1);
    if let Some(id) = user.id {
        let check = reach::Check::new(subject.inventory, id, &none.1);
        let told = reach::denied_words(&look, &closure, &check).into_iter();
        let told = told.map(|one| format!("{}: {}, and a word names it", one.pointer, one.problem));
        against.unseen.extend(told.take(reach::MOST_TOLD));
    }
    (closure, against)
}

/// A conflict where something on the way along an edge goes.
fn removed(
    draft: &Draft<'_>,
    look: &Look<'_>,
    start: &Start,
    edge: &Edge,
    refused: Option<&Refused>,
) -> Option<Conflict> {
    if edge.is_by_chance(start) || edge.may_be_read() {
        return None;
    }
    let file = &start.needs[edge.to].path;
    let mut names = std::iter::once(file).chain(edge.links.iter().rev());
    let (path, because) = names.find_map(|name| Some((name, draft.removal(name)?)))?;
    Some(Conflict {
        pointer: edge.pointer,
        problem: Problem::Removed { path: path.clone(), because: because.clone() },
        chain: start.chain_of(edge),
        unconverted: refused.map(|refused| refused.reason.clone()),
        settle: settle(look, edge, because, refused),
    })
}

/// A conflict where the start was broken before.
fn broken(gap: &Gap) -> Conflict {
    let start = if gap.pointer == pointer::HEALTHCHECK {
        "--healthcheck '[\"CMD\", ...]'"
    } else {
        "--entrypoint '[...]' --cmd '[...]'"
    };
    Conflict {
        pointer: gap.pointer,
        problem: Problem::Broken { what: gap.problem.clone() },
        chain: gap.chain.clone(),
        unconverted: None,
        settle: vec![format!("{start} (what can start)"), KEEP_BROKEN.to_owned()],
    }
}

/// Conflicts where a program becomes another user, unless it is setuid and stays so.
fn switches(draft: &Draft<'_>, closure: &Closure) -> impl Iterator<Item = Conflict> {
    let starts = closure.starts.iter();
    let switches = starts.flat_map(|start| start.switches.iter().map(move |one| (start, one)));
    switches.filter_map(|(start, switch)| {
        let path = &start.needs[switch.need].path;
        let setuid = draft.inventory.lookup(path)?.mode & 0o4000 != 0;
        if setuid && draft.loss(path).is_none() {
            return None;
        }
        let command = match &switch.command[..] {
            [] => "[...]".to_owned(),
            command => command_line(command),
        };
        let instead = match switch.pointer {
            pointer::HEALTHCHECK => format!("--healthcheck '{command}'"),
            pointer::START_WITH => format!("--start-with '{command}'"),
            _ => format!("--entrypoint '{command}' --cmd '[]'"),
        };
        Some(Conflict {
            pointer: switch.pointer,
            problem: Problem::Broken {
                what: format!("{path} becomes another user, which only root may"),
            },
            chain: start.chain(switch.need),
            unconverted: None,
            settle: vec![
                format!("{instead} (with the user that --user names)"),
                "--keep rule:root-user (leaves the user root)".to_owned(),
            ],
        })
    })
}

/// What the start loses and can do without: reported, not refused.
pub(super) fn notes(draft: &Draft<'_>, closure: &Closure) -> Vec<String> {
    let mut notes = Vec::new();
    for start in &closure.starts {
        let losses =
            start.needs.iter().filter_map(|need| Some((&need.path, draft.loss(&need.path)?)));
        notes.extend(losses.map(|(path, loss)| format!(
            "{path}, which the start needs, loses its {loss}; a pod without privileges could not use it either"
        )));
        let chances = start.edges.iter().filter(|edge| edge.is_by_chance(start));
        let goes = chances.filter(|edge| draft.removes_way(&edge.asked));
        notes.extend(goes.map(|edge| {
            let (pointer, name) = (edge.pointer, lossy(edge.asked.file_name()));
            format!(
                "{pointer}: the argument {name:?} is the name of {} too, which goes",
                edge.asked
            )
        }));
    }
    let mut seen = HashSet::new();
    notes.retain(|note| seen.insert(note.clone()));
    notes
}

/// Scripts that stay although their interpreter goes.
pub(super) fn orphaned(draft: &Draft<'_>) -> Vec<RootPath> {
    let names = draft.inventory.names().keys();
    let orphaned =
        names.filter(|path| draft.removal(path).is_none() && draft.loses_interpreter(path));
    orphaned.cloned().collect()
}

fn no_such_user(config: &RuntimeConfig) -> Conflict {
    Conflict {
        pointer: pointer::USER,
        problem: Problem::NoSuchUser { user: config.user().to_owned() },
        chain: Vec::new(),
        unconverted: None,
        settle: vec!["--user UID[:GID]".to_owned()],
    }
}

/// The flags that would settle a need of something that is to be removed.
fn settle(
    look: &Look<'_>,
    edge: &Edge,
    because: &BTreeSet<RuleId>,
    refused: Option<&Refused>,
) -> Vec<String> {
    let rules = because.iter().map(|rule| format!("--keep rule:{rule}"));
    let keep = rules
        .chain([format!("--keep {}", edge.asked)])
        .map(|flag| format!("{flag} (leaves it in the image)"));
    let instead =
        refused.and_then(|refused| refused.instead.as_ref()).map(|words| command_line(words));
    let other = match (edge.pointer, instead) {
        (pointer::HEALTHCHECK, Some(words)) => vec![
            format!("--healthcheck '{words}' (which does less)"),
            "--healthcheck none".to_owned(),
        ],
        (pointer::HEALTHCHECK, None) => {
            vec!["--healthcheck '[\"CMD\", ...]'".to_owned(), "--healthcheck none".to_owned()]
        }
        (pointer::START_WITH | pointer::KEEP | pointer::APP, _) => Vec::new(),
        (_, Some(words)) => vec![format!("--entrypoint '{words}' --cmd '[]' (which does less)")],
        (_, None) => vec![start_hint(look)],
    };
    other.into_iter().chain(keep).collect()
}

/// The full pair of flags: the application's own command where the config shows it.
fn start_hint(look: &Look<'_>) -> String {
    let argv: Vec<String> = look.config.entrypoint().into_iter().chain(look.config.cmd()).collect();
    if let Some(own) = look.package_start(&argv) {
        let own = command_line(&own);
        return format!("--entrypoint '{own}' --cmd '[]' (what the package's script runs)");
    }
    // Official images start a script with the application's own command for its arguments.
    let unwrapped = argv.get(1..).unwrap_or_default();
    if unwrapped.first().is_some_and(|word| look.is_binary(word)) {
        return format!("--entrypoint '{}' --cmd '[]'", command_line(unwrapped));
    }
    "--entrypoint '[\"PROGRAM\", \"ARGUMENT\"]' --cmd '[]' (how the application itself starts)"
        .to_owned()
}
