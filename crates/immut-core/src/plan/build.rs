//! From findings and choices to a [`Plan`].

use std::collections::{BTreeMap, HashSet};

use serde_json::json;

use super::drops::Draft;
use super::keeping::Keeping;
use super::user::planned_user;
use super::{
    Action, Choices, Healthcheck, Plan, Step, Totals, accounts, choices, command_line, conflicts,
};
use super::{id, needs};
use crate::finding::{Finding, Remedy, RuleId, Subject as FindingSubject};
use crate::image::{Compression, RuntimeConfig};
use crate::inventory::Subject;
use crate::inventory::{Inventory, Kind, Layer, Name};
use crate::path::RootPath;
use crate::rules::Catalog;
use crate::user::UserId;

/// Choices that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `--entrypoint` alone, while the image's Cmd is a command of its own.
    #[error(
        "with this --entrypoint the container would start {argv}: the image's cmd names a program itself; say what you mean with --entrypoint '{entrypoint}' --cmd '[...]'"
    )]
    CmdIsProgram {
        /// What would be started, as JSON.
        argv: String,
        /// The entrypoint, as JSON.
        entrypoint: String,
    },
    /// `--user` names root.
    #[error(
        "--user {0} is root; name a user that is not, or keep the image's user with --keep rule:root-user"
    )]
    RootUser(UserId),
    /// `--keep rule:ID` names no rule.
    #[error("there is no rule {0}; `immut rules` lists them")]
    NoSuchRule(RuleId),
}

impl Plan {
    /// Decides what to do about the findings, with the user's choices.
    ///
    /// ```
    /// # use immut_testkit::Recipe;
    /// # use immut_core::{Options, store::Layout};
    /// let folder = tempfile::tempdir()?;
    /// let image = Recipe::new().layer(|l| l.file("/su", 0o4755, b"x")).user("7").entrypoint(&["/su"])
    ///     .write(&folder.path().join("image"));
    /// let source = Layout::open(&folder.path().join("image"))?;
    /// let planning = immut_core::plan(&image.digest.parse()?, &source, &Options::default())?;
    /// assert_eq!(planning.platforms[0].plan.steps.len(), 1); // the setuid bit goes
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(
        catalog: &Catalog,
        subject: &Subject<'_>,
        findings: &[Finding],
        choices: &Choices,
    ) -> Result<Self, Error> {
        choices.check(catalog)?;
        check_start(subject, choices)?;
        let inventory = subject.inventory;
        let mut keeping = Keeping::new(catalog, inventory, choices);
        let mut draft = Draft::new(inventory);
        for finding in findings {
            draft_finding(&mut draft, &mut keeping, finding);
        }
        let config = choices.applied_to(subject.config);
        let user = planned_user(subject, choices);
        let needs = needs::of_config(inventory, &config);
        let conflicts = conflicts::find(&draft, &config, &needs, &user);
        let notes = conflicts::notes(&draft, &needs);
        let orphaned = conflicts::orphaned(&draft);
        let finished = draft.finish();
        let mut steps = finished.steps;
        steps.extend(user.step(subject.config));
        let top = accounts::Edit { inventory, dropped: &finished.dropped, hits: &finished.hits };
        steps.extend(top.steps(&user));
        steps.extend(start_steps(subject.config, choices));
        let compress = compress_steps(inventory, choices, &steps);
        steps.extend(compress);
        Ok(Self {
            source: subject.manifest.digest(),
            steps,
            conflicts,
            kept: keeping.into_recorded(),
            orphaned,
            notes,
            unseen: needs.unseen.iter().chain(inventory.unseen()).cloned().collect(),
            before: totals(inventory, inventory.names()),
            after: totals(inventory, &finished.names),
        })
    }
}

impl Choices {
    /// Refuses choices that no image could be hardened with, before one is read.
    pub fn check(&self, catalog: &Catalog) -> Result<(), Error> {
        if let Some(id) = self.profile.unknown_rule(catalog) {
            return Err(Error::NoSuchRule(id.clone()));
        }
        match self.user.filter(|user| user.uid == 0) {
            Some(root) => Err(Error::RootUser(root)),
            None => Ok(()),
        }
    }
}

/// Refuses a new entrypoint that the image's own cmd would make nonsense of.
fn check_start(subject: &Subject<'_>, choices: &Choices) -> Result<(), Error> {
    let Some(entrypoint) = &choices.entrypoint else { return Ok(()) };
    let cmd = subject.config.cmd();
    let program =
        |word: &String| needs::executable(subject.inventory, subject.config, word).is_some();
    if choices.cmd.is_none()
        && *entrypoint != subject.config.entrypoint()
        && cmd.first().is_some_and(program)
    {
        let argv: Vec<String> = entrypoint.iter().chain(&cmd).cloned().collect();
        return Err(Error::CmdIsProgram {
            argv: command_line(&argv),
            entrypoint: command_line(entrypoint),
        });
    }
    Ok(())
}

fn draft_finding(draft: &mut Draft<'_>, keeping: &mut Keeping<'_>, finding: &Finding) {
    if finding.remedy == Remedy::None || finding.remedy == Remedy::SetUser {
        return;
    }
    match &finding.subject {
        FindingSubject::File(path) if keeping.keeps(path, &finding.rule) => {}
        FindingSubject::File(path) => match finding.remedy {
            Remedy::ClearMode => draft.clear_mode(path, &finding.rule),
            Remedy::ClearCapability => draft.clear_capability(path, &finding.rule),
            _ => {
                for part in keeping.parts_around_kept(path, &finding.rule) {
                    draft.remove(part, &finding.rule);
                }
            }
        },
        FindingSubject::Hidden { layer, path } => {
            if !keeping.keeps(path, &finding.rule) {
                draft.drop_hidden(*layer, path, &finding.rule);
            }
        }
        FindingSubject::Config(_) => {}
    }
}

fn start_steps(config: &RuntimeConfig, choices: &Choices) -> Vec<Step> {
    let mut actions = Vec::new();
    if let Some(to) = choices.entrypoint.clone().filter(|to| *to != config.entrypoint()) {
        actions.push(Action::SetEntrypoint { to });
    }
    if let Some(to) = choices.cmd.clone().filter(|to| *to != config.cmd()) {
        actions.push(Action::SetCmd { to });
    }
    let old = config.inner("Healthcheck").filter(|old| !old.is_null());
    match &choices.healthcheck {
        Some(Healthcheck::None) if old.is_some() => {
            actions.push(Action::SetHealthcheck { to: None });
        }
        Some(Healthcheck::Test(test)) if old.is_none_or(|old| old["Test"] != json!(test)) => {
            actions.push(Action::SetHealthcheck { to: Some(choices::with_test(config, test)) });
        }
        _ => {}
    }
    let because = super::because(id("chosen-start"));
    actions.into_iter().map(|action| Step { action, because: because.clone() }).collect()
}

/// The layers that are compressed because the caller wants it.
fn compress_steps(inventory: &Inventory, choices: &Choices, steps: &[Step]) -> Vec<Step> {
    let because = super::because(id("chosen-compression"));
    if choices.compression.of(Compression::None) == Compression::None {
        return Vec::new();
    }
    let plain = |layer: &Layer| layer.compression == Compression::None;
    let dropped = |layer| steps.iter().any(|step| step.action == Action::DropEmptied { layer });
    let layers = inventory.layers().iter().enumerate();
    layers
        .filter(|(number, layer)| plain(layer) && !dropped(*number))
        .map(|(layer, _)| Step { action: Action::Compress { layer }, because: because.clone() })
        .collect()
}

fn totals(inventory: &Inventory, names: &BTreeMap<RootPath, Name>) -> Totals {
    let mut seen = HashSet::new();
    let mut totals = Totals::default();
    for name in names.values() {
        let inode = inventory.inode(name.inode);
        if inode.kind == Kind::Directory {
            continue;
        }
        totals.files += 1;
        if seen.insert(name.inode) {
            totals.bytes += inode.size;
        }
    }
    totals
}
