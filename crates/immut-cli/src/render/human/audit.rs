//! An audit: what was found, by rule.

use std::fmt::Write as _;

use immut_core::Audit;
use immut_core::finding::{Finding, Remedy, Subject};
use immut_core::name::PinnedRef;
use immut_core::rules::{Catalog, Rule};

use super::{BOLD, DIM, MOST, YELLOW, left_out, product, severity_style, summary, totals};

/// An audit.
pub(crate) fn audit(image: &PinnedRef, audit: &Audit, catalog: &Catalog) {
    let mut text = format!("{BOLD}{image}{BOLD:#}\n");
    for one in &audit.platforms {
        let head = format!("{}, {}", totals(one.totals), summary(&one.findings));
        writeln!(text, "{BOLD}{}{BOLD:#}  {head}", one.platform).ok();
        for rule in catalog.rules() {
            let of_rule: Vec<&Finding> =
                one.findings.iter().filter(|f| f.rule == rule.id).collect();
            rule_findings(&mut text, rule, &of_rule);
        }
        for kept in &one.kept {
            writeln!(text, "  {DIM}kept{DIM:#} {} (rule {})", kept.path, kept.rule).ok();
        }
        for unseen in &one.unseen {
            writeln!(text, "  {YELLOW}unseen{YELLOW:#} {unseen}").ok();
        }
    }
    product(text.trim_end());
    left_out(&audit.left_out);
}

fn rule_findings(text: &mut String, rule: &Rule, findings: &[&Finding]) {
    if findings.is_empty() {
        return;
    }
    let style = severity_style(rule.severity);
    let title = rule.title.to_lowercase();
    writeln!(
        text,
        "\n  {style}{}{style:#} {BOLD}{}{BOLD:#} ({title}): {}",
        rule.severity,
        rule.id,
        findings.len()
    )
    .ok();
    for finding in findings.iter().take(MOST) {
        let evidence: Vec<String> = finding.evidence.iter().map(ToString::to_string).collect();
        let remedy = if finding.remedy == Remedy::None && rule.remedy != Remedy::None {
            " (no remedy: one signal is not enough)"
        } else {
            ""
        };
        writeln!(
            text,
            "    {}  {DIM}{}{remedy}{DIM:#}",
            shown(&finding.subject),
            evidence.join(", ")
        )
        .ok();
    }
    if findings.len() > MOST {
        writeln!(
            text,
            "    {DIM}and {} more; --format json lists them all{DIM:#}",
            findings.len() - MOST
        )
        .ok();
    }
}

fn shown(subject: &Subject) -> String {
    match subject {
        Subject::Config(pointer) => format!("config {}", pointer.trim_start_matches("/config/")),
        other => other.to_string(),
    }
}
