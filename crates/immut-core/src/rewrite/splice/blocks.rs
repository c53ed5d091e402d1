//! Seams and copies in one deflate stream (RFC 1951) of a gzip file.
//!
//! A copy begins at the same bit of a byte as it did in the old blob, so that it is a copy of bytes,
//! and stored blocks in it keep their padding. Empty blocks fill the bits up to there. They, and the
//! empty stored block that ends a seam or a copy at a byte's border, are some 20 bytes for a change.
#![expect(clippy::cast_possible_truncation, reason = "offsets in one piece, and sums modulo 2^32")]

use std::io::{self, Write};
use std::ops::Range;

use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress, Status};

use super::bits::Bits;
use super::frames::GZIP_LEVEL;
use super::old::Old;

/// Puts one deflate stream together.
pub(super) struct Joints<W> {
    out: Bits<W>,
    old: Old,
    /// Where the old stream's last block begins, in bits of the blob.
    last: u64,
    compress: Compress,
    /// Whether a seam is open.
    open: bool,
    /// The archive's sum and size, for the end of the file.
    sum: Hasher,
    /// Modulo 2^32 (RFC 1952, section 2.3.1).
    size: u32,
    buffer: Vec<u8>,
}

impl<W: Write> Joints<W> {
    /// The old file's header becomes the new one's.
    pub(super) fn new(header: &[u8], last: u64, old: Old, out: W) -> io::Result<Self> {
        let mut out = Bits::new(out);
        out.bytes(header)?;
        Ok(Self {
            out,
            old,
            last,
            compress: Compress::new(Compression::new(GZIP_LEVEL), false),
            open: false,
            sum: Hasher::new(),
            size: 0,
            buffer: vec![0; 64 << 10],
        })
    }

    /// Takes note of bytes of the archive that a copy stands for.
    pub(super) fn sum(&mut self, bytes: &[u8]) {
        self.sum.update(bytes);
        self.size = self.size.wrapping_add(bytes.len() as u32);
    }

    /// Encodes bytes of the archive; a seam that begins may refer to the window before it.
    pub(super) fn encode(&mut self, bytes: &[u8], window: &[u8]) -> io::Result<()> {
        if !self.open {
            self.align()?;
            self.compress.reset();
            if !window.is_empty() {
                self.compress.set_dictionary(window).map_err(io::Error::other)?;
            }
            self.open = true;
        }
        self.sum(bytes);
        self.deflate(bytes, FlushCompress::None)
    }

    /// Ends a seam, if one is open, at a byte's border.
    pub(super) fn close(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.open) { self.deflate(&[], FlushCompress::Sync) } else { Ok(()) }
    }

    /// Copies blocks of the old stream. None of them is the last one from here on.
    pub(super) fn copy(&mut self, bits: &Range<u64>) -> io::Result<()> {
        self.align()?;
        self.fill((bits.start % 8) as u32)?;
        let (out, last) = (&mut self.out, self.last);
        let mut at = bits.start;
        self.old.take(bits.start / 8..bits.end.div_ceil(8), |piece| {
            let base = at / 8 * 8;
            let end = bits.end.min(base + 8 * piece.len() as u64);
            let range = (at - base) as usize..(end - base) as usize;
            if (at..end).contains(&last) {
                let mut piece = piece.to_vec();
                let bit = (last - base) as usize;
                piece[bit / 8] &= !(1 << (bit % 8));
                copy(&piece, range, out)?;
            } else {
                copy(piece, range, out)?;
            }
            at = end;
            Ok(())
        })
    }

    /// Goes to a byte's border with an empty stored block (RFC 1951, section 3.2.4).
    fn align(&mut self) -> io::Result<()> {
        if self.out.phase() == 0 {
            return Ok(());
        }
        self.out.put(0, 3)?;
        self.out.align()?;
        self.out.bytes(&[0, 0, 0xff, 0xff])
    }

    /// Goes on from a byte's border to one of its bits with empty blocks: one with fixed codes has
    /// 10 bits, which are 2 more; one with dynamic codes made for this has 95, which are 7 more.
    fn fill(&mut self, phase: u32) -> io::Result<()> {
        let mut fixed = phase / 2;
        if phase % 2 == 1 {
            self.put_dynamic()?;
            fixed = phase.div_ceil(2) % 4;
        }
        for _ in 0..fixed {
            self.out.put(0b010, 10)?;
        }
        debug_assert_eq!(self.out.phase(), phase, "filled up to that bit");
        Ok(())
    }

    /// An empty block with dynamic codes (RFC 1951, section 3.2.7), all of them complete: literals 0
    /// and 256 and distances 0 and 1 have codes of one bit.
    fn put_dynamic(&mut self) -> io::Result<()> {
        self.out.put(0b100, 3)?;
        // 257 literals, 2 distances, 19 lengths of code lengths.
        self.out.put(15 << 10 | 1 << 5, 14)?;
        for number in 0..19 {
            // In the order of the specification 18 is the third and 1 the eighteenth.
            self.out.put(u32::from(number == 2 || number == 17), 3)?;
        }
        // Length 1 is coded as 0; runs of 138 and 117 zeros are coded as 1 and their length.
        self.out.put(0, 1)?;
        self.out.put(1 | (138 - 11) << 1, 8)?;
        self.out.put(1 | (117 - 11) << 1, 8)?;
        self.out.put(0, 3)?;
        // The end of the block.
        self.out.put(1, 1)
    }

    fn deflate(&mut self, mut bytes: &[u8], flush: FlushCompress) -> io::Result<()> {
        loop {
            let (read, written) = (self.compress.total_in(), self.compress.total_out());
            let status = self.compress.compress(bytes, &mut self.buffer, flush);
            let status = status.map_err(io::Error::other)?;
            let written = (self.compress.total_out() - written) as usize;
            self.out.bytes(&self.buffer[..written])?;
            bytes = &bytes[(self.compress.total_in() - read) as usize..];
            let room = written < self.buffer.len();
            if status == Status::StreamEnd || (bytes.is_empty() && room && !is_end(flush)) {
                return Ok(());
            }
        }
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        if self.open {
            self.deflate(&[], FlushCompress::Finish)?;
        } else {
            // An empty block with fixed codes that is the last one.
            self.out.put(0b011, 10)?;
            self.out.align()?;
        }
        let (size, sum) = (self.size, self.sum.finalize());
        self.out.bytes(&sum.to_le_bytes())?;
        self.out.bytes(&size.to_le_bytes())?;
        self.old.finish()?;
        self.out.finish()
    }
}

fn is_end(flush: FlushCompress) -> bool {
    matches!(flush, FlushCompress::Finish)
}

/// Copies a range of bits; it begins at the same bit of a byte as the output goes on.
fn copy<W: Write>(bytes: &[u8], bits: Range<usize>, out: &mut Bits<W>) -> io::Result<()> {
    let Range { mut start, end } = bits;
    if start % 8 != 0 {
        let border = start.next_multiple_of(8).min(end);
        out.put(u32::from(bytes[start / 8]) >> (start % 8), (border - start) as u32)?;
        start = border;
    }
    if end / 8 > start / 8 {
        out.bytes(&bytes[start / 8..end / 8])?;
        start = end / 8 * 8;
    }
    if end > start { out.put(bytes[start / 8].into(), (end - start) as u32) } else { Ok(()) }
}
