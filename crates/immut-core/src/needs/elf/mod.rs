//! What an ELF file says of itself: [`Elf`].

mod imports;
mod layout;
mod machine;
mod read;
mod source;

use std::io::{self, Read, Seek};

pub(crate) use machine::Machine;

/// What an ELF file says it is and needs. Strings are as the file has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Elf {
    /// What it runs on.
    pub(crate) machine: Machine,
    /// What kind of file it is.
    pub(crate) kind: Kind,
    /// The loader that it asks the kernel for (`PT_INTERP`).
    pub(crate) interpreter: Option<Vec<u8>>,
    /// The libraries that it needs (`DT_NEEDED`), in order.
    pub(crate) needed: Vec<Vec<u8>>,
    /// The name that it goes by once it is loaded (`DT_SONAME`).
    pub(crate) soname: Option<Vec<u8>>,
    /// Where to look, for it and for what it loads (`DT_RPATH`).
    pub(crate) rpath: Option<Vec<u8>>,
    /// Where to look, for it alone (`DT_RUNPATH`).
    pub(crate) runpath: Option<Vec<u8>>,
    /// Whether the default folders are not for it (`DF_1_NODEFLIB`).
    pub(crate) no_default_folders: bool,
    /// Libraries that may stand in for it (`DT_AUXILIARY`); they need not be there.
    pub(crate) auxiliary: Vec<Vec<u8>>,
    /// Libraries that stand in for it (`DT_FILTER`).
    pub(crate) filter: Vec<Vec<u8>>,
    /// What it imports of the functions that run a shell, sorted.
    pub(crate) shell_calls: Vec<&'static str>,
    /// For a loader of glibc: the default folders that are compiled into it, in order.
    pub(crate) default_folders: Vec<Vec<u8>>,
}

/// What kind of ELF file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A program at a fixed address (`ET_EXEC`).
    Executable,
    /// A program at any address: `ET_DYN` with `DF_1_PIE`, or from before that flag with a loader
    /// and no soname.
    PositionIndependent,
    /// A library (`ET_DYN`). Some run too, as the loader and glibc's `libc.so.6` do.
    Shared,
    /// An object file, a core dump, or what no loader knows.
    Other,
}

/// Why a file is not understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// It does not begin as ELF files do.
    #[error("it is no ELF file")]
    NotElf,
    /// It names bytes past its end.
    #[error("the file ends before {0}")]
    Truncated(&'static str),
    /// It contradicts the format.
    #[error("{0}")]
    Malformed(&'static str),
    /// Something in it is larger than any real file has it.
    #[error("{0} of {1}, more than is read")]
    TooLarge(&'static str, u64),
    /// The file cannot be read.
    #[error("read")]
    Read(#[from] io::Error),
}

impl Elf {
    /// Reads what a file says of itself: headers, dynamic section and the strings and symbols that
    /// it names. Section headers are not looked at, since they may be stripped.
    pub(crate) fn read(file: impl Read + Seek) -> Result<Self, Error> {
        read::read(file)
    }
}

#[cfg(test)]
pub(crate) mod tests;
