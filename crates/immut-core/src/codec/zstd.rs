//! zstd files (RFC 8878), frame by frame.

use std::io::{self, BufRead, Read};

use zstd::stream::raw::{DParameter, Decoder as Frames, InBuffer, Operation, OutBuffer};

use super::cut;
use super::spans::{Span, Spans};

/// Decodes a zstd file and notes its frames. Skippable frames are none: they hold something else,
/// such as the table of contents of a zstd:chunked layer.
pub(super) struct Decoder<R> {
    raw: R,
    frames: Frames<'static>,
    /// Bytes of the blob and of the archive so far.
    at: (u64, u64),
    /// Where the current frame begins.
    start: (u64, u64),
    inside: bool,
    spans: Spans,
}

impl<R: BufRead> Decoder<R> {
    pub(super) fn new(raw: R, window_log: u32) -> io::Result<Self> {
        let mut frames = Frames::new()?;
        frames.set_parameter(DParameter::WindowLogMax(window_log))?;
        let (at, start) = ((0, 0), (0, 0));
        Ok(Self { raw, frames, at, start, inside: false, spans: Spans::none() })
    }

    pub(super) fn finish(self) -> (Spans, R) {
        (self.spans.finish(), self.raw)
    }

    fn frame_ended(&mut self) -> io::Result<()> {
        let (bits, raw) = (8 * self.start.0..8 * self.at.0, self.start.1..self.at.1);
        if !raw.is_empty() {
            self.spans.push(Span { bits, raw });
        }
        (self.start, self.inside) = (self.at, false);
        self.frames.reinit()
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // To the end of the buffer, however many frames that takes: they may have a byte each.
        let mut filled = 0;
        while filled < buffer.len() {
            let input = self.raw.fill_buf()?;
            let ended = input.is_empty();
            if ended && !self.inside {
                break;
            }
            let mut from = InBuffer::around(input);
            let mut to = OutBuffer::around(&mut buffer[filled..]);
            let hint = self.frames.run(&mut from, &mut to)?;
            let (read, written) = (from.pos(), to.pos());
            self.raw.consume(read);
            self.at = (self.at.0 + read as u64, self.at.1 + written as u64);
            filled += written;
            self.inside = true;
            if hint == 0 {
                self.frame_ended()?;
            } else if ended && written == 0 {
                return Err(cut("the zstd stream ends too early"));
            }
        }
        Ok(filled)
    }
}
