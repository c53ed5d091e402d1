//! The splice: a new blob put together from pieces of the old one.
//!
//! Compressing is nine tenths of what rewriting a layer would cost, and hardly any of it is needed.
//! The old blob is a row of [spans](crate::codec::Spans). What stays of the archive goes through
//! [`Splice::keep`], what is new through [`Splice::write`]; then, span by span:
//!
//! - One that lies wholly in what is kept is copied as it is. A deflate block may refer to the 32 KiB
//!   of archive before it, so those have to be kept with it; a gzip member or zstd frame stands for
//!   itself.
//! - Everything else, the new bytes and what is left of the spans around a change, is encoded anew:
//!   a *seam*. Its blocks may refer to the 32 KiB before it, as in one stream.
//!
//! [`blocks`] and [`frames`] know how a seam and a copy are joined. A blob without spans, or one of
//! another compression, is one seam from its beginning to its end: there is no other encoder.

mod bits;
mod blocks;
mod frames;
mod old;

use std::io::{self, Read, Write};
use std::ops::Range;

pub(super) use old::Old;

use crate::codec::{Scheme, Span, Spans, WINDOW};
use crate::image::Compression;

/// How much of the archive is read at a time, and encoded: an encoder's output depends on the pieces
/// that it is given, and the result must not depend on those that a file or a pipe happens to give.
const PIECE: usize = 64 << 10;

/// Puts a new blob together.
pub(super) struct Splice<'a, W> {
    joints: Joints<W>,
    spans: &'a [Span],
    /// The first span that was not passed yet.
    next: usize,
    /// How much of the old archive is behind, and since where nothing of it has changed.
    at: u64,
    same_since: Since,
    window: Window,
    /// What the seam was not given yet; less than a piece.
    pending: Vec<u8>,
    counts: Counts,
}

/// Bytes of the new archive: of those that were copied, and those that were encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) copied: u64,
    pub(super) encoded: u64,
}

#[derive(Clone, Copy)]
enum Since {
    /// The very beginning: there is nothing before that a block could refer to.
    Start,
    /// An offset in the old archive.
    At(u64),
    /// The last bytes were new ones.
    Never,
}

/// Where seams and copies meet.
enum Joints<W> {
    /// Not compressed.
    None(W),
    Blocks(Box<blocks::Joints<W>>),
    Frames(Box<frames::Joints<W>>),
}

impl<'a, W: Write> Splice<'a, W> {
    /// A blob put together from spans of an old one, which has that compression as well.
    pub(super) fn new(
        compression: Compression,
        spans: &'a Spans,
        old: Old,
        out: W,
    ) -> io::Result<Self> {
        let joints = match (&spans.scheme, compression) {
            (_, Compression::None) => Joints::None(out),
            (Scheme::Blocks { header, last }, _) if !spans.list().is_empty() => {
                Joints::Blocks(Box::new(blocks::Joints::new(header, *last, old, out)?))
            }
            _ => Joints::Frames(Box::new(frames::Joints::new(compression, Some(old), out))),
        };
        Ok(Self::over(joints, spans.list()))
    }

    /// A blob that is encoded as a whole.
    pub(super) fn whole(compression: Compression, out: W) -> Self {
        let joints = match compression {
            Compression::None => Joints::None(out),
            _ => Joints::Frames(Box::new(frames::Joints::new(compression, None, out))),
        };
        Self::over(joints, &[])
    }

    fn over(joints: Joints<W>, spans: &'a [Span]) -> Self {
        Self {
            joints,
            spans,
            next: 0,
            at: 0,
            same_since: Since::Start,
            window: Window::default(),
            pending: Vec::with_capacity(PIECE),
            counts: Counts::default(),
        }
    }

    /// Takes over a range of the old archive, whose bytes `raw` gives. Ranges come in order.
    pub(super) fn keep(&mut self, range: Range<u64>, raw: &mut impl Read) -> io::Result<()> {
        if range.start != self.at || matches!(self.same_since, Since::Never) {
            self.same_since = Since::At(range.start);
        }
        self.at = range.start;
        while self.at < range.end {
            match self.next_run(range.end) {
                Some(run) => {
                    self.encode_kept(run.raw.start, raw)?;
                    self.copy(&run, raw)?;
                }
                None => self.encode_kept(range.end, raw)?,
            }
        }
        Ok(())
    }

    /// The next spans in one piece that can be copied before `end`.
    fn next_run(&mut self, end: u64) -> Option<Span> {
        let reach = match (&self.joints, self.same_since) {
            (Joints::Blocks(_), Since::At(since)) => since + WINDOW,
            _ => 0,
        };
        let first = self.at.max(reach);
        self.next += self.spans[self.next..].partition_point(|span| span.raw.start < first);
        let spans = self.spans[self.next..].iter().take_while(|span| span.raw.end <= end);
        let mut run: Option<Span> = None;
        for span in spans {
            match &mut run {
                None => run = Some(span.clone()),
                Some(run) if run.bits.end == span.bits.start && run.raw.end == span.raw.start => {
                    (run.bits.end, run.raw.end) = (span.bits.end, span.raw.end);
                }
                Some(_) => break,
            }
        }
        run
    }

    fn encode_kept(&mut self, end: u64, raw: &mut impl Read) -> io::Result<()> {
        self.pass(end, raw, Self::encode)
    }

    fn copy(&mut self, run: &Span, raw: &mut impl Read) -> io::Result<()> {
        self.close()?;
        match &mut self.joints {
            Joints::None(_) => {}
            Joints::Blocks(joints) => joints.copy(&run.bits)?,
            Joints::Frames(joints) => joints.copy(&run.bits)?,
        }
        self.counts.copied += run.raw.end - run.raw.start;
        self.pass(run.raw.end, raw, |splice, bytes| {
            splice.window.pass(bytes);
            if let Joints::Blocks(joints) = &mut splice.joints {
                joints.sum(bytes);
            }
            Ok(())
        })
    }

    /// Reads the old archive up to `end`, piece by piece.
    fn pass(
        &mut self,
        end: u64,
        raw: &mut impl Read,
        mut each: impl FnMut(&mut Self, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut buffer = vec![0; usize::try_from(end - self.at).unwrap_or(PIECE).min(PIECE)];
        while self.at < end {
            let count = usize::try_from(end - self.at).unwrap_or(PIECE).min(PIECE);
            raw.read_exact(&mut buffer[..count])?;
            each(self, &buffer[..count])?;
            self.at += count as u64;
        }
        Ok(())
    }

    fn encode(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.counts.encoded += bytes.len() as u64;
        while !bytes.is_empty() {
            let count = bytes.len().min(PIECE - self.pending.len());
            self.pending.extend_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            if self.pending.len() == PIECE {
                self.encode_pending()?;
            }
        }
        Ok(())
    }

    fn encode_pending(&mut self) -> io::Result<()> {
        match &mut self.joints {
            Joints::None(out) => out.write_all(&self.pending)?,
            Joints::Blocks(joints) => joints.encode(&self.pending, self.window.bytes())?,
            Joints::Frames(joints) => joints.encode(&self.pending)?,
        }
        self.window.pass(&self.pending);
        self.pending.clear();
        Ok(())
    }

    /// Ends a seam, if there is one.
    fn close(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.encode_pending()?;
        }
        match &mut self.joints {
            Joints::None(_) => Ok(()),
            Joints::Blocks(joints) => joints.close(),
            Joints::Frames(joints) => joints.close(),
        }
    }

    /// Ends the blob and gives its writer back.
    pub(super) fn finish(mut self) -> io::Result<(W, Counts)> {
        if !self.pending.is_empty() {
            self.encode_pending()?;
        }
        let out = match self.joints {
            Joints::None(out) => out,
            Joints::Blocks(joints) => joints.finish()?,
            Joints::Frames(joints) => joints.finish()?,
        };
        Ok((out, self.counts))
    }
}

impl<W: Write> Write for Splice<'_, W> {
    /// Adds bytes that the old archive does not have here.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.same_since = Since::Never;
        self.encode(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The last bytes of the new archive.
#[derive(Default)]
struct Window(Vec<u8>);

impl Window {
    /// [`WINDOW`].
    const SIZE: usize = 32 << 10;

    fn pass(&mut self, bytes: &[u8]) {
        let last = &bytes[bytes.len().saturating_sub(Self::SIZE)..];
        let old = self.0.len().min(Self::SIZE - last.len());
        self.0.drain(..self.0.len() - old);
        self.0.extend_from_slice(last);
    }

    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests;
