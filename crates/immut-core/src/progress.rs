//! How long work is told: [`Event`]s to a [`Progress`].

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::image::Platform;
use crate::name::{Digest, Repository};

/// A kind of long work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Task {
    /// A layer arrives from a registry, and is indexed meanwhile.
    Download,
    /// A layer is read from a local store, and indexed.
    Index,
    /// A layer is written anew.
    Rewrite,
    /// A blob is sent from the stage to the destination.
    Upload,
    /// A blob goes from its source to the destination as it is.
    Copy,
}

impl Task {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Index => "index",
            Self::Rewrite => "rewrite",
            Self::Upload => "upload",
            Self::Copy => "copy",
        }
    }
}

/// What of an image is worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// One of its layers.
    Layer {
        /// Counted from 0.
        number: usize,
        /// How many there are.
        of: usize,
    },
    /// Its config.
    Config,
    /// A blob of something that is about it, such as a signature.
    Referrer,
}

/// A piece of long work.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    /// What is done.
    pub task: Task,
    /// The platform, as far as it is known.
    pub platform: Option<&'a Platform>,
    /// To what of the image.
    pub part: Part,
    /// The digest of the blob that is read.
    pub digest: Digest,
    /// Bytes in all: of the blob, but of the unpacked layer for [`Task::Rewrite`].
    pub total: u64,
}

/// How it stands with a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum State<'a> {
    /// It begins.
    Started,
    /// It goes on.
    Running,
    /// It ended well.
    Done,
    /// It need not be done. That is the piece's only event.
    Reused(Reuse<'a>),
    /// It ended, and not well: it failed, or was given up since something else failed.
    Failed,
}

/// Why work need not be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reuse<'a> {
    /// The stage has the blob already.
    Staged,
    /// The destination has the blob already.
    There,
    /// The registry took it from another of its repositories.
    Mounted(&'a Repository),
}

/// How far a piece of work is.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// The same number in all events of a piece, and in no event of another.
    pub id: u64,
    /// Which work.
    pub work: Work<'a>,
    /// Bytes done.
    pub done: u64,
    /// How it stands.
    pub state: State<'a>,
    /// How a layer that is written anew was encoded, at the end of [`Task::Rewrite`].
    pub encoding: Option<Encoding>,
}

/// How a new layer came to its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding {
    /// By which method.
    pub method: Method,
    /// Bytes of the new archive that were copied as they were compressed.
    pub copied: u64,
    /// Bytes of the new archive that were compressed anew.
    pub encoded: u64,
}

/// How a new layer is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// Deflate blocks of the old layer are copied.
    Blocks,
    /// Whole gzip members or zstd frames of the old layer are copied.
    Frames,
    /// All of it is encoded anew.
    Whole,
}

impl Method {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::Frames => "frames",
            Self::Whole => "whole",
        }
    }
}

/// Who wants to know. Called from several threads, often: it has to be quick.
pub trait Progress: Sync {
    /// Takes note of an event.
    fn event(&self, event: &Event<'_>);
}

/// Nobody wants to know.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _: &Event<'_>) {}
}

/// Tells of one piece of work, from its start to its end. One that is dropped before
/// [`Told::done`] has failed.
pub(crate) struct Told<'a> {
    progress: &'a dyn Progress,
    event: Event<'a>,
}

impl<'a> Told<'a> {
    /// The work begins.
    pub(crate) fn start(progress: &'a dyn Progress, work: Work<'a>) -> Self {
        let told = Self { progress, event: first(work, State::Started) };
        progress.event(&told.event);
        told
    }

    /// So many bytes are done.
    pub(crate) fn reached(&mut self, done: u64) {
        (self.event.state, self.event.done) = (State::Running, done);
        self.progress.event(&self.event);
    }

    /// So the layer was encoded; told at the end.
    pub(crate) fn encoded(&mut self, encoding: Encoding) {
        self.event.encoding = Some(encoding);
    }

    /// All is done.
    pub(crate) fn done(mut self) {
        (self.event.state, self.event.done) = (State::Done, self.event.work.total);
    }

    /// A reader whose bytes are the work.
    pub(crate) fn over<'t, R: Read>(&'t mut self, inner: R) -> Counted<'t, 'a, R> {
        Counted { inner, told: self }
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if self.event.state != State::Done {
            self.event.state = State::Failed;
        }
        self.progress.event(&self.event);
    }
}

/// Tells that work need not be done.
pub(crate) fn reused(progress: &dyn Progress, work: Work<'_>, reuse: Reuse<'_>) {
    progress.event(&first(work, State::Reused(reuse)));
}

fn first<'a>(work: Work<'a>, state: State<'a>) -> Event<'a> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Event { id: NEXT.fetch_add(1, Ordering::Relaxed), work, done: 0, state, encoding: None }
}

/// A reader that tells what goes through it.
pub(crate) struct Counted<'t, 'a, R> {
    inner: R,
    told: &'t mut Told<'a>,
}

impl<R: Read> Read for Counted<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count > 0 {
            self.told.reached(self.told.event.done + count as u64);
        }
        Ok(count)
    }
}
