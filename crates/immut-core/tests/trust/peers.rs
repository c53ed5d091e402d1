//! Programs that nobody here wrote, as second opinions.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program; a test that needs it says so when it is missing.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    immut_testkit::peers::require(name)
}

/// A folder of the fixtures.
pub(crate) fn fixtures(name: &str) -> Option<PathBuf> {
    Some(immut_testkit::fixtures::folder()?.join(name))
}

/// Runs a program away from the network and the user's settings.
pub(crate) fn run(program: &Path, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .env("COSIGN_PASSWORD", "pw")
        .env("DOCKER_CONFIG", "/nonexistent")
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

/// Runs a program that must succeed and returns what it printed.
pub(crate) fn must(program: &Path, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {arguments:?}: {errors}", program.display());
    String::from_utf8_lossy(&output.stdout).into_owned()
}
