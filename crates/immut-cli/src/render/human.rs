//! Results for people: the product on stdout, the talk on stderr.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style};
use immut_core::finding::{Finding, Remedy, Severity, Subject};
use immut_core::name::{Location, PinnedRef};
use immut_core::path::lossy;
use immut_core::plan::{Action, Conflict, Plan, Totals, command_line};
use immut_core::rewrite::LayerOutcome;
use immut_core::rules::{Catalog, Rule};
use immut_core::store;
use immut_core::trust::{
    self, KeySource, NO_LOG, Outcome as Signature, Signatures, Transport, Verified, verify_command,
};
use immut_core::{Audit, Error, Hardened, LeftOut, Outcome, Planning, Published, Refused};
use indicatif::{DecimalBytes, HumanCount};

use crate::args::Global;
use crate::exit::Failure;
use crate::keys;
use crate::progress::undisturbed;

static QUIET: AtomicBool = AtomicBool::new(false);
const BOLD: Style = Style::new().bold();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();
/// More lines than that of one kind are counted instead of shown.
const MOST: usize = 12;

/// Says nothing but errors from here on.
pub(crate) fn quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// The product: one line on stdout.
pub(crate) fn product(text: &str) {
    // A reader that went away wants no more.
    undisturbed(|| drop(writeln!(anstream::stdout(), "{text}")));
}

/// A remark on stderr.
pub(crate) fn note(text: &str) {
    if !QUIET.load(Ordering::Relaxed) {
        undisturbed(|| drop(writeln!(anstream::stderr(), "{text}")));
    }
}

/// Why the run failed; a refusal shows its evidence.
pub(crate) fn failure(failure: &Failure) {
    let mut text = format!("{RED}error:{RED:#} {failure}\n");
    if let Failure::Core(Error::Conflicts(refused)) = failure {
        for Refused { platform, plan } in refused {
            writeln!(text, "{BOLD}{platform}{BOLD:#}").ok();
            plan.conflicts.iter().for_each(|one| conflict(&mut text, one));
        }
    }
    if let Some(hint) = hint(failure) {
        writeln!(text, "{BOLD}hint:{BOLD:#} {hint}").ok();
    }
    write!(anstream::stderr(), "{text}").ok();
}

/// What helps, where the message itself does not say it.
fn hint(failure: &Failure) -> Option<String> {
    if let Failure::Core(Error::Copy(store::Error::Incomplete { platform: Some(_), .. })) = failure
    {
        return Some(
            "--platform OS/ARCHITECTURE copies another platform, if that is whole".to_owned(),
        );
    }
    let Failure::Trust(trust::Error::KeyFile { place, source }) = failure else { return None };
    let absent = source.kind() == std::io::ErrorKind::NotFound;
    absent.then(|| {
        let path = place.to_string();
        let prefix = path.strip_suffix(".key").or(path.strip_suffix(".pub")).unwrap_or(&path);
        format!("`immut key generate {prefix}` makes {prefix}.key and {prefix}.pub")
    })
}

fn conflict(text: &mut String, conflict: &Conflict) {
    writeln!(text, "  {} {}", conflict.pointer.trim_start_matches("/config/"), conflict.problem)
        .ok();
    if !conflict.chain.is_empty() {
        let chain: Vec<String> = conflict.chain.iter().map(ToString::to_string).collect();
        writeln!(text, "    {DIM}{}{DIM:#}", chain.join(" -> ")).ok();
    }
    writeln!(text, "    settle it with one of:").ok();
    for flag in &conflict.settle {
        writeln!(text, "      {flag}").ok();
    }
}

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
        note("no tag names it, only its digest; --tag TAG gives it one");
    } else {
        note(&format!("tagged {}", tags.join(", ")));
    }
}

fn outcome_text(outcome: &Outcome) -> String {
    let plan = &outcome.plan;
    let mut text = format!("{BOLD}{}{BOLD:#}\n", outcome.platform);
    let found = summary(&outcome.found);
    writeln!(text, "  before  {}  {found}", totals(plan.before)).ok();
    writeln!(text, "  after   {}  {}", totals(plan.after), summary(&outcome.left)).ok();
    let count = |kind: fn(&LayerOutcome) -> bool| {
        outcome.rewritten.layers.iter().filter(|one| kind(one)).count()
    };
    let untouched = count(|one| *one == LayerOutcome::Untouched);
    let rewritten = count(|one| matches!(one, LayerOutcome::Rewritten(_)));
    let dropped = count(|one| *one == LayerOutcome::Dropped);
    writeln!(text, "  layers  {untouched} untouched, {rewritten} rewritten, {dropped} left out")
        .ok();
    for step in &plan.steps {
        if let Some(line) = config_line(&step.action) {
            writeln!(text, "  {line}").ok();
        }
    }
    remarks(&mut text, plan);
    text.trim_end().to_owned()
}

fn remarks(text: &mut String, plan: &Plan) {
    for kept in plan.kept.iter().take(MOST) {
        writeln!(text, "  {YELLOW}kept{YELLOW:#}    {} (rule {})", kept.path, kept.rule).ok();
    }
    if plan.kept.len() > MOST {
        writeln!(text, "  {YELLOW}kept{YELLOW:#}    and {} more", plan.kept.len() - MOST).ok();
    }
    if !plan.orphaned.is_empty() {
        let count = plan.orphaned.len();
        writeln!(text, "  {DIM}orphaned{DIM:#} {count} scripts stay without their interpreter; the receipt lists them").ok();
    }
    for note in &plan.notes {
        writeln!(text, "  {YELLOW}note{YELLOW:#}    {note}").ok();
    }
    for unseen in &plan.unseen {
        writeln!(text, "  {YELLOW}unseen{YELLOW:#}  {unseen}").ok();
    }
}

fn config_line(action: &Action) -> Option<String> {
    Some(match action {
        Action::SetUser { from, to } if from.is_empty() => {
            format!("user    root (none was set) -> {to}")
        }
        Action::SetUser { from, to } => format!("user    {} -> {to}", lossy(from.as_bytes())),
        Action::SetEntrypoint { to } => format!("entrypoint {}", command_line(to)),
        Action::SetCmd { to } => format!("cmd     {}", command_line(to)),
        Action::SetHealthcheck { to: Some(check) } => format!("health  {}", check["Test"]),
        Action::SetHealthcheck { to: None } => "health  no check".to_owned(),
        _ => return None,
    })
}

fn totals(totals: Totals) -> String {
    format!("{} files, {}", HumanCount(totals.files), DecimalBytes(totals.bytes))
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

/// What was signed.
pub(crate) fn signed(signatures: &Signatures) {
    for one in &signatures.signed {
        let formats = one.outcomes.iter().map(|(format, outcome)| match outcome {
            Signature::Made => format!("{format}"),
            Signature::AlreadyThere => format!("{format} (was there already)"),
        });
        note(&format!("signed {}: {}", one.digest, formats.collect::<Vec<_>>().join(", ")));
    }
    for one in &signatures.missing {
        note(&format!("{YELLOW}not signed{YELLOW:#} {one}, which is not there (a partial copy)"));
    }
}

/// The command that verifies, alone on the last line so that it can be copied, and why it is as it is.
pub(crate) fn verify_hint(image: &PinnedRef, key: &KeySource, global: &Global) {
    let public = keys::public_file(key);
    if image.location.archive().is_some() {
        note("verify it, in this archive, which cosign does not read, with:");
    } else {
        note("verify it with cosign 2 or 3:");
        note(&format!("{DIM}({NO_LOG}){DIM:#}"));
    }
    if !public.exists() {
        let public = public.display();
        note(&format!("{DIM}(the public key: cosign public-key --key {key} > {public}){DIM:#}"));
    }
    note(&verify_command(image, &public, transport(image, global)));
}

fn transport<'a>(image: &PinnedRef, global: &'a Global) -> Transport<'a> {
    let Location::Registry(repository) = &image.location else { return Transport::Trusted };
    match &global.ca {
        _ if global.insecure_registry.contains(&repository.host) => Transport::Http,
        Some(ca) => Transport::Authority(ca),
        None => Transport::Trusted,
    }
}

/// What a verification found.
pub(crate) fn verified<T>(verified: &Verified<T>) {
    for found in verified.found() {
        note(&format!("verified {} signature in {}", found.format, found.place));
    }
    for rejected in verified.rejected() {
        note(&format!("{YELLOW}passed over{YELLOW:#} {rejected}"));
    }
    note("no transparency log was looked at: the signature says who made it, not when");
}

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

fn severity_style(severity: Severity) -> Style {
    match severity {
        Severity::High | Severity::Critical => RED,
        Severity::Medium => YELLOW,
        _ => DIM,
    }
}

/// Plans: what would be done, why, and what speaks against it.
pub(crate) fn plans(image: &PinnedRef, planning: &Planning) {
    let mut text = format!("{BOLD}{image}{BOLD:#}\n");
    for one in &planning.platforms {
        plan(&mut text, &one.platform.to_string(), &one.plan);
    }
    product(text.trim_end());
    left_out(&planning.left_out);
}

fn plan(text: &mut String, platform: &str, plan: &Plan) {
    writeln!(text, "{BOLD}{platform}{BOLD:#}").ok();
    if plan.is_empty() {
        writeln!(text, "  nothing to do: the digest stays").ok();
    }
    let mut groups: BTreeMap<(String, &str), Vec<String>> = BTreeMap::new();
    for step in &plan.steps {
        let rules: Vec<&str> =
            step.because.iter().map(immut_core::finding::RuleId::as_str).collect();
        let (verb, subject) = verb(&step.action);
        groups.entry((rules.join(", "), verb)).or_default().push(subject);
    }
    for ((rules, verb), subjects) in &groups {
        writeln!(text, "  {BOLD}{verb}{BOLD:#} {} {DIM}because of {rules}{DIM:#}", subjects.len())
            .ok();
        for subject in subjects.iter().take(MOST) {
            writeln!(text, "    {subject}").ok();
        }
        if subjects.len() > MOST {
            writeln!(
                text,
                "    {DIM}and {} more; --format json lists them all{DIM:#}",
                subjects.len() - MOST
            )
            .ok();
        }
    }
    writeln!(text, "  before  {}\n  after   {}", totals(plan.before), totals(plan.after)).ok();
    remarks(text, plan);
    if !plan.conflicts.is_empty() {
        writeln!(
            text,
            "  {RED}conflicts{RED:#}: the image would not start, so harden would refuse (exit 4)"
        )
        .ok();
        plan.conflicts.iter().for_each(|one| conflict(text, one));
    }
}

fn verb(action: &Action) -> (&'static str, String) {
    match action {
        Action::Remove { path } => ("remove", path.to_string()),
        Action::DropHidden { entry, path } => {
            ("drop hidden", format!("{path} (layer {})", entry.layer + 1))
        }
        Action::DropMarker { entry, path } => {
            ("drop marker", format!("{path} (layer {})", entry.layer + 1))
        }
        Action::DropTable { entry, path } => {
            ("drop table of contents", format!("{path} (layer {})", entry.layer + 1))
        }
        Action::ClearMode { path, bits } => ("clear mode", format!("{path} ({bits:04o})")),
        Action::ClearCapability { path } => ("clear capability", path.to_string()),
        Action::Carry { path, .. } => ("make a file of the hardlink", path.to_string()),
        Action::Relink { path, target, .. } => ("relink", format!("{path} to {target}")),
        Action::DropEmptied { layer } => ("leave out layer", (layer + 1).to_string()),
        Action::EditFile { path, .. } => ("edit", path.to_string()),
        Action::AddDirectory { path, mode, owner, .. } => {
            ("add directory", format!("{path} (mode {mode:04o}, owner {}:{})", owner.0, owner.1))
        }
        other => ("set", config_line(other).unwrap_or_default()),
    }
}

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
