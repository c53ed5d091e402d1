//! `docs/rules.md` is generated from the catalog: this test fails when it is stale, and writes it
//! when `IMMUT_UPDATE_DOCS` is set.

use std::fmt::Write as _;
use std::path::Path;

use immut_core::rules::{Catalog, Matcher, Rule};

#[test]
fn the_page_of_rules_is_what_the_catalog_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rules.md");
    let page = page();
    if std::env::var_os("IMMUT_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("docs/ is writable");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == page,
        "docs/rules.md is stale: run IMMUT_UPDATE_DOCS=1 cargo test -p immut-core --test docs"
    );
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
    if rule.matcher != Matcher::Files {
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
