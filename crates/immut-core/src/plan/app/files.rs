//! What an app profile changes in files.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, EditedFile, Fitting};
use crate::apps::{Edit, MOST_BYTES, Pattern};
use crate::inventory::{Content, EntryId, Inode, Inventory, Kind};
use crate::needs::Look;
use crate::path::RootPath;
use crate::plan::Error;

/// The edits of a profile in one image.
#[derive(Debug, Default)]
pub(in crate::plan) struct Edits {
    /// Files with their new content.
    pub(in crate::plan) contents: Vec<(RootPath, Vec<u8>)>,
    /// What was changed in them.
    pub(in crate::plan) files: Vec<EditedFile>,
    /// The ports that edits moved.
    pub(in crate::plan) ports: BTreeSet<u16>,
    /// What was not edited, and why.
    pub(in crate::plan) notes: Vec<String>,
}

impl Fitting<'_> {
    /// Makes the profile's edits in the files that are left when entries are `dropped`, each file's text
    /// once by whatever names it is found.
    pub(in crate::plan) fn edits(
        &self,
        dropped: &BTreeSet<EntryId>,
        look: &Look<'_>,
    ) -> Result<Edits, Error> {
        let mut edits = Edits::default();
        let (mut wanted, mut room) = (Vec::new(), Room::default());
        for (path, asked) in by_file(look, self.app.edits.iter().map(|edit| (&edit.file, edit))) {
            let Some(file) = Left::of(look.inventory, &path, Some(dropped)) else { continue };
            match file.editable() {
                Ok((entry, size)) if room.take(size) => wanted.push((entry, (path, asked))),
                Ok(_) => edits.unedited(self, &path, "there is more of it than configuration is"),
                Err(reason) => edits.unedited(self, &path, reason),
            }
        }
        let mut failure = None;
        look.see_each(wanted, |(path, asked), bytes| match std::str::from_utf8(bytes) {
            Ok(text) => {
                if let Err(error) = edits.edit(self, &path, text, &asked) {
                    failure = Some(error);
                }
            }
            Err(_) => edits.unedited(self, &path, "it is no text"),
        });
        edits.files.sort_by(|a, b| a.path.cmp(&b.path));
        edits.contents.sort();
        failure.map_or(Ok(edits), Err)
    }
}

impl Edits {
    fn edit(
        &mut self,
        of: &Fitting<'_>,
        path: &RootPath,
        text: &str,
        asked: &[&Edit],
    ) -> Result<(), Error> {
        let Some((edited, counts)) = all(text, asked) else {
            self.unedited(of, path, "it would grow too large");
            return Ok(());
        };
        // What is edited once more has to stay, or hardening twice were not hardening once.
        if all(&edited, asked).is_none_or(|(again, _)| again != edited) {
            return Err(Error::AppEdit { name: of.app.name.clone(), path: path.clone() });
        }
        if edited == text {
            return Ok(());
        }
        let made = || asked.iter().zip(&counts).filter(|(_, count)| **count > 0);
        self.ports.extend(made().filter_map(|(edit, _)| edit.port));
        let changes = made().map(|(edit, count)| Change { why: edit.why.clone(), count: *count });
        self.files.push(EditedFile { path: path.clone(), changes: changes.collect() });
        self.contents.push((path.clone(), edited.into_bytes()));
        Ok(())
    }

    fn unedited(&mut self, of: &Fitting<'_>, path: &RootPath, reason: &str) {
        if self.notes.len() < MOST_NOTES {
            let name = &of.app.name;
            self.notes.push(format!("app profile {name} changes nothing in {path}: {reason}"));
        }
    }
}

/// What globs lead to, links followed, each with those of the items that are about it.
pub(super) fn by_file<'i, T>(
    look: &Look<'_>,
    items: impl Iterator<Item = (&'i Pattern, &'i T)>,
) -> BTreeMap<RootPath, Vec<&'i T>> {
    let mut found: BTreeMap<RootPath, Vec<&T>> = BTreeMap::new();
    for (glob, item) in items {
        let paths = look.names_matching(glob).into_iter();
        let ends = paths.filter_map(|path| look.inventory.resolve(&path.parse().ok()?).found);
        for path in ends.collect::<BTreeSet<_>>() {
            found.entry(path).or_default().push(item);
        }
    }
    found
}

/// How much more of configuration is read, in bytes.
pub(super) struct Room(u64);

impl Default for Room {
    fn default() -> Self {
        Self(MOST_TOGETHER)
    }
}

impl Room {
    /// Takes room for a file, if it is left.
    pub(super) fn take(&mut self, size: u64) -> bool {
        let left = self.0.checked_sub(size.max(SMALLEST));
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

/// A text after all edits, with how often each was made; none if it grows too large.
pub(super) fn all(text: &str, edits: &[&Edit]) -> Option<(String, Vec<usize>)> {
    let mut counts = Vec::new();
    let mut text = text.to_owned();
    for edit in edits {
        let edited = edit.apply(&text)?;
        text = edited.text;
        counts.push(edited.count);
    }
    Some((text, counts))
}

/// A name that is left, and what it names.
pub(super) struct Left<'a> {
    path: &'a RootPath,
    inode: &'a Inode,
    /// How many entries of it are left, hidden ones too.
    entries: usize,
}

impl<'a> Left<'a> {
    /// What is left when entries are `dropped`.
    pub(super) fn of(
        inventory: &'a Inventory,
        path: &'a RootPath,
        dropped: Option<&BTreeSet<EntryId>>,
    ) -> Option<Self> {
        let goes = |entry: &EntryId| dropped.is_some_and(|dropped| dropped.contains(entry));
        let name = inventory.names().get(path)?;
        name.entry.filter(|entry| !goes(entry))?;
        let entries = inventory.entries_of(name.inode).iter();
        let entries = entries.filter(|entry| !goes(entry)).count();
        Some(Self { path, inode: inventory.inode(name.inode), entries })
    }

    /// The entry with the content of a file that may be edited, and its size, or why it may not be.
    pub(super) fn editable(&self) -> Result<(EntryId, u64), &'static str> {
        let path = self.path;
        if OURS.iter().any(|ours| path.as_bytes() == ours.as_bytes() || lies_in(path, ours)) {
            return Err("it is no configuration of an application");
        }
        let text = self.text()?;
        // Its other names would keep the old text.
        if self.entries > 1 { Err("it has other names (hardlinks)") } else { Ok(text) }
    }

    /// The entry with the content of a file that is read, and its size, or why it is not.
    pub(super) fn text(&self) -> Result<(EntryId, u64), &'static str> {
        let Inode { kind, size, content, fingerprint, carrier, .. } = self.inode;
        if *kind != Kind::File {
            return Err("it is no file");
        }
        match carrier.filter(|_| *content == Content::Other && fingerprint.is_some()) {
            None => Err("it is no plain text"),
            Some(_) if *size > MOST_BYTES as u64 => Err("it is larger than configuration is"),
            Some(entry) => Ok((entry, *size)),
        }
    }
}

fn lies_in(path: &RootPath, folder: &str) -> bool {
    path.as_bytes().strip_prefix(folder.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"))
}

/// What a plan reads itself and keeps in step: accounts, what tells the loader where libraries are, and
/// databases of packages.
const OURS: [&str; 14] = [
    "etc/group",
    "etc/ld.so.cache",
    "etc/ld.so.conf",
    "etc/ld.so.conf.d",
    "etc/ld.so.preload",
    "etc/passwd",
    "lib/apk",
    "usr/etc/group",
    "usr/etc/passwd",
    "usr/lib/apk",
    "usr/lib/opkg",
    "usr/lib/sysimage",
    "var/lib/dpkg",
    "var/lib/opkg",
];
/// More is no configuration, in bytes: new texts are held until they are written.
const MOST_TOGETHER: u64 = 4 << 20;
/// What a file counts for at least, in bytes.
const SMALLEST: u64 = 1 << 12;
/// The most that is told of files that are not edited.
const MOST_NOTES: usize = 20;
