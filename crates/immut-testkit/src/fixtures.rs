//! Recorded images and documents that are too large for the repository.

use std::env;
use std::path::PathBuf;

use crate::peers;

/// The folder of fixtures: `$IMMUT_FIXTURES`, or `shared/fixtures` beside the workspace.
///
/// A test without it says so and returns. Panics if it is missing and `IMMUT_FIXTURES_REQUIRED=1`.
pub fn folder() -> Option<PathBuf> {
    let beside = || peers::workspace().join("../shared/fixtures");
    let folder = env::var_os("IMMUT_FIXTURES").map_or_else(beside, PathBuf::from);
    let missing = "the fixtures are not here; IMMUT_FIXTURES names their folder";
    peers::found_or(folder.is_dir().then_some(folder), missing, "IMMUT_FIXTURES_REQUIRED")
}
