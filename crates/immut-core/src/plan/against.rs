//! [`Against`]: what speaks against a draft or an image.

use super::Conflict;

/// What speaks against a draft or an image.
#[derive(Debug, Default)]
pub(crate) struct Against {
    pub(crate) conflicts: Vec<Conflict>,
    /// What was not looked at.
    pub(crate) unseen: Vec<String>,
}

/// The flag for what an image only seems to lack.
pub(super) const KEEP_BROKEN: &str =
    "--keep rule:broken-start (if it comes from elsewhere, such as a volume)";
