//! Layers into one view: image specification 1.1, "Applying Changesets".
//!
//! Two loops for each layer. First its deletions (whiteouts and opaque markers), which see only
//! lower layers whatever the order of the entries; then its additions. A third loop would be wrong
//! and one loop is: a marker after the file that it seems to hide hides nothing.
//!
//! Names are literal: an entry `bin/x` under a link `/bin` of a lower layer makes a directory
//! `/bin`, as the overlay drivers of container engines have it.

use std::collections::{BTreeMap, HashMap};

use super::layer::{FileFacts, Indexed, is_metadata};
use super::probe::Content;
use super::read::{Error, LONG_NAME};
use super::{Entry, EntryId, Inode, InodeId, Inventory, Kind, Name, Packages, Sought, beneath};
use crate::path::RootPath;

/// Merges layers, lowest first.
pub(super) fn merge(indexed: Vec<Indexed>, sought: &Sought, most: u64) -> Result<Inventory, Error> {
    let mut layers = Vec::new();
    let entries: usize = indexed.iter().map(|one| one.layer.entries.len()).sum();
    let mut inodes = Vec::with_capacity(entries + 1);
    inodes.push(implied_directory());
    let mut shared: HashMap<InodeId, Vec<EntryId>> = HashMap::new();
    let mut kept = BTreeMap::new();
    let mut unseen = Vec::new();
    let mut view = View::default();
    for (number, Indexed { mut layer, files, kept: texts }) in (0..).zip(indexed) {
        let mut merging =
            Merging { inodes: &mut inodes, shared: &mut shared, files: files.into_iter() };
        view.apply(number, &mut layer.entries, &mut merging, most)?;
        unseen.extend(layer.unseen.iter().cloned());
        layers.push(layer);
        kept.extend(
            texts.into_iter().map(|(index, text)| (EntryId { layer: number, index }, text)),
        );
    }
    let names = view.names;
    let mut inventory =
        Inventory { layers, names, inodes, shared, packages: Packages::default(), kept, unseen };
    inventory.packages = Packages::read(&inventory, sought);
    Ok(inventory)
}

impl Inventory {
    /// The layers that stay, as they were indexed, to be merged with others.
    pub(super) fn into_indexed(self, stays: impl Fn(usize) -> bool) -> Vec<Indexed> {
        let Self { layers, names, mut inodes, mut kept, .. } = self;
        // What is not needed any more goes first: there is a second view to come.
        drop(names);
        let mut indexed = Vec::new();
        let layers = (0..).zip(layers).filter(|(number, _)| stays(*number as usize));
        for (number, mut layer) in layers {
            let mut files = Vec::new();
            for (index, entry) in (0..).zip(&mut layer.entries) {
                let inode = entry.inode.take().filter(|_| entry.kind == Kind::File);
                files.extend(inode.map(|inode| {
                    let Inode { size, fingerprint, content, .. } = &mut inodes[inode as usize];
                    let content = std::mem::take(content);
                    FileFacts { entry: index, size: *size, fingerprint: *fingerprint, content }
                }));
            }
            let first = |layer| EntryId { layer, index: 0 };
            let texts = kept.extract_if(first(number)..first(number + 1), |_, _| true);
            let kept = texts.map(|(id, text)| (id.index, text)).collect();
            indexed.push(Indexed { layer, files, kept });
        }
        indexed
    }
}

/// The merged view while layers are applied to it.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) names: BTreeMap<RootPath, Name>,
    /// Directories that were made because no entry mentions them, long names counted as several: a
    /// few entries with deep names imply very many.
    implied: u64,
}

/// What the first merge of an image learns besides the view.
struct Merging<'a> {
    inodes: &'a mut Vec<Inode>,
    shared: &'a mut HashMap<InodeId, Vec<EntryId>>,
    files: std::vec::IntoIter<FileFacts>,
}

impl View {
    fn apply(
        &mut self,
        layer: u32,
        entries: &mut [Entry],
        merging: &mut Merging<'_>,
        most: u64,
    ) -> Result<(), Error> {
        for entry in &*entries {
            self.delete(entry);
        }
        for (index, entry) in (0..).zip(entries) {
            let id = EntryId { layer, index };
            let metadata = is_metadata(&entry.path);
            let inode = match &entry.kind {
                Kind::Whiteout | Kind::Opaque | Kind::Ignored => continue,
                Kind::Hardlink(_) if metadata => continue,
                Kind::Hardlink(target) => {
                    let inode = self.link_target(target, merging.inodes).map_err(|reason| {
                        Error::Hardlink {
                            layer: layer as usize + 1,
                            path: entry.path.to_string(),
                            target: target.to_string(),
                            reason,
                        }
                    })?;
                    merging.link(inode, id, entry);
                    inode
                }
                _ => merging.create(id, entry),
            };
            entry.inode = Some(inode);
            if metadata {
                continue;
            }
            let directory = entry.kind == Kind::Directory;
            self.put(&entry.path, Name { inode, entry: Some(id) }, directory, merging.inodes);
            if self.implied > most {
                return Err(Error::Limit {
                    layer: layer as usize + 1,
                    what: "the number of entries (with the directories above them)",
                    limit: most,
                    flag: "--max-entries",
                });
            }
        }
        Ok(())
    }

    /// What a marker takes away, when only lower layers are in the view.
    pub(super) fn delete(&mut self, entry: &Entry) {
        match entry.kind {
            Kind::Whiteout => {
                self.names.remove(&entry.path);
                self.clear(&entry.path);
            }
            Kind::Opaque => self.clear(&entry.path),
            _ => {}
        }
    }

    /// Puts a name in place. Parents that are missing or no directories become directories; what
    /// lies beneath goes unless a directory replaces a directory.
    pub(super) fn put(&mut self, path: &RootPath, name: Name, directory: bool, inodes: &[Inode]) {
        if let Some(parent) = path.parent().filter(|parent| !parent.is_root()) {
            let there = self.names.get(&parent).map(|name| &inodes[name.inode as usize].kind);
            if there != Some(&Kind::Directory) {
                self.implied += 1 + parent.as_bytes().len() as u64 / LONG_NAME;
                self.put(&parent, Name { inode: IMPLIED, entry: None }, true, inodes);
            }
        }
        let old = self.names.insert(path.clone(), name);
        let was_directory =
            old.is_some_and(|old| inodes[old.inode as usize].kind == Kind::Directory);
        if was_directory && !directory {
            self.clear(path);
        }
    }

    /// The inode that a hardlink's target has now.
    pub(super) fn link_target(
        &self,
        target: &RootPath,
        inodes: &[Inode],
    ) -> Result<InodeId, &'static str> {
        let found = if let Some(name) = self.names.get(target) {
            *name
        } else {
            // Engines link by the kernel's rules, which follow links among the parents.
            let real =
                super::resolve::parents(&self.names, inodes, target).ok_or("is not there")?;
            *self.names.get(&real).ok_or("is not there")?
        };
        match inodes[found.inode as usize].kind {
            Kind::Directory => Err("is a directory"),
            _ => Ok(found.inode),
        }
    }

    fn clear(&mut self, directory: &RootPath) {
        let gone: Vec<RootPath> =
            beneath(&self.names, directory).map(|(path, _)| path.clone()).collect();
        for path in gone {
            self.names.remove(&path);
        }
    }
}

impl Merging<'_> {
    fn create(&mut self, id: EntryId, entry: &Entry) -> InodeId {
        let facts = if entry.kind == Kind::File { self.files.next() } else { None };
        debug_assert!(facts.as_ref().is_none_or(|facts| facts.entry == id.index));
        let (size, fingerprint, content) = match facts {
            Some(facts) => (facts.size, facts.fingerprint, facts.content),
            None => (0, None, Content::Other),
        };
        self.inodes.push(Inode {
            carrier: Some(id),
            kind: entry.kind.clone(),
            mode: entry.mode,
            any_mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            size,
            capability: entry.capability,
            fingerprint,
            content,
        });
        last(self.inodes)
    }

    /// A hardlink's own header counts: engines apply it to the inode.
    fn link(&mut self, inode: InodeId, id: EntryId, entry: &Entry) {
        let shared = &mut self.inodes[inode as usize];
        shared.mode = entry.mode;
        shared.any_mode |= entry.mode;
        (shared.uid, shared.gid) = (entry.uid, entry.gid);
        shared.capability |= entry.capability;
        let carrier = shared.carrier;
        self.shared.entry(inode).or_insert_with(|| carrier.into_iter().collect()).push(id);
    }
}

/// The inode of every directory that no layer mentions.
pub(crate) const IMPLIED: InodeId = 0;

fn implied_directory() -> Inode {
    Inode {
        carrier: None,
        kind: Kind::Directory,
        mode: 0o755,
        any_mode: 0o755,
        uid: 0,
        gid: 0,
        size: 0,
        capability: false,
        fingerprint: None,
        content: Content::Other,
    }
}

fn last(inodes: &[Inode]) -> InodeId {
    InodeId::try_from(inodes.len() - 1).expect("entries are limited to less than 2^32")
}
