//! rpm's databases, read and never written: [`each_package`].
//!
//! There are three kinds of file, and each holds a header for each package: tables of SQLite
//! (`rpmdb.sqlite`), rpm's own format NDB (`Packages.db`) and hashes of Berkeley DB (`Packages`).
//! Which one a file is, its first bytes say. Nothing is held but one header at a time.

mod bdb;
mod header;
mod ndb;
mod source;
mod sqlite;

use std::io;

pub(crate) use header::{File, Package};
use source::Source;

use super::FileContent;

/// Where the databases are: rpm's usual folders, then that of image based systems.
pub(crate) const PATHS: [&str; 9] = [
    "/var/lib/rpm/rpmdb.sqlite",
    "/var/lib/rpm/Packages.db",
    "/var/lib/rpm/Packages",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/usr/lib/sysimage/rpm/Packages.db",
    "/usr/lib/sysimage/rpm/Packages",
    "/usr/share/rpm/rpmdb.sqlite",
    "/usr/share/rpm/Packages.db",
    "/usr/share/rpm/Packages",
];

/// Larger files are no database that an image has, in bytes: those of whole desktops have 150 MiB.
pub(crate) const LARGEST: u64 = 256 << 20;
/// Larger headers are not looked into, in bytes; rpm itself stops at 256 MiB, the kernel's has 6.
const LARGEST_HEADER: u64 = 32 << 20;
/// More packages are no database that anybody has.
const MOST: usize = 100_000;

/// Why a database could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It contradicts its format.
    #[error("the database is broken: {0}")]
    Broken(&'static str),
    /// It has more of something than any real one has.
    #[error("the database is too large to be looked at")]
    TooLarge,
    /// The disk.
    #[error("read")]
    Read(#[from] io::Error),
}

/// How much of a database could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Read {
    /// Records that were shown.
    pub(crate) packages: usize,
    /// Records that make no sense.
    pub(crate) unreadable: usize,
}

/// Shows the packages of a database, without the keys (`gpg-pubkey`) that rpm keeps beside them.
/// After an error what was shown is not all there is.
pub(crate) fn each_package(
    content: &mut dyn FileContent,
    mut see: impl FnMut(&Package<'_>),
) -> Result<Read, Error> {
    let mut read = Read::default();
    let mut source = Source::new(content)?;
    let each_blob = match source.take(0, 16)?.as_slice() {
        start if start.starts_with(sqlite::MAGIC) => sqlite::each_blob,
        start if start.starts_with(ndb::MAGIC) => ndb::each_blob,
        start if bdb::is_hash(start) => bdb::each_blob,
        _ => return Err(Error::Broken("it is of no kind that rpm has")),
    };
    each_blob(&mut source, &mut |blob| {
        match blob.and_then(Package::read) {
            Some(package) if package.name == KEY => return Ok(()),
            Some(package) => {
                see(&package);
                read.packages += 1;
            }
            None => read.unreadable += 1,
        }
        if read.packages + read.unreadable > MOST { Err(Error::TooLarge) } else { Ok(()) }
    })?;
    Ok(read)
}

/// Is shown each header; none stands for one that is too large.
type See<'a> = dyn FnMut(Option<&[u8]>) -> Result<(), Error> + 'a;

/// The name of the records that are no packages.
const KEY: &str = "gpg-pubkey";

#[cfg(test)]
mod tests;
