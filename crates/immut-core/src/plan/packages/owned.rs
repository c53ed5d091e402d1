//! Which files belong to which package, as far as the databases that stay say so.

use super::{Package, View};
use crate::inventory::Kind;
use crate::path::RootPath;

/// A package with the files of it that stay.
#[derive(Debug)]
pub(in super::super) struct Owned {
    pub(in super::super) package: Package,
    pub(in super::super) paths: Vec<RootPath>,
}

impl Owned {
    /// A package with what of these paths, as a database lists them, is a file that stays.
    pub(super) fn of<'p>(
        view: View<'_>,
        package: Package,
        listed: impl Iterator<Item = &'p [u8]>,
    ) -> Self {
        let paths = listed.filter_map(|path| view.stays(path)).collect();
        Self { package, paths }
    }
}

impl View<'_> {
    /// The name that a listed file has in the image, if it stays.
    fn stays(self, listed: &[u8]) -> Option<RootPath> {
        let real = self.real(RootPath::parse(listed).ok()?);
        let (path, name) = self.inventory.names().get_key_value(&real)?;
        let file = self.inventory.inode(name.inode).kind != Kind::Directory;
        (file && !self.goes(path)).then(|| path.clone())
    }
}
