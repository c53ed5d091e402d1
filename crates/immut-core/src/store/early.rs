//! Blobs that go to a store before anything names them, new ones while they are made.
//!
//! All of it is an attempt: what does not get there is sent by the copy that comes last, which says
//! the last word.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::copy::Blob;
use super::{Error, Growing, Layout, Sink, Transfer};
use crate::image::{Descriptor, Platform};
use crate::name::{Digest, Location};
use crate::parallel::in_parallel;
use crate::progress::{Part, Progress, Task, Told, Work};

/// What is sent ahead to one store.
pub(crate) struct Early<'a> {
    to: &'a dyn Sink,
    stage: &'a Layout,
    progress: &'a dyn Progress,
    /// Blobs that are in the stage already.
    ready: Vec<Blob>,
    /// Whether new blobs are sent while they are made.
    streams: AtomicBool,
    /// What is there by now.
    sent: Mutex<HashSet<Digest>>,
    given_up: AtomicBool,
}

impl<'a> Early<'a> {
    pub(crate) fn new(
        to: &'a dyn Sink,
        stage: &'a Layout,
        progress: &'a dyn Progress,
        streams: bool,
    ) -> Self {
        let (ready, streams) = (Vec::new(), AtomicBool::new(streams));
        let (sent, given_up) = (Mutex::default(), AtomicBool::new(false));
        Self { to, stage, progress, ready, streams, sent, given_up }
    }

    /// Adds a layer that the manifest `by` names and the new image keeps.
    pub(crate) fn add(
        &mut self,
        descriptor: Descriptor,
        part: Part,
        platform: &Platform,
        by: Digest,
    ) {
        let blob = Blob { descriptor, part, platform: Some(platform.clone()), by };
        if !self.has_ready(&blob.descriptor.digest) && !blob.is_foreign() {
            self.ready.push(blob);
        }
    }

    fn has_ready(&self, digest: &Digest) -> bool {
        self.ready.iter().any(|blob| blob.descriptor.digest == *digest)
    }

    /// Works while the blobs that are ready are sent, `jobs` at a time; when the work fails their
    /// sending ends.
    pub(crate) fn beside<T, E>(
        &self,
        jobs: usize,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        std::thread::scope(|scope| {
            scope.spawn(|| self.send_ready(jobs));
            let done = work();
            self.given_up.store(done.is_err(), Ordering::Relaxed);
            done
        })
    }

    fn send_ready(&self, jobs: usize) {
        let transfer = Transfer {
            given_up: Some(&self.given_up),
            ..Transfer::new(self.stage, self.to, Task::Upload, jobs, self.progress)
        };
        let sizes: Vec<u64> = self.ready.iter().map(|blob| blob.descriptor.size).collect();
        let sent = in_parallel(&sizes, jobs, |number| {
            let blob = &self.ready[number];
            transfer.blob(blob)?;
            self.sent().insert(blob.descriptor.digest);
            Ok::<_, Error>(())
        });
        if let Err(error) = sent {
            tracing::debug!(%error, "layers are not sent ahead");
        }
    }

    /// Begins to send a blob that is about to be made; none if nothing is sent in that way.
    pub(crate) fn begin(&self) -> Option<Sending<'_>> {
        if !self.streams.load(Ordering::Relaxed) {
            return None;
        }
        let growing = self.heed(self.to.begin())?;
        growing.map(|growing| Sending { early: self, growing: Some(growing) })
    }

    /// What is there and need not be sent again.
    pub(crate) fn into_sent(self) -> Sent {
        let blobs = self.sent.into_inner().unwrap_or_else(PoisonError::into_inner);
        Sent { to: Some(self.to.location()), blobs }
    }

    /// Where one blob cannot be sent while it is made, no other is tried.
    fn heed<T>(&self, outcome: Result<T, Error>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::debug!(%error, "new layers are not sent while they are made");
                self.streams.store(false, Ordering::Relaxed);
                None
            }
        }
    }

    fn sent(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A blob that is sent while it is made; one that is dropped is given up.
pub(crate) struct Sending<'a> {
    early: &'a Early<'a>,
    /// None after a failure.
    growing: Option<Box<dyn Growing + 'a>>,
}

impl Sending<'_> {
    /// Sends the next bytes.
    pub(crate) fn write(&mut self, piece: &[u8]) {
        if let Some(growing) = &mut self.growing
            && self.early.heed(growing.write(piece)).is_none()
        {
            self.growing = None;
        }
    }

    /// Says what the blob became. Only now is the upload told of, since only now it has a digest.
    pub(crate) fn finish(self, blob: &Descriptor, part: Part, platform: Option<&Platform>) {
        let Self { early, growing } = self;
        let finished = growing.and_then(|growing| early.heed(growing.finish(blob)));
        // What comes from the stage is told of there.
        let twice = early.has_ready(&blob.digest);
        if finished.is_some() && early.sent().insert(blob.digest) && !twice {
            let (task, digest, total) = (Task::Upload, blob.digest, blob.size);
            Told::start(early.progress, Work { task, platform, part, digest, total }).done();
        }
    }
}

/// Blobs that a store has since they were sent ahead.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    to: Option<Location>,
    blobs: HashSet<Digest>,
}

impl Sent {
    /// Whether the store at that place has the blob.
    pub(crate) fn is_at(&self, place: &Location, blob: &Digest) -> bool {
        self.to.as_ref() == Some(place) && self.blobs.contains(blob)
    }
}
