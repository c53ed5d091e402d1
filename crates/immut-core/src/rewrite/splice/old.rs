//! [`Old`]: the old blob, from which pieces are taken in order.

use std::io::{self, BufRead};
use std::ops::Range;

use crate::parallel::Outlet;

/// The old blob, read once from its beginning to its end: its reader fails there if its bytes are
/// not those of its digest.
pub(in crate::rewrite) struct Old {
    blob: Outlet,
    /// Bytes that are behind.
    at: u64,
    /// The last of them: a range may begin in the byte in which the one before it ended.
    last: u8,
}

impl Old {
    pub(in crate::rewrite) fn new(blob: Outlet) -> Self {
        Self { blob, at: 0, last: 0 }
    }

    /// Hands out a range of bytes in pieces. Ranges come in order; they may share a byte.
    pub(super) fn take(
        &mut self,
        range: Range<u64>,
        mut each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        assert!(range.start + 1 >= self.at, "ranges come in order");
        if range.start < self.at {
            each(&[self.last])?;
        }
        self.pass(range.start, |_| Ok(()))?;
        self.pass(range.end, &mut each)
    }

    fn pass(&mut self, end: u64, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        while self.at < end {
            let piece = self.blob.fill_buf()?;
            if piece.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let most = usize::try_from(end - self.at).unwrap_or(usize::MAX);
            let count = piece.len().min(most);
            each(&piece[..count])?;
            self.last = piece[count - 1];
            self.blob.consume(count);
            self.at += count as u64;
        }
        Ok(())
    }

    /// Reads the rest, so that the blob is checked.
    pub(super) fn finish(mut self) -> io::Result<()> {
        io::copy(&mut self.blob, &mut io::sink()).map(drop)
    }
}
