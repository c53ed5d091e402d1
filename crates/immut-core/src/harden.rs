//! `harden`: Source -> Inventory -> Findings -> Plan -> rewrite -> Hardened, and `publish`: Hardened
//! -> Sink.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use crate::error::{Error, LeftOut, Refused};
use crate::finding::{Finding, Remedy};
use crate::image::{Descriptor, Image, Index, Platform, RawManifest};
use crate::inventory::Inventory;
use crate::name::{Digest, PinnedRef};
use crate::options::Options;
use crate::plan::{Plan, Totals};
use crate::planning::{Planned, plan_image};
use crate::receipt::Removed;
use crate::rewrite::{Making, Rewritten, rewrite};
use crate::rules::{Subject, examine};
use crate::store::{self, Layout, Sink, Source, copy};
use crate::trust::{self, Signer};

/// A hardened image in the stage, before it is published.
#[derive(Debug)]
pub struct Hardened {
    /// What was hardened.
    pub source: PinnedRef,
    /// The result: a manifest, or an index of several.
    pub result: RawManifest,
    /// Each platform.
    pub platforms: Vec<Outcome>,
    /// Lines of the source's index that are not in the result.
    pub left_out: Vec<LeftOut>,
    /// Attestations of unchanged manifests, which go along.
    attestations: Vec<Digest>,
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
        self.digest() != self.source.digest
    }

    /// Files and bytes of all platforms, before and after.
    pub fn totals(&self) -> (Totals, Totals) {
        let sum = |pick: fn(&Plan) -> Totals| {
            self.platforms.iter().map(|one| pick(&one.plan)).fold(Totals::default(), |all, one| Totals {
                files: all.files + one.files,
                bytes: all.bytes + one.bytes,
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
///     .layer(|l| l.file("/bin/bash", 0o755, contents::bash()).file("/app", 0o755, b"program"))
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
    let image = Image::parse(source.manifest(&pinned.digest)?).map_err(store::Error::Image)?;
    let (planned, left_out) = plan_image(&image, source, Some(stage), options)?;
    refuse_conflicts(&planned)?;
    let mut platforms = Vec::new();
    for one in planned {
        // An unchanged image goes on with its own config, which was read but not staged.
        store::copy_blob(one.manifest.config(), source, stage)?;
        platforms.push(make(one, stage, options)?);
    }
    let (result, attestations) = assemble(&image, &platforms, options);
    for attestation in &attestations {
        copy(attestation, source, stage)?;
    }
    stage.put_manifest(&result).map_err(Error::Publish)?;
    Ok(Hardened { source: pinned.clone(), result, platforms, left_out, attestations })
}

/// How a hardened image is published.
#[derive(Clone, Copy)]
pub struct Publication<'a> {
    /// Where to.
    pub to: &'a dyn Sink,
    /// Who signs it; none: it is not signed.
    pub signer: Option<&'a dyn Signer>,
    /// How signatures are made.
    pub signing: &'a trust::Options,
    /// The tags that will name it.
    pub tags: &'a [String],
}

impl std::fmt::Debug for Publication<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let to = self.to.location();
        f.debug_struct("Publication").field("to", &to).field("tags", &self.tags).finish_non_exhaustive()
    }
}

/// What was published.
#[derive(Debug)]
pub struct Published {
    /// Its name by digest.
    pub reference: PinnedRef,
    /// The signatures, of each platform and of the whole.
    pub signed: Vec<trust::Signed>,
}

/// Publishes a hardened image: blobs, manifests by digest, signatures, and the tags last, so that no
/// tag ever names an image that is not signed yet.
///
/// ```
/// # use immut_testkit::Recipe;
/// use immut_core::{Options, Publication, harden, publish, store::Layout, trust};
/// # let folder = tempfile::tempdir()?;
/// # let at = |name: &str| folder.path().join(name);
/// # let image = Recipe::new().layer(|l| l.file("/app", 0o755, b"program")).entrypoint(&["/app"]).write(&at("image"));
/// # let pinned = format!("oci:{}@{}", at("image").display(), image.digest).parse()?;
/// let (source, stage) = (Layout::open(&at("image"))?, Layout::create(&at("stage"))?);
/// let hardened = harden(&pinned, &source, &stage, &Options::default())?;
/// let (to, signing) = (Layout::create(&at("out"))?, trust::Options::default());
/// let how = Publication { to: &to, signer: None, signing: &signing, tags: &["latest".to_owned()] };
/// let published = publish(&hardened, &stage, &how)?;
/// assert_eq!(published.reference.digest, hardened.digest());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn publish(hardened: &Hardened, stage: &Layout, how: &Publication<'_>) -> Result<Published, Error> {
    let copied = |digest: &Digest| copy(digest, stage, how.to).map(|_| ()).map_err(Error::Publish);
    for outcome in &hardened.platforms {
        copied(&outcome.rewritten.manifest.digest())?;
    }
    for attestation in &hardened.attestations {
        copied(attestation)?;
    }
    how.to.put_manifest(&hardened.result).map_err(Error::Publish)?;
    let digest = hardened.digest();
    let signed = match how.signer {
        Some(signer) => trust::sign_all(&digest, how.to, signer, how.signing).map_err(Error::Sign)?,
        None => Vec::new(),
    };
    for tag in how.tags {
        how.to.tag(tag, &hardened.result).map_err(Error::Publish)?;
    }
    Ok(Published { reference: PinnedRef { location: how.to.location(), tag: None, digest }, signed })
}

/// One conflict refuses the whole: half an index is no image to rely on.
fn refuse_conflicts(planned: &[Planned]) -> Result<(), Error> {
    let refused: Vec<Refused> = planned
        .iter()
        .filter(|one| !one.plan.conflicts.is_empty())
        .map(|one| Refused { platform: one.platform.clone(), plan: one.plan.clone() })
        .collect();
    if refused.is_empty() { Ok(()) } else { Err(Error::Conflicts(refused)) }
}

fn make(planned: Planned, stage: &Layout, options: &Options) -> Result<Outcome, Error> {
    let settled = planned.plan.clone().settle().map_err(|plan| {
        Error::Conflicts(vec![Refused { platform: planned.platform.clone(), plan }])
    })?;
    let making = Making {
        epoch: options.epoch,
        source_name: options.source_name.as_deref(),
        jobs: options.jobs,
        progress: &*options.progress,
    };
    let rewritten = rewrite(&planned.subject(), &settled, stage, making)?;
    stage.put_manifest(rewritten.manifest.raw())?;
    let removed = crate::receipt::removed(&planned.inventory, &planned.plan);
    let (source, layers) = (planned.manifest.raw().descriptor(), planned.manifest.layers().to_vec());
    let Planned { platform, findings, plan, inventory, .. } = planned;
    drop(inventory);
    let left = if plan.is_empty() { findings.clone() } else { check(&rewritten, stage, options)? };
    Ok(Outcome { platform, source, rewritten, plan, found: findings, left, removed, layers })
}

/// Reads the result back and audits it: what has a remedy must be gone, and a second plan empty.
fn check(rewritten: &Rewritten, stage: &Layout, options: &Options) -> Result<Vec<Finding>, Error> {
    let (manifest, config) = (&rewritten.manifest, &rewritten.config);
    let silent = crate::inventory::Reading { progress: &crate::progress::Silent, ..options.reading() };
    let inventory = Inventory::read(manifest, config, stage, Some(stage), silent)?;
    let subject = Subject { manifest, config, inventory: &inventory };
    let findings = examine(&options.catalog, &subject);
    let again = Plan::new(&options.catalog, &subject, &findings, &options.choices)?;
    if again.is_empty() {
        return Ok(findings);
    }
    Err(Error::SelfCheck(findings.into_iter().filter(|one| one.remedy != Remedy::None).collect()))
}

/// The result: the manifest, or the index with its lines brought up to date.
fn assemble(image: &Image, platforms: &[Outcome], options: &Options) -> (RawManifest, Vec<Digest>) {
    match (image, platforms) {
        (Image::Index(index), _) if options.platforms.len() != 1 => new_index(index, platforms),
        (_, [only, ..]) => (only.rewritten.manifest.raw().clone(), Vec::new()),
        (image, []) => (image.raw().clone(), Vec::new()),
    }
}

fn new_index(index: &Index, platforms: &[Outcome]) -> (RawManifest, Vec<Digest>) {
    let new: BTreeMap<Digest, Descriptor> = platforms
        .iter()
        .map(|one| (one.source.digest, one.rewritten.manifest.raw().descriptor()))
        .collect();
    let same: HashSet<Digest> =
        new.iter().filter(|(old, new)| **old == new.digest).map(|(old, _)| *old).collect();
    let mut attestations = Vec::new();
    let old_lines = index.json()["manifests"].as_array().cloned().unwrap_or_default();
    let mut lines: Vec<Value> = Vec::new();
    for (entry, mut line) in index.entries().iter().zip(old_lines.clone()) {
        if let Some(new) = new.get(&entry.descriptor.digest) {
            line["digest"] = json!(new.digest);
            line["size"] = json!(new.size);
            lines.push(line);
        } else if entry.attests.is_some_and(|about| same.contains(&about)) {
            attestations.push(entry.descriptor.digest);
            lines.push(line);
        }
    }
    if lines == old_lines {
        return (index.raw().clone(), attestations);
    }
    let mut json = index.json().clone();
    json["manifests"] = lines.into();
    let raw = RawManifest { media_type: index.raw().media_type.clone(), bytes: json.to_string().into_bytes() };
    (raw, attestations)
}
