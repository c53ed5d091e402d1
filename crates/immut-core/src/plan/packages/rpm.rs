//! rpm: databases that only rpm can write, so they stay, and the manifest that distroless images of
//! Azure Linux have in their place, which is text.

use std::collections::HashSet;
use std::io;

use super::owned::Owned;
use super::tally::{Tally, Use};
use super::{Edits, Fate, MOST, Package, View};
use crate::inventory::rpm::{self, Error, Read};
use crate::inventory::{Inode, Kind};
use crate::path::RootPath;

pub(super) fn edit(view: View<'_>, edits: &mut Edits) {
    let mut all = Listed::default();
    for (path, inode) in databases(view) {
        let mut packages = Vec::new();
        let read = read(view, inode, |package| packages.push((of(package), fate(view, package))));
        match read {
            None => {}
            Some(Ok(read)) => {
                edits.unreadable(read.unreadable, &path);
                edits.unseen.extend(not_edited(&path, &packages));
                edits.unseen.extend(unread_log(view, &path));
                all.add(packages, edits);
            }
            Some(Err(error)) => edits.unseen.push(format!("{path}: {error}")),
        }
    }
    edit_manifest(view, &all, edits);
}

/// The files of packages, whose records stay.
pub(super) fn owned(view: View<'_>, all: &mut Vec<Owned>) {
    for (_, inode) in databases(view) {
        let mut owned = Vec::new();
        let read = read(view, inode, |package| {
            let files = package.files().filter(rpm::File::is_installed);
            let paths: Vec<Vec<u8>> = files.map(|file| file.path).collect();
            owned.push(Owned::of(view, of(package), paths.iter().map(Vec::as_slice)));
        });
        if matches!(read, Some(Ok(_))) {
            all.extend(owned);
        }
    }
}

/// The databases that stay, each once: one folder is often a link to another.
fn databases(view: View<'_>) -> Vec<(RootPath, &Inode)> {
    let mut found: Vec<(RootPath, &Inode)> = Vec::new();
    for (path, inode) in rpm::PATHS.iter().filter_map(|path| view.file(path)) {
        if found.iter().all(|(other, _)| *other != path) {
            found.push((path, inode));
        }
    }
    found
}

/// Shows the packages of a database; none if there is no content to be read, or the disk failed.
fn read(
    view: View<'_>,
    inode: &Inode,
    see: impl FnMut(&rpm::Package<'_>),
) -> Option<Result<Read, Error>> {
    if inode.fingerprint.is_none() {
        return Some(Err(Error::Broken("it is a sparse file")));
    }
    view.files.see(inode, |content| match rpm::each_package(content, see) {
        Err(Error::Read(error)) => Err::<_, io::Error>(error),
        other => Ok(other),
    })
}

fn of(package: &rpm::Package<'_>) -> Package {
    let (name, version) = (package.name.to_owned(), package.version.clone());
    Package { name, version, database: "rpm" }
}

/// What becomes of a package; none if nothing of it was left before.
fn fate(view: View<'_>, package: &rpm::Package<'_>) -> Option<Fate> {
    let mut tally = Tally::default();
    for file in package.files().filter(|file| file.is_installed() && !file.is_directory()) {
        let of = if file.is_documentation() {
            Use::Reading
        } else if file.is_configuration() {
            Use::Configuration
        } else {
            Use::of(&file.path, &[])
        };
        match view.listed(&file.path) {
            Some((goes, true)) => tally.count(of, goes),
            None if !file.is_optional() => tally.miss(of),
            _ => {}
        }
    }
    (!tally.was_gone()).then(|| tally.fate())
}

/// What a database still says although it is not so.
fn not_edited(path: &RootPath, packages: &[(Package, Option<Fate>)]) -> Option<String> {
    let count = |of: fn(Option<Fate>) -> bool| packages.iter().filter(|one| of(one.1)).count();
    let gone = count(|fate| matches!(fate, None | Some(Fate::Removed)));
    let partly = count(|fate| fate == Some(Fate::Partly));
    (gone + partly > 0).then(|| {
        format!(
            "{path}: rpm databases are not edited; it still names {gone} packages that are removed \
             and {partly} of which files are gone"
        )
    })
}

/// What SQLite has not taken over from its log yet.
fn unread_log(view: View<'_>, path: &RootPath) -> Option<String> {
    let log = RootPath::parse(&[path.as_bytes(), b"-wal"].concat()).ok()?;
    let inode = view.inventory.lookup(&log).filter(|inode| inode.size > 0)?;
    let what = "what it adds to the database is not read";
    (inode.kind == Kind::File && !view.goes(&log)).then(|| format!("{log}: {what}"))
}

/// What was listed of databases.
#[derive(Default)]
struct Listed {
    /// All packages: a database that was converted may be there twice.
    packages: HashSet<Package>,
    /// Names of those that go, with the version as the manifest has it.
    removed: HashSet<(String, String)>,
}

impl Listed {
    fn add(&mut self, packages: Vec<(Package, Option<Fate>)>, edits: &mut Edits) {
        let before = std::mem::take(&mut self.packages);
        self.packages.extend(packages.iter().map(|(package, _)| package.clone()));
        for (package, fate) in packages {
            if fate == Some(Fate::Removed) {
                let version = package.version.rsplit(':').next().unwrap_or_default();
                self.removed.insert((package.name.clone(), version.to_owned()));
            }
            if let Some(fate) = fate.filter(|_| !before.contains(&package)) {
                edits.add(package, fate);
            }
        }
        self.packages.extend(before);
    }
}

/// A line for each package, in columns that tabs part: name, version and release, times, vendor,
/// epoch and more.
const MANIFEST: &str = "/var/lib/rpmmanifest/container-manifest-2";
const EPOCH: usize = 5;

/// Takes the lines of packages that go from the manifest. Where there is no database, nobody says which
/// files are a package's.
fn edit_manifest(view: View<'_>, all: &Listed, edits: &mut Edits) {
    let Some((path, inode)) = view.file(MANIFEST) else { return };
    let Some(text) = view.text(inode) else {
        return edits.unseen.push(format!("{path}: the database is too large to be looked at"));
    };
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    if all.packages.is_empty() {
        let packages: Vec<Option<Package>> = lines.take(MOST).map(package).collect();
        edits.unreadable(packages.iter().filter(|one| one.is_none()).count(), &path);
        packages.into_iter().flatten().for_each(|package| edits.add(package, Fate::Kept));
        if view.draft.removes() {
            edits.unseen.push(format!(
                "{path}: it does not say which files its packages have, so it may name some that are gone"
            ));
        }
        return;
    }
    let stays = |line: &&[u8]| {
        let named = name_and_version(line);
        named.is_none_or(|(name, version)| {
            !all.removed.contains(&(name.to_owned(), version.to_owned()))
        })
    };
    let new = lines.filter(stays).collect::<Vec<_>>().concat();
    if new != text {
        edits.contents.push((path, new));
    }
}

fn name_and_version(line: &[u8]) -> Option<(&str, &str)> {
    let mut columns = str::from_utf8(line).ok()?.trim_end().split('\t');
    let named = (columns.next()?, columns.next()?);
    (!named.0.is_empty() && !named.1.is_empty()).then_some(named)
}

fn package(line: &[u8]) -> Option<Package> {
    let (name, version) = name_and_version(line)?;
    let epoch = str::from_utf8(line).ok()?.split('\t').nth(EPOCH);
    let epoch = epoch.filter(|epoch| epoch.parse::<u32>().is_ok());
    let version = epoch.map_or(version.to_owned(), |epoch| format!("{epoch}:{version}"));
    Some(Package { name: name.to_owned(), version, database: "rpm" })
}
