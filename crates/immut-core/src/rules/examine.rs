//! From an inventory and a config to findings.

use super::{Catalog, Matcher, Rule, files, root_only, subject_of};
use crate::finding::{Evidence, Finding, Subject as FindingSubject};
use crate::inventory::{EntryId, Inventory, Kind, Subject};
use crate::path::lossy;
use crate::user;

/// All findings of a catalog, in a stable order: by rule, then by subject.
pub fn examine(catalog: &Catalog, subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        catalog.rules().iter().flat_map(|rule| of_rule(catalog, rule, subject)).collect();
    findings.sort_by(|a, b| (&a.rule, &a.subject).cmp(&(&b.rule, &b.subject)));
    findings
}

fn of_rule(catalog: &Catalog, rule: &Rule, subject: &Subject<'_>) -> Vec<Finding> {
    match rule.matcher {
        Matcher::Files => files::find(catalog, rule, subject),
        Matcher::Setuid => set_bits(rule, subject.inventory, 0o4000),
        Matcher::Setgid => set_bits(rule, subject.inventory, 0o2000),
        Matcher::FileCapability => capabilities(rule, subject.inventory),
        Matcher::RootUser | Matcher::NamedUser | Matcher::UnknownUser => user(rule, subject),
        Matcher::LowPort => low_ports(rule, subject),
        Matcher::RootOnlyFile => root_only::find(rule, subject),
        Matcher::Surplus | Matcher::Consequence => Vec::new(),
    }
}

/// Regular files with a mode bit; directories keep theirs, which only pass a group on.
fn set_bits(rule: &Rule, inventory: &Inventory, bit: u16) -> Vec<Finding> {
    files_where(inventory, |id| inventory.entry(id).mode & bit != 0)
        .map(|id| {
            let mode = Evidence::Mode(inventory.entry(id).mode);
            rule.finding(subject_of(inventory, id), vec![mode])
        })
        .collect()
}

fn capabilities(rule: &Rule, inventory: &Inventory) -> Vec<Finding> {
    files_where(inventory, |id| inventory.entry(id).capability)
        .map(|id| rule.finding(subject_of(inventory, id), vec![Evidence::Capability]))
        .collect()
}

/// Entries of regular files, hardlinks too, for which something holds.
fn files_where(
    inventory: &Inventory,
    holds: impl Fn(EntryId) -> bool,
) -> impl Iterator<Item = EntryId> {
    inventory
        .entries()
        .filter(|(_, entry)| {
            entry.inode.is_some_and(|inode| inventory.inode(inode).kind == Kind::File)
        })
        .map(|(id, _)| id)
        .filter(move |id| holds(*id))
}

fn user(rule: &Rule, subject: &Subject<'_>) -> Vec<Finding> {
    let written = subject.config.user();
    let accounts = user::Accounts::of(subject.inventory);
    let holds = match (rule.matcher, accounts.kind(written)) {
        (Matcher::RootUser, user::Kind::Root)
        | (Matcher::NamedUser, user::Kind::Named(_) | user::Kind::Unknown) => true,
        (Matcher::UnknownUser, user::Kind::Numeric(id)) => {
            accounts.has_passwd() && accounts.by_uid(id.uid).is_none()
        }
        _ => false,
    };
    if !holds {
        return Vec::new();
    }
    let shown =
        if written.is_empty() { "empty, which is root".to_owned() } else { format!("{written:?}") };
    vec![rule.finding(FindingSubject::Config("/config/User"), vec![Evidence::Config(shown)])]
}

fn low_ports(rule: &Rule, subject: &Subject<'_>) -> Vec<Finding> {
    let root =
        user::Accounts::of(subject.inventory).kind(subject.config.user()) == user::Kind::Root;
    let ports = subject.config.low_ports();
    if root || ports.is_empty() {
        return Vec::new();
    }
    let evidence = ports.into_iter().map(|port| Evidence::Config(lossy(port.as_bytes())));
    let subject = FindingSubject::Config("/config/ExposedPorts");
    vec![rule.finding(subject, evidence.collect())]
}
