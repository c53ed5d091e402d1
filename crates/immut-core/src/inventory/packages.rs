//! Which package owns a file, from the databases that the image carries.
//!
//! Read: dpkg (`info/*.list`), apk (`installed`), opkg (`info/*.list`), of every layer: a package
//! that a later layer purged still names its hidden files. rpm and pacman are not read yet.

use std::collections::HashMap;

use super::{Inventory, Sought};
use crate::path::RootPath;

/// The owner of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The package's name.
    pub package: String,
    /// The database: `dpkg`, `apk` or `opkg`.
    pub database: &'static str,
}

/// The files of the packages that were sought.
#[derive(Debug, Default)]
pub struct Packages {
    owners: HashMap<RootPath, Owner>,
}

/// Folders of `*.list` files, one for each package, with a path a line.
const LISTS: [(&str, &str); 3] = [
    ("dpkg", "var/lib/dpkg/info/"),
    ("opkg", "usr/lib/opkg/info/"),
    ("opkg", "var/lib/opkg/info/"),
];
/// apk's database, before and since version 3.
const APK: [&str; 2] = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];

/// Whether a path is a database file to be kept while a layer is read.
pub(super) fn is_database(path: &RootPath, sought: &Sought) -> bool {
    listed_package(path).is_some_and(|(package, _)| sought.wants_package(package))
        || APK.iter().any(|database| path.as_bytes() == database.as_bytes())
}

impl Packages {
    /// The owner of a file, by its name as it stands or with links among its parents followed.
    pub fn owner(&self, path: &RootPath) -> Option<&Owner> {
        self.owners.get(path)
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
            } else if APK.iter().any(|database| path.as_bytes() == database.as_bytes()) {
                packages.read_apk(inventory, text, sought);
            }
        }
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

    fn add(&mut self, inventory: &Inventory, line: &[u8], owner: &Owner) {
        let Ok(path) = RootPath::parse(line) else { return };
        // dpkg says /bin/dash where a merged /usr has it at /usr/bin/dash.
        let real = inventory.resolve_parents(&path);
        self.owners.insert(real, owner.clone());
        self.owners.insert(path, owner.clone());
    }
}

fn listed_package(path: &RootPath) -> Option<(&str, &'static str)> {
    let text = std::str::from_utf8(path.as_bytes()).ok()?;
    LISTS.iter().find_map(|(database, folder)| {
        let name = text.strip_prefix(folder)?.strip_suffix(".list")?;
        // dpkg names packages of a foreign architecture NAME:ARCH.
        Some((name.split(':').next().unwrap_or(name), *database))
    })
}
