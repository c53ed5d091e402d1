//! Programs that nobody here wrote, as second opinions.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program, from `${IMMUT_PEERS:-<workspace>/target/peers}/bin` or the `PATH`.
///
/// When it is missing the test says so by name and passes; with `IMMUT_PEERS_REQUIRED=1` it fails.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("IMMUT_PEERS")
        .map_or_else(|| workspace().join("target/peers"), PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::iter::once(folder.join("bin"))
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|program| program.is_file());
    if found.is_none() {
        missing(name);
    }
    found
}

/// A folder of the fixtures, from `${IMMUT_FIXTURES:-<workspace>/../shared/fixtures}`.
pub(crate) fn fixtures(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("IMMUT_FIXTURES")
        .map_or_else(|| workspace().join("../shared/fixtures"), PathBuf::from)
        .join(name);
    if !folder.is_dir() {
        missing(&format!("the fixture folder {}", folder.display()));
        return None;
    }
    Some(folder)
}

/// Says that something the test needs is not there.
#[expect(clippy::print_stderr, reason = "a test never passes silently without what it needs")]
pub(crate) fn missing(name: &str) {
    assert!(
        std::env::var_os("IMMUT_PEERS_REQUIRED").is_none_or(|required| required != "1"),
        "{name} is not there, and IMMUT_PEERS_REQUIRED=1"
    );
    eprintln!("not tested: {name} is not there");
}

/// The workspace's folder.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
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
