//! dpkg and opkg: one file with the records of all packages, and a folder with files about each.

use std::collections::{BTreeMap, HashMap};

use super::lines::Lines;
use super::owned::Owned;
use super::paragraph::{self, split};
use super::{Edits, Fate, MOST, Package, View};
use crate::inventory::Inode;
use crate::path::RootPath;

struct Database {
    name: &'static str,
    status: &'static str,
    info: &'static str,
}

const DATABASES: [Database; 3] = [
    Database { name: "dpkg", status: "/var/lib/dpkg/status", info: "/var/lib/dpkg/info" },
    Database { name: "opkg", status: "/usr/lib/opkg/status", info: "/usr/lib/opkg/info" },
    Database { name: "opkg", status: "/var/lib/opkg/status", info: "/var/lib/opkg/info" },
];

pub(super) fn edit(view: View<'_>, edits: &mut Edits) {
    let mut seen = Vec::new();
    for database in &DATABASES {
        let Some((path, inode)) = view.file(database.status) else { continue };
        if seen.contains(&path) {
            continue;
        }
        seen.push(path.clone());
        let text = view.text(inode);
        let records = text.as_deref().map(split).filter(|records| records.len() <= MOST);
        let Some(records) = records else {
            edits.unseen.push(format!("{path}: the database is too large to be looked at"));
            continue;
        };
        let new = edit_database(view, database, &path, &records, edits);
        if text.is_some_and(|text| text != new) {
            edits.contents.push((path, new));
        }
    }
}

/// The files of the packages whose records and lists stay.
pub(super) fn owned(view: View<'_>, all: &mut Vec<Owned>) {
    let mut seen = Vec::new();
    for database in &DATABASES {
        let Some((path, inode)) = view.file(database.status) else { continue };
        let Some(text) = view.text(inode).filter(|_| !seen.contains(&path)) else { continue };
        seen.push(path);
        let about = About::new(view, database.info);
        let records = split(&text).into_iter().take(MOST).filter(|record| is_installed(record));
        let listed = records.filter_map(|record| {
            let package = package(record, database.name)?;
            let (_, inode) = about.file(about.stem(record)?, "list")?;
            Some((inode, package))
        });
        let listed: Vec<_> = listed.collect();
        view.see_each(listed, |package, list| {
            all.push(Owned::of(view, package, Lines::Paths.paths(list)));
        });
    }
}

/// The new text of the records, with what follows for the files about packages.
fn edit_database(
    view: View<'_>,
    database: &Database,
    path: &RootPath,
    records: &[&[u8]],
    edits: &mut Edits,
) -> Vec<u8> {
    let about = About::new(view, database.info);
    let fates = about.fates(view, records);
    let mut new = Vec::new();
    let (mut unreadable, mut unlisted) = (0, 0);
    for record in records {
        let Some(package) = package(record, database.name) else {
            unreadable += usize::from(!record.trim_ascii().is_empty());
            new.extend_from_slice(record);
            continue;
        };
        let stem = about.stem(record);
        let fate = stem.filter(|_| is_installed(record)).and_then(|stem| fates.get(stem));
        let fate = fate.copied().unwrap_or_default();
        unlisted += usize::from(stem.is_none());
        match fate {
            Fate::Kept => new.extend_from_slice(record),
            Fate::Partly => new.extend(paragraph::marked(record)),
            Fate::Removed => {}
        }
        let marked = fate == Fate::Kept && paragraph::is_marked(record);
        if is_installed(record) {
            edits.add(package, if marked { Fate::Partly } else { fate });
        }
    }
    edits.unreadable(unreadable, path);
    if unlisted > 0 && view.draft.removes() {
        edits.unseen.push(format!("{path}: {unlisted} packages have no list of their files"));
    }
    about.edit(view, &fates, edits);
    new
}

fn package(record: &[u8], database: &'static str) -> Option<Package> {
    let name = paragraph::text(record, b"Package").filter(|name| !name.contains('/'))?;
    let version = paragraph::text(record, b"Version").unwrap_or_default();
    Some(Package { name, version, database })
}

/// Whether it is there as a whole: dpkg also has records of packages that it removed.
fn is_installed(record: &[u8]) -> bool {
    let status = paragraph::field(record, b"Status");
    status.is_none_or(|status| status.ends_with(b" installed"))
}

/// The files about packages: by what stands before the last dot of their names, `NAME` or `NAME:ARCH`.
struct About<'a> {
    files: BTreeMap<&'a [u8], Vec<(&'a RootPath, &'a Inode)>>,
}

impl<'a> About<'a> {
    fn new(view: View<'a>, folder: &str) -> Self {
        let mut files: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (path, inode) in view.children(folder) {
            let name = path.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            if let Some(dot) = name.iter().rposition(|byte| *byte == b'.') {
                files.entry(&name[..dot]).or_default().push((path, inode));
            }
        }
        Self { files }
    }

    fn file(&self, stem: &[u8], extension: &str) -> Option<(&'a RootPath, &'a Inode)> {
        let files = self.files.get(stem)?.iter();
        let mut fits = files.filter(|(path, _)| extension_of(path) == extension.as_bytes());
        fits.next().copied()
    }

    /// Under which name a record's package has its list of files.
    fn stem(&self, record: &[u8]) -> Option<&'a [u8]> {
        let name = paragraph::field(record, b"Package")?;
        let qualified = paragraph::field(record, b"Architecture")
            .map(|architecture| [name, b":", architecture].concat());
        let stems = qualified.iter().map(Vec::as_slice).chain([name]);
        let found = stems.filter_map(|stem| self.files.get_key_value(stem));
        let mut listed = found.filter(|(stem, _)| self.file(stem, "list").is_some());
        listed.next().map(|(stem, _)| *stem)
    }

    /// What becomes of each package, by the name of its list.
    fn fates(&self, view: View<'a>, records: &[&[u8]]) -> HashMap<&'a [u8], Fate> {
        let mut fates = HashMap::new();
        if !view.draft.removes() {
            return fates;
        }
        let listed = records.iter().filter(|record| is_installed(record)).filter_map(|record| {
            let stem = self.stem(record)?;
            Some((stem, *record))
        });
        // A record that is there twice has one list.
        let once: HashMap<&[u8], &[u8]> = listed.collect();
        let wanted = once.into_iter().filter_map(|(stem, record)| {
            let (_, inode) = self.file(stem, "list")?;
            Some((inode, (stem, record)))
        });
        view.see_each(wanted, |(stem, record), list| {
            let configuration = paragraph::conffiles(record);
            fates.insert(stem, Lines::Paths.fate(view, list, &configuration));
        });
        fates
    }

    /// What is about a package that is gone goes; of one that is partly gone, lines about what is gone.
    fn edit(&self, view: View<'a>, fates: &HashMap<&'a [u8], Fate>, edits: &mut Edits) {
        let mut wanted = Vec::new();
        for (stem, files) in &self.files {
            match fates.get(stem).copied().unwrap_or_default() {
                Fate::Kept => {}
                Fate::Removed => edits.gone.extend(files.iter().map(|(path, _)| (*path).clone())),
                Fate::Partly => {
                    wanted.extend(files.iter().map(|(path, inode)| (*inode, *path)));
                }
            }
        }
        wanted.retain(|(_, path)| KNOWN.iter().any(|known| extension_of(path) == known.as_bytes()));
        view.see_each(wanted, |path, text| {
            let new = match extension_of(path) {
                b"list" => Lines::Paths.without_lost(view, text),
                b"md5sums" => Lines::Sums.without_lost(view, text),
                _ => paragraph::marked(text),
            };
            if new != text {
                edits.contents.push((path.clone(), new));
            }
        });
    }
}

/// What is edited: opkg has each record in a file of its own too.
const KNOWN: [&str; 3] = ["control", "list", "md5sums"];

fn extension_of(path: &RootPath) -> &[u8] {
    path.as_bytes().rsplit(|byte| *byte == b'.').next().unwrap_or_default()
}
