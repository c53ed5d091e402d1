//! What a profile removes although no rule of the mission finds it: it yields to what is needed.

use std::collections::HashMap;

use super::drops::Draft;
use super::keeping::Keeping;
use super::needed::Needed;
use super::{Choices, id};
use crate::finding::RuleId;
use crate::inventory::{Kind, Name};
use crate::path::RootPath;
use crate::rules::{Catalog, People, Removes};

/// Drafts what goes beyond findings.
pub(super) fn draft(
    draft: &mut Draft<'_>,
    keeping: &mut Keeping<'_>,
    needed: &Needed,
    catalog: &Catalog,
    choices: &Choices,
) {
    match choices.profile.removes {
        Removes::Findings => {}
        Removes::PeopleTools => {
            for people in People::of(catalog, draft.inventory) {
                if !choices.profile.keeps_rule(people.rule) {
                    remove_people(draft, keeping, needed, &people);
                }
            }
        }
        Removes::AllButNeeded => {
            let rule = id("unneeded");
            if !choices.profile.keeps_rule(&rule) {
                remove_unneeded(draft, needed, &rule);
            }
        }
    }
}

/// Each tree in which nothing is needed goes as a whole.
fn remove_unneeded(draft: &mut Draft<'_>, needed: &Needed, rule: &RuleId) {
    for path in draft.inventory.names().keys().filter(|path| !path.is_root()) {
        // Names are sorted, so that what is above was decided on before.
        if !needed.holds(path) && draft.removal(path).is_none() {
            draft.remove(path.clone(), rule);
        }
    }
}

fn remove_people(
    draft: &mut Draft<'_>,
    keeping: &mut Keeping<'_>,
    needed: &Needed,
    people: &People<'_>,
) {
    let inventory = draft.inventory;
    let mut gone: Vec<RootPath> = Vec::new();
    for (path, name) in inventory.names() {
        let inode = inventory.inode(name.inode);
        let found = inode.kind != Kind::Directory && people.has(path, &inode.content);
        if found && !keeping.keeps(path, people.rule) && !needed.holds(path) {
            gone.push(path.clone());
        }
    }
    for path in gone {
        draft.remove(path, people.rule);
    }
    remove_dangling(draft, needed, people.rule);
    remove_emptied(draft, needed, people.rule);
    remove_hidden(draft, keeping, people);
}

/// Links to what goes go too.
fn remove_dangling(draft: &mut Draft<'_>, needed: &Needed, rule: &RuleId) {
    let inventory = draft.inventory;
    let mut dangling = Vec::new();
    for (path, name) in inventory.names() {
        if !matches!(inventory.inode(name.inode).kind, Kind::Symlink(_)) || needed.holds(path) {
            continue;
        }
        let way = inventory.resolve(path);
        if way.links.iter().chain(&way.found).any(|name| draft.is_removed_by(name, rule)) {
            dangling.push(path.clone());
        }
    }
    for path in dangling {
        draft.remove(path, rule);
    }
}

/// What is left in a directory.
#[derive(Default)]
struct Left {
    /// Whether something stays.
    stays: bool,
    /// Whether something goes by the rule.
    goes: bool,
}

/// Directories in which nothing is left go too.
fn remove_emptied(draft: &mut Draft<'_>, needed: &Needed, rule: &RuleId) {
    let mut directories: HashMap<RootPath, Left> = HashMap::new();
    let mut emptied = Vec::new();
    // Names are sorted, so that what is beneath comes first from behind.
    for (path, name) in draft.inventory.names().iter().rev() {
        let left = directories.remove(path).unwrap_or_default();
        let ours = draft.is_removed_by(path, rule);
        let empty = is_directory(draft, name) && left.goes && !left.stays;
        let empty = empty && !needed.holds(path) && draft.removal(path).is_none();
        if empty {
            emptied.push(path.clone());
        }
        if let Some(parent) = path.parent() {
            let above = directories.entry(parent).or_default();
            above.goes |= ours || empty;
            above.stays |= !empty && draft.removal(path).is_none();
        }
    }
    for path in emptied {
        draft.remove(path, rule);
    }
}

fn is_directory(draft: &Draft<'_>, name: &Name) -> bool {
    draft.inventory.inode(name.inode).kind == Kind::Directory
}

/// What lies hidden beneath a name that is no more: a package that a later layer purged, say.
fn remove_hidden(draft: &mut Draft<'_>, keeping: &mut Keeping<'_>, people: &People<'_>) {
    let inventory = draft.inventory;
    for (id, entry) in inventory.entries().filter(|(id, _)| inventory.is_hidden(*id)) {
        let Some(inode) = entry.inode.map(|inode| inventory.inode(inode)) else { continue };
        if inode.kind != Kind::Directory
            && !inventory.names().contains_key(&entry.path)
            && people.has(&entry.path, &inode.content)
            && !keeping.keeps(&entry.path, people.rule)
        {
            draft.drop_hidden(id.layer as usize, &entry.path, people.rule);
        }
    }
}
