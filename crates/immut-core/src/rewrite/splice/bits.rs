//! Bits in deflate's order: the lowest of each byte comes first (RFC 1951, section 3.1.1).
#![expect(clippy::cast_possible_truncation, reason = "bits are taken off byte by byte")]

use std::io::{self, Write};

/// Writes bits; whole bytes go on at once.
pub(super) struct Bits<W> {
    out: W,
    /// The bits of the byte that is not full, lowest first, and how many they are.
    partial: u8,
    count: u32,
}

impl<W: Write> Bits<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, partial: 0, count: 0 }
    }

    /// Bits of the last byte that are taken; 0 at a byte's border.
    pub(super) fn phase(&self) -> u32 {
        self.count
    }

    /// Writes the lowest `count` bits of `value`; at most 24.
    pub(super) fn put(&mut self, value: u32, count: u32) -> io::Result<()> {
        let value = value & ((1 << count) - 1);
        let mut all = u32::from(self.partial) | value << self.count;
        self.count += count;
        while self.count >= 8 {
            self.out.write_all(&[all as u8])?;
            all >>= 8;
            self.count -= 8;
        }
        self.partial = all as u8;
        Ok(())
    }

    /// Fills the last byte up with zeros.
    pub(super) fn align(&mut self) -> io::Result<()> {
        if self.count == 0 { Ok(()) } else { self.put(0, 8 - self.count) }
    }

    /// Writes bytes; at a byte's border only.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        debug_assert_eq!(self.count, 0, "bytes begin at a byte's border");
        self.out.write_all(bytes)
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.align()?;
        Ok(self.out)
    }
}
