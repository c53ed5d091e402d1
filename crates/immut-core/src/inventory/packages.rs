//! Which package owns a file, from the databases that the image carries.
//!
//! Read: dpkg (`info/*.list`), apk (`installed`), opkg (`info/*.list`) and rpm, of every layer: a
//! package that a later layer purged still names its hidden files. pacman is not read yet.

use std::collections::HashMap;

use super::{FileContent, Inventory, Sought, rpm};
use crate::path::RootPath;

/// The owner of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The package's name.
    pub package: String,
    /// The database: `dpkg`, `apk`, `opkg` or `rpm`.
    pub database: &'static str,
}

/// The files of the packages that were sought.
#[derive(Debug, Default)]
pub struct Packages {
    owners: HashMap<RootPath, Owner>,
    /// Whether the merged view has a database that tells the owners of all files of its packages.
    decide: bool,
}

/// Folders of `*.list` files, one for each package, with a path a line.
const LISTS: [(&str, &str); 3] = [
    ("dpkg", "var/lib/dpkg/info/"),
    ("opkg", "usr/lib/opkg/info/"),
    ("opkg", "var/lib/opkg/info/"),
];
/// apk's database, before and since version 3.
const APK: [&str; 2] = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];
/// Databases that tell all owners wherever they are, with those of apk.
const STATUS: [&str; 3] = ["/usr/lib/opkg/status", "/var/lib/dpkg/status", "/var/lib/opkg/status"];

/// How a database is stored that a path is the name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// As text, which is kept while a layer is read.
    Text,
    /// As rpm has it.
    Rpm,
}

/// Whether a path is a database's, of which something is kept while a layer is read.
pub(super) fn stored(path: &RootPath, sought: &Sought) -> Option<Stored> {
    if listed_package(path).is_some_and(|(package, _)| sought.wants_package(package))
        || is_one_of(path, &APK)
    {
        return Some(Stored::Text);
    }
    (is_one_of(path, &rpm::PATHS) && sought.wants_packages()).then_some(Stored::Rpm)
}

fn is_one_of(path: &RootPath, all: &[&str]) -> bool {
    all.iter().any(|one| one.as_bytes().strip_prefix(b"/") == Some(path.as_bytes()))
}

/// What is kept of a database of rpm: the names of packages that are sought and of their files, each
/// with a NUL at its end, and one more after each package.
pub(super) fn of_rpm(
    content: &mut dyn FileContent,
    sought: &Sought,
    most: usize,
) -> Result<Vec<u8>, rpm::Error> {
    let mut kept = Vec::new();
    let mut add = |text: &[u8]| {
        kept.extend(text);
        kept.push(0);
        kept.len() <= most
    };
    let mut fits = true;
    let read = rpm::each_package(content, |package| {
        if fits && sought.wants_package(package.name) {
            fits = add(package.name.as_bytes())
                && package.files().filter(rpm::File::is_installed).all(|file| add(&file.path))
                && add(b"");
        }
    })?;
    match read {
        _ if !fits => Err(rpm::Error::TooLarge),
        rpm::Read { unreadable: 0, packages: 1.. } => Ok(kept),
        _ => Err(rpm::Error::Broken("not all of its records could be read")),
    }
}

impl Packages {
    /// The owner of a file, by its name as it stands or with links among its parents followed.
    pub fn owner(&self, path: &RootPath) -> Option<&Owner> {
        self.owners.get(path)
    }

    /// Whether the image has a database that tells the owners of its packages' files, so that names
    /// of files need not.
    pub(crate) fn decide(&self) -> bool {
        self.decide
    }

    pub(super) fn read(inventory: &Inventory, sought: &Sought) -> Self {
        let mut packages = Self::default();
        for (id, text) in &inventory.kept {
            let path = &inventory.entry(*id).path;
            if let Some((package, database)) = listed_package(path) {
                let owner = Owner { package: package.to_owned(), database };
                for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    packages.add(inventory, line, &owner);
                }
            } else if is_one_of(path, &APK) {
                packages.read_apk(inventory, text, sought);
            } else if is_one_of(path, &rpm::PATHS) {
                packages.read_rpm(inventory, text);
            }
        }
        packages.decide = decide(inventory);
        packages
    }

    /// apk's database: `P:` names a package, `F:` a folder of it, `R:` a file in that folder.
    fn read_apk(&mut self, inventory: &Inventory, text: &[u8], sought: &Sought) {
        let mut owner = None;
        let mut folder: &[u8] = b"";
        for line in text.split(|byte| *byte == b'\n') {
            match line {
                [b'P', b':', name @ ..] => {
                    let name = String::from_utf8_lossy(name).into_owned();
                    let wanted = sought.wants_package(&name);
                    owner = wanted.then_some(Owner { package: name, database: "apk" });
                    folder = b"";
                }
                [b'F', b':', name @ ..] => folder = name,
                [b'R', b':', name @ ..] => {
                    if let Some(owner) = &owner {
                        self.add(inventory, &[folder, b"/", name].concat(), owner);
                    }
                }
                _ => {}
            }
        }
    }

    /// What was kept of a database of rpm.
    fn read_rpm(&mut self, inventory: &Inventory, kept: &[u8]) {
        let mut owner: Option<Owner> = None;
        for text in kept.split(|byte| *byte == 0) {
            match &owner {
                _ if text.is_empty() => owner = None,
                Some(owner) => self.add(inventory, text, owner),
                None => {
                    let package = String::from_utf8_lossy(text).into_owned();
                    owner = Some(Owner { package, database: "rpm" });
                }
            }
        }
    }

    fn add(&mut self, inventory: &Inventory, line: &[u8], owner: &Owner) {
        let Ok(path) = RootPath::parse(line) else { return };
        // dpkg says /bin/dash where a merged /usr has it at /usr/bin/dash.
        let real = inventory.resolve_parents(&path);
        self.owners.insert(real, owner.clone());
        self.owners.insert(path, owner.clone());
    }
}

/// Of a database of rpm it counts whether it could be read as a whole.
fn decide(inventory: &Inventory) -> bool {
    let there = |path: &&str| inventory.names().contains_key(&path.as_bytes()[1..]);
    let read = |path: &&str| {
        let path = path.parse().ok();
        path.is_some_and(|path| inventory.text(&path).is_some())
    };
    APK.iter().chain(&STATUS).any(there) || rpm::PATHS.iter().any(read)
}

fn listed_package(path: &RootPath) -> Option<(&str, &'static str)> {
    let text = std::str::from_utf8(path.as_bytes()).ok()?;
    LISTS.iter().find_map(|(database, folder)| {
        let name = text.strip_prefix(folder)?.strip_suffix(".list")?;
        // dpkg names packages of a foreign architecture NAME:ARCH.
        Some((name.split(':').next().unwrap_or(name), *database))
    })
}
