//! Why paths stay or go, and who needs them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use immut_core::finding::{RuleId, Subject};
use immut_core::name::PinnedRef;
use immut_core::{Explanation, Fate, Needed, There};

use super::{BOLD, DIM, GREEN, RED, YELLOW, product, quantity};

/// More ways to one file than that are counted.
const MOST_WAYS: usize = 4;

/// Explanations, path by path.
pub(crate) fn explained(image: &PinnedRef, explained: &[Explanation]) {
    let mut text = format!("{BOLD}{image}{BOLD:#}\n");
    for one in explained {
        explanation(&mut text, one);
    }
    product(text.trim_end());
}

fn explanation(text: &mut String, one: &Explanation) {
    let Explanation { platform, path, there, hidden, findings, needed, conflicts, .. } = one;
    writeln!(text, "{BOLD}{path}{BOLD:#}  {}  {DIM}{platform}{DIM:#}", fate(one)).ok();
    if let Some(there) = there {
        writeln!(text, "  {}", what(path, there)).ok();
    }
    for layer in hidden {
        writeln!(text, "  {DIM}hidden in layer {}{DIM:#}", layer + 1).ok();
    }
    for finding in findings {
        let evidence: Vec<String> = finding.evidence.iter().map(ToString::to_string).collect();
        let hidden = match &finding.subject {
            Subject::Hidden { layer, .. } => format!(" (hidden in layer {})", layer + 1),
            _ => String::new(),
        };
        let evidence = evidence.join(", ");
        writeln!(text, "  rule {}{hidden}  {DIM}{evidence}{DIM:#}", finding.rule).ok();
    }
    let told = |rule: &RuleId| findings.iter().any(|finding| finding.rule == *rule);
    let untold: BTreeSet<&RuleId> =
        one.steps.iter().flat_map(|(_, because)| &**because).filter(|rule| !told(rule)).collect();
    for rule in untold {
        writeln!(text, "  rule {rule}").ok();
    }
    for conflict in conflicts {
        writeln!(text, "  {RED}conflict{RED:#}  {conflict}").ok();
    }
    if let Some(part) = &one.base {
        writeln!(text, "  part of the base ({part}), which stays in every profile").ok();
    }
    if needed.is_empty() {
        writeln!(text, "  needed by nothing that the start was followed to").ok();
    } else {
        writeln!(text, "  needed by").ok();
        tree(text, needed, "  ");
    }
}

fn fate(one: &Explanation) -> String {
    match one.fate() {
        Fate::Absent => format!("{YELLOW}not in the image{YELLOW:#}"),
        Fate::Goes => format!("{RED}goes{RED:#}"),
        Fate::Changes => format!("{GREEN}stays{GREEN:#}, changed"),
        Fate::Stays => format!("{GREEN}stays{GREEN:#}"),
    }
}

fn what(path: &immut_core::path::RootPath, there: &There) -> String {
    let There { path: end, kind, size, mode, owner: (uid, gid), layer, .. } = there;
    let leads = if end == path { String::new() } else { format!("leads to {end}, ") };
    let size =
        if *kind == "file" { format!(", {}", quantity::bytes(*size)) } else { String::new() };
    let layer = layer.map(|layer| format!(", layer {}", layer + 1)).unwrap_or_default();
    format!("{leads}{kind}{size}, mode {mode:04o}, owner {uid}:{gid}{layer}")
}

/// Who needs it, each with the first that needs that beneath.
fn tree(text: &mut String, needed: &[Needed], indent: &str) {
    let shown = needed.len().min(MOST_WAYS);
    for (number, one) in needed.iter().take(MOST_WAYS).enumerate() {
        let last = number + 1 == shown && needed.len() <= MOST_WAYS;
        let (branch, beneath) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let why: Vec<String> = one.why.iter().map(ToString::to_string).collect();
        let why = why.join(" -> ");
        let pointer = one.pointer.trim_start_matches("/config/");
        let by = match &one.by {
            Some(by) => format!("{by}  {DIM}{why}{DIM:#}"),
            None => format!("{BOLD}{pointer}{BOLD:#} {why}"),
        };
        writeln!(text, "{indent}{branch}{by}").ok();
        tree(text, one.needed.get(..1).unwrap_or_default(), &format!("{indent}{beneath}"));
    }
    if needed.len() > MOST_WAYS {
        writeln!(text, "{indent}└─ {DIM}and {} more{DIM:#}", needed.len() - MOST_WAYS).ok();
    }
}
