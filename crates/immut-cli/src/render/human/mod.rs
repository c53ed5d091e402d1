//! Results for people.

mod apps;
mod audit;
mod check;
mod copy;
mod explain;
mod failure;
mod harden;
mod plan;
mod rules;
mod sign;

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};
use immut_core::LeftOut;
use immut_core::finding::{Finding, Severity};
use immut_core::name::Location;
use immut_core::plan::Totals;

pub(crate) use apps::{app, apps};
pub(crate) use audit::audit;
pub(crate) use check::check;
pub(crate) use copy::copied;
pub(crate) use explain::explained;
pub(crate) use failure::failure;
pub(crate) use harden::hardened;
pub(crate) use plan::plans;
pub(crate) use rules::{rule, rules};
pub(crate) use sign::{signed, verified, verify_hint};

use super::{note, product, quantity};

const BOLD: Style = Style::new().bold();
const RED: Style = AnsiColor::Red.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();
/// More lines than that of one kind are counted instead of shown.
const MOST: usize = 12;

fn totals(totals: Totals) -> String {
    format!("{} files, {}", quantity::count(totals.files), quantity::bytes(totals.bytes))
}

/// How many findings there are, by rule.
fn summary(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "no findings".to_owned();
    }
    let mut by_rule: BTreeMap<&str, usize> = BTreeMap::new();
    for finding in findings {
        *by_rule.entry(finding.rule.as_str()).or_default() += 1;
    }
    let parts: Vec<String> =
        by_rule.iter().map(|(rule, count)| format!("{count} {rule}")).collect();
    format!("{} findings ({})", findings.len(), parts.join(", "))
}

fn left_out(left_out: &[LeftOut]) {
    for one in left_out {
        note(&format!("{YELLOW}left out{YELLOW:#} {} {}", one.what, one.reason));
    }
}

fn untagged(place: &Location) {
    note(match place {
        Location::DockerArchive(_) => "it has no name in the archive; FILE:NAME:TAG gives it one",
        _ => "no tag names it, only its digest; --tag TAG gives it one",
    });
}

fn severity_style(severity: Severity) -> Style {
    match severity {
        Severity::High | Severity::Critical => RED,
        Severity::Medium => YELLOW,
        _ => DIM,
    }
}
