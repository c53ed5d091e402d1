//! Interrupts: what is not finished is removed, and the exit code says which signal it was.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use immut_core::store::discard_unfinished;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::render::note;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Ends the process at SIGINT and SIGTERM. Tags are written last, and layouts and archives get their
/// place when they are complete, so whenever that happens nothing names an image that is not whole
/// and signed; blobs that no tag names may be left over in a registry.
pub(crate) fn watch() {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            INTERRUPTED.store(true, Ordering::SeqCst);
            discard_unfinished();
            note("interrupted; what was not complete is removed");
            end(128 + signal);
        }
    });
}

/// Does not return if a signal is ending the process: that the stage vanished is no failure then.
pub(crate) fn wait_if_ending() {
    while INTERRUPTED.load(Ordering::SeqCst) {
        std::thread::sleep(PAUSE);
    }
}

#[expect(clippy::exit, reason = "a signal ends the process from its own thread")]
fn end(code: i32) -> ! {
    crate::progress::stop();
    std::process::exit(code)
}

const PAUSE: Duration = Duration::from_millis(5);
