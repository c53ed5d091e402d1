//! From manifest, config and blobs to an [`Inventory`].

use std::io::{self, BufRead, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::NamedTempFile;

use super::layer::{self, Expected, Indexed, Known, Looking};
use super::{Inventory, Limits, Sought, merge};
use crate::archive;
use crate::image::{Descriptor, Manifest, Platform, RuntimeConfig};
use crate::name::{Digest, Location};
use crate::parallel::in_parallel;
use crate::progress::{self, Part, Progress, Reuse, Task, Told, Work};
use crate::store::{self, Layout, PuttingAside, Sink, Source};

/// Why an image's layers could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Config and manifest disagree, or the manifest is none.
    #[error(transparent)]
    Image(#[from] crate::image::Error),
    /// A layer's stream broke: truncated, corrupt, or other bytes than its digest names.
    #[error("read layer {layer}: {source}")]
    Read {
        /// Counted from 1.
        layer: usize,
        /// The reader's word.
        source: io::Error,
    },
    /// A layer is compressed in a way that image layers never are.
    #[error("layer {layer} is compressed in a way that is not supported (gzip, zstd or none are)")]
    Compression {
        /// Counted from 1.
        layer: usize,
    },
    /// A layer's archive is broken or hostile.
    #[error("layer {layer}, {source}")]
    Archive {
        /// Counted from 1.
        layer: usize,
        /// Which entry, and why.
        source: archive::Error,
    },
    /// A layer's archive is not the one that the config lists.
    #[error("layer {layer} unpacks to {found}, but the config lists {listed}")]
    DiffId {
        /// Counted from 1.
        layer: usize,
        /// In the config.
        listed: Digest,
        /// Of the archive.
        found: Digest,
    },
    /// A limit was reached.
    #[error("layer {layer} goes past {what} of {limit}; {flag} N raises it")]
    Limit {
        /// Counted from 1.
        layer: usize,
        /// Which limit.
        what: &'static str,
        /// Its value.
        limit: u64,
        /// The flag that changes it.
        flag: &'static str,
    },
    /// A hardlink that has nothing to link to.
    #[error("layer {layer}, entry {path}: its hardlink target {target} {reason}")]
    Hardlink {
        /// Counted from 1.
        layer: usize,
        /// The link.
        path: String,
        /// Its target.
        target: String,
        /// What is wrong with the target.
        reason: &'static str,
    },
}

/// How an image is read.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// What the catalog wants to know of files.
    pub sought: &'a Sought,
    /// Limits on the image.
    pub limits: &'a Limits,
    /// Layers that are read at the same time; at least 1.
    pub jobs: usize,
    /// Who is told.
    pub progress: &'a dyn Progress,
    /// The platform that is told, as far as it is known.
    pub platform: Option<&'a Platform>,
    /// Where databases of packages go while they are read; none: to the system's folder for that.
    pub folder: Option<&'a Path>,
}

impl std::fmt::Debug for Reading<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").field("limits", self.limits).field("jobs", &self.jobs).finish()
    }
}

impl Inventory {
    /// Reads an image's layers, each once: what is not in the stage yet comes from `source` and is
    /// kept in the stage, if there is one, while it is indexed.
    pub fn read(
        manifest: &Manifest,
        config: &RuntimeConfig,
        source: &dyn Source,
        stage: Option<&Layout>,
        reading: Reading<'_>,
    ) -> Result<Self, Error> {
        let diff_ids = config.diff_ids();
        let (listed, layers) = (diff_ids.len(), manifest.layers().len());
        if listed != layers {
            return Err(crate::image::Error::LayerCount { diff_ids: listed, layers }.into());
        }
        let budget = Budget::new(reading.limits);
        let looking = Looking { sought: reading.sought, budget: &budget, folder: reading.folder };
        let one = |number: usize| {
            let blob = &manifest.layers()[number];
            let expected = Expected { diff_id: diff_ids[number], compressed: blob.size };
            let work = reading.work(blob, Part::Layer { number, of: layers });
            let staged = staged(work, blob, source, stage, reading.progress);
            let (mut told, content) = staged.map_err(|error| named(error, number))?;
            let mut content = told.over(content);
            let aside = stage.map(PuttingAside::new);
            let found = layer::index(number, &mut content, &expected, &looking, aside);
            let found = found.map_err(|error| blamed(error, number + 1, &mut content))?;
            told.done();
            Ok::<_, Error>(found)
        };
        let sizes: Vec<u64> = manifest.layers().iter().map(|layer| layer.size).collect();
        let indexed = in_parallel(&sizes, reading.jobs, one)?;
        merge::merge(indexed, reading.sought, reading.limits.entries)
    }

    /// The inventory of the new image, when its layers were indexed while they were written. `fresh`
    /// says what became of each layer, and then which layers came on top.
    pub(crate) fn renewed(self, fresh: Vec<Fresh>, reading: &Reading<'_>) -> Result<Self, Error> {
        let stays = |layer| matches!(fresh.get(layer), Some(Fresh::Same));
        let mut same = self.into_indexed(stays).into_iter();
        let mut layers = Vec::new();
        for fresh in fresh {
            match fresh {
                Fresh::Same => layers.extend(same.next()),
                Fresh::New(new) => layers.push(*new),
                Fresh::Dropped => {}
            }
        }
        merge::merge(layers, reading.sought, reading.limits.entries)
    }
}

/// What became of a layer.
#[derive(Debug)]
pub(crate) enum Fresh {
    /// It is the same.
    Same,
    /// It was left out.
    Dropped,
    /// It is new, or was written anew.
    New(Box<Indexed>),
}

impl Reading<'_> {
    /// Indexes a new layer's archive while it is written; `number` counts from 0.
    pub(crate) fn index_new(
        &self,
        number: usize,
        archive: impl BufRead,
        known: Known<'_>,
    ) -> Result<Indexed, Error> {
        let budget = Budget::new(self.limits);
        let looking = Looking { sought: self.sought, budget: &budget, folder: self.folder };
        layer::index_new(number, archive, &looking, known)
    }
}

/// Reads a layer that makes no sense to its end: if its bytes are not those that were asked for, that
/// is what went wrong, and not what the bytes say.
fn blamed(error: Error, layer: usize, content: &mut dyn Read) -> Error {
    let senseless = match &error {
        Error::Read { source, .. } => {
            source.kind() != io::ErrorKind::FileTooLarge && !of_store(source)
        }
        other => matches!(
            other,
            Error::Archive { .. } | Error::Compression { .. } | Error::DiffId { .. }
        ),
    };
    if !senseless {
        return error;
    }
    match io::copy(content, &mut io::sink()) {
        Err(source) if of_store(&source) => Error::Read { layer, source },
        _ => error,
    }
}

/// Says which layer it is that is missing.
fn named(error: store::Error, number: usize) -> store::Error {
    match error {
        store::Error::NotFound { what, place } => {
            store::Error::NotFound { what: format!("layer {} ({what})", number + 1), place }
        }
        other => other,
    }
}

fn of_store(error: &io::Error) -> bool {
    matches!(error.get_ref(), Some(inner) if inner.is::<store::Error>())
}

impl<'a> Reading<'a> {
    fn work(&self, blob: &Descriptor, part: Part) -> Work<'a> {
        Work {
            task: Task::Index,
            platform: self.platform,
            part,
            digest: blob.digest,
            total: blob.size,
        }
    }
}

/// A blob from the stage, or from the source while it is written to the stage, and who tells of it.
fn staged<'a>(
    work: Work<'a>,
    blob: &Descriptor,
    source: &'a dyn Source,
    stage: Option<&'a Layout>,
    progress: &'a dyn Progress,
) -> Result<(Told<'a>, Box<dyn Read + Send + 'a>), store::Error> {
    let remote = work.task == Task::Index && matches!(source.location(), Location::Registry(_));
    let download = Work { task: Task::Download, ..work };
    let told = || Told::start(progress, if remote { download } else { work });
    let Some(stage) = stage else { return Ok((told(), source.open(blob)?)) };
    if stage.has(blob)? {
        if remote {
            progress::reused(progress, download, Reuse::Staged);
        }
        return Ok((Told::start(progress, work), stage.open(blob)?));
    }
    let (told, scratch) = (told(), Some(stage.scratch()?));
    let tee = Tee { inner: source.open(blob)?, scratch, digest: blob.digest, stage };
    Ok((told, Box::new(tee)))
}

/// Writes what is read to a scratch file, which becomes a blob when the (verifying) reader ends well.
struct Tee<'a> {
    inner: Box<dyn Read + Send + 'a>,
    scratch: Option<NamedTempFile>,
    digest: Digest,
    stage: &'a Layout,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        // Taken out first: after an error, of the reader or of the disk, nothing is kept.
        let scratch = self.scratch.take();
        let count = self.inner.read(buffer)?;
        let Some(mut scratch) = scratch else { return Ok(count) };
        if count == 0 {
            self.stage.keep(scratch, &self.digest).map_err(io::Error::other)?;
        } else {
            scratch.write_all(&buffer[..count])?;
            self.scratch = Some(scratch);
        }
        Ok(count)
    }
}

/// A name counts as one more entry for as many bytes.
pub(super) const LONG_NAME: u64 = 256;

/// What all layers together may still hold.
pub(super) struct Budget {
    limits: Limits,
    entries: AtomicU64,
    bytes: AtomicU64,
}

impl Budget {
    fn new(limits: &Limits) -> Self {
        Self { limits: limits.clone(), entries: AtomicU64::new(0), bytes: AtomicU64::new(0) }
    }

    /// Counts one more entry of a layer (from 1) and gives its index. One with a long name counts as
    /// several, since names are what an inventory holds most of.
    pub(super) fn count_entry(
        &self,
        layer: usize,
        index: usize,
        name: usize,
    ) -> Result<u32, Error> {
        let limit = self.limits.entries;
        let count = 1 + name as u64 / LONG_NAME;
        match u32::try_from(index) {
            Ok(index) if self.entries.fetch_add(count, Ordering::Relaxed) < limit => Ok(index),
            _ => Err(Error::Limit {
                layer,
                what: "the number of entries (long names count as several)",
                limit,
                flag: "--max-entries",
            }),
        }
    }

    /// The most bytes that a layer's archive of `compressed` bytes may have.
    pub(super) fn archive_limit(&self, compressed: u64) -> u64 {
        compressed.saturating_mul(self.limits.ratio).max(Limits::RATIO_FROM)
    }

    /// Counts bytes of a layer's archive, which has `size` so far and may have `most`.
    pub(super) fn count_bytes(&self, more: u64, size: u64, most: u64) -> io::Result<()> {
        let over = |text: String| Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        if size > most {
            let ratio = self.limits.ratio;
            return over(format!(
                "it expands more than {ratio} times; --max-ratio N raises that limit"
            ));
        }
        let limit = self.limits.bytes;
        if self.bytes.fetch_add(more, Ordering::Relaxed) + more > limit {
            return over(format!(
                "the layers have more than {limit} bytes; --max-bytes N raises that limit"
            ));
        }
        Ok(())
    }
}
