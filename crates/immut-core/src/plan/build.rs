//! From findings and choices to a [`Plan`].

use std::collections::{BTreeMap, HashSet};

use serde_json::json;

use super::against::Against;
use super::app::{self, Fitted, Fitting};
use super::convert::{Converted, convert};
use super::drops::Draft;
use super::id;
use super::keeping::Keeping;
use super::needed::{Gather, Needed};
use super::remarks::remarks;
use super::user::{PlannedUser, planned_user};
use super::writable::Writables;
use super::{
    Action, Choices, Conflict, Healthcheck, Kept, Plan, Step, Totals, accounts, choices,
    command_line, conflicts, layering, packages, places, reach, surplus, unreadable,
};
use crate::finding::{Finding, Remedy, RuleId, Subject as FindingSubject};
use crate::image::{Compression, RuntimeConfig};
use crate::inventory::Subject;
use crate::inventory::{Inventory, Kind, Layer, Name};
use crate::needs::{Closure, Files, Look};
use crate::path::RootPath;
use crate::rules::{Base, Catalog, Removes};
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
    /// `--cmd` names the application, and so does its profile's entrypoint.
    #[error(
        "--app {name} starts {entrypoint} with the words of --cmd: leave the application's name out of them"
    )]
    CmdIsApp {
        /// The profile.
        name: String,
        /// Its entrypoint, as JSON.
        entrypoint: String,
    },
    /// `--app auto`, and no profile fits.
    #[error(
        "no app profile recognises an image that starts {start}; `immut apps` lists them, and --app FILE.toml takes one of your own"
    )]
    NoApp {
        /// The image's command line, as JSON.
        start: String,
    },
    /// `--app auto`, and more than one profile fits.
    #[error("several app profiles recognise this image ({names}); say which one with --app NAME")]
    SeveralApps {
        /// Their names.
        names: String,
    },
    /// `--app NAME`, and it does not recognise the image.
    #[error(
        "app profile {sought} does not recognise an image that starts {start}; with --entrypoint its program is enough"
    )]
    OtherApp {
        /// The profile, and what it looks for.
        sought: String,
        /// The image's command line, as JSON.
        start: String,
    },
    /// The profile has no start that fits.
    #[error(
        "app profile {name} knows no start for what is in this image; `immut apps {name}` lists them"
    )]
    NoAppStart {
        /// The profile.
        name: String,
    },
    /// Edits of a profile that find more in what they made.
    #[error(
        "app profile {name}: its edits of {path}, made once more, change what they made; each search must not find its own replacement"
    )]
    AppEdit {
        /// The profile.
        name: String,
        /// The file.
        path: RootPath,
    },
    /// `--user` names root.
    #[error(
        "--user {0} is root; name a user that is not, or keep the image's user with --keep rule:root-user"
    )]
    RootUser(UserId),
    /// `--writable` names a directory of the system.
    #[error(
        "--writable {0} is the system's, and no user's to write; name the directory in it that the application writes to"
    )]
    SystemDirectory(RootPath),
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
    /// let (digest, stage) = (image.digest.parse()?, Layout::temporary(&folder.path().join("stage"))?);
    /// let planning = immut_core::plan(&digest, &source, &stage, &Options::default())?;
    /// assert_eq!(planning.platforms[0].plan.steps.len(), 1); // the setuid bit goes
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(
        catalog: &Catalog,
        subject: &Subject<'_>,
        findings: &[Finding],
        choices: &Choices,
        files: &Files<'_>,
    ) -> Result<Self, Error> {
        choices.check(catalog)?;
        let inventory = subject.inventory;
        check_start(&Look::new(inventory, subject.config, files), choices)?;
        check_writable(inventory, choices)?;
        let mut keeping = Keeping::new(catalog, inventory, choices);
        let mut draft = Draft::new(inventory, choices.purges_hidden());
        for finding in findings {
            draft_finding(&mut draft, &mut keeping, finding);
        }
        let Outlook { converted, app, user, mut closure, writables, against } =
            Outlook::of(&draft, subject, choices, files)?;
        let Against { mut conflicts, unseen: unlooked } = against;
        let look = Look::new(inventory, &converted.config, files);
        suggest(&mut conflicts, &look, choices, |choices| {
            Some(Outlook::of(&draft, subject, choices, files).ok()?.against.conflicts)
        });
        closure.tell_shell_users(&look);
        if choices.profile.removes > Removes::Findings {
            let needed = needed(&keeping, &look, &user, &closure, &writables);
            surplus::draft(&mut draft, &mut keeping, &needed, catalog, choices);
        }
        writables.draft(&mut draft);
        let databases = draft_databases(&mut draft, &mut keeping, files);
        let owned = layering::owned(choices.layering, &draft, files);
        let mut notes = converted.notes;
        notes.extend(conflicts::notes(&draft, &closure));
        notes.extend(remarks(subject.manifest, &draft, &look, &user));
        notes.extend(writables.notes.iter().cloned());
        notes.extend(unreadable::notes(&draft, &look, &user, &closure, &writables, &conflicts));
        let orphaned = conflicts::orphaned(&draft);
        let mut finished = draft.finish();
        let profiled = app.map(|app| app.files(&finished.dropped, &look)).transpose()?;
        let mut steps = std::mem::take(&mut finished.steps);
        steps.extend(user.step(subject.config));
        let top = accounts::Edit { inventory, dropped: &finished.dropped, hits: &finished.hits };
        steps.extend(top.steps(&user));
        let writable = writables.make(&mut steps, &finished.names);
        steps.extend(top.replacing(databases.contents, id("package-database")));
        steps.extend(top.library_cache(&look));
        steps.extend(start_steps(subject.config, choices));
        steps.extend(converted.steps);
        let app = profiled.map(|app| app.finish(&top, &mut steps, &mut notes));
        let compress = compress_steps(inventory, choices, &steps);
        steps.extend(compress);
        layering::arrange(choices.layering, inventory, &finished, owned, &mut steps);
        Ok(Self {
            source: subject.manifest.digest(),
            steps,
            conflicts,
            app,
            kept: keeping.into_recorded(),
            orphaned,
            notes,
            unseen: unseen(&closure, inventory, &databases.unseen, &unlooked),
            writable,
            packages: databases.packages,
            closure,
            before: totals(inventory, inventory.names()),
            after: totals(inventory, &finished.names),
        })
    }
}

/// How an image will start, and what speaks against it.
struct Outlook<'a> {
    converted: Converted,
    app: Option<Fitted<'a>>,
    user: PlannedUser,
    closure: Closure,
    writables: Writables,
    against: Against,
}

impl<'a> Outlook<'a> {
    fn of(
        draft: &Draft<'_>,
        subject: &Subject<'_>,
        choices: &'a Choices,
        files: &Files<'_>,
    ) -> Result<Self, Error> {
        let inventory = subject.inventory;
        let mut converted = convert(draft, choices.applied_to(subject.config), files, choices);
        let fitting = Fitting::chosen(choices, &Look::new(inventory, &converted.config, files))?;
        let account = fitting.as_ref().and_then(Fitting::account);
        let user = planned_user(subject, choices, account);
        let app =
            fitting.map(|app| app.apply(draft, files, choices, &mut converted)).transpose()?;
        let look = Look::new(inventory, &converted.config, files);
        let texts = app.as_ref().map(|app| app.texts(&look)).transpose()?.unwrap_or_default();
        let look = look.edited(&texts);
        let mut closure = Closure::of(&look, &choices.start_with, &choices.kept_paths());
        closure.starts.extend(app.iter().flat_map(|app| app.closure(draft, &look).starts));
        let (mut asked, unseen_places) = places::of(subject.manifest, &look, choices);
        asked.extend(app.iter().flat_map(|app| app.places(&look)));
        let mut writables = Writables::of(asked, draft, &user, choices);
        if let Some(app) = &app {
            writables.let_read(draft, &user, &app.readable(&look), &id("app-profile"));
        }
        let refusals = &converted.refusals;
        let mut against =
            conflicts::find(draft, &look, &closure, &user, choices, refusals, &writables);
        against.unseen.extend(unseen_places);
        Ok(Self { converted, app, user, closure, writables, against })
    }
}

/// Names what would settle conflicts, first among their flags: an app profile, or what may be given to
/// the user. `left` gives what would speak against the plan with other choices.
fn suggest(
    conflicts: &mut [Conflict],
    look: &Look<'_>,
    choices: &Choices,
    left: impl Fn(&Choices) -> Option<Vec<Conflict>> + Copy,
) {
    reach::offer(conflicts, choices, left);
    app::suggest(conflicts, look, choices, left);
}

/// What stays although nothing but findings were to go.
fn needed(
    keeping: &Keeping<'_>,
    look: &Look<'_>,
    user: &PlannedUser,
    closure: &Closure,
    writables: &Writables,
) -> Needed {
    let kept: Vec<RootPath> = keeping.paths().into_iter().collect();
    Gather::new(look.inventory)
        .closure(closure)
        .closure(&Closure::of_kept(look, &kept))
        .paths(kept)
        .places(look, user, &writables.grounds)
        .base(&Base::builtin())
        .finish()
}

impl Choices {
    /// Refuses choices that no image could be hardened with, before one is read.
    pub fn check(&self, catalog: &Catalog) -> Result<(), Error> {
        if let Some(id) = self.profile.unknown_rule(catalog) {
            return Err(Error::NoSuchRule(id.clone()));
        }
        if let Some(path) = self.writable.iter().find(|path| places::is_system(path)) {
            return Err(Error::SystemDirectory(path.clone()));
        }
        match self.user.filter(|user| user.uid == 0) {
            Some(root) => Err(Error::RootUser(root)),
            None => Ok(()),
        }
    }
}

/// What could not be seen or proven, of the start, of files, of packages, and of what else was asked.
fn unseen(
    closure: &Closure,
    inventory: &Inventory,
    databases: &[String],
    unlooked: &[String],
) -> Vec<String> {
    // What reading layers told of a database holds for planning too.
    let databases = databases.iter().filter(|one| !inventory.unseen().contains(one));
    let all = closure.unseen().chain(inventory.unseen()).chain(databases).chain(unlooked);
    all.cloned().collect()
}

/// Refuses a new entrypoint that the image's own cmd would make nonsense of.
fn check_start(look: &Look<'_>, choices: &Choices) -> Result<(), Error> {
    let Some(entrypoint) = &choices.entrypoint else { return Ok(()) };
    let cmd = look.config.cmd();
    let program = |word: &String| look.executable(word).is_some();
    if choices.cmd.is_none()
        && *entrypoint != look.config.entrypoint()
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

/// Refuses to give away what a path leads to by links.
fn check_writable(inventory: &Inventory, choices: &Choices) -> Result<(), Error> {
    let system = |path: &&RootPath| {
        inventory.resolve(path).found.is_some_and(|found| places::is_system(&found))
    };
    let first = choices.writable.iter().find(system);
    first.map_or(Ok(()), |path| Err(Error::SystemDirectory(path.clone())))
}

/// What of the findings the user keeps.
pub(crate) fn kept(
    catalog: &Catalog,
    inventory: &Inventory,
    findings: &[Finding],
    choices: &Choices,
) -> Vec<Kept> {
    let mut keeping = Keeping::new(catalog, inventory, choices);
    let mut draft = Draft::new(inventory, choices.purges_hidden());
    for finding in findings {
        draft_finding(&mut draft, &mut keeping, finding);
    }
    keeping.into_recorded()
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

/// What is about packages that are gone goes too.
fn draft_databases(
    draft: &mut Draft<'_>,
    keeping: &mut Keeping<'_>,
    files: &Files<'_>,
) -> packages::Edits {
    let rule = id("package-database");
    let mut edits = packages::edits(draft, files);
    edits.contents.retain(|(path, _)| !keeping.keeps(path, &rule));
    for path in std::mem::take(&mut edits.gone) {
        if !keeping.keeps(&path, &rule) {
            for part in keeping.parts_around_kept(&path, &rule) {
                draft.remove(part, &rule);
            }
        }
    }
    edits
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

/// Files and bytes of a merged view.
pub(crate) fn totals(inventory: &Inventory, names: &BTreeMap<RootPath, Name>) -> Totals {
    let mut seen = HashSet::new();
    let mut totals = Totals::default();
    for name in names.values() {
        let inode = inventory.inode(name.inode);
        if inode.kind == Kind::Directory {
            continue;
        }
        totals.files += 1;
        if seen.insert(name.inode) {
            totals.bytes = totals.bytes.saturating_add(inode.size);
        }
    }
    totals
}
