//! [`Options`]: everything that verbs can be told.

use std::fmt;
use std::sync::Arc;

use crate::image::Platform;
use crate::inventory::{Limits, Reading};
use crate::plan::Choices;
use crate::progress::{Progress, Silent};
use crate::rules::Catalog;
use crate::store::Sink;

/// What verbs are told; the default is immut's own catalog and profile, all platforms, silence.
#[derive(Clone)]
pub struct Options {
    /// What is looked for.
    pub catalog: Catalog,
    /// How images are to be hardened.
    pub choices: Choices,
    /// The platforms of an index that count; all, if none is named.
    pub platforms: Vec<Platform>,
    /// Limits on images.
    pub limits: Limits,
    /// Layers that are worked on at the same time.
    pub jobs: usize,
    /// Seconds since 1970 for what is new (`SOURCE_DATE_EPOCH`); else the image's own date.
    pub epoch: Option<u64>,
    /// The source's name for the annotation `org.opencontainers.image.base.name`.
    pub source_name: Option<String>,
    /// Whether layers that are written anew are encoded as a whole, although pieces of the old ones could be copied.
    pub recompress: bool,
    /// Who is told of progress.
    pub progress: Arc<dyn Progress + Send>,
    /// Where `harden` may send blobs before the image is published.
    pub ahead: Option<Ahead>,
}

/// Where blobs may be sent while others are still made. Nothing names them there before `publish`,
/// which sends what is missing: nothing that goes wrong before is an error. Only repositories of
/// registries are sent to, since there such blobs are of no effect; other stores are left alone.
#[derive(Clone)]
pub struct Ahead {
    /// Where to: where the image will be published.
    pub to: Arc<dyn Sink>,
    /// The tags that will name the image. Where one of them names what an earlier run made of the
    /// same source, or there is none to tell, new layers may be there, and are not sent while they
    /// are made.
    pub tags: Vec<String>,
}

impl fmt::Debug for Ahead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = self.to.location();
        f.debug_struct("Ahead").field("to", &to).field("tags", &self.tags).finish()
    }
}

impl Options {
    pub(crate) fn reading(&self) -> Reading<'_> {
        Reading {
            sought: self.catalog.sought(),
            limits: &self.limits,
            jobs: self.jobs,
            progress: &*self.progress,
            platform: None,
            folder: None,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            catalog: Catalog::builtin(),
            choices: Choices::default(),
            platforms: Vec::new(),
            limits: Limits::default(),
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            epoch: None,
            source_name: None,
            recompress: false,
            progress: Arc::new(Silent),
            ahead: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("choices", &self.choices)
            .field("platforms", &self.platforms)
            .field("limits", &self.limits)
            .field("jobs", &self.jobs)
            .field("epoch", &self.epoch)
            .field("source_name", &self.source_name)
            .field("recompress", &self.recompress)
            .field("ahead", &self.ahead)
            .finish_non_exhaustive()
    }
}
