//! How results are shown: the product on stdout, the talk on stderr.

pub(crate) mod human;
pub(crate) mod json;
pub(crate) mod quantity;

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::progress::undisturbed;

static QUIET: AtomicBool = AtomicBool::new(false);

/// Says nothing but errors from here on.
pub(crate) fn quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// The product: one line on stdout.
pub(crate) fn product(text: &str) {
    // A reader that went away wants no more.
    undisturbed(|| drop(writeln!(anstream::stdout(), "{text}")));
}

/// A remark on stderr.
pub(crate) fn note(text: &str) {
    if !QUIET.load(Ordering::Relaxed) {
        undisturbed(|| drop(writeln!(anstream::stderr(), "{text}")));
    }
}
