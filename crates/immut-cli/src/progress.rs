//! How long work is shown: bars on a terminal, plain lines, or JSON.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use immut_core::progress::{Event, Progress, Silent, Task};
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
            line(&format!("{} layer {} ({size}, {seconds:.1} s)", event.task.as_str(), event.layer + 1));
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
        let recent = last.get(&work).is_some_and(|told| told.elapsed() < Duration::from_millis(100));
        if recent && event.done < event.total {
            return;
        }
        last.insert(work, Instant::now());
        let (task, layer) = (event.task.as_str(), event.layer + 1);
        line(&json!({ "event": "progress", "task": task, "layer": layer, "done": event.done, "total": event.total }).to_string());
    }
}

fn line(text: &str) {
    // Nobody is left to be told that stderr is gone.
    writeln!(std::io::stderr(), "{text}").ok();
}
