//! glibc's `/etc/ld.so.cache`: [`Cache`] (glibc, `sysdeps/generic/dl-cache.h`).

mod trim;

pub(crate) use trim::trimmed;

/// The file, which knows where the libraries of the configured folders are.
#[derive(Debug)]
pub(super) struct Cache {
    content: Vec<u8>,
    /// Where places of strings count from: the header of the new format, or the end of the entries
    /// of the old one.
    start: usize,
    /// Sorted by name; those of one name in the order of the file.
    entries: Vec<Entry>,
}

/// A library that the cache knows.
#[derive(Debug, Clone, Copy)]
struct Entry {
    flags: u32,
    name: u32,
    path: u32,
    /// Whether only some processors take it.
    variant: bool,
}

/// A path that the cache has for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cached<'a> {
    /// The path.
    pub(super) path: &'a [u8],
    /// What kind of library it is, and of which ABI.
    pub(super) flags: u32,
    /// Whether only some processors take it.
    pub(super) variant: bool,
}

/// Why a cache is not used; the loader does without it as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("it is in no format that glibc knows")]
    Format,
    #[error("it is of another byte order")]
    ByteOrder,
    #[error("it is shorter than it says")]
    Truncated,
}

const OLD: &[u8] = b"ld.so-1.7.0\0";
const OLD_HEADER: usize = 16;
const OLD_ENTRY: usize = 12;
const NEW: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;
/// Linux's `NAME_MAX`; names in the cache are those of files.
const LONGEST_NAME: usize = 255;

impl Cache {
    /// Reads a cache for a loader of that byte order.
    pub(super) fn parse(content: Vec<u8>, little: bool) -> Result<Self, Error> {
        let (start, mut entries) = if content.starts_with(NEW) {
            (0, new_entries(&content, little)?)
        } else {
            either(&content, little)?
        };
        let name = |entry: &Entry| string(&content[start..], entry.name, LONGEST_NAME);
        entries.retain(|entry| name(entry).is_some());
        entries.sort_by_key(name);
        Ok(Self { content, start, entries })
    }

    /// What it has for a name, in the order of the file.
    pub(super) fn find<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = Cached<'a>> {
        let strings = &self.content[self.start..];
        let name_of = move |entry: &Entry| string(strings, entry.name, LONGEST_NAME);
        let first = self.entries.partition_point(|entry| name_of(entry) < Some(name));
        let same =
            self.entries[first..].iter().take_while(move |entry| name_of(entry) == Some(name));
        same.filter_map(move |entry| {
            let path = string(strings, entry.path, crate::path::MAX_LEN)?;
            Some(Cached { path, flags: entry.flags, variant: entry.variant })
        })
    }
}

/// A file in the old format: its entries, or those in the new format after them if there are any.
/// That is aligned for 64-bit numbers, which some machines align to 4.
fn either(content: &[u8], little: bool) -> Result<(usize, Vec<Entry>), Error> {
    if !content.starts_with(OLD) {
        return Err(Error::Format);
    }
    let header = content.get(..OLD_HEADER).ok_or(Error::Truncated)?;
    let table = table(&content[OLD_HEADER..], number(header, 12, little), OLD_ENTRY)?;
    let end = OLD_HEADER + table.len();
    let new = |start: &usize| content.get(*start..).is_some_and(|rest| rest.starts_with(NEW));
    if let Some(start) = [end.next_multiple_of(8), end].into_iter().find(new) {
        return Ok((start, new_entries(&content[start..], little)?));
    }
    let entries = table.chunks_exact(OLD_ENTRY).map(|bytes| entry(bytes, little, false));
    Ok((end, entries.collect()))
}

fn new_entries(content: &[u8], little: bool) -> Result<Vec<Entry>, Error> {
    let header = content.get(..HEADER).ok_or(Error::Truncated)?;
    // The low two bits tell the byte order; none in files from before glibc 2.33.
    let order = header[28] & 3;
    if order != 0 && order != if little { 2 } else { 3 } {
        return Err(Error::ByteOrder);
    }
    let table = table(&content[HEADER..], number(header, 20, little), ENTRY)?;
    let entries =
        table.chunks_exact(ENTRY).map(|bytes| entry(bytes, little, bytes[16..24] != [0; 8]));
    Ok(entries.collect())
}

/// The bytes of `count` entries.
fn table(rest: &[u8], count: u32, size: usize) -> Result<&[u8], Error> {
    let len = (count as usize).checked_mul(size).ok_or(Error::Truncated)?;
    rest.get(..len).ok_or(Error::Truncated)
}

/// An entry, which begins alike in both formats.
fn entry(bytes: &[u8], little: bool, variant: bool) -> Entry {
    Entry {
        flags: number(bytes, 0, little),
        name: number(bytes, 4, little),
        path: number(bytes, 8, little),
        variant,
    }
}

/// The string at a place, up to its zero; none if it is longer than `longest`.
fn string(bytes: &[u8], at: u32, longest: usize) -> Option<&[u8]> {
    let rest = bytes.get(at as usize..)?;
    let rest = &rest[..rest.len().min(longest + 1)];
    Some(&rest[..memchr::memchr(0, rest)?])
}

fn number(bytes: &[u8], at: usize, little: bool) -> u32 {
    let bytes = std::array::from_fn(|index| bytes[at + index]);
    if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
}

#[cfg(test)]
pub(super) mod tests;
