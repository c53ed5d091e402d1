//! Bars on a terminal: a line for each piece in work, and one for the whole.
//!
//! All lines are drawn at once and never wider than the terminal. Before they are drawn anew they
//! are cleared by the width that the terminal has by then, so that a resized one shows no remains.

use std::io::{self, Write};
use std::time::Instant;

use terminal_size::terminal_size_of;

use super::board::{Board, Piece};
use crate::render::quantity;

/// What is on the terminal of ours, above the cursor.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// The columns of each line.
    drawn: Vec<usize>,
}

impl Screen {
    /// Draws what is in work, in place of what was drawn before.
    pub(super) fn draw(&mut self, board: &Board, now: Instant) {
        let (width, height) = size();
        let lines = lines(board, now, width - 1, height - 1);
        let mut frame = self.erasure(width);
        for line in &lines {
            frame.push_str(line);
            frame.push('\n');
        }
        self.drawn = lines.iter().map(|line| line.chars().count()).collect();
        write(&frame);
    }

    /// Takes away what was drawn.
    pub(super) fn clear(&mut self) {
        write(&self.erasure(size().0));
        self.drawn.clear();
    }

    /// What takes away all lines, on a terminal that wraps those which have become too long.
    fn erasure(&self, width: usize) -> String {
        let rows: usize = self.drawn.iter().map(|columns| columns.div_ceil(width).max(1)).sum();
        if rows == 0 { String::new() } else { format!("\r\u{1b}[{rows}A\u{1b}[J") }
    }
}

fn write(frame: &str) {
    // A terminal that is gone shows nothing.
    io::stderr().write_all(frame.as_bytes()).ok();
}

/// Columns and rows; a terminal that does not say them has the usual ones.
fn size() -> (usize, usize) {
    let size = terminal_size_of(io::stderr()).map(|(width, height)| (width.0, height.0));
    let (width, height) =
        size.filter(|(width, height)| *width > 1 && *height > 1).unwrap_or((80, 24));
    (width.into(), height.into())
}

/// The lines for a terminal with that room; none if nothing is in work.
fn lines(board: &Board, now: Instant, width: usize, height: usize) -> Vec<String> {
    if board.pieces.is_empty() {
        return Vec::new();
    }
    let shown = board.pieces.len().min(MOST).min(height.saturating_sub(1));
    let pieces: Vec<&Piece> = board.pieces.values().take(shown).collect();
    let form = Form::fitting(&pieces, width);
    let mut lines: Vec<String> = pieces.iter().map(|piece| form.line(piece)).collect();
    lines.push(whole(board, now, board.pieces.len() - shown));
    lines.iter().map(|line| line.chars().take(width).collect()).collect()
}

/// What is shown of a piece: the less, the narrower the terminal is.
#[derive(Debug, Clone, Copy)]
struct Form {
    digest: bool,
    platform: bool,
    rate: bool,
    /// Columns of the word for the part, and of all words before the bar.
    part: usize,
    label: usize,
    bar: usize,
}

impl Form {
    fn fitting(pieces: &[&Piece], width: usize) -> Self {
        let all =
            [(true, true, true), (false, true, true), (false, true, false), (false, false, false)];
        let part = pieces.iter().map(|piece| piece.part().len()).max().unwrap_or(0);
        let forms = all.map(|(digest, platform, rate)| {
            let form = Self { digest, platform, rate, part, label: 0, bar: 0 };
            let label = pieces.iter().map(|piece| form.label(piece).len()).max().unwrap_or(0);
            let rest = label + 1 + AMOUNT + if rate { 1 + RATE } else { 0 };
            Self { label, bar: width.saturating_sub(rest + 3), ..form }
        });
        let roomy = forms.into_iter().find(|form| form.bar >= LEAST_BAR);
        let [.., barest] = forms;
        roomy.unwrap_or(Self { bar: 0, ..barest })
    }

    fn label(self, piece: &Piece) -> String {
        let mut label = format!("{:<8} {:<2$}", piece.task.as_str(), piece.part(), self.part);
        if let Some(platform) = piece.platform.as_ref().filter(|_| self.platform) {
            label.push(' ');
            label.push_str(platform);
        }
        if self.digest {
            label.push(' ');
            label.push_str(&piece.digest);
        }
        label
    }

    fn line(self, piece: &Piece) -> String {
        let label = format!("{:<1$}", self.label(piece), self.label);
        let amount = format!("{:>AMOUNT$}", quantity::bytes_of(piece.done, piece.total));
        let parts = [
            Some(label),
            (self.bar > 0).then(|| bar(piece, self.bar)),
            Some(amount),
            self.rate.then(|| pace(piece)),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

fn bar(piece: &Piece, columns: usize) -> String {
    let done = piece.done.min(piece.total);
    let filled = (u128::from(done) * columns as u128).checked_div(piece.total.into());
    let filled = filled.and_then(|filled| usize::try_from(filled).ok()).unwrap_or(0);
    format!("[{:<columns$}]", "=".repeat(filled))
}

/// The rate, and how long it will still take.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is never negative"
)]
fn pace(piece: &Piece) -> String {
    let rate = format!("{}/s", quantity::bytes(piece.rate as u64));
    match piece.left() {
        Some(seconds) => format!("{rate:>11} {:>5}", clock(seconds)),
        None => format!("{rate:>11} {:>5}", ""),
    }
}

fn clock(seconds: u64) -> String {
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match hours {
        0 => format!("{minutes}:{:02}", seconds % 60),
        _ => format!("{hours}h{minutes:02}"),
    }
}

/// What was done so far, and how much more is in work than is shown.
fn whole(board: &Board, now: Instant, more: usize) -> String {
    let totals = board.totals(now);
    let mut parts = vec![format!("{} done", totals.ended)];
    if more > 0 {
        parts.insert(0, format!("{more} more in work"));
    }
    if totals.reused() > 0 {
        let count = totals.there.0 + totals.mounted.0 + totals.staged.0;
        parts.push(format!("{count} reused ({})", quantity::bytes(totals.reused())));
    }
    for (word, bytes) in [("read", totals.read), ("sent", totals.sent), ("copied", totals.copied)] {
        if bytes > 0 {
            parts.push(format!("{} {word}", quantity::bytes(bytes)));
        }
    }
    parts.push(clock(totals.time.as_secs()));
    format!("{:<8} {}", "total", parts.join(", "))
}

/// More lines are a flicker.
const MOST: usize = 12;
/// Columns.
const LEAST_BAR: usize = 6;
const AMOUNT: usize = 14;
const RATE: usize = 17;

#[cfg(test)]
mod tests;
