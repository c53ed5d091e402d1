//! [`Source`]: a database's bytes, by their place.

use std::io::SeekFrom;

use super::{Error, LARGEST, LARGEST_HEADER};
use crate::inventory::FileContent;

/// A database's bytes, and how many of them may still be a header's: no two headers share one, or a
/// few bytes would be as much work as a hostile database likes.
pub(super) struct Source<'a> {
    content: &'a mut dyn FileContent,
    size: u64,
    left: u64,
}

impl<'a> Source<'a> {
    pub(super) fn new(content: &'a mut dyn FileContent) -> Result<Self, Error> {
        let size = content.seek(SeekFrom::End(0))?;
        if size > LARGEST {
            return Err(Error::TooLarge);
        }
        Ok(Self { content, size, left: size })
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The bytes at a place.
    pub(super) fn take(&mut self, at: u64, length: usize) -> Result<Vec<u8>, Error> {
        let end = at.checked_add(length as u64).filter(|end| *end <= self.size);
        end.ok_or(Error::Broken("it ends too early"))?;
        let mut bytes = vec![0; length];
        self.content.seek(SeekFrom::Start(at))?;
        self.content.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Counts a header, and gives the bytes that it has if it is to be read.
    pub(super) fn header(&mut self, length: u64) -> Result<Option<usize>, Error> {
        let left = self.left.checked_sub(length);
        self.left = left.ok_or(Error::Broken("its records share their bytes"))?;
        Ok(usize::try_from(length).ok().filter(|_| length <= LARGEST_HEADER))
    }
}

/// The bytes of a number at a place.
pub(super) fn number<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Error> {
    let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk::<N>());
    bytes.copied().ok_or(Error::Broken("it names bytes past the end of a page"))
}

/// Pages, of which each is read once.
pub(super) struct Pages {
    pub(super) size: usize,
    pub(super) count: u32,
    left: u32,
}

impl Pages {
    /// The whole pages that a database has.
    pub(super) fn of(source: &Source<'_>, size: usize) -> Self {
        // A database has at most LARGEST bytes.
        let count = u32::try_from(source.size() / size as u64).unwrap_or(u32::MAX);
        Self { size, count, left: count }
    }

    /// How many may still be read.
    pub(super) fn left(&self) -> usize {
        self.left as usize
    }

    /// A page, counted from 0.
    pub(super) fn take(&mut self, source: &mut Source<'_>, number: u32) -> Result<Vec<u8>, Error> {
        self.left = self.left.checked_sub(1).ok_or(CIRCLE)?;
        source.take(u64::from(number) * self.size as u64, self.size)
    }
}

pub(super) const CIRCLE: Error = Error::Broken("its pages go round in a circle");
