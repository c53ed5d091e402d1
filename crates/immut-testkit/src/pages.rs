//! Pages of `docs/` that tests generate.

use std::{env, fs};

use crate::peers;

/// Panics unless that file of the workspace is `page`; writes it first when `IMMUT_UPDATE_DOCS` is
/// set. `test` are the arguments of `cargo test` that run the test, for the message.
pub fn check(file: &str, page: &str, test: &str) {
    let path = peers::workspace().join(file);
    if env::var_os("IMMUT_UPDATE_DOCS").is_some() {
        fs::write(&path, page).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page, "{file} is stale: run IMMUT_UPDATE_DOCS=1 cargo test {test}\n{page}");
}
