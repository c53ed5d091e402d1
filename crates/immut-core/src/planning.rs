//! `plan`: Source -> Inventory -> Findings -> Plan.

use crate::error::{Error, LeftOut};
use crate::finding::Finding;
use crate::image::{Image, Manifest, Platform, RuntimeConfig};
use crate::inventory::{Contents, Inventory, Reading, Subject};
use crate::name::Digest;
use crate::needs::{Files, Learned};
use crate::options::Options;
use crate::plan::Plan;
use crate::rules::examine;
use crate::select::{Beside, Chosen, Selection, read, select};
use crate::store::{Layout, Source};

/// One platform with what was found and what would be done.
#[derive(Debug)]
pub struct Planned {
    /// The platform.
    pub platform: Platform,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its config.
    pub config: RuntimeConfig,
    /// Its files.
    pub inventory: Inventory,
    /// What was found.
    pub findings: Vec<Finding>,
    /// What would be done.
    pub plan: Plan,
    /// What was learned of the files that its start needs.
    pub learned: Learned,
}

/// The plans of an image: its platforms, and what was left out.
#[derive(Debug)]
pub struct Planning {
    /// For each platform.
    pub platforms: Vec<Planned>,
    /// Lines of the index that are not worked on, such as those for Windows.
    pub left_out: Vec<LeftOut>,
}

/// Says what hardening an image would do, for each platform. Nothing is written but to the stage,
/// where layers are kept while files that the start needs are looked into.
///
/// ```
/// # use immut_testkit::{Recipe, contents, recipe::IndexRecipe};
/// use immut_core::{Options, store::Layout};
/// let folder = tempfile::tempdir()?;
/// let linux = Recipe::new()
///     .layer(|l| l.file("/bin/bash", 0o755, contents::bash()).file("/app", 0o755, contents::program()))
///     .user("7").entrypoint(&["/app"]);
/// let image = IndexRecipe::new().image(&linux).image(&linux.clone().platform("windows", "amd64"))
///     .write(folder.path());
/// # let temporary = tempfile::tempdir()?;
/// let (source, stage) = (Layout::open(folder.path())?, Layout::temporary(temporary.path())?);
/// let digest = image.digest.parse()?;
/// let planning = immut_core::plan(&digest, &source, &stage, &Options::default())?;
/// let plan = &planning.platforms[0].plan;
/// assert!(plan.conflicts.is_empty());
/// assert_eq!(plan.steps[0].because.first().map(|rule| rule.as_str()), Some("shell"));
/// assert_eq!(planning.left_out[0].what, "windows/amd64");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn plan(
    digest: &Digest,
    source: &dyn Source,
    stage: &Layout,
    options: &Options,
) -> Result<Planning, Error> {
    let (platforms, beside) = plan_image(&read(digest, source)?, source, stage, options)?;
    Ok(Planning { platforms, left_out: beside.left_out })
}

/// Plans all platforms; blobs that are read are kept in the stage.
pub(crate) fn plan_image(
    image: &Image,
    source: &dyn Source,
    stage: &Layout,
    options: &Options,
) -> Result<(Vec<Planned>, Beside), Error> {
    options.choices.check(&options.catalog)?;
    let (seen, beside) = see_image(image, source, Some(stage), options)?;
    let planned = seen.into_iter().map(|one| plan_one(one, stage, options));
    Ok((planned.collect::<Result<_, _>>()?, beside))
}

/// One platform as it was read.
pub(crate) struct Seen {
    pub(crate) platform: Platform,
    pub(crate) manifest: Manifest,
    pub(crate) config: RuntimeConfig,
    pub(crate) inventory: Inventory,
}

impl Seen {
    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject { manifest: &self.manifest, config: &self.config, inventory: &self.inventory }
    }
}

/// Reads the platforms that were asked for; blobs are kept in the stage, if there is one.
pub(crate) fn see_image(
    image: &Image,
    source: &dyn Source,
    stage: Option<&Layout>,
    options: &Options,
) -> Result<(Vec<Seen>, Beside), Error> {
    let Selection { chosen, beside } = select(image, &options.platforms, source)?;
    let see = |Chosen { platform, manifest, config }| {
        let folder = stage.map(Layout::folder);
        let reading = Reading { platform: Some(&platform), folder, ..options.reading() };
        let inventory = Inventory::read(&manifest, &config, source, stage, reading)?;
        Ok::<_, Error>(Seen { platform, manifest, config, inventory })
    };
    Ok((chosen.into_iter().map(see).collect::<Result<_, _>>()?, beside))
}

fn plan_one(seen: Seen, stage: &Layout, options: &Options) -> Result<Planned, Error> {
    let subject = seen.subject();
    let findings = examine(&options.catalog, &subject);
    let learned = Learned::default();
    let files = Files::new(Contents::new(&subject, stage), &learned);
    let plan = Plan::new(&options.catalog, &subject, &findings, &options.choices, &files)?;
    files.check()?;
    let Seen { platform, manifest, config, inventory } = seen;
    Ok(Planned { platform, manifest, config, inventory, findings, plan, learned })
}
