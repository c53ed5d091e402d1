//! Tar archives as layers have them: read as a stream, kept byte for byte, edited in the header.
//!
//! The reader follows what container engines do with a layer (Go's `archive/tar`), since what they
//! unpack is what counts: PAX records are binary-safe, header-only types have no content whatever
//! their size field says, numbers and prefixes of names are read as Go reads them. Where engines
//! would not agree on an entry's name it is refused.

mod edit;
mod header;
mod member;
mod normal;
mod pax;
mod sparse;

use std::io::{self, Read};

pub(crate) use edit::zero_blocks;
pub(crate) use member::{Head, Member, Type};
pub(crate) use normal::{Attributes, Mtime};
pub(crate) use pax::Pax;
pub(crate) use sparse::Sparse;

use crate::path::RootPath;

/// Tar's unit, in bytes.
pub(crate) const BLOCK: usize = 512;

/// The largest extended header that is read, in bytes; Go's `archive/tar` has the same limit.
const MAX_EXTENSION: u64 = 1 << 20;

/// Why bytes are no tar archive that engines would unpack.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stream itself failed: truncated, corrupt, or the disk.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// A header that is none.
    #[error("after {after}: {reason}")]
    Header {
        /// The entry before it, for orientation.
        after: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// An entry that engines refuse, or that is made to deceive them.
    #[error("entry {name}: {reason}")]
    Entry {
        /// Its name as far as known.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

/// Reads a tar archive member by member.
#[derive(Debug)]
pub(crate) struct Archive<R> {
    inner: R,
    /// Bytes read so far.
    at: u64,
    /// Content bytes of the current member that were not read yet.
    left: u64,
    /// Padding after them.
    padding: usize,
    /// The last member's name, for messages; none before the first.
    last: Option<RootPath>,
}

impl<R: Read> Archive<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, at: 0, left: 0, padding: 0, last: None }
    }

    /// Where the next member begins, or the archive ends, in bytes from where reading began; padding
    /// may be missing at the end. Content that was not read is skipped.
    pub(crate) fn go_to_next(&mut self) -> Result<u64, Error> {
        let end = self.at + self.left + self.padding as u64;
        self.skip_content()?;
        Ok(end)
    }

    /// The next member, or none at the end of the archive. Content that was not read is skipped.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, Error> {
        self.skip_content()?;
        let mut extensions: Vec<member::Extension> = Vec::new();
        loop {
            if extensions.iter().map(|one| one.raw.len() as u64).sum::<u64>() > 2 * MAX_EXTENSION {
                return Err(self.bad("the extended headers of one entry have more than 2 MiB"));
            }
            let Some(header) = self.header(extensions.is_empty())? else { return Ok(None) };
            match header[header::TYPEFLAG] {
                b'x' | b'L' | b'K' => extensions.push(self.extension(&header)?),
                b'g' if extensions.is_empty() => {
                    let global = self.extension(&header)?;
                    return member::global(global).map(Some);
                }
                b'g' => {
                    return Err(
                        self.bad("a PAX global header stands among the headers of an entry")
                    );
                }
                _ => {
                    let sparse = self.sparse_map(&header)?;
                    let member = Member::new(Head { extensions, header, sparse })?;
                    self.last = Some(member.path.clone());
                    self.left = member.stored;
                    self.padding = padding(member.stored);
                    return Ok(Some(member));
                }
            }
        }
    }

    /// Reads content of the current member; 0 at its end.
    pub(crate) fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if want == 0 {
            return Ok(0);
        }
        let count = self.inner.read(&mut buffer[..want])?;
        if count == 0 {
            return Err(self.cut());
        }
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }

    /// Reads everything after the archive's end, which engines ignore, and gives the stream back;
    /// also whether there is nothing but zeros.
    pub(crate) fn finish(mut self) -> io::Result<(R, bool)> {
        let (mut buffer, mut zeros) = ([0; 1 << 14], true);
        loop {
            let count = read_full(&mut self.inner, &mut buffer)?;
            zeros &= buffer[..count].iter().all(|byte| *byte == 0);
            if count == 0 {
                return Ok((self.inner, zeros));
            }
        }
    }

    fn skip_content(&mut self) -> io::Result<()> {
        if self.left > 0 {
            let mut buffer = [0; 1 << 14];
            while self.read_content(&mut buffer)? > 0 {}
        }
        // An archive may end in the padding, as engines have it: nothing of the file is missing.
        let mut padding = [0; BLOCK];
        let count = std::mem::take(&mut self.padding);
        self.fill(&mut padding[..count])?;
        Ok(())
    }

    /// A header block; none at the end, which is two blocks of zeros or the end of the stream.
    fn header(&mut self, may_end: bool) -> Result<Option<[u8; BLOCK]>, Error> {
        let mut block = [0; BLOCK];
        let filled = self.fill(&mut block)?;
        if filled == 0 && may_end {
            return Ok(None);
        }
        if filled < BLOCK {
            return Err(self.bad("the archive ends in the middle of a header"));
        }
        if block == [0; BLOCK] {
            let filled = self.fill(&mut block)?;
            let ended = filled == 0 || (filled == BLOCK && block == [0; BLOCK]);
            return if ended && may_end {
                Ok(None)
            } else {
                Err(self.bad("a block of zeros stands among the headers"))
            };
        }
        if !header::checksum_holds(&block) {
            return Err(self.bad("the next header's checksum does not hold"));
        }
        Ok(Some(block))
    }

    /// An extended header with its content and padding, raw.
    fn extension(&mut self, header: &[u8; BLOCK]) -> Result<member::Extension, Error> {
        let size = header::number(&header[header::SIZE]);
        let size = size.ok_or_else(|| self.bad("a size is no number"))?;
        if size > MAX_EXTENSION {
            return Err(self.bad("an extended header has more than 1 MiB"));
        }
        let content = usize::try_from(size).map_err(|_| self.bad("a size is no number"))?;
        let mut raw = header.to_vec();
        raw.resize(BLOCK + content + padding(size), 0);
        if self.fill(&mut raw[BLOCK..])? < raw.len() - BLOCK {
            return Err(self.bad("the archive ends in the middle of a header"));
        }
        Ok(member::Extension { raw, content })
    }

    /// The further blocks of an old GNU sparse file's map, which stand before its content.
    fn sparse_map(&mut self, header: &[u8; BLOCK]) -> Result<Vec<u8>, Error> {
        /// Enough for a map of 21 million pieces, far past any real file.
        const MOST: usize = 1 << 20;
        let mut map = Vec::new();
        let mut extended = header[header::TYPEFLAG] == b'S' && header[header::GNU_IS_EXTENDED] != 0;
        while extended {
            let mut block = [0; BLOCK];
            if self.fill(&mut block)? < BLOCK {
                return Err(self.bad("the archive ends in the middle of a header"));
            }
            extended = block[header::SPARSE_IS_EXTENDED] != 0;
            map.extend_from_slice(&block);
            if map.len() > MOST {
                return Err(self.bad("a sparse file's map has more than 1 MiB"));
            }
        }
        Ok(map)
    }

    /// Fills the buffer as far as the stream goes.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = read_full(&mut self.inner, buffer)?;
        self.at += count as u64;
        Ok(count)
    }

    fn cut(&self) -> io::Error {
        let text = format!("the archive ends in the content of {}", self.last());
        io::Error::new(io::ErrorKind::UnexpectedEof, text)
    }

    fn last(&self) -> String {
        let start = || "the start of the archive".to_owned();
        self.last.as_ref().map_or_else(start, |path| format!("entry {path}"))
    }

    fn bad(&self, reason: &'static str) -> Error {
        Error::Header { after: self.last(), reason }
    }
}

impl<R: Read + io::Seek> Archive<R> {
    /// Goes past the current member's content, unread, and says where it begins.
    pub(crate) fn pass_over(&mut self) -> io::Result<u64> {
        let start = self.inner.stream_position()?;
        let left = i64::try_from(self.left).map_err(io::Error::other)?;
        self.inner.seek_relative(left)?;
        self.at += std::mem::take(&mut self.left);
        Ok(start)
    }
}

/// The bytes from `size` to the next block.
pub(crate) fn padding(size: u64) -> usize {
    usize::try_from(size.next_multiple_of(BLOCK as u64) - size).unwrap_or(0)
}

fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests;
