//! `docs/applications.md`: what was decided for each application, and what is left of it.
//!
//! Debian's packages move, so of the numbers an ordinary run compares only that the page has them; what
//! was measured has to shrink. The page is written when all applications run.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::probe::Numbers;
use super::prove::{PROFILES, Proof};
use crate::common::{must, workspace};

const PAGE: &str = "docs/applications.md";

/// Ends the test unless each profile leaves less, and the page says what was decided. Where the page is
/// written it is looked at then.
pub(super) fn says(proof: &Proof) {
    let numbers: Vec<[u64; 5]> = lines(proof).map(|(_, numbers)| compared(numbers)).collect();
    let shrinks = numbers.is_sorted_by(|more, less| more.iter().zip(less).all(|(a, b)| a >= b));
    assert!(shrinks, "{}: {numbers:?}", proof.app.name);
    if is_written() {
        return;
    }
    let page = fs::read_to_string(workspace(PAGE)).unwrap_or_default();
    let decided = decided(proof);
    assert!(page.contains(&decided), "{PAGE} does not say\n{decided}\n{STALE}");
    for (name, _) in lines(proof) {
        let start = format!("| {} | {name} | ", proof.app.name);
        assert!(page.contains(&start), "{PAGE} has no numbers for {start}\n{STALE}");
    }
}

/// What has to be less after.
fn compared(numbers: &Numbers) -> [u64; 5] {
    let Numbers { packed, bytes, files, executables, packages } = *numbers;
    let packages = packages.unwrap_or_default();
    [packed, bytes, files as u64, executables as u64, packages as u64]
}

/// Whether this run writes the page.
fn is_written() -> bool {
    env::var_os("IMMUT_UPDATE_DOCS").is_some()
}

/// Writes the page where `IMMUT_UPDATE_DOCS` is set, else it ends the test unless it is about these.
pub(super) fn check(proofs: &[&Proof]) {
    if is_written() {
        fs::write(workspace(PAGE), page(proofs)).expect("written");
    }
    let page = fs::read_to_string(workspace(PAGE)).unwrap_or_default();
    let all: Vec<String> = proofs.iter().map(|proof| decided(proof)).collect();
    let start = page.find(DECIDED).map_or(0, |at| at + DECIDED.len());
    assert!(page[start..].starts_with(&all.concat()), "{}\n{STALE}", all.concat());
}

fn page(proofs: &[&Proof]) -> String {
    let mut page = format!("{INTRODUCTION}{DECIDED}");
    page.extend(proofs.iter().map(|proof| decided(proof)));
    let today = must(Path::new("date"), &["--utc", "+%Y-%m-%d"]);
    page.push_str(LEFT);
    for proof in proofs {
        page.extend(lines(proof).map(|(name, numbers)| left(proof.app.name, name, numbers)));
    }
    write!(page, "\n## Versions\n\nDebian 12 on {}, amd64.\n\n", today.trim()).expect("memory");
    page.push_str("| application | packages |\n|---|---|\n");
    for proof in proofs.iter().filter(|proof| !proof.versions.is_empty()) {
        writeln!(page, "| {} | {} |", proof.app.name, proof.versions).expect("memory");
    }
    page
}

/// A line of what is decided.
fn decided(proof: &Proof) -> String {
    let app = proof.app;
    let without = app.refused.as_ref().map_or_else(
        || "goes".to_owned(),
        |refused| format!("is refused (`{}`), suggests `{}`", refused.why, refused.suggests),
    );
    let with = match app.with {
        [] => "-".to_owned(),
        words => format!("`{}`", words.join(" ")),
    };
    let hardened = &proof.after[0];
    let mounts: Vec<String> =
        hardened.writable.iter().map(|(path, kind)| format!("`{path}` {kind}")).collect();
    let mounts = if mounts.is_empty() { "-".to_owned() } else { mounts.join(", ") };
    let (name, what, user) = (app.name, app.what, &hardened.user);
    format!("| {name} | {what} | {without} | {with} | {user} | {mounts} |\n")
}

/// What there are numbers of: before, and after in each profile.
fn lines(proof: &Proof) -> impl Iterator<Item = (&'static str, &Numbers)> {
    let after = PROFILES.into_iter().zip(proof.after.iter().map(|hardened| &hardened.numbers));
    std::iter::once(("before", &proof.before)).chain(after)
}

/// A line of what is left.
fn left(app: &str, name: &str, numbers: &Numbers) -> String {
    let Numbers { packed, bytes, files, executables, packages } = numbers;
    let kib = |bytes: u64| grouped(bytes.div_ceil(1024));
    let (files, executables) = (grouped(*files as u64), grouped(*executables as u64));
    let packages = packages.map_or_else(|| "-".to_owned(), |packages| packages.to_string());
    let (bytes, packed) = (kib(*bytes), kib(*packed));
    format!("| {app} | {name} | {bytes} | {packed} | {files} | {executables} | {packages} |\n")
}

/// A number with a comma between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let parts: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|part| str::from_utf8(part).expect("digits"))
        .collect();
    parts.join(",")
}

const STALE: &str = "run IMMUT_UPDATE_DOCS=1 scripts/test --all";

const INTRODUCTION: &str = "# Applications

Real applications from Debian's packages, built as people build them, hardened, and run in podman.
This page is made by the tests that do so (`IMMUT_UPDATE_DOCS=1 scripts/test --all`).

Each hardened image starts and answers its protocol with `--read-only`, `--cap-drop=all`,
`--security-opt=no-new-privileges` and no network but its own, as a user that is not root; nothing is
mounted but what its receipt says has to be writable. Other programs than immut (podman export, find,
grep, getcap) find no shell, no package manager, no setuid or setgid file and no file capabilities in
it.
";

const DECIDED: &str = "
## What is decided

The user and what has to be writable are the same in each profile. Volumes belong to the user.

| application | what it is | without flags | hardened with | user | has to be writable |
|---|---|---|---|---|---|
";

const LEFT: &str = "
## What is left

Sizes are in KiB: of the files, and of the layers as they are compressed. Executables are regular files
that somebody may execute. Packages are those that dpkg holds to be installed.

| application | profile | files, KiB | layers, KiB | files | executables | packages |
|---|---|---|---|---|---|---|
";
