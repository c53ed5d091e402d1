//! How long work is shown: bars on a terminal, plain lines, or JSON.

mod bars;
mod board;
mod json;
mod plain;

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use immut_core::progress::{Event, Progress, Silent};

use crate::args::{Global, ProgressKind};
use bars::Screen;
use board::Board;
pub(crate) use board::Totals;

/// What is shown of this run.
static SHOWN: OnceLock<Arc<Shown>> = OnceLock::new();

/// Shows this run as the command line and the terminal want it.
pub(crate) fn start(global: &Global) {
    let how = match global.progress {
        _ if global.quiet => How::Nothing,
        Some(ProgressKind::None) => How::Nothing,
        Some(ProgressKind::Json) => How::Json,
        None if io::stderr().is_terminal() && !is_dumb() => How::Bars,
        Some(ProgressKind::Plain) | None => How::Plain,
    };
    let state = State { board: Board::new(Instant::now()), screen: Screen::default(), over: false };
    let shown = Arc::new(Shown { how, state: Mutex::new(state) });
    let pause = match how {
        How::Bars => Some(Duration::from_millis(125)),
        How::Plain => Some(Duration::from_secs(1)),
        How::Json | How::Nothing => None,
    };
    if SHOWN.set(shown.clone()).is_ok()
        && let Some(pause) = pause
    {
        thread::spawn(move || shown.keep_on(pause));
    }
}

/// A terminal that cannot move its cursor.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term == "dumb")
}

/// Who is to be told.
pub(crate) fn told() -> Arc<dyn Progress + Send> {
    match SHOWN.get() {
        Some(shown) => shown.clone(),
        None => Arc::new(Silent),
    }
}

/// Writes something else while no bar is in the way.
pub(crate) fn undisturbed(write: impl FnOnce()) {
    let Some(shown) = SHOWN.get() else { return write() };
    let mut state = shown.state();
    state.screen.clear();
    write();
}

/// What was moved so far.
pub(crate) fn totals() -> Totals {
    SHOWN.get().map(|shown| shown.state().board.totals(Instant::now())).unwrap_or_default()
}

/// Nothing is shown from here on; JSON ends with a summary.
pub(crate) fn stop() {
    let Some(shown) = SHOWN.get() else { return };
    let mut state = shown.state();
    if !std::mem::replace(&mut state.over, true) {
        state.screen.clear();
        if shown.how == How::Json && !state.board.is_blank() {
            line(&json::summary(&state.board.totals(Instant::now())));
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Nothing,
    Bars,
    Plain,
    Json,
}

struct Shown {
    how: How,
    state: Mutex<State>,
}

struct State {
    board: Board,
    screen: Screen,
    over: bool,
}

impl Shown {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what is in work again and again, whether something moves or not.
    fn keep_on(&self, pause: Duration) {
        loop {
            thread::sleep(pause);
            let mut state = self.state();
            let State { board, screen, over } = &mut *state;
            if *over {
                return;
            }
            let now = Instant::now();
            board.tick(now);
            match self.how {
                How::Bars => screen.draw(board, now),
                _ => plain::due(board, now).iter().for_each(|text| line(text)),
            }
        }
    }
}

impl Progress for Shown {
    fn event(&self, event: &Event<'_>) {
        let mut state = self.state();
        let now = Instant::now();
        let State { board, over, .. } = &mut *state;
        if *over {
            return;
        }
        let said = match self.how {
            How::Json => json::line(board, event, now),
            How::Plain => plain::ended(board, event, now),
            How::Bars | How::Nothing => None,
        };
        board.take(event, now);
        if let Some(text) = said {
            line(&text);
        }
    }
}

fn line(text: &str) {
    // Nobody is left to be told that stderr is gone.
    writeln!(io::stderr(), "{text}").ok();
}
