//! Which libraries a program loads and where its loader finds them: [`Process`].
//!
//! Told from the image alone, as the loader of that image would do it, with the reason for each.

mod cache;
mod configured;
mod glibc;
mod hunt;
mod musl;
mod process;
mod tokens;

use std::fmt;
use std::sync::Arc;

pub(super) use cache::trimmed as trimmed_cache;
pub(crate) use glibc::CACHE;
pub(crate) use process::Process;

use super::elf::{Elf, Machine};
use crate::path::RootPath;

/// The files of an image, as a loader asks for them.
pub(crate) trait FileSystem {
    /// Follows the links on the way to a file or folder; none if nothing is there.
    fn resolve(&self, path: &RootPath) -> Option<Found>;
    /// Facts of a resolved file; none if it is no ELF file.
    fn elf(&self, file: &RootPath) -> Option<Arc<Elf>>;
    /// A small file's content.
    fn text(&self, file: &RootPath) -> Option<Vec<u8>>;
    /// The paths that lie in a resolved folder, not deeper.
    fn list(&self, directory: &RootPath) -> Vec<RootPath>;
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// The links on the way, by their own names.
    pub(crate) links: Vec<RootPath>,
    /// The file or folder at the end.
    pub(crate) file: RootPath,
}

/// What a loader takes from the environment of the process.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    /// `LD_LIBRARY_PATH`; empty if it is not set.
    pub(crate) library_path: Vec<u8>,
    /// `LD_PRELOAD`; empty if it is not set.
    pub(crate) preload: Vec<u8>,
    /// Where relative paths begin.
    pub(crate) working_dir: RootPath,
}

/// The loader that a program names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interpreter {
    /// As the program has it.
    pub(crate) name: Vec<u8>,
    /// Where that leads; without it the kernel does not start the program.
    pub(crate) found: Option<Found>,
}

/// Whose rules a loader follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// glibc's `ld.so`.
    Glibc,
    /// musl's.
    Musl,
    /// uClibc's; it is taken to search as glibc's does, without its cache.
    Uclibc,
    /// One that is not known; it is taken to search as glibc's does.
    Unknown,
}

/// A file in the process.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// The path by which it was opened, which `$ORIGIN` goes by; for the program the file itself.
    pub(crate) path: RootPath,
    /// Where that leads.
    pub(crate) found: Found,
    /// What it says of itself.
    pub(crate) elf: Arc<Elf>,
    /// The file that it was loaded for first, as an index; none for the program and its loader.
    pub(crate) first_for: Option<usize>,
}

/// A library that a file of the process asks for, and what came of it.
#[derive(Debug, Clone)]
pub(crate) struct Library {
    /// The name as it is asked for.
    pub(crate) name: Vec<u8>,
    /// Why it is asked for.
    pub(crate) role: Role,
    /// The file that asks.
    pub(crate) needed_by: RootPath,
    /// Where it is; none if the loader does not find it.
    pub(crate) place: Option<Place>,
    /// Builds of it for some processors only, each of which may be taken instead.
    pub(crate) variants: Vec<Place>,
    /// Where it was looked for in vain, in order.
    pub(crate) looked: Vec<Looked>,
    /// Where it lies in a folder that `/etc/ld.so.conf` names, although `ld.so.cache` does not have
    /// it, so that the loader does not find it.
    pub(crate) uncached: Option<RootPath>,
}

impl Library {
    /// Whether the program does not start for want of it.
    pub(crate) fn is_missing(&self) -> bool {
        self.place.is_none() && self.role.is_required()
    }
}

/// Why a library is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// `DT_NEEDED`.
    Needed,
    /// `DT_FILTER`.
    Filter,
    /// `DT_AUXILIARY`: the file does without, too.
    Auxiliary,
    /// `LD_PRELOAD` or `/etc/ld.so.preload`: loaders go on without.
    Preload,
    /// Opened by name while the program runs.
    Opened,
}

impl Role {
    /// Whether the loader gives up without it.
    pub(crate) fn is_required(self) -> bool {
        matches!(self, Self::Needed | Self::Filter | Self::Opened)
    }
}

/// Where a library is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The path that the loader opens.
    pub(crate) path: RootPath,
    /// Where it leads.
    pub(crate) found: Found,
    /// How the loader came by the path.
    pub(crate) how: How,
}

/// How a loader came by a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum How {
    /// The name is a path.
    Path,
    /// `DT_RPATH` of that file (with musl, `DT_RUNPATH` as well).
    RPath(RootPath),
    /// `DT_RUNPATH` of that file.
    RunPath(RootPath),
    /// `LD_LIBRARY_PATH`.
    LibraryPath,
    /// `/etc/ld.so.cache`.
    Cache,
    /// The default folders.
    Default,
    /// musl's path file.
    PathFile(RootPath),
    /// A file of that name is loaded already.
    Already,
    /// The loader is that library.
    Loader,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path => f.write_str("by its path"),
            Self::RPath(owner) => write!(f, "by the RPATH of {owner}"),
            Self::RunPath(owner) => write!(f, "by the RUNPATH of {owner}"),
            Self::LibraryPath => f.write_str("by LD_LIBRARY_PATH"),
            Self::Cache => f.write_str("by /etc/ld.so.cache"),
            Self::Default => f.write_str("in a default folder"),
            Self::PathFile(file) => write!(f, "by {file}"),
            Self::Already => f.write_str("loaded already"),
            Self::Loader => f.write_str("part of the loader"),
        }
    }
}

/// A path that was looked at in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Looked {
    /// The path.
    pub(crate) path: RootPath,
    /// How the loader came by it.
    pub(crate) how: How,
    /// What was wrong.
    pub(crate) why: Miss,
}

/// Why a path is not the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Miss {
    /// Nothing is there.
    Absent,
    /// A library for another machine.
    OtherMachine(Machine),
    /// No library at all, at which the loader gives up.
    NoLibrary,
}

#[cfg(test)]
mod tests;
