//! gzip files (RFC 1952), member by member and block by block.
#![expect(clippy::cast_possible_truncation, reason = "sums and sizes count modulo a power of two")]

use std::io::{self, BufRead, Read};

use crc32fast::Hasher;
use immut_inflate::{Inflate, Step};

use super::spans::{Scheme, Span, Spans};
use super::{broken, cut};

/// Decodes a gzip file and notes where it may be cut: between the blocks of its only member, or
/// between members.
pub(super) struct Decoder<R> {
    raw: Input<R>,
    inflate: Inflate,
    state: State,
    /// Bytes of the archive so far.
    size: u64,
    /// Sum of the current member's content, and where that begins in the archive.
    sum: Hasher,
    start: u64,
    /// Where the current member's header and its deflate stream begin in the blob.
    member: u64,
    body: u64,
    blocks: Blocks,
    members: Spans,
    /// How many have ended.
    count: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a member's header.
    Header,
    /// In its deflate stream, whose last block may have ended.
    Body { ended: bool },
    /// After the last member.
    End,
}

/// The blocks of the first member.
struct Blocks {
    spans: Spans,
    header: Vec<u8>,
    /// Where the current block begins, in bits of the blob and bytes of the archive.
    start: (u64, u64),
    last: u64,
}

impl<R: BufRead> Decoder<R> {
    pub(super) fn new(raw: R) -> Self {
        let spans = Spans::new(Scheme::Frames);
        let blocks = Blocks { spans, header: Vec::new(), start: (0, 0), last: 0 };
        Self {
            raw: Input { inner: raw, at: 0 },
            inflate: Inflate::new(),
            state: State::Header,
            size: 0,
            sum: Hasher::new(),
            start: 0,
            member: 0,
            body: 0,
            blocks,
            members: Spans::none(),
            count: 0,
        }
    }

    pub(super) fn finish(self) -> (Spans, R) {
        let Blocks { mut spans, header, last, .. } = self.blocks;
        let spans = if self.count == 1 {
            spans.scheme = Scheme::Blocks { header, last };
            spans
        } else {
            self.members
        };
        (spans.finish(), self.raw.inner)
    }

    /// A member's header, or the end of the file. What is neither is refused, as Go does it.
    fn header(&mut self) -> io::Result<State> {
        if self.count > 0 && self.raw.inner.fill_buf()?.is_empty() {
            return Ok(State::End);
        }
        self.member = self.raw.at;
        let header = header(&mut self.raw)?;
        self.body = self.raw.at;
        self.inflate.reset();
        (self.sum, self.start) = (Hasher::new(), self.size);
        if self.count == 0 {
            (self.blocks.header, self.blocks.start) = (header, (8 * self.body, self.size));
        }
        Ok(State::Body { ended: false })
    }

    /// Decodes a piece of the body; 0 where a block ends, or where more is to come.
    fn body(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let input = self.raw.inner.fill_buf()?;
        let (read, step) = self
            .inflate
            .step(input, buffer.len())
            .map_err(|broken| super::broken(format!("corrupt deflate stream: {broken}")))?;
        let mut written = 0;
        match step {
            Step::Bytes(bytes) => {
                written = bytes.len();
                buffer[..written].copy_from_slice(bytes);
                self.sum.update(bytes);
                self.size += written as u64;
            }
            Step::Block { bit, last } => {
                if self.count == 0 {
                    self.blocks.ended(8 * self.body + bit, self.size);
                }
                self.state = State::Body { ended: last };
            }
            Step::Starved if input.is_empty() => return Err(cut("the gzip stream ends too early")),
            Step::Starved => {}
        }
        self.raw.consume(read);
        Ok(written)
    }

    /// The sum and size after a member.
    fn trailer(&mut self) -> io::Result<State> {
        let mut trailer = [0; 8];
        self.raw.read_exact(&mut trailer)?;
        let [sum, size] = [&trailer[..4], &trailer[4..]];
        let found = std::mem::take(&mut self.sum).finalize();
        if sum != found.to_le_bytes() {
            return Err(broken("the gzip stream's checksum does not hold"));
        }
        if size != ((self.size - self.start) as u32).to_le_bytes() {
            return Err(broken("the gzip stream's size does not hold"));
        }
        let bits = 8 * self.member..8 * self.raw.at;
        self.count += 1;
        // An empty member holds something else, such as the footer of an eStargz layer.
        if self.size > self.start {
            self.members.push(Span { bits, raw: self.start..self.size });
        }
        Ok(State::Header)
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // To the end of the buffer, however many blocks that takes: they may have a byte each.
        let mut filled = 0;
        while filled < buffer.len() {
            match self.state {
                State::Header => self.state = self.header()?,
                State::Body { ended: true } => self.state = self.trailer()?,
                State::Body { ended: false } => filled += self.body(&mut buffer[filled..])?,
                State::End => break,
            }
        }
        Ok(filled)
    }
}

impl Blocks {
    /// A block has ended at a bit of the blob and a byte of the archive.
    fn ended(&mut self, bit: u64, byte: u64) {
        let (from, start) = self.start;
        self.spans.push(Span { bits: from..bit, raw: start..byte });
        (self.last, self.start) = (from, (bit, byte));
    }
}

/// Counts what was read.
struct Input<R> {
    inner: R,
    at: u64,
}

impl<R: BufRead> Input<R> {
    fn consume(&mut self, count: usize) {
        self.inner.consume(count);
        self.at += count as u64;
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            let input = self.inner.fill_buf()?;
            if input.is_empty() {
                return Err(cut("the gzip stream ends too early"));
            }
            let count = input.len().min(buffer.len() - filled);
            buffer[filled..filled + count].copy_from_slice(&input[..count]);
            self.consume(count);
            filled += count;
        }
        Ok(())
    }

    fn take(&mut self, header: &mut Vec<u8>, count: usize) -> io::Result<()> {
        let start = header.len();
        header.resize(start + count, 0);
        self.read_exact(&mut header[start..])
    }
}

/// The most bytes of a name or comment in a header.
const MAX_TEXT: usize = 64 << 10;

/// A member's header, byte for byte (RFC 1952, section 2.3).
fn header<R: BufRead>(raw: &mut Input<R>) -> io::Result<Vec<u8>> {
    const FHCRC: u8 = 2;
    const FEXTRA: u8 = 4;
    const FNAME: u8 = 8;
    const FCOMMENT: u8 = 16;
    let mut header = Vec::new();
    raw.take(&mut header, 10)?;
    if header[..3] != [0x1f, 0x8b, 8] {
        return Err(broken("invalid gzip header"));
    }
    let flags = header[3];
    if flags & 0xe0 != 0 {
        return Err(broken("invalid gzip header: reserved flags are set"));
    }
    if flags & FEXTRA != 0 {
        raw.take(&mut header, 2)?;
        let extra = u16::from_le_bytes([header[10], header[11]]);
        raw.take(&mut header, extra.into())?;
    }
    for text in [FNAME, FCOMMENT] {
        if flags & text == 0 {
            continue;
        }
        let start = header.len();
        loop {
            raw.take(&mut header, 1)?;
            if header.ends_with(&[0]) {
                break;
            }
            if header.len() - start > MAX_TEXT {
                return Err(broken("invalid gzip header: a text has more than 64 KiB"));
            }
        }
    }
    if flags & FHCRC != 0 {
        let sum = crc32fast::hash(&header) as u16;
        let mut listed = [0; 2];
        raw.read_exact(&mut listed)?;
        if listed != sum.to_le_bytes() {
            return Err(broken("invalid gzip header: its checksum does not hold"));
        }
        header.extend(listed);
    }
    Ok(header)
}
