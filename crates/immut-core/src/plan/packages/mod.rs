//! Databases of packages, brought in step with what goes: scanners see what is left.
//!
//! A package that is gone loses its record, one of which a part is gone keeps it, marked. rpm's
//! databases, and what cannot be read, stay byte for byte.

mod apk;
mod lines;
mod listed;
mod owned;
mod paragraph;
mod rpm;
mod single;
mod tally;

use super::drops::Draft;
use crate::inventory::{EntryId, Inode, Inventory, Kind};
use crate::needs::Files;
use crate::path::RootPath;
pub(super) use owned::Owned;
use tally::{Tally, Use};

/// A package that a database names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `dpkg`, `apk`, `opkg`, `pacman` or `rpm`.
    pub database: &'static str,
}

/// What becomes of the packages that an image's databases name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Packages {
    /// Nothing is left of them but configuration and what people read; their records go, but for rpm's.
    pub removed: Vec<Package>,
    /// A part of them is gone, now or before; their records are marked, but for rpm's.
    pub partly_kept: Vec<Package>,
    /// They stay as they are.
    pub kept: Vec<Package>,
}

/// What has to be done so that the databases say what is there.
#[derive(Debug, Default)]
pub(super) struct Edits {
    pub(super) packages: Packages,
    /// Files and folders about packages that are gone.
    pub(super) gone: Vec<RootPath>,
    /// Files with new content.
    pub(super) contents: Vec<(RootPath, Vec<u8>)>,
    /// What could not be read or edited.
    pub(super) unseen: Vec<String>,
}

/// What becomes of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Fate {
    #[default]
    Kept,
    Partly,
    Removed,
}

/// The edits that follow from what a draft removes.
pub(super) fn edits(draft: &Draft<'_>, files: &Files<'_>) -> Edits {
    let view = View { inventory: draft.inventory, draft, files };
    let mut edits = Edits::default();
    listed::edit(view, &mut edits);
    single::edit(view, &mut edits);
    apk::edit(view, &mut edits);
    rpm::edit(view, &mut edits);
    if draft.removes() {
        edits.unseen.extend(view.not_edited());
    }
    let Packages { removed, partly_kept, kept } = &mut edits.packages;
    for packages in [removed, partly_kept, kept] {
        packages.sort();
    }
    edits
}

impl Edits {
    fn add(&mut self, package: Package, fate: Fate) {
        let packages = &mut self.packages;
        match fate {
            Fate::Kept => packages.kept.push(package),
            Fate::Partly => packages.partly_kept.push(package),
            Fate::Removed => packages.removed.push(package),
        }
    }

    /// Says of how many records nothing could be made.
    fn unreadable(&mut self, count: usize, path: &RootPath) {
        if count > 0 {
            self.unseen.push(format!("{path}: {count} records of packages could not be read"));
        }
    }
}

/// The image's files, and which of them go.
#[derive(Clone, Copy)]
struct View<'a> {
    inventory: &'a Inventory,
    draft: &'a Draft<'a>,
    files: &'a Files<'a>,
}

impl<'a> View<'a> {
    /// A database file that stays, links followed.
    fn file(self, path: &str) -> Option<(RootPath, &'a Inode)> {
        let found = self.inventory.resolve(&path.parse().ok()?).found?;
        let inode = self.inventory.lookup(&found).filter(|inode| inode.kind == Kind::File)?;
        (!self.goes(&found)).then_some((found, inode))
    }

    /// What lies directly in a folder and stays.
    fn children(self, folder: &str) -> Vec<(&'a RootPath, &'a Inode)> {
        let path = folder.parse().ok();
        let found = path.and_then(|path| self.inventory.resolve(&path).found);
        let Some(found) = found else { return Vec::new() };
        let beneath = self.inventory.beneath(&found);
        let children = beneath.filter(|(path, _)| path.parent().as_ref() == Some(&found));
        let children = children.map(|(path, name)| (path, self.inventory.inode(name.inode)));
        children.filter(|(path, _)| !self.goes(path)).collect()
    }

    fn goes(self, path: &RootPath) -> bool {
        self.draft.removal(path).is_some()
    }

    /// Where a listed name is: dpkg says /bin/dash where a merged /usr has it at /usr/bin/dash.
    fn real(self, listed: RootPath) -> RootPath {
        match self.inventory.lookup(&listed) {
            Some(_) => listed,
            None => self.inventory.resolve_parents(&listed),
        }
    }

    /// Whether a listed name goes, and whether it is more than a directory or a link to one; none if it is not there.
    fn listed(self, path: &[u8]) -> Option<(bool, bool)> {
        let real = self.real(RootPath::parse(path).ok()?);
        let file = match self.inventory.lookup(&real)?.kind {
            Kind::Directory => false,
            // /bin is a directory to packages that are older than its merge with /usr/bin.
            Kind::Symlink(_) => !self.leads_to_directory(&real),
            _ => true,
        };
        Some((self.goes(&real), file))
    }

    fn leads_to_directory(self, link: &RootPath) -> bool {
        let found = self.inventory.resolve(link).found;
        let inode = found.and_then(|found| self.inventory.lookup(&found));
        inode.is_some_and(|inode| inode.kind == Kind::Directory)
    }

    /// Whether a listed name is there and goes.
    fn loses(self, path: &[u8]) -> bool {
        self.listed(path).is_some_and(|(goes, _)| goes)
    }

    /// Counts a listed file; `configuration` is sorted.
    fn count(self, tally: &mut Tally, path: &[u8], of: Use) {
        if let Some((goes, true)) = self.listed(path) {
            tally.count(of, goes);
        }
    }

    /// Shows the contents of files; of what is too large or no plain file, nothing.
    fn see_each<K>(
        self,
        wanted: impl IntoIterator<Item = (&'a Inode, K)>,
        see: impl FnMut(K, &[u8]),
    ) {
        let readable = |(inode, key): (&'a Inode, K)| Some((readable(inode)?, key));
        self.files.see_each(wanted.into_iter().filter_map(readable), see);
    }

    /// The content of one file; none if it is too large or no plain file.
    fn text(self, inode: &'a Inode) -> Option<Vec<u8>> {
        let mut text = None;
        self.see_each([(inode, ())], |(), bytes| text = Some(bytes.to_vec()));
        text
    }

    /// Databases that only their own package managers can write.
    fn not_edited(self) -> impl Iterator<Item = String> {
        NOT_EDITED.iter().filter_map(move |(name, path)| {
            let path = path.parse::<RootPath>().ok()?;
            let found = self.inventory.resolve(&path).found.filter(|found| !self.goes(found))?;
            Some(format!(
                "{found}: {name} databases are not edited; it may name packages of which files are gone"
            ))
        })
    }
}

/// The entry with a file's content, if that is small enough to be looked at.
fn readable(inode: &Inode) -> Option<EntryId> {
    let small = inode.kind == Kind::File && inode.size <= LARGEST && inode.fingerprint.is_some();
    inode.carrier.filter(|_| small)
}

/// Files and folders of databases that stay as they are.
const NOT_EDITED: [(&str, &str); 3] = [
    ("chisel", "/var/lib/chisel/manifest.wall"),
    ("portage", "/var/db/pkg"),
    ("xbps", "/var/db/xbps"),
];

/// Larger files are no database that anybody has, in bytes: a Debian desktop's is a third of that.
const LARGEST: u64 = 16 << 20;
/// More records are no database that anybody has.
const MOST: usize = 100_000;

/// The packages in order, with their files that stay. What is gone with its package's list is nobody's,
/// as it will be when the image is looked at again.
pub(super) fn owned(draft: &Draft<'_>, files: &Files<'_>) -> Vec<Owned> {
    let view = View { inventory: draft.inventory, draft, files };
    let mut all = Vec::new();
    listed::owned(view, &mut all);
    single::owned(view, &mut all);
    apk::owned(view, &mut all);
    rpm::owned(view, &mut all);
    all.sort_by(|one, other| one.package.cmp(&other.package));
    all
}
