//! Real programs that immut's results are compared with.

use std::env;
use std::path::{Path, PathBuf};

/// Finds a program in `$IMMUT_PEERS/bin` (without the variable: `target/peers/bin`), then in
/// `PATH`.
pub fn find(program: &str) -> Option<PathBuf> {
    let own =
        env::var_os("IMMUT_PEERS").map_or_else(|| workspace().join("target/peers"), PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(own.join("bin")).chain(env::split_paths(&path));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Finds a program; a test whose program is missing says so and returns.
///
/// Panics if it is missing and `IMMUT_PEERS_REQUIRED=1`, as in CI.
pub fn require(program: &str) -> Option<PathBuf> {
    let missing = format!("{program} is not installed; scripts/peers installs it");
    found_or(find(program), &missing, "IMMUT_PEERS_REQUIRED")
}

/// What was found, or a message in its place: panics when `variable` is `1`.
#[expect(clippy::print_stderr, reason = "a test that does not run must not pass silently")]
pub(crate) fn found_or(found: Option<PathBuf>, missing: &str, variable: &str) -> Option<PathBuf> {
    if found.is_none() {
        let required = env::var_os(variable).is_some_and(|value| value == "1");
        assert!(!required, "{missing}");
        eprintln!("skipped: {missing}");
    }
    found
}

/// The workspace's folder.
pub(crate) fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[cfg(test)]
mod tests {
    #[test]
    fn programs_are_found_by_name() {
        assert!(super::find("sh").is_some());
        assert_eq!(super::find("no-such-program"), None);
    }
}
