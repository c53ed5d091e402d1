//! Pages that would go stale. `docs/rules.md` is generated from the catalog, and written when
//! `IMMUT_UPDATE_DOCS` is set; `docs/registries.md` names tests, which have to exist.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use immut_core::rules::{Catalog, Matcher, Rule};
use immut_testkit::pages;

#[test]
fn the_page_of_rules_is_what_the_catalog_says() {
    pages::check("docs/rules.md", &page(), "-p immut-core --test docs");
}

fn page() -> String {
    let catalog = Catalog::builtin();
    let mut page = String::from(
        "# Rules\n\nWhat immut looks for. This page is generated from `crates/immut-core/catalog`; `immut rules ID`\nprints the same. A rule with the remedy `none` only reports, or explains a step that follows from\nanother one.\n\n| rule | severity | remedy | finds |\n|---|---|---|---|\n",
    );
    for rule in catalog.rules() {
        let remedy = serde_json::to_value(rule.remedy).expect("a word");
        let remedy = remedy.as_str().unwrap_or_default();
        writeln!(
            page,
            "| [`{0}`](#{0}) | {1} | {remedy} | {2} |",
            rule.id, rule.severity, rule.title
        )
        .expect("memory");
    }
    for rule in catalog.rules() {
        section(&mut page, rule);
    }
    page
}

fn section(page: &mut String, rule: &Rule) {
    write!(page, "\n## {}\n\n{}\n", rule.id, rule.why.trim()).expect("memory");
    if !matches!(rule.matcher, Matcher::Files | Matcher::Surplus) {
        return;
    }
    for group in &rule.executables {
        write!(page, "\n**{}**: {}\n", group.family, code(&group.names)).expect("memory");
        if !group.ambiguous.is_empty() {
            write!(page, "\nOnly with their package or content: {}\n", code(&group.ambiguous))
                .expect("memory");
        }
        if !group.packages.is_empty() {
            write!(page, "\nPackages: {}\n", code(&group.packages)).expect("memory");
        }
    }
    for group in &rule.places {
        write!(page, "\n**Places of {}**: {}\n", group.family, code(&group.paths)).expect("memory");
    }
    for signature in &rule.signatures {
        let strings = code(&signature.strings);
        write!(page, "\n**Content of {}**: {strings}\n", signature.program).expect("memory");
    }
}

fn code(items: &[String]) -> String {
    items.iter().map(|item| format!("`{item}`")).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_page_of_registries_names_tests_that_exist() {
    let page = fs::read_to_string(workspace("docs/registries.md")).expect("the page");
    let named: BTreeSet<&str> =
        page.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
    assert!(named.len() > 60, "{}", named.len());
    for name in &named {
        let (file, function) = name.split_once("::").expect("file::name");
        let folder =
            if file.starts_with("e2e/") { "immut-cli/tests" } else { "immut-core/tests/registry" };
        let path = format!("crates/{folder}/{file}.rs");
        let source = fs::read_to_string(workspace(&path)).unwrap_or_default();
        assert!(tests(&source).contains(&function), "docs/registries.md: no test {name}");
    }
    // And the other way round, where a test is there for the page's sake.
    for file in ["habits", "uploads", "downloads", "tags", "tokens", "messages"] {
        let path = format!("crates/immut-core/tests/registry/{file}.rs");
        let source = fs::read_to_string(workspace(&path)).expect("a file of tests");
        for function in tests(&source) {
            let name = format!("{file}::{function}");
            assert!(named.contains(name.as_str()), "docs/registries.md does not name {name}");
        }
    }
}

#[test]
fn the_page_of_registries_names_each_preset_of_the_testkit() {
    let page = fs::read_to_string(workspace("docs/registries.md")).expect("the page");
    let presets = fs::read_to_string(workspace("crates/immut-testkit/src/registry/habits.rs"));
    let presets = presets.expect("the presets");
    let presets =
        presets.lines().filter_map(|line| line.strip_prefix("pub fn ")?.split('(').next());
    let missing: Vec<_> =
        presets.filter(|name| !page.contains(&format!("habits::{name}_goes"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The names of the tests in a file.
fn tests(source: &str) -> Vec<&str> {
    let after = source.split("#[test]\nfn ").skip(1);
    after.filter_map(|rest| rest.split('(').next()).collect()
}

fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}
