//! How long work is shown: bars on a terminal, plain lines, or JSON.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use immut_core::image::{Descriptor, RawManifest};
use immut_core::name::{Digest, Location};
use immut_core::progress::{Event, Progress, Silent, Task};
use immut_core::store::{Error, Listed, Sink, Source};
use indicatif::{DecimalBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::args::{Global, ProgressKind};

/// Who shows it, as the command line and the terminal want it.
pub(crate) fn of(global: &Global) -> Arc<dyn Progress + Send> {
    match global.progress {
        _ if global.quiet => Arc::new(Silent),
        Some(ProgressKind::None) => Arc::new(Silent),
        Some(ProgressKind::Json) => Arc::new(Json::default()),
        None if std::io::stderr().is_terminal() => Arc::new(Bars::new()),
        Some(ProgressKind::Plain) | None => Arc::new(Plain::default()),
    }
}

type Work = (Task, usize);

/// A bar for each layer, while it is worked on.
struct Bars {
    all: MultiProgress,
    bars: Mutex<HashMap<Work, ProgressBar>>,
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        Self { all, bars: Mutex::default() }
    }

    fn bar(&self, event: &Event) -> ProgressBar {
        let style = ProgressStyle::with_template(
            "{prefix:>8} layer {msg:<3} {bar:30} {decimal_bytes:>9} of {decimal_total_bytes:<9} {decimal_bytes_per_sec}",
        );
        let bar = self.all.add(ProgressBar::new(event.total));
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_prefix(event.task.as_str());
        bar.set_message((event.layer + 1).to_string());
        bar
    }
}

impl Progress for Bars {
    fn event(&self, event: &Event) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        let work = (event.task, event.layer);
        let bar = bars.entry(work).or_insert_with(|| self.bar(event));
        bar.set_position(event.done);
        if event.done >= event.total {
            bar.finish_and_clear();
            bars.remove(&work);
        }
    }
}

/// A line when a layer is done.
#[derive(Default)]
struct Plain(Mutex<HashMap<Work, Instant>>);

impl Progress for Plain {
    fn event(&self, event: &Event) {
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let work = (event.task, event.layer);
        let since = *begun.entry(work).or_insert_with(Instant::now);
        if event.done >= event.total {
            begun.remove(&work);
            let seconds = since.elapsed().as_secs_f64();
            let size = DecimalBytes(event.total);
            line(&format!(
                "{} layer {} ({size}, {seconds:.1} s)",
                event.task.as_str(),
                event.layer + 1
            ));
        }
    }
}

/// A JSON object a line; at most ten a second for each layer.
#[derive(Default)]
struct Json(Mutex<HashMap<Work, Instant>>);

impl Progress for Json {
    fn event(&self, event: &Event) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let work = (event.task, event.layer);
        let recent =
            last.get(&work).is_some_and(|told| told.elapsed() < Duration::from_millis(100));
        if recent && event.done < event.total {
            return;
        }
        last.insert(work, Instant::now());
        let (task, layer) = (event.task.as_str(), event.layer + 1);
        line(&json!({ "event": "progress", "task": task, "layer": layer, "done": event.done, "total": event.total }).to_string());
    }
}

/// A destination whose uploads are told.
pub(crate) struct Watched {
    to: Box<dyn Sink>,
    progress: Arc<dyn Progress + Send>,
    /// Layers that were asked for so far: images are written layer by layer, one after the other.
    layers: AtomicUsize,
}

impl Watched {
    pub(crate) fn new(to: Box<dyn Sink>, progress: Arc<dyn Progress + Send>) -> Self {
        Self { to, progress, layers: AtomicUsize::new(0) }
    }
}

impl Source for Watched {
    fn location(&self) -> Location {
        self.to.location()
    }
    fn images(&self) -> Result<Vec<Listed>, Error> {
        self.to.images()
    }
    fn known_as(&self, manifest: &RawManifest) -> Digest {
        self.to.known_as(manifest)
    }
    fn tagged(&self, tag: &str) -> Result<Option<RawManifest>, Error> {
        self.to.tagged(tag)
    }
    fn manifest(&self, digest: &Digest) -> Result<RawManifest, Error> {
        self.to.manifest(digest)
    }
    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>, Error> {
        self.to.open(blob)
    }
    fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
        self.to.referrers(digest)
    }
}

impl Sink for Watched {
    fn has(&self, blob: &Descriptor) -> Result<bool, Error> {
        if is_layer(blob) {
            self.layers.fetch_add(1, Ordering::Relaxed);
        }
        self.to.has(blob)
    }

    fn put(&self, blob: &Descriptor, content: &mut dyn Read) -> Result<(), Error> {
        if !is_layer(blob) {
            return self.to.put(blob, content);
        }
        let layer = self.layers.load(Ordering::Relaxed).saturating_sub(1);
        let told = |done| Event { task: Task::Publish, layer, done, total: blob.size };
        let mut counted =
            Counted { content, done: 0, told: &|done| self.progress.event(&told(done)) };
        self.to.put(blob, &mut counted)?;
        self.progress.event(&told(blob.size));
        Ok(())
    }

    fn put_manifest(&self, manifest: &RawManifest) -> Result<(), Error> {
        self.to.put_manifest(manifest)
    }
    fn tag(&self, tag: &str, manifest: &RawManifest) -> Result<(), Error> {
        self.to.tag(tag, manifest)
    }
    fn finish(&self) -> Result<(), Error> {
        self.to.finish()
    }
}

/// Layers are worth telling; configs and signatures are small.
fn is_layer(blob: &Descriptor) -> bool {
    blob.media_type.contains(".tar")
}

/// Content that tells how much of it was taken; that all of it was is told when it has arrived.
struct Counted<'a> {
    content: &'a mut dyn Read,
    done: u64,
    told: &'a dyn Fn(u64),
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        if count > 0 {
            (self.told)(self.done);
            self.done += count as u64;
        }
        Ok(count)
    }
}

fn line(text: &str) {
    // Nobody is left to be told that stderr is gone.
    writeln!(std::io::stderr(), "{text}").ok();
}
