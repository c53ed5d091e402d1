//! From a settled plan to the new image in the stage.
//!
//! It knows no rules: every difference between input and output is a [`Step`](crate::plan::Step) of
//! the plan. Layers without a hit keep their blob; the others are put together from what is kept of
//! the old blob and what changes, in one stream each, and indexed meanwhile.

mod arrange;
mod config;
mod contents;
mod encode;
mod fates;
mod layer;
mod splice;
mod spool;

use std::io;

pub(crate) use contents::add_digests;
use fates::Fates;
use serde_json::Value;

use crate::archive;
use crate::image::{Descriptor, Family, Manifest, RawManifest, RuntimeConfig};
use crate::inventory::{self, Fresh, Indexed, Reading, Subject};
use crate::name::Digest;
use crate::parallel::in_parallel;
use crate::plan::{self, Bundle, Package, Plan, Recoding, SettledPlan};
use crate::progress::Part;
pub use crate::progress::{Encoding, Method};
use crate::store::{self, Early, Layout};

/// Why a layer could not be written anew.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stage.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The image that came out cannot be read back.
    #[error(transparent)]
    Image(#[from] crate::image::Error),
    /// A layer could not be read or written.
    #[error("rewrite layer {layer}: {source}")]
    Io {
        /// Counted from 1.
        layer: usize,
        /// The system's word.
        source: io::Error,
    },
    /// A new layer's archive is not one that can be read.
    #[error("the new layer {layer} cannot be read back: {source}")]
    Check {
        /// Counted from 1.
        layer: usize,
        /// What is wrong with it.
        source: Box<inventory::Error>,
    },
    /// A layer's archive is broken, although it was read before.
    #[error("rewrite layer {layer}, {source}")]
    Archive {
        /// Counted from 1.
        layer: usize,
        /// Which entry, and why.
        source: archive::Error,
    },
}

/// How the new image is made.
#[derive(Clone, Copy)]
pub struct Making<'a> {
    /// Seconds since 1970 for what is new, from `SOURCE_DATE_EPOCH`; else the image's own date.
    pub epoch: Option<u64>,
    /// The source's name for `org.opencontainers.image.base.name`.
    pub source_name: Option<&'a str>,
    /// How new layers are compressed.
    pub compression: Recoding,
    /// Whether new layers are encoded as a whole, although pieces of the old ones could be copied.
    pub recompress: bool,
    /// How new layers are read while they are written.
    pub reading: Reading<'a>,
    /// Where new layers are sent while they are written.
    pub(crate) early: Option<&'a Early<'a>>,
}

impl std::fmt::Debug for Making<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Making")
            .field("epoch", &self.epoch)
            .field("compression", &self.compression)
            .field("recompress", &self.recompress)
            .finish_non_exhaustive()
    }
}

/// A new image in the stage, before it is published.
#[derive(Debug, Clone)]
pub struct Rewritten {
    /// Its manifest.
    pub manifest: Manifest,
    /// Its config.
    pub config: RuntimeConfig,
    /// What became of each layer of the input, in order.
    pub layers: Vec<LayerOutcome>,
    /// The layers in which the files are laid out anew, lowest first; none, if they were not.
    pub arranged: Vec<Arranged>,
}

/// A layer of a new layering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arranged {
    /// Its blob.
    pub blob: Descriptor,
    /// The packages whose files it holds; none: it holds what no other layer does.
    pub packages: Vec<Package>,
}

/// What became of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerOutcome {
    /// It is the same blob.
    Untouched,
    /// It was written anew.
    Rewritten(Descriptor, Encoding),
    /// It was left out.
    Dropped,
    /// What stays of it is in the layers of the new layering.
    Arranged,
}

/// A layer of the new image, or one that is left out.
enum NewLayer {
    Same { blob: Descriptor, diff_id: Digest },
    Written { blob: Descriptor, encoding: Encoding, indexed: Box<Indexed> },
    Dropped,
    Arranged,
}

impl NewLayer {
    fn outcome(&self) -> LayerOutcome {
        match self {
            Self::Same { .. } => LayerOutcome::Untouched,
            Self::Written { blob, encoding, .. } => {
                LayerOutcome::Rewritten(blob.clone(), *encoding)
            }
            Self::Dropped => LayerOutcome::Dropped,
            Self::Arranged => LayerOutcome::Arranged,
        }
    }

    /// The layer as manifest and config name it.
    fn named(&self) -> Option<Named> {
        match self {
            Self::Same { blob, diff_id } => Some(Named { blob: blob.clone(), diff_id: *diff_id }),
            Self::Written { blob, indexed, .. } => {
                Some(Named { blob: blob.clone(), diff_id: indexed.layer.diff_id })
            }
            Self::Dropped | Self::Arranged => None,
        }
    }

    fn fresh(self) -> Fresh {
        match self {
            Self::Same { .. } => Fresh::Same,
            Self::Written { indexed, .. } => Fresh::New(indexed),
            Self::Dropped | Self::Arranged => Fresh::Dropped,
        }
    }
}

/// A layer of the new image as its manifest and its config name it.
struct Named {
    blob: Descriptor,
    diff_id: Digest,
}

/// The layers that the new image keeps as they are, and what they are to it.
pub(crate) fn untouched(subject: &Subject<'_>, plan: &Plan) -> Vec<(Descriptor, Part)> {
    let (fates, layers) = (Fates::new(subject.inventory, plan), subject.manifest.layers());
    let same = layers.iter().enumerate().filter(|(number, _)| !fates.touches(*number));
    same.map(|(number, blob)| (blob.clone(), fates.part(number, layers.len()))).collect()
}

/// Makes the new image in the stage, and says what is in its layers. An empty plan gives the same
/// image.
pub(crate) fn rewrite(
    subject: &Subject<'_>,
    plan: &SettledPlan,
    stage: &Layout,
    making: Making<'_>,
) -> Result<(Rewritten, Vec<Fresh>), Error> {
    let plan = plan.plan();
    let blobs = subject.manifest.layers();
    if plan.is_empty() {
        let (manifest, config) = (subject.manifest.clone(), subject.config.clone());
        let layers = vec![LayerOutcome::Untouched; blobs.len()];
        let fresh = blobs.iter().map(|_| Fresh::Same).collect();
        let arranged = Vec::new();
        return Ok((Rewritten { manifest, config, layers, arranged }, fresh));
    }
    let fates = Fates::new(subject.inventory, plan);
    let date = config::Date::of(subject.config, making.epoch);
    let scene = layer::Scene { subject, fates: &fates, stage, date: &date, making };
    let NewLayers { old, top, arranged } = match fates.bundles {
        Some(bundles) => arranged_layers(&scene, bundles)?,
        None => changed_layers(&scene)?,
    };
    let outcomes: Vec<LayerOutcome> = old.iter().map(NewLayer::outcome).collect();
    let kept: Vec<Named> = old.iter().chain(&top).filter_map(NewLayer::named).collect();
    let on_top = comments(&top, &arranged);
    let edited = config::edit(subject.config, plan, &kept, &outcomes, &on_top, &date);
    let bytes = edited.to_bytes();
    let config_blob = stage.add(&subject.manifest.config().media_type, &bytes)?;
    let mut json = manifest(subject.manifest, &config_blob, &kept, &outcomes);
    if subject.manifest.family() == Family::Oci {
        annotate(&mut json, subject.manifest, plan, making.source_name);
    }
    let media_type = subject.manifest.raw().media_type.clone();
    let raw = RawManifest { media_type, bytes: json.to_string().into_bytes() };
    let manifest = Manifest::parse(raw)?;
    let fresh = old.into_iter().chain(top).map(NewLayer::fresh).collect();
    Ok((Rewritten { manifest, config: edited, layers: outcomes, arranged }, fresh))
}

/// The layers of the result.
struct NewLayers {
    /// What becomes of each that was there.
    old: Vec<NewLayer>,
    /// What comes on top.
    top: Vec<NewLayer>,
    /// What of that is a new layering.
    arranged: Vec<Arranged>,
}

fn changed_layers(scene: &layer::Scene<'_>) -> Result<NewLayers, Error> {
    // A carried file's bytes come from an earlier layer, so then one goes after the other.
    let jobs = if scene.fates.carries() { 1 } else { scene.making.reading.jobs };
    let spool = spool::Spool::default();
    let layers = scene.subject.inventory.layers();
    let sizes: Vec<u64> = layers.iter().map(|layer| layer.size).collect();
    let old = in_parallel(&sizes, jobs, |number| scene.layer(number, &spool))?;
    let top = scene.top_layer()?.into_iter().collect();
    Ok(NewLayers { old, top, arranged: Vec::new() })
}

fn arranged_layers(scene: &layer::Scene<'_>, bundles: &[Bundle]) -> Result<NewLayers, Error> {
    let arranging = arrange::Arranging::new(scene, bundles)?;
    let sizes = arranging.sizes();
    let jobs = scene.making.reading.jobs;
    let top = in_parallel(&sizes, jobs, |number| arranging.layer(number, sizes[number]))?;
    let packages = bundles.iter().map(|bundle| bundle.packages.clone());
    let named = top.iter().filter_map(NewLayer::named).zip(packages);
    let arranged = named.map(|(layer, packages)| Arranged { blob: layer.blob, packages });
    let arranged = arranged.collect();
    let old = scene.subject.manifest.layers().iter().map(|_| NewLayer::Arranged).collect();
    Ok(NewLayers { old, top, arranged })
}

/// What the history says of each layer on top besides that it is there: its packages.
fn comments(top: &[NewLayer], arranged: &[Arranged]) -> Vec<Option<String>> {
    let packages = |one: &Arranged| {
        let names = one.packages.iter().map(|package| package.name.as_str());
        (!one.packages.is_empty()).then(|| names.collect::<Vec<_>>().join(", "))
    };
    (0..top.len()).map(|at| arranged.get(at).and_then(packages)).collect()
}

/// Names the manifest from which an image was hardened.
pub(crate) const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
const BASE_NAME: &str = "org.opencontainers.image.base.name";
/// Names an index of the old layers' contents, for lazy pulling with SOCI.
const SOCI_INDEX: &str = "com.amazon.soci.index-digest";

/// The new manifest: the old one with its config and layers replaced. Annotations of what is replaced
/// (tables of contents of eStargz and zstd:chunked) are no longer true and go.
fn manifest(
    old: &Manifest,
    config: &Descriptor,
    layers: &[Named],
    outcomes: &[LayerOutcome],
) -> Value {
    let mut json = old.json().clone();
    json["config"] = serde_json::json!(config);
    let old_lines = json["layers"].as_array().cloned().unwrap_or_default();
    let mut lines: Vec<Value> = Vec::new();
    let mut new = layers.iter();
    for (line, outcome) in old_lines.into_iter().zip(outcomes) {
        match outcome {
            LayerOutcome::Untouched => lines.extend(new.next().map(|_| line)),
            LayerOutcome::Rewritten(..) => {
                lines.extend(new.next().map(|one| serde_json::json!(one.blob)));
            }
            LayerOutcome::Dropped | LayerOutcome::Arranged => {}
        }
    }
    lines.extend(new.map(|one| serde_json::json!(one.blob)));
    json["layers"] = lines.into();
    if let Some(annotations) = json.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.shift_remove(SOCI_INDEX);
    }
    json
}

/// Says where the image comes from, and what of it has to be writable.
fn annotate(json: &mut Value, old: &Manifest, plan: &Plan, source_name: Option<&str>) {
    if !json["annotations"].is_object() {
        json["annotations"] = serde_json::json!({});
    }
    let base = Some(old.digest().to_string());
    // A name that was there belongs to another digest.
    let name = source_name.map(str::to_owned);
    let writable = plan::annotation(&plan.writable);
    let Some(annotations) = json["annotations"].as_object_mut() else { return };
    for (key, value) in [(BASE_DIGEST, base), (BASE_NAME, name), (plan::ANNOTATION, writable)] {
        match value {
            Some(value) => annotations.insert(key.to_owned(), value.into()),
            None => annotations.shift_remove(key),
        };
    }
}
