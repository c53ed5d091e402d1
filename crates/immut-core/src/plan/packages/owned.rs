//! Which files belong to which package, as far as the databases that stay say so.

use super::{Draft, Package, View};
use crate::inventory::Kind;
use crate::needs::Files;
use crate::path::RootPath;

/// A package with the files of it that stay.
#[derive(Debug)]
pub(in super::super) struct Owned {
    pub(in super::super) package: Package,
    pub(in super::super) paths: Vec<RootPath>,
}

/// The packages in order, with their files that stay. What is gone with its package's list is nobody's,
/// as it will be when the image is looked at again.
pub(in super::super) fn owned(draft: &Draft<'_>, files: &Files<'_>) -> Vec<Owned> {
    let view = View { inventory: draft.inventory, draft, files };
    let mut all = Vec::new();
    super::listed::owned(view, &mut all);
    super::single::owned(view, &mut all);
    super::apk::owned(view, &mut all);
    all.sort_by(|one, other| one.package.cmp(&other.package));
    all
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
