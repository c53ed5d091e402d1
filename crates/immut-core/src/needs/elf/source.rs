//! Reads a file by offset, a page at a time: [`Source`].

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};

use super::Error;

/// A file that is read where it is asked for. A page that was read is kept for a while.
pub(super) struct Source<R> {
    file: R,
    size: u64,
    pages: HashMap<u64, Vec<u8>>,
}

/// Bytes read at once.
const PAGE: u64 = 16 * 1024;
/// Pages kept: 1 MiB.
const MOST_PAGES: usize = 64;

impl<R: Read + Seek> Source<R> {
    pub(super) fn new(mut file: R) -> Result<Self, Error> {
        let size = file.seek(SeekFrom::End(0))?;
        Ok(Self { file, size, pages: HashMap::new() })
    }

    /// Bytes of the file.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Reads `len` bytes, all of them; `what` they are is for the error. Callers bound `len`.
    pub(super) fn bytes(
        &mut self,
        at: u64,
        len: usize,
        what: &'static str,
    ) -> Result<Vec<u8>, Error> {
        let end = at.checked_add(len as u64).ok_or(Error::Truncated(what))?;
        if end > self.size {
            return Err(Error::Truncated(what));
        }
        let mut bytes = Vec::with_capacity(len);
        let mut here = at;
        while here < end {
            let page = self.page(here / PAGE, what)?;
            let from = usize::try_from(here % PAGE).unwrap_or(usize::MAX);
            let rest = page.get(from..).ok_or(Error::Truncated(what))?;
            let part = &rest[..rest.len().min(len - bytes.len())];
            if part.is_empty() {
                return Err(Error::Truncated(what));
            }
            bytes.extend_from_slice(part);
            here += part.len() as u64;
        }
        Ok(bytes)
    }

    /// A page; the last of the file is shorter.
    fn page(&mut self, number: u64, what: &'static str) -> Result<&[u8], Error> {
        if self.pages.len() >= MOST_PAGES && !self.pages.contains_key(&number) {
            self.pages.clear();
        }
        if let std::collections::hash_map::Entry::Vacant(vacant) = self.pages.entry(number) {
            let start = number.checked_mul(PAGE).ok_or(Error::Truncated(what))?;
            let mut page = Vec::new();
            self.file.seek(SeekFrom::Start(start))?;
            self.file.by_ref().take(PAGE).read_to_end(&mut page)?;
            vacant.insert(page);
        }
        Ok(&self.pages[&number])
    }
}
