//! Files that the start names and only root may read.

use std::collections::BTreeMap;

use super::Rule;
use crate::finding::{Evidence, Finding, Subject as FindingSubject};
use crate::image::Healthcheck;
use crate::inventory::{Inode, Inventory, Kind, Subject};
use crate::path::RootPath;
use crate::user::{self, Accounts, NONROOT};

/// The most words that are looked at.
const MOST_WORDS: usize = 10_000;

/// The files that words of entrypoint, cmd and health check name, as paths or as names in the working
/// directory, and that are root's and shut to a user that is not.
pub(super) fn find(rule: &Rule, subject: &Subject<'_>) -> Vec<Finding> {
    let accounts = Accounts::of(subject.inventory);
    let user = match accounts.kind(subject.config.user()) {
        user::Kind::Numeric(user) | user::Kind::Named(user) => user,
        user::Kind::Root | user::Kind::Unknown => NONROOT,
    };
    let groups = accounts.groups_of(user);
    let mut found: BTreeMap<RootPath, Vec<Evidence>> = BTreeMap::new();
    for (pointer, word) in words(subject).into_iter().take(MOST_WORDS) {
        for file in named(subject, &word) {
            if let Some(shut) = shut(subject.inventory, &file, &groups) {
                let named = Evidence::Config(format!("named by {pointer}"));
                found.entry(file).or_insert_with(|| vec![shut, named]);
            }
        }
    }
    let (severity, remedy) = (rule.severity, rule.remedy);
    let finding = |(path, evidence)| {
        let (rule, subject) = (rule.id.clone(), FindingSubject::File(path));
        Finding { rule, severity, subject, evidence, remedy }
    };
    found.into_iter().map(finding).collect()
}

/// The words of the config's commands, with the parts of the config.
fn words(subject: &Subject<'_>) -> Vec<(&'static str, String)> {
    let config = subject.config;
    let check = match config.healthcheck() {
        Healthcheck::Exec(words) => words,
        Healthcheck::Shell(_) | Healthcheck::None => Vec::new(),
    };
    let entrypoint = config.entrypoint().into_iter().map(|word| ("/config/Entrypoint", word));
    let cmd = config.cmd().into_iter().map(|word| ("/config/Cmd", word));
    let check = check.into_iter().map(|word| ("/config/Healthcheck", word));
    entrypoint.chain(cmd).chain(check).collect()
}

/// The files that a word names, as a whole or behind its `=`.
fn named(subject: &Subject<'_>, word: &str) -> impl Iterator<Item = RootPath> {
    let inventory = subject.inventory;
    let base: Option<RootPath> = subject.config.working_dir().parse().ok();
    let value = word.split_once('=').map(|(_, value)| value);
    let paths = std::iter::once(word).chain(value).filter_map(move |name| {
        let path = base.as_ref()?.join(b"x").link_target(name.as_bytes());
        let found = inventory.resolve(&path).found?;
        inventory.lookup(&found).is_some_and(|inode| inode.kind == Kind::File).then_some(found)
    });
    paths.collect::<Vec<_>>().into_iter()
}

/// What shuts a file to members of groups: its mode, or that of a directory above it.
fn shut(inventory: &Inventory, file: &RootPath, groups: &[u32]) -> Option<Evidence> {
    let shuts = |inode: &Inode, bits: u16| {
        let granted = if groups.contains(&inode.gid) { inode.mode >> 3 } else { inode.mode };
        inode.uid == 0 && granted & bits == 0
    };
    let locked = |folder: &RootPath| {
        let inode = inventory.lookup(folder).filter(|inode| shuts(inode, 0o1))?;
        Some(Evidence::Config(format!("beneath {folder}, which has mode {:04o}", inode.mode)))
    };
    let above = file.parent()?.top_down();
    let locked = above.iter().find_map(locked);
    // A program that may be executed need not be read.
    let inode = inventory.lookup(file).filter(|inode| shuts(inode, 0o5));
    locked.or_else(|| Some(Evidence::Mode(inode?.mode)))
}
