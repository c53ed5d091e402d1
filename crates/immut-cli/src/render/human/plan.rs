//! Plans: what would be done, why, and what speaks against it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use immut_core::Planning;
use immut_core::finding::RuleId;
use immut_core::name::PinnedRef;
use immut_core::path::lossy;
use immut_core::plan::{Action, Applied, Because, Bundle, Plan, command_line};

use super::failure::conflict;
use super::{BOLD, DIM, MOST, RED, YELLOW, left_out, product, totals};

/// Plans: what would be done, why, and what speaks against it.
pub(crate) fn plans(image: &PinnedRef, planning: &Planning) {
    let mut text = format!("{BOLD}{image}{BOLD:#}\n");
    for one in &planning.platforms {
        plan(&mut text, &one.platform.to_string(), &one.plan);
    }
    product(text.trim_end());
    left_out(&planning.left_out);
}

fn plan(text: &mut String, platform: &str, plan: &Plan) {
    writeln!(text, "{BOLD}{platform}{BOLD:#}").ok();
    if plan.is_empty() {
        writeln!(text, "  nothing to do: the digest stays").ok();
    }
    let mut groups: BTreeMap<(String, &str), Vec<String>> = BTreeMap::new();
    for step in &plan.steps {
        let rules: Vec<&str> = step.because.iter().map(RuleId::as_str).collect();
        let (verb, subject) = verb(&step.action);
        groups.entry((rules.join(", "), verb)).or_default().push(subject);
    }
    for ((rules, verb), subjects) in &groups {
        writeln!(text, "  {BOLD}{verb}{BOLD:#} {} {DIM}because of {rules}{DIM:#}", subjects.len())
            .ok();
        for subject in subjects.iter().take(MOST) {
            writeln!(text, "    {subject}").ok();
        }
        if subjects.len() > MOST {
            writeln!(
                text,
                "    {DIM}and {} more; --format json lists them all{DIM:#}",
                subjects.len() - MOST
            )
            .ok();
        }
    }
    writeln!(text, "  before  {}\n  after   {}", totals(plan.before), totals(plan.after)).ok();
    remarks(text, plan);
    if !plan.conflicts.is_empty() {
        writeln!(
            text,
            "  {RED}conflicts{RED:#}: the image would not start, so harden would refuse (exit 4)"
        )
        .ok();
        plan.conflicts.iter().for_each(|one| conflict(text, one));
    }
}

fn verb(action: &Action) -> (&'static str, String) {
    match action {
        Action::Remove { path } => ("remove", path.to_string()),
        Action::DropHidden { entry, path } => {
            ("drop hidden", format!("{path} (layer {})", entry.layer + 1))
        }
        Action::DropMarker { entry, path } => {
            ("drop marker", format!("{path} (layer {})", entry.layer + 1))
        }
        Action::DropTable { entry, path } => {
            ("drop table of contents", format!("{path} (layer {})", entry.layer + 1))
        }
        Action::ClearMode { path, bits } => ("clear mode", format!("{path} ({bits:04o})")),
        Action::ClearCapability { path } => ("clear capability", path.to_string()),
        Action::SetOwner { path, owner: (uid, gid) } => {
            ("give away", format!("{path} with all beneath it (to {uid}:{gid})"))
        }
        Action::Carry { path, .. } => ("make a file of the hardlink", path.to_string()),
        Action::Relink { path, target, .. } => ("relink", format!("{path} to {target}")),
        Action::DropEmptied { layer } => ("leave out layer", (layer + 1).to_string()),
        Action::Compress { layer } => ("compress layer", (layer + 1).to_string()),
        Action::Arrange { bundles } => ("lay out layers", laid_out(bundles)),
        Action::EditFile { path, .. } => ("edit", path.to_string()),
        Action::AddDirectory { path, mode, owner, .. } => {
            ("add directory", format!("{path} (mode {mode:04o}, owner {}:{})", owner.0, owner.1))
        }
        other => ("set", config_line(other).unwrap_or_default()),
    }
}

/// How many layers there will be, and of how many packages.
fn laid_out(bundles: &[Bundle]) -> String {
    match bundles.iter().map(|bundle| bundle.packages.len()).sum::<usize>() {
        0 => "all files in one".to_owned(),
        packages => {
            let count = bundles.iter().filter(|bundle| !bundle.packages.is_empty()).count();
            format!("{packages} packages in {count}, the rest in one on top")
        }
    }
}

/// What a step does to the config, in a line; none for steps that work on files.
pub(super) fn config_line(action: &Action) -> Option<String> {
    Some(match action {
        Action::SetUser { from, to } if from.is_empty() => {
            format!("user    root (none was set) -> {to}")
        }
        Action::SetUser { from, to } => format!("user    {} -> {to}", lossy(from.as_bytes())),
        Action::SetEntrypoint { to } => format!("entrypoint {}", command_line(to)),
        Action::SetCmd { to } => format!("cmd     {}", command_line(to)),
        Action::SetVariable { name, value } => {
            format!("env     {name}={}", lossy(value.as_bytes()))
        }
        Action::SetWorkingDir { to } => format!("workdir {to}"),
        Action::SetHealthcheck { to: Some(check) } => format!("health  {}", check["Test"]),
        Action::SetHealthcheck { to: None } => "health  no check".to_owned(),
        Action::MovePort { from, to } => format!("port    {from} -> {to}"),
        _ => return None,
    })
}

/// What an app profile did beside what a line of the config says.
fn app(text: &mut String, app: &Applied) {
    writeln!(text, "  {BOLD}app{BOLD:#}     {} ({})", app.name, app.title).ok();
    if let Some(start) = &app.start {
        let (before, after) = (command_line(&start.before), command_line(&start.after));
        writeln!(text, "    start {before}\n       -> {after}").ok();
    }
    for file in &app.edits {
        for change in &file.changes {
            writeln!(text, "    edit {} ({}): {}", file.path, change.count, change.why).ok();
        }
    }
    for note in &app.notes {
        writeln!(text, "    {YELLOW}note{YELLOW:#}  {note}").ok();
    }
}

/// How much may run a shell later on, where one goes.
fn shell_users(text: &mut String, plan: &Plan) {
    let goes = |because: &Because| because.iter().any(|rule| rule.as_str() == "shell");
    let users = plan.closure.may_need_shell();
    if let Some(first) = users.first().filter(|_| plan.steps.iter().any(|step| goes(&step.because)))
    {
        let more = match users.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more; `immut check` lists them"),
        };
        writeln!(text, "  {DIM}shell{DIM:#}   may be needed later on: {first}{more}").ok();
    }
}

/// What stays, and what is worth knowing of it.
pub(super) fn remarks(text: &mut String, plan: &Plan) {
    plan.app.iter().for_each(|applied| app(text, applied));
    for kept in plan.kept.iter().take(MOST) {
        writeln!(text, "  {YELLOW}kept{YELLOW:#}    {} (rule {})", kept.path, kept.rule).ok();
    }
    if plan.kept.len() > MOST {
        writeln!(text, "  {YELLOW}kept{YELLOW:#}    and {} more", plan.kept.len() - MOST).ok();
    }
    for one in plan.writable.iter().take(MOST) {
        writeln!(text, "  {DIM}writable{DIM:#} {} ({})", one.path, one.kind.as_str()).ok();
    }
    if plan.writable.len() > MOST {
        writeln!(text, "  {DIM}writable{DIM:#} and {} more", plan.writable.len() - MOST).ok();
    }
    if !plan.orphaned.is_empty() {
        let count = plan.orphaned.len();
        writeln!(text, "  {DIM}orphaned{DIM:#} {count} scripts stay without their interpreter; the receipt lists them").ok();
    }
    for note in &plan.notes {
        writeln!(text, "  {YELLOW}note{YELLOW:#}    {note}").ok();
    }
    shell_users(text, plan);
    for unseen in &plan.unseen {
        writeln!(text, "  {YELLOW}unseen{YELLOW:#}  {unseen}").ok();
    }
}
