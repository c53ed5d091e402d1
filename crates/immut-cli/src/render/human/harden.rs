//! What hardening did.

use std::fmt::Write as _;

use immut_core::plan::Packages;
use immut_core::rewrite::LayerOutcome;
use immut_core::{Hardened, Outcome, Published};

use super::plan::{config_line, remarks};
use super::{BOLD, left_out, note, signed, summary, totals, untagged};

/// What hardening did.
pub(crate) fn hardened(hardened: &Hardened, published: &Published, tags: &[String]) {
    for outcome in &hardened.platforms {
        note(&outcome_text(outcome));
    }
    left_out(&hardened.left_out);
    if !hardened.is_changed() {
        note("nothing had to be changed: the digest stays");
    }
    signed(&published.signed);
    if tags.is_empty() {
        untagged(&published.reference.location);
    } else {
        note(&format!("tagged {}", tags.join(", ")));
    }
}

/// How much of the rewritten layers' bytes was copied; none if there are none.
fn copied(layers: &[LayerOutcome]) -> Option<String> {
    let encodings = layers.iter().filter_map(|layer| match layer {
        LayerOutcome::Rewritten(_, encoding) => Some(encoding),
        _ => None,
    });
    let (copied, all) = encodings
        .fold((0, 0), |(copied, all), one| (copied + one.copied, all + one.copied + one.encoded));
    let thousandths = copied.saturating_mul(1000).checked_div(all)?;
    Some(format!("{}.{} %", thousandths / 10, thousandths % 10))
}

/// How many packages went and stay; none in an image without a database of packages.
fn packages(Packages { removed, partly_kept, kept }: &Packages) -> Option<String> {
    let (removed, partly_kept, kept) = (removed.len(), partly_kept.len(), kept.len());
    let some = removed + partly_kept + kept > 0;
    some.then(|| format!("packages {removed} removed, {partly_kept} partly kept, {kept} kept"))
}

fn outcome_text(outcome: &Outcome) -> String {
    let plan = &outcome.plan;
    let mut text = format!("{BOLD}{}{BOLD:#}\n", outcome.platform);
    let found = summary(&outcome.found);
    writeln!(text, "  before  {}  {found}", totals(plan.before)).ok();
    writeln!(text, "  after   {}  {}", totals(plan.after), summary(&outcome.left)).ok();
    if outcome.rewritten.arranged.is_empty() {
        layers(&mut text, outcome);
    } else {
        let (before, after) = (outcome.layers.len(), outcome.rewritten.arranged.len());
        writeln!(text, "  layers  {before} -> {after}, laid out anew").ok();
    }
    if let Some(line) = packages(&plan.packages) {
        writeln!(text, "  {line}").ok();
    }
    for step in &plan.steps {
        if let Some(line) = config_line(&step.action) {
            writeln!(text, "  {line}").ok();
        }
    }
    remarks(&mut text, plan);
    text.trim_end().to_owned()
}

/// What became of the layers.
fn layers(text: &mut String, outcome: &Outcome) {
    let count = |kind: fn(&LayerOutcome) -> bool| {
        outcome.rewritten.layers.iter().filter(|one| kind(one)).count()
    };
    let untouched = count(|one| *one == LayerOutcome::Untouched);
    let rewritten = count(|one| matches!(one, LayerOutcome::Rewritten(..)));
    let dropped = count(|one| *one == LayerOutcome::Dropped);
    write!(text, "  layers  {untouched} untouched, {rewritten} rewritten, {dropped} left out").ok();
    match outcome.rewritten.manifest.layers().len() - untouched - rewritten {
        0 => writeln!(text).ok(),
        added => writeln!(text, ", {added} added").ok(),
    };
    if let Some(share) = copied(&outcome.rewritten.layers) {
        writeln!(text, "          {share} of the rewritten layers copied as it was compressed")
            .ok();
    }
}
