//! The matcher of rules about files: two signals, then identity.

use std::collections::{BTreeMap, HashMap};

use globset::GlobSet;

use super::catalog::{self, Executables};
use super::{Catalog, Rule, places, subject_of};
use crate::finding::{Evidence, Finding, Remedy, Subject as FindingSubject};
use crate::inventory::{Content, EntryId, Fingerprint, Inventory, Kind, Subject};
use crate::path::RootPath;

/// Files with fewer bytes are not told apart by their bytes: `exit 0` is nobody's program.
pub(crate) const SMALLEST_IDENTITY: u64 = 64;

/// What a rule finds among the files of an image.
pub(super) fn find(catalog: &Catalog, rule: &Rule, subject: &Subject<'_>) -> Vec<Finding> {
    let inventory = subject.inventory;
    let search = Search::new(catalog, rule, subject);
    let mut hits = Hits::default();
    let mut suspects = BTreeMap::new();
    for (id, entry) in inventory.entries() {
        match search.look(id) {
            Verdict::Hit(evidence) => hits.add(inventory, id, evidence),
            Verdict::Suspect(evidence) => {
                suspects.insert(entry.path.clone(), (id, evidence));
            }
            Verdict::Nothing => {}
        }
    }
    hits.spread(inventory);
    places::find(rule, inventory, &search, &mut hits);
    hits.follow_links(inventory);
    suspects.retain(|path, (id, _)| !hits.found.contains_key(id) && !hits.names.contains_key(path));
    let suspects = suspects.into_values().map(|(id, evidence)| Finding {
        remedy: Remedy::None,
        ..rule.finding(subject_of(inventory, id), evidence)
    });
    hits.findings(rule, inventory).into_iter().chain(suspects).collect()
}

enum Verdict {
    /// Signals enough.
    Hit(Vec<Evidence>),
    /// One signal that removes nothing by itself.
    Suspect(Vec<Evidence>),
    Nothing,
}

/// A rule with its patterns compiled, over one image.
pub(super) struct Search<'a> {
    catalog: &'a Catalog,
    rule: &'a Rule,
    inventory: &'a Inventory,
    groups: Vec<(&'a Executables, GlobSet, GlobSet)>,
    masks: Vec<u64>,
    /// Directories of the config's `PATH`.
    path: Vec<RootPath>,
}

impl<'a> Search<'a> {
    fn new(catalog: &'a Catalog, rule: &'a Rule, subject: &Subject<'a>) -> Self {
        let compile =
            |names: &[String]| catalog::globs(names).expect("patterns are checked when read");
        let group =
            |group: &'a Executables| (group, compile(&group.names), compile(&group.ambiguous));
        let path = subject.config.env("PATH").unwrap_or_default();
        Self {
            catalog,
            rule,
            inventory: subject.inventory,
            groups: rule.executables.iter().map(group).collect(),
            masks: catalog.masks(rule),
            path: path.split(':').filter_map(|directory| directory.parse().ok()).collect(),
        }
    }

    fn look(&self, id: EntryId) -> Verdict {
        let entry = self.inventory.entry(id);
        let Some(inode) = entry.inode.map(|inode| self.inventory.inode(inode)) else {
            return Verdict::Nothing;
        };
        if inode.kind != Kind::File || inode.size == 0 {
            return Verdict::Nothing;
        }
        let program =
            self.program(&inode.content).map(|program| Evidence::Content(program.to_owned()));
        let Some((group, name, ambiguous)) = self.name(&entry.path) else {
            return program.map_or(Verdict::Nothing, |program| Verdict::Suspect(vec![program]));
        };
        let mut evidence = vec![Evidence::Name(name)];
        evidence.extend(self.package(group, &entry.path));
        evidence.extend(program);
        match (evidence.len(), ambiguous) {
            (2.., _) => Verdict::Hit(evidence),
            (_, false) => Verdict::Suspect(evidence),
            (_, true) => Verdict::Nothing,
        }
    }

    /// The group that has the name of an executable, and whether others have that name too.
    fn name(&self, path: &RootPath) -> Option<(&'a Executables, String, bool)> {
        let parent = path.parent()?;
        let text = |bytes| std::str::from_utf8(bytes).ok();
        let looked_up = self.path.contains(&parent)
            || self.catalog.directories().is_match(text(parent.as_bytes())?);
        if !looked_up {
            return None;
        }
        let name = text(path.file_name())?;
        self.groups.iter().find_map(|(group, names, ambiguous)| {
            let clear = names.is_match(name);
            (clear || ambiguous.is_match(name)).then(|| (*group, name.to_owned(), !clear))
        })
    }

    fn package(&self, group: &Executables, path: &RootPath) -> Option<Evidence> {
        let owner = self.inventory.packages().owner(path)?;
        let ours = group.packages.contains(&owner.package);
        ours.then(|| Evidence::Package { name: owner.package.clone(), database: owner.database })
    }

    /// The program whose signature the content carries.
    fn program(&self, content: &Content) -> Option<&'a str> {
        let Content::Elf(found) = content else { return None };
        let holds = |mask: &u64| *mask != 0 && found & mask == *mask;
        let index = self.masks.iter().position(holds)?;
        Some(&self.rule.signatures[index].program)
    }

    /// Whether something of a family of this rule is in the image.
    pub(super) fn has_family(&self, family: &str, hits: &Hits) -> bool {
        let member = |id: &EntryId| {
            let path = &self.inventory.entry(*id).path;
            self.name(path).is_some_and(|(group, _, _)| group.family == family)
        };
        hits.found.keys().any(member)
    }
}

/// What was hit, and why.
#[derive(Default)]
pub(super) struct Hits {
    /// Entries with the evidence against them.
    pub(super) found: BTreeMap<EntryId, Vec<Evidence>>,
    /// Whole trees of the merged view.
    pub(super) trees: BTreeMap<RootPath, Vec<Evidence>>,
    /// The names of entries that were hit, with one of them.
    names: HashMap<RootPath, EntryId>,
    /// Digests of files that were hit.
    contents: HashMap<Fingerprint, RootPath>,
}

impl Hits {
    pub(super) fn add(&mut self, inventory: &Inventory, id: EntryId, evidence: Vec<Evidence>) {
        let entry = inventory.entry(id);
        self.names.entry(entry.path.clone()).or_insert(id);
        self.found.entry(id).or_insert(evidence);
    }

    /// Identity: other names of the same inodes, and other files with the same bytes.
    fn spread(&mut self, inventory: &Inventory) {
        let mut inodes = HashMap::new();
        for id in self.found.keys() {
            let entry = inventory.entry(*id);
            let Some(inode) = entry.inode else { continue };
            inodes.entry(inode).or_insert_with(|| entry.path.clone());
            let facts = inventory.inode(inode);
            if let Some(content) = facts.fingerprint.filter(|_| facts.size >= SMALLEST_IDENTITY) {
                self.contents.entry(content).or_insert_with(|| entry.path.clone());
            }
        }
        for (id, entry) in inventory.entries() {
            let Some(inode) = entry.inode else { continue };
            if let Some(first) = inodes.get(&inode) {
                self.add(inventory, id, vec![Evidence::SameFile(first.clone())]);
            } else if let Some(first) =
                inventory.inode(inode).fingerprint.and_then(|one| self.contents.get(&one)).cloned()
            {
                self.add(inventory, id, vec![Evidence::SameBytes(first)]);
            }
        }
    }

    /// Links whose target was hit, in every layer, and links to these.
    fn follow_links(&mut self, inventory: &Inventory) {
        let mut links: HashMap<RootPath, Vec<EntryId>> = HashMap::new();
        for (id, entry) in inventory.entries() {
            let kind = entry.inode.map(|inode| &inventory.inode(inode).kind);
            if let Some(Kind::Symlink(target)) = kind
                && !self.covers(inventory, id)
            {
                let target = inventory.resolve_parents(&entry.path.link_target(target));
                links.entry(target).or_default().push(id);
            }
        }
        let mut gone: Vec<RootPath> =
            links.keys().filter(|target| self.is_gone(inventory, target)).cloned().collect();
        gone.sort_unstable();
        while let Some(target) = gone.pop() {
            for id in links.remove(&target).unwrap_or_default() {
                if !self.found.contains_key(&id) {
                    self.add(inventory, id, vec![Evidence::LinkTo(target.clone())]);
                }
                let name = &inventory.entry(id).path;
                if links.contains_key(name) && self.is_gone(inventory, name) {
                    gone.push(name.clone());
                }
            }
        }
    }

    /// Whether an entry lies in a tree that goes as a whole.
    fn covers(&self, inventory: &Inventory, id: EntryId) -> bool {
        !inventory.is_hidden(id) && self.in_tree(&inventory.entry(id).path)
    }

    fn in_tree(&self, path: &RootPath) -> bool {
        let mut above = path.ancestors();
        !self.trees.is_empty() && above.any(|path| self.trees.contains_key(&path))
    }

    /// Whether nothing is left at a path when the hits are gone: a hidden hit under a visible file
    /// of the same name does not take that name away.
    fn is_gone(&self, inventory: &Inventory, path: &RootPath) -> bool {
        let in_tree = self.in_tree(path);
        let hit = self.names.contains_key(path);
        match inventory.names().get(path) {
            Some(name) => {
                in_tree || name.entry.is_some_and(|entry| self.found.contains_key(&entry))
            }
            None => hit || in_tree,
        }
    }

    fn findings(self, rule: &Rule, inventory: &Inventory) -> Vec<Finding> {
        let trees = self.trees.into_iter();
        let trees = trees.map(|(path, found)| rule.finding(FindingSubject::File(path), found));
        let entries = self.found.into_iter();
        let entries = entries.map(|(id, found)| rule.finding(subject_of(inventory, id), found));
        trees.chain(entries).collect()
    }
}
