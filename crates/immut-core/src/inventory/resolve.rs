//! Links, followed inside the image as the kernel would.

use std::collections::BTreeMap;

use super::{Inode, Inventory, Kind, Name};
use crate::path::RootPath;

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// The links that were followed, in order, by their own names.
    pub links: Vec<RootPath>,
    /// The name that is no link and is there.
    pub found: Option<RootPath>,
    /// The name at which the walk ended: `found`, or what is missing.
    pub end: RootPath,
}

/// As many links as Linux follows.
pub(crate) const MOST_LINKS: usize = 40;

impl Inventory {
    /// Follows a path through links to the name of a file, directory or device.
    pub fn resolve(&self, path: &RootPath) -> Resolution {
        walk(&self.names, &self.inodes, path)
    }

    /// The path with links among its parents followed, its own last component not.
    pub fn resolve_parents(&self, path: &RootPath) -> RootPath {
        parents(&self.names, &self.inodes, path).unwrap_or_else(|| path.clone())
    }
}

/// The path with links among its parents followed; none if they lead nowhere.
pub(super) fn parents(
    names: &BTreeMap<RootPath, Name>,
    inodes: &[Inode],
    path: &RootPath,
) -> Option<RootPath> {
    let parent = path.parent()?;
    Some(walk(names, inodes, &parent).found?.join(path.file_name()))
}

fn walk(names: &BTreeMap<RootPath, Name>, inodes: &[Inode], path: &RootPath) -> Resolution {
    let mut links = Vec::new();
    let mut todo: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
    let mut here = RootPath::root();
    while let Some(component) = todo.pop() {
        if component == b".." {
            here = here.parent().unwrap_or_else(RootPath::root);
            continue;
        }
        let next = here.join(&component);
        match names.get(&next).map(|name| &inodes[name.inode as usize].kind) {
            None => return Resolution { links, found: None, end: next },
            Some(Kind::Symlink(target)) => {
                links.push(next.clone());
                if links.len() > MOST_LINKS {
                    return Resolution { links, found: None, end: next };
                }
                if target.first() == Some(&b'/') {
                    here = RootPath::root();
                }
                let parts = target.split(|byte| *byte == b'/').rev();
                todo.extend(
                    parts.filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec),
                );
            }
            Some(kind) => {
                if !todo.is_empty() && *kind != Kind::Directory {
                    return Resolution { links, found: None, end: next };
                }
                here = next;
            }
        }
    }
    Resolution { links, found: Some(here.clone()), end: here }
}
