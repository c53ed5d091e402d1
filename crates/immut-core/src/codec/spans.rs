//! [`Spans`]: where a blob may be cut.

use std::ops::Range;

/// How far back a deflate block may refer, in bytes of the archive (RFC 1951, section 2).
pub(crate) const WINDOW: u64 = 32 << 10;

/// A piece of a blob that decodes to a piece of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    /// In the blob, in bits.
    pub(crate) bits: Range<u64>,
    /// In the archive, in bytes.
    pub(crate) raw: Range<u64>,
}

/// Where a blob may be cut: its spans, in order. What lies between them decodes to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spans {
    pub(crate) scheme: Scheme,
    list: Vec<Span>,
    /// Neighbours are one span until it has so many bytes, of the blob or of the archive.
    least: u64,
}

/// What the spans are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Whole gzip members or zstd frames. Each stands for itself.
    Frames,
    /// Deflate blocks of the only member of a gzip file. A block may refer to the [`WINDOW`] of the
    /// archive before it.
    Blocks {
        /// The member's header.
        header: Vec<u8>,
        /// Where the last block begins, in bits.
        last: u64,
    },
}

impl Spans {
    /// Small enough to lose little around a change, large enough to need few spans.
    const LEAST: u64 = 32 << 10;
    /// The table's limit, 4 MiB: from there on neighbours become one.
    const MOST: usize = 128 << 10;
    /// From there on it does not help to join more.
    const COARSEST: u64 = 1 << 40;

    /// A blob that cannot be cut.
    pub(crate) fn none() -> Self {
        Self::new(Scheme::Frames)
    }

    pub(super) fn new(scheme: Scheme) -> Self {
        Self { scheme, list: Vec::new(), least: Self::LEAST }
    }

    /// The spans.
    pub(crate) fn list(&self) -> &[Span] {
        &self.list
    }

    /// Adds the next piece of the blob. One that decodes to nothing belongs to its neighbour.
    pub(super) fn push(&mut self, span: Span) {
        if let Some(last) = self.list.last_mut() {
            let touches = last.bits.end == span.bits.start;
            if touches && (span.raw.is_empty() || is_small(last, self.least)) {
                last.bits.end = span.bits.end;
                last.raw.end = span.raw.end;
                return;
            }
        }
        self.list.push(span);
        if self.list.len() > Self::MOST {
            self.coarsen();
        }
    }

    fn coarsen(&mut self) {
        while self.list.len() > Self::MOST / 4 * 3 && self.least < Self::COARSEST {
            self.least *= 2;
            let least = self.least;
            self.list.dedup_by(|next, last| {
                let joined = last.bits.end == next.bits.start && is_small(last, least);
                if joined {
                    last.bits.end = next.bits.end;
                    last.raw.end = next.raw.end;
                }
                joined
            });
        }
        // Pieces that do not touch cannot be joined: so many of them are not worth keeping.
        if self.list.len() > Self::MOST / 4 * 3 {
            self.list.truncate(Self::MOST / 2);
        }
    }

    pub(super) fn finish(mut self) -> Self {
        self.list.shrink_to_fit();
        self
    }
}

/// One that decodes to nothing is small, however many bits it has.
fn is_small(span: &Span, least: u64) -> bool {
    let (bytes, bits) = (span.raw.end - span.raw.start, span.bits.end - span.bits.start);
    bytes == 0 || (bytes < least && bits / 8 < least)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(pieces: &[(u64, u64)]) -> Spans {
        let mut spans = Spans::none();
        let (mut bit, mut byte) = (0, 0);
        for (bits, bytes) in pieces {
            spans.push(Span { bits: bit..bit + bits, raw: byte..byte + bytes });
            (bit, byte) = (bit + bits, byte + bytes);
        }
        spans
    }

    #[test]
    fn small_neighbours_are_one() {
        let list = spans(&[(80, 100), (90, 40_000), (10, 0), (80, 40_000), (35, 0)]);
        assert_eq!(
            list.list(),
            [Span { bits: 0..180, raw: 0..40_100 }, Span { bits: 180..295, raw: 40_100..80_100 }]
        );
    }

    #[test]
    fn the_table_has_a_limit() {
        let table = spans(&vec![(400_000, 40_000); 3 * Spans::MOST]);
        assert!(table.list().len() <= Spans::MOST);
        let whole = table.list().windows(2).all(|two| two[0].raw.end == two[1].raw.start);
        assert!(whole && table.list()[0].raw.start == 0);
        let large = spans(&vec![(4_000_000, 400_000); Spans::MOST + 9]);
        assert_eq!(
            large.list().last().map(|last| last.raw.end),
            Some(400_000 * (Spans::MOST as u64 + 9))
        );
        let mut apart = Spans::none();
        for number in 0..3 * Spans::MOST as u64 {
            apart.push(Span { bits: number * 100..number * 100 + 90, raw: number..number + 1 });
        }
        assert!(apart.list().len() <= Spans::MOST);
    }
}
