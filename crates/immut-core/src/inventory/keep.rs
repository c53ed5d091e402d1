//! [`Keeper`]: what is kept of a layer's files while they stream by.

use std::io::{self, Write as _};
use std::path::Path;

use tempfile::SpooledTempFile;

use super::packages::{self, Stored};
use super::probe::is_kept;
use super::{Sought, rpm};
use crate::path::RootPath;

/// The most that is kept of one file, and of one layer's files together, in bytes.
const KEPT_FILE: usize = 8 << 20;
const KEPT_LAYER: usize = 16 << 20;
/// More of a database that can only be read as a whole goes to a file, in bytes.
const IN_MEMORY: usize = 1 << 20;

/// Whether something of a file is kept.
pub(super) fn is_wanted(path: &RootPath, sought: &Sought) -> bool {
    is_kept(path) || packages::stored(path, sought).is_some()
}

/// What is kept of a layer's files.
pub(super) struct Keeper<'a> {
    sought: &'a Sought,
    /// Where databases go while they are read; none: to the system's folder for that.
    folder: Option<&'a Path>,
    /// By entry.
    pub(super) kept: Vec<(u32, Vec<u8>)>,
    /// What could not be looked into.
    pub(super) unseen: Vec<String>,
    /// Bytes of what is kept.
    held: usize,
}

/// What is kept of one file.
pub(super) enum Keep {
    Nothing,
    Text(Vec<u8>),
    /// A database of rpm, of which the names of files are kept.
    Rpm(SpooledTempFile),
}

impl<'a> Keeper<'a> {
    pub(super) fn new(sought: &'a Sought, folder: Option<&'a Path>) -> Self {
        Self { sought, folder, kept: Vec::new(), unseen: Vec::new(), held: 0 }
    }

    /// Begins a file.
    pub(super) fn begin(&mut self, path: &RootPath, size: u64, sparse: bool) -> Keep {
        if !is_wanted(path, self.sought) {
            return Keep::Nothing;
        }
        if sparse {
            self.unseen.push(format!("{path} is sparse and was not looked into"));
            return Keep::Nothing;
        }
        if packages::stored(path, self.sought) != Some(Stored::Rpm) {
            return Keep::Text(Vec::new());
        }
        if size > rpm::LARGEST {
            return self.too_large(path);
        }
        Keep::Rpm(match self.folder {
            Some(folder) => tempfile::spooled_tempfile_in(IN_MEMORY, folder),
            None => tempfile::spooled_tempfile(IN_MEMORY),
        })
    }

    fn too_large(&mut self, path: &RootPath) -> Keep {
        self.unseen.push(format!("{path} is too large to be looked into"));
        Keep::Nothing
    }

    /// Takes the next piece of a file.
    pub(super) fn feed(
        &mut self,
        keep: &mut Keep,
        piece: &[u8],
        path: &RootPath,
    ) -> io::Result<()> {
        match keep {
            Keep::Nothing => {}
            Keep::Text(bytes) => {
                bytes.extend_from_slice(piece);
                if self.is_too_much(bytes.len()) {
                    *keep = self.too_large(path);
                }
            }
            Keep::Rpm(file) => file.write_all(piece)?,
        }
        Ok(())
    }

    fn is_too_much(&self, bytes: usize) -> bool {
        bytes > KEPT_FILE || self.held + bytes > KEPT_LAYER
    }

    /// Ends a file.
    pub(super) fn end(&mut self, keep: Keep, entry: u32, path: &RootPath) -> io::Result<()> {
        let bytes = match keep {
            Keep::Nothing => return Ok(()),
            Keep::Text(bytes) => bytes,
            Keep::Rpm(mut file) => {
                let most = KEPT_FILE.min(KEPT_LAYER - self.held);
                match packages::of_rpm(&mut file, self.sought, most) {
                    Ok(bytes) => bytes,
                    Err(rpm::Error::Read(error)) => return Err(error),
                    Err(error) => {
                        self.unseen.push(format!("{path}: {error}"));
                        return Ok(());
                    }
                }
            }
        };
        self.held += bytes.len();
        self.kept.push((entry, bytes));
        Ok(())
    }
}
