//! Lines for logs: only of what takes long, and often enough that a log does not look dead.

use std::time::{Duration, Instant};

use immut_core::progress::{Event, State};

use super::board::{Board, Piece};
use crate::render::quantity;

/// The line for the end of a piece that took long, or was spoken of before.
pub(super) fn ended(board: &Board, event: &Event<'_>, now: Instant) -> Option<String> {
    let piece = board.pieces.get(&event.id)?;
    let took = now - piece.begun;
    let seconds = took.as_secs_f64();
    match event.state {
        State::Done if took >= WORTH_A_LINE || piece.said.is_some() => {
            Some(format!("{}: {} in {seconds:.1} s", name(piece), quantity::bytes(piece.total)))
        }
        State::Failed if piece.said.is_some() => {
            Some(format!("{}: gave up after {seconds:.1} s", name(piece)))
        }
        _ => None,
    }
}

/// The lines that are due for what is in work.
pub(super) fn due(board: &mut Board, now: Instant) -> Vec<String> {
    let mut lines = Vec::new();
    for piece in board.pieces.values_mut() {
        let silent = now - piece.said.unwrap_or(piece.begun);
        if silent >= piece.said.map_or(LONG, |_| HEARTBEAT) {
            piece.said = Some(now);
            lines.push(underway(piece));
        }
    }
    lines
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is never negative"
)]
fn underway(piece: &Piece) -> String {
    let (done, total) = (quantity::bytes(piece.done), quantity::bytes(piece.total));
    let rate = quantity::bytes(piece.rate as u64);
    format!("{}: {done} of {total}, {rate}/s", name(piece))
}

/// Such as `download layer 3/6 1410531e033b linux/arm64`.
fn name(piece: &Piece) -> String {
    let (task, part) = (piece.task.as_str(), piece.part());
    let platform = piece.platform.as_deref().map(|platform| format!(" {platform}"));
    format!("{task} {part} {}{}", piece.digest, platform.unwrap_or_default())
}

/// What is done sooner is not worth a line.
const WORTH_A_LINE: Duration = Duration::from_secs(2);
/// What takes longer is announced.
const LONG: Duration = Duration::from_secs(5);
/// And spoken of again and again.
const HEARTBEAT: Duration = Duration::from_secs(10);
