//! [`People`]: files that only serve people who work in a container.

use std::collections::HashSet;

use globset::GlobSet;

use super::Catalog;
use super::catalog::{self, Matcher};
use crate::finding::RuleId;
use crate::inventory::{Content, Inventory};
use crate::path::RootPath;

/// A rule about what only serves people, over one image.
pub(crate) struct People<'a> {
    /// The rule's id.
    pub(crate) rule: &'a RuleId,
    inventory: &'a Inventory,
    packages: HashSet<&'a str>,
    places: GlobSet,
    /// Names of executables; none where packages decide.
    names: Option<GlobSet>,
}

/// Where distributions have their executables.
const FOLDERS: [&str; 4] = ["bin", "sbin", "usr/bin", "usr/sbin"];

impl<'a> People<'a> {
    /// The catalog's rules about that.
    pub(crate) fn of(catalog: &'a Catalog, inventory: &'a Inventory) -> Vec<Self> {
        let by_package = inventory.packages().decide();
        let rules = catalog.rules().iter().filter(|rule| rule.matcher == Matcher::Surplus);
        let compile =
            |patterns: &[String]| catalog::globs(patterns).expect("patterns are checked when read");
        let people = rules.map(|rule| {
            let executables = &rule.executables;
            let names: Vec<String> =
                executables.iter().flat_map(|group| group.names.iter().cloned()).collect();
            let places: Vec<String> =
                rule.places.iter().flat_map(|group| group.paths.iter().cloned()).collect();
            let packages = executables.iter().flat_map(|group| &group.packages);
            Self {
                rule: &rule.id,
                inventory,
                packages: packages.map(String::as_str).collect(),
                places: compile(&places),
                names: (!by_package).then(|| compile(&names)),
            }
        });
        people.collect()
    }

    /// Whether a file, of whatever layer, only serves people.
    pub(crate) fn has(&self, path: &RootPath, content: &Content) -> bool {
        let owner = self.inventory.packages().owner(path);
        owner.is_some_and(|owner| self.packages.contains(owner.package.as_str()))
            || self.is_named(path, content)
            || self.is_placed(path)
    }

    fn is_named(&self, path: &RootPath, content: &Content) -> bool {
        let Some(names) = &self.names else { return false };
        let folder = path.parent().is_some_and(|folder| {
            FOLDERS.iter().any(|known| known.as_bytes() == folder.as_bytes())
        });
        let name = || str::from_utf8(path.file_name()).is_ok_and(|name| names.is_match(name));
        folder && *content != Content::Other && name()
    }

    fn is_placed(&self, path: &RootPath) -> bool {
        let mut above = path.ancestors();
        above.any(|path| {
            str::from_utf8(path.as_bytes()).is_ok_and(|path| self.places.is_match(path))
        })
    }
}
