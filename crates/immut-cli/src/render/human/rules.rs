//! The rules, and one of them.

use std::fmt::Write as _;

use immut_core::rules::{Catalog, Rule};

use super::{BOLD, product, severity_style};

/// The list of rules.
pub(crate) fn rules(catalog: &Catalog) {
    let mut text = String::new();
    for rule in catalog.rules() {
        let style = severity_style(rule.severity);
        writeln!(
            text,
            "{BOLD}{:<16}{BOLD:#} {style}{:<8}{style:#} {}",
            rule.id.as_str(),
            rule.severity.to_string(),
            rule.title
        )
        .ok();
    }
    product(text.trim_end());
}

/// One rule.
pub(crate) fn rule(rule: &Rule) {
    let style = severity_style(rule.severity);
    let mut text = format!(
        "{BOLD}{}{BOLD:#}  {style}{}{style:#}  {}\n\n{}\n",
        rule.id,
        rule.severity,
        rule.title,
        rule.why.trim()
    );
    for group in &rule.executables {
        writeln!(text, "\n{BOLD}{}{BOLD:#}: {}", group.family, group.names.join(" ")).ok();
        if !group.ambiguous.is_empty() {
            writeln!(text, "  with their package or content: {}", group.ambiguous.join(" ")).ok();
        }
    }
    for group in &rule.places {
        writeln!(text, "\n{BOLD}places of {}{BOLD:#}: {}", group.family, group.paths.join(" "))
            .ok();
    }
    if !rule.signatures.is_empty() {
        let programs: Vec<&str> = rule.signatures.iter().map(|one| one.program.as_str()).collect();
        writeln!(text, "\n{BOLD}known by content{BOLD:#}: {}", programs.join(", ")).ok();
    }
    product(text.trim_end());
}
