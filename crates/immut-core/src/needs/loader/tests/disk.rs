//! The files of a folder on this machine as those of an image.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::{FileSystem, Found};
use crate::needs::elf::Elf;
use crate::path::RootPath;

pub(crate) struct Disk {
    root: PathBuf,
    elves: RefCell<HashMap<RootPath, Option<Arc<Elf>>>>,
}

impl Disk {
    pub(crate) fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), elves: RefCell::default() }
    }

    fn on_disk(&self, path: &RootPath) -> PathBuf {
        self.root.join(OsStr::from_bytes(path.as_bytes()))
    }
}

impl FileSystem for Disk {
    fn resolve(&self, path: &RootPath) -> Option<Found> {
        let mut links = Vec::new();
        let mut todo: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
        let mut here = RootPath::root();
        while let Some(name) = todo.pop() {
            if name == b".." {
                here = here.parent().unwrap_or_else(RootPath::root);
                continue;
            }
            let next = here.join(&name);
            let kind = fs::symlink_metadata(self.on_disk(&next)).ok()?;
            if !kind.is_symlink() {
                here = next;
                continue;
            }
            links.push(next.clone());
            if links.len() > 40 {
                return None;
            }
            let target = fs::read_link(self.on_disk(&next)).ok()?;
            if target.is_absolute() {
                here = RootPath::root();
            }
            let parts = target.as_os_str().as_bytes().split(|byte| *byte == b'/').rev();
            todo.extend(parts.filter(|part| !matches!(part, [] | [b'.'])).map(<[u8]>::to_vec));
        }
        Some(Found { links, file: here })
    }

    fn elf(&self, file: &RootPath) -> Option<Arc<Elf>> {
        let read = || Elf::read(File::open(self.on_disk(file)).ok()?).ok().map(Arc::new);
        self.elves.borrow_mut().entry(file.clone()).or_insert_with(read).clone()
    }

    fn text(&self, file: &RootPath) -> Option<Vec<u8>> {
        fs::read(self.on_disk(file)).ok()
    }

    fn list(&self, directory: &RootPath) -> Vec<RootPath> {
        let names = fs::read_dir(self.on_disk(directory)).into_iter().flatten();
        names.flatten().map(|entry| directory.join(entry.file_name().as_bytes())).collect()
    }
}

/// A path of this machine as one of [`Disk::at`] `/`.
pub(crate) fn root_path(path: &Path) -> RootPath {
    RootPath::parse(path.as_os_str().as_bytes()).expect("a path")
}
