//! Interrupts: the stage is cleaned up, and the exit code says which signal it was.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The temporary stage of this run.
static STAGE: Mutex<Option<PathBuf>> = Mutex::new(None);
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Ends the process at SIGINT and SIGTERM. Tags are written last, so whenever that happens no tag
/// names an image that is not whole and signed; blobs that no tag names may be left over.
pub(crate) fn watch() {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            INTERRUPTED.store(true, Ordering::SeqCst);
            if let Some(stage) = STAGE.lock().unwrap_or_else(PoisonError::into_inner).take() {
                remove(&stage);
            }
            end(128 + signal);
        }
    });
}

/// Remembers the temporary stage, to be removed when the process is interrupted.
pub(crate) fn stage(folder: &Path) {
    *STAGE.lock().unwrap_or_else(PoisonError::into_inner) = Some(folder.to_owned());
}

/// Does not return if a signal is ending the process: that the stage vanished is no failure then.
pub(crate) fn wait_if_ending() {
    while INTERRUPTED.load(Ordering::SeqCst) {
        std::thread::sleep(PAUSE);
    }
}

/// Removes a folder in which other threads are still writing. What cannot be removed lies in the
/// temporary folder, which the system cleans.
fn remove(stage: &Path) {
    for _ in 0..ATTEMPTS {
        std::fs::remove_dir_all(stage).ok();
        std::thread::sleep(PAUSE);
        if !stage.exists() {
            return;
        }
    }
}

#[expect(clippy::exit, reason = "a signal ends the process from its own thread")]
fn end(code: i32) -> ! {
    crate::progress::stop();
    std::process::exit(code)
}

const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(5);
