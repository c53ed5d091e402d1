//! A JSON object a line, as `docs/progress.schema.json` has it.

use std::time::{Duration, Instant};

use immut_core::progress::{Event, Part, Reuse, State};
use serde_json::{Value, json};

use super::board::{Board, Totals};

/// The line for an event; none if the piece was spoken of a moment ago.
pub(super) fn line(board: &mut Board, event: &Event<'_>, now: Instant) -> Option<String> {
    if event.state == State::Running {
        let piece = board.pieces.get_mut(&event.id)?;
        if piece.said.is_some_and(|said| now - said < PAUSE) {
            return None;
        }
        piece.said = Some(now);
    }
    let work = &event.work;
    let mut line = json!({
        "version": VERSION, "event": word(event.state), "task": work.task.as_str(),
        "digest": work.digest.to_string(), "done": event.done, "total": work.total,
    });
    match work.part {
        Part::Layer { number, of } => {
            line["part"] = "layer".into();
            line["layer"] = (number + 1).into();
            line["layers"] = of.into();
        }
        Part::Config => line["part"] = "config".into(),
        _ => line["part"] = "referrer".into(),
    }
    if let Some(platform) = work.platform {
        line["platform"] = platform.to_string().into();
    }
    if let State::Reused(reuse) = event.state {
        reused(&mut line, reuse);
    }
    if let Some(how) = event.encoding {
        line["encoding"] =
            json!({"method": how.method.as_str(), "copied": how.copied, "encoded": how.encoded});
    }
    Some(line.to_string())
}

/// The last line of a run.
pub(super) fn summary(totals: &Totals) -> String {
    let line = json!({
        "version": VERSION, "event": "summary", "read": totals.read + totals.copied,
        "sent": totals.sent + totals.copied, "reused": totals.reused(),
        "seconds": totals.time.as_secs_f64(),
    });
    line.to_string()
}

fn word(state: State<'_>) -> &'static str {
    match state {
        State::Started => "start",
        State::Done => "done",
        State::Reused(_) => "reused",
        State::Failed => "failed",
        _ => "progress",
    }
}

fn reused(line: &mut Value, reuse: Reuse<'_>) {
    line["reused"] = match reuse {
        Reuse::Staged => "stage",
        Reuse::Mounted(from) => {
            line["from"] = from.to_string().into();
            "mount"
        }
        _ => "destination",
    }
    .into();
}

const VERSION: u32 = 1;
/// A piece is spoken of ten times a second at most.
const PAUSE: Duration = Duration::from_millis(100);
