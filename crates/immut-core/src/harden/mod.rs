//! `harden`: Source -> Inventory -> Findings -> Plan -> rewrite -> Hardened.

mod ahead;
mod index;
mod publish;
mod receipt;

pub use publish::{Publication, Published, publish};

use crate::error::{Error, LeftOut, Refused};
use crate::finding::{Finding, Remedy};
use crate::image::{Descriptor, Manifest, Platform, RawManifest, RuntimeConfig};
use crate::inventory::{Contents, Inventory, Reading, Subject};
use crate::name::{Digest, PinnedRef};
use crate::needs::{Files, Learned};
use crate::options::Options;
use crate::plan::{Plan, Removed, SettledPlan, Totals};
use crate::planning::{Planned, plan_image};
use crate::rewrite::{Making, Rewritten, add_digests, rewrite};
use crate::rules::examine;
use crate::select::read;
use crate::store::{self, Early, Layout, Sent, Sink, Source};
use index::Assembling;

/// A hardened image in the stage, before it is published.
#[derive(Debug)]
pub struct Hardened {
    /// What was hardened.
    pub source: PinnedRef,
    /// The digest of its manifest or index; in a docker archive not the one that names it.
    pub source_manifest: Digest,
    /// The result: a manifest, or an index of several.
    pub result: RawManifest,
    /// Each platform.
    pub platforms: Vec<Outcome>,
    /// Lines of the source's index that are not in the result.
    pub left_out: Vec<LeftOut>,
    /// What was sent ahead.
    sent: Sent,
}

/// What became of one platform.
#[derive(Debug)]
pub struct Outcome {
    /// The platform.
    pub platform: Platform,
    /// The manifest that was hardened.
    pub source: Descriptor,
    /// The new image.
    pub rewritten: Rewritten,
    /// What was done, and what not.
    pub plan: Plan,
    /// What was found before.
    pub found: Vec<Finding>,
    /// What is found now.
    pub left: Vec<Finding>,
    /// What was removed, entry by entry.
    pub removed: Vec<Removed>,
    /// The digest of each layer before.
    pub layers: Vec<Descriptor>,
}

impl Hardened {
    /// The result's digest.
    pub fn digest(&self) -> Digest {
        self.result.descriptor().digest
    }

    /// Whether anything changed.
    pub fn is_changed(&self) -> bool {
        self.digest() != self.source_manifest
    }

    /// Files and bytes of all platforms, before and after.
    pub fn totals(&self) -> (Totals, Totals) {
        let sum = |pick: fn(&Plan) -> Totals| {
            self.platforms.iter().map(|one| pick(&one.plan)).fold(Totals::default(), |all, one| {
                Totals { files: all.files + one.files, bytes: all.bytes + one.bytes }
            })
        };
        (sum(|plan| plan.before), sum(|plan| plan.after))
    }
}

/// Hardens an image into the stage; nothing is published.
///
/// ```
/// # use immut_testkit::{Recipe, contents};
/// use immut_core::{Options, store::Layout};
/// let folder = tempfile::tempdir()?;
/// let image = Recipe::new()
///     .layer(|l| l.file("/bin/bash", 0o755, contents::bash()).file("/app", 0o755, contents::program()))
///     .entrypoint(&["/app"]).write(&folder.path().join("image"));
/// let source = Layout::open(&folder.path().join("image"))?;
/// let stage = Layout::create(&folder.path().join("stage"))?;
/// let pinned = format!("oci:{}@{}", folder.path().join("image").display(), image.digest).parse()?;
/// let hardened = immut_core::harden(&pinned, &source, &stage, &Options::default())?;
/// assert_eq!(hardened.platforms[0].rewritten.config.user(), "65532:65532");
/// assert!(hardened.platforms[0].left.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn harden(
    pinned: &PinnedRef,
    source: &dyn Source,
    stage: &Layout,
    options: &Options,
) -> Result<Hardened, Error> {
    let image = read(&pinned.digest, source)?;
    let (planned, beside) = plan_image(&image, source, stage, options)?;
    let settled = settle(planned)?;
    let early = ahead::early(&settled, stage, options);
    let make_all = || {
        let make_one = |one: Settled| {
            // An unchanged image goes on with its own config, which was read but not staged.
            store::copy_blob(one.manifest.config(), source, stage)?;
            make(one, stage, options, early.as_ref())
        };
        settled.into_iter().map(make_one).collect::<Result<Vec<_>, Error>>()
    };
    let platforms = match &early {
        Some(early) => early.beside(options.jobs, make_all)?,
        None => make_all()?,
    };
    let mut assembling = Assembling::new(&platforms, beside, source, stage);
    let result = assembling.result(&image, options.platforms.len() == 1)?;
    let left_out = assembling.left_out();
    stage.put_manifest(&result)?;
    let source_manifest = image.raw().descriptor().digest;
    let (source, sent) = (pinned.clone(), early.map(Early::into_sent).unwrap_or_default());
    Ok(Hardened { source, source_manifest, result, platforms, left_out, sent })
}

/// One platform that nothing speaks against hardening.
struct Settled {
    platform: Platform,
    manifest: Manifest,
    config: RuntimeConfig,
    inventory: Inventory,
    found: Vec<Finding>,
    plan: SettledPlan,
    learned: Learned,
}

/// One conflict refuses the whole: half an index is no image to rely on.
fn settle(planned: Vec<Planned>) -> Result<Vec<Settled>, Error> {
    let (mut settled, mut refused) = (Vec::new(), Vec::new());
    for one in planned {
        let Planned { platform, manifest, config, inventory, findings: found, plan, learned } = one;
        match plan.settle() {
            Ok(plan) => settled.push(Settled {
                platform,
                manifest,
                config,
                inventory,
                found,
                plan,
                learned,
            }),
            Err(plan) => refused.push(Refused { platform, plan }),
        }
    }
    if refused.is_empty() { Ok(settled) } else { Err(Error::Conflicts(refused)) }
}

fn make(
    settled: Settled,
    stage: &Layout,
    options: &Options,
    early: Option<&Early<'_>>,
) -> Result<Outcome, Error> {
    let Settled { platform, manifest, config, inventory, found, plan, learned } = settled;
    let folder = Some(stage.folder());
    let reading = Reading { platform: Some(&platform), folder, ..options.reading() };
    let making = Making {
        epoch: options.epoch,
        source_name: options.source_name.as_deref(),
        compression: options.choices.compression,
        recompress: options.recompress,
        reading,
        early,
    };
    let subject = Subject { manifest: &manifest, config: &config, inventory: &inventory };
    let (rewritten, fresh) = rewrite(&subject, &plan, stage, making)?;
    stage.put_manifest(rewritten.manifest.raw())?;
    let plan = plan.into_plan();
    let mut removed = plan.removed(&inventory);
    add_digests(&mut removed, &subject, stage)?;
    let (source, layers) = (manifest.raw().descriptor(), manifest.layers().to_vec());
    let left = if plan.is_empty() {
        found.clone()
    } else {
        let inventory = inventory.renewed(fresh, &options.reading())?;
        check(&rewritten, &inventory, stage, &learned, options)?
    };
    Ok(Outcome { platform, source, rewritten, plan, found, left, removed, layers })
}

/// Audits the result as it was indexed while it was written: what has a remedy must be gone, and a
/// second plan empty.
fn check(
    rewritten: &Rewritten,
    inventory: &Inventory,
    stage: &Layout,
    learned: &Learned,
    options: &Options,
) -> Result<Vec<Finding>, Error> {
    let (manifest, config) = (&rewritten.manifest, &rewritten.config);
    let subject = Subject { manifest, config, inventory };
    let findings = examine(&options.catalog, &subject);
    let files = Files::new(Contents::new(&subject, stage), learned);
    let again = Plan::new(&options.catalog, &subject, &findings, &options.choices, &files)?;
    files.check()?;
    if again.is_empty() && again.conflicts.is_empty() {
        return Ok(findings);
    }
    let remedied = findings.iter().filter(|one| one.remedy != Remedy::None).map(Finding::to_string);
    let conflicts = again.conflicts.iter().map(|one| one.problem.to_string());
    let steps = again.steps.iter().map(|one| format!("{:?}", one.action));
    Err(Error::SelfCheck(conflicts.chain(remedied).chain(steps).next().unwrap_or_default()))
}
