//! What is in work, and what was done so far.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use immut_core::progress::{Event, Part, Reuse, State, Task};

use crate::render::quantity;

/// Everything that was told.
#[derive(Debug)]
pub(super) struct Board {
    begun: Instant,
    /// What is in work, by the events' numbers: in the order in which it began.
    pub(super) pieces: BTreeMap<u64, Piece>,
    totals: Totals,
    /// The platforms that were seen: one alone is not worth telling.
    platforms: Vec<String>,
}

/// Something in work.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) task: Task,
    pub(super) part: Part,
    /// The platform, if there are several.
    pub(super) platform: Option<String>,
    /// The first digits of the digest.
    pub(super) digest: String,
    pub(super) done: u64,
    pub(super) total: u64,
    pub(super) begun: Instant,
    /// When it was last spoken of, if ever.
    pub(super) said: Option<Instant>,
    /// Bytes a second, lately.
    pub(super) rate: f64,
    /// How much was done when the rate was last looked at.
    measured: (Instant, u64),
}

/// Sums of a run, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Totals {
    /// From a registry or another store.
    pub(crate) read: u64,
    /// To the destination.
    pub(crate) sent: u64,
    /// From one store to another.
    pub(crate) copied: u64,
    /// Blobs that the destination had, and their bytes.
    pub(crate) there: (usize, u64),
    /// Blobs that a registry took from another of its repositories.
    pub(crate) mounted: (usize, u64),
    /// Layers that the stage had.
    pub(crate) staged: (usize, u64),
    /// Pieces that ended well.
    pub(crate) ended: usize,
    /// How long it took.
    pub(crate) time: Duration,
}

impl Board {
    pub(super) fn new(now: Instant) -> Self {
        let (totals, platforms) = (Totals::default(), Vec::new());
        Self { begun: now, pieces: BTreeMap::new(), totals, platforms }
    }

    /// Whether nothing was told yet.
    pub(super) fn is_blank(&self) -> bool {
        self.pieces.is_empty() && self.totals == Totals::default()
    }

    /// Takes note of an event.
    pub(super) fn take(&mut self, event: &Event<'_>, now: Instant) {
        match event.state {
            State::Started => {
                let piece = self.piece(event, now);
                self.pieces.insert(event.id, piece);
            }
            State::Reused(reuse) => self.totals.reuse(reuse, event.work.total),
            _ => self.go_on(event),
        }
    }

    fn go_on(&mut self, event: &Event<'_>) {
        let Some(piece) = self.pieces.get_mut(&event.id) else { return };
        piece.done = event.done;
        if matches!(event.state, State::Done | State::Failed) {
            self.totals.ended += usize::from(event.state == State::Done);
            self.totals.count(event.work.task, event.done);
            self.pieces.remove(&event.id);
        }
    }

    fn piece(&mut self, event: &Event<'_>, now: Instant) -> Piece {
        let work = &event.work;
        let platform = work.platform.map(ToString::to_string);
        if let Some(platform) = &platform
            && !self.platforms.contains(platform)
        {
            self.platforms.push(platform.clone());
        }
        Piece {
            task: work.task,
            part: work.part,
            platform: platform.filter(|_| self.platforms.len() > 1),
            digest: work.digest.hex()[..12].to_owned(),
            done: 0,
            total: work.total,
            begun: now,
            said: None,
            rate: 0.0,
            measured: (now, 0),
        }
    }

    /// Measures how fast it goes.
    pub(super) fn tick(&mut self, now: Instant) {
        self.pieces.values_mut().for_each(|piece| piece.measure(now));
    }

    /// The sums, what is in work included.
    pub(super) fn totals(&self, now: Instant) -> Totals {
        let mut totals = Totals { time: now - self.begun, ..self.totals };
        self.pieces.values().for_each(|piece| totals.count(piece.task, piece.done));
        totals
    }
}

impl Piece {
    /// A mean that forgets: what was [`MEMORY`] ago counts little.
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown with three digits")]
    fn measure(&mut self, now: Instant) {
        let (then, before) = self.measured;
        let seconds = (now - then).as_secs_f64();
        if seconds > 0.0 {
            let lately = (self.done - before) as f64 / seconds;
            let old = if then == self.begun { 0.0 } else { (-seconds / MEMORY).exp() };
            self.rate = self.rate * old + lately * (1.0 - old);
            self.measured = (now, self.done);
        }
    }

    /// Such as `layer 3/6`.
    pub(super) fn part(&self) -> String {
        match self.part {
            Part::Layer { number, of } => format!("layer {}/{of}", number + 1),
            Part::Config => "config".to_owned(),
            _ => "referrer".to_owned(),
        }
    }

    /// How many more seconds it takes at this rate; none if that cannot be said.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate in whole seconds, which is not negative"
    )]
    pub(super) fn left(&self) -> Option<u64> {
        let seconds = self.total.saturating_sub(self.done) as f64 / self.rate;
        (seconds.is_finite() && seconds < 100.0 * 3600.0).then_some(seconds as u64)
    }
}

impl Totals {
    fn count(&mut self, task: Task, bytes: u64) {
        match task {
            Task::Download | Task::Index => self.read += bytes,
            Task::Upload => self.sent += bytes,
            Task::Copy => self.copied += bytes,
            _ => {}
        }
    }

    fn reuse(&mut self, reuse: Reuse<'_>, bytes: u64) {
        let (count, sum) = match reuse {
            Reuse::Staged => &mut self.staged,
            Reuse::Mounted(_) => &mut self.mounted,
            _ => &mut self.there,
        };
        *count += 1;
        *sum += bytes;
    }

    /// Bytes that needed not be moved.
    pub(crate) fn reused(&self) -> u64 {
        self.staged.1 + self.mounted.1 + self.there.1
    }

    /// What was moved and what was not, in a line.
    pub(crate) fn text(&self) -> String {
        let moved = [("read", self.read), ("sent", self.sent), ("copied", self.copied)];
        let moved = moved.iter().filter(|(_, bytes)| *bytes > 0);
        let mut parts: Vec<String> =
            moved.map(|(word, bytes)| format!("{word} {}", quantity::bytes(*bytes))).collect();
        for ((count, bytes), what) in [
            (self.there, "there already"),
            (self.mounted, "mounted"),
            (self.staged, "in the stage"),
        ] {
            if count > 0 {
                let noun = if count == 1 { "blob" } else { "blobs" };
                parts.push(format!("{count} {noun} {what} ({})", quantity::bytes(bytes)));
            }
        }
        format!("{} in {:.1} s", parts.join(", "), self.time.as_secs_f64())
    }
}

/// In seconds.
const MEMORY: f64 = 3.0;
