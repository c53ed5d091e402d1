//! A streaming decoder for raw DEFLATE (RFC 1951) that says at which bit each block ends.
//!
//! A block can be copied into another stream if it is known where it lies, to the bit. That is what
//! this decoder is for: it hands out a stream's bytes, and between them the end of each block.
//!
//! ```
//! use immut_inflate::{Inflate, Step};
//!
//! // A stored block of two bytes, the last; then something else.
//! let input = [1, 2, 0, 0xfd, 0xff, b'h', b'i', 0x55];
//! let (mut at, mut output) = (0, Vec::new());
//! let mut inflate = Inflate::new();
//! loop {
//!     let (consumed, step) = inflate.step(&input[at..], 4096)?;
//!     at += consumed;
//!     match step {
//!         Step::Bytes(bytes) => output.extend_from_slice(bytes),
//!         Step::Block { bit, last: true } => break assert_eq!(bit, 56),
//!         Step::Block { .. } => {}
//!         Step::Starved => panic!("cut short"),
//!     }
//! }
//! assert_eq!((&output[..], at), (&b"hi"[..], 7));
//! # Ok::<(), immut_inflate::Broken>(())
//! ```
//!
//! What is valid, and what is decoded before an error, is as in zlib. The one difference: if all
//! code length codes are unused, that is an error at once, not only at what must follow from it.
#![forbid(unsafe_code)]
#![expect(clippy::cast_possible_truncation, reason = "fields are cut out of words all the time")]
#![expect(clippy::inline_always, reason = "a call in the inner loop costs more than what it does")]

mod bits;
mod broken;
mod compressed;
mod header;
mod table;

pub use broken::Broken;

use bits::Bits;
use header::Header;
use table::Tables;

/// Decodes one raw deflate stream, piece by piece.
///
/// Takes about 310 KiB, whatever the stream.
pub struct Inflate {
    /// History, then output: what is before `out` was decoded, what is before `ready` handed out.
    buffer: Box<[u8; SIZE]>,
    ready: usize,
    out: usize,
    bits: Bits,
    /// Bytes of input consumed.
    consumed: u64,
    state: State,
    /// Whether the current block is the last.
    last: bool,
    /// Whether the tables are those of the fixed codes.
    fixed: bool,
    tables: Box<Tables>,
    header: Header,
}

/// What came of a [step](Inflate::step).
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Decoded bytes, in order and never none.
    Bytes(&'a [u8]),
    /// A block has ended, and all its bytes were handed out.
    Block {
        /// Where it ended, in bits from the start of the stream (RFC 1951, 3.1.1). The next block
        /// begins there.
        bit: u64,
        /// Whether it was the last. If so, all further steps say the same again and consume
        /// nothing; the stream took `bit.div_ceil(8)` bytes, as many as were consumed.
        last: bool,
    },
    /// All input was consumed, and it takes more to go on. If there is no more, the stream was cut.
    Starved,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Before a block.
    Start,
    /// Before the lengths of a stored block.
    StoredLength,
    /// In a stored block with so many bytes to come.
    Stored(usize),
    /// In the header of a block with codes of its own.
    Header,
    /// In compressed data.
    Compressed,
    /// After a block.
    End,
    Broken(Broken),
}

impl Inflate {
    /// A decoder at the start of a stream.
    pub fn new() -> Self {
        Self {
            buffer: zeroed(),
            ready: 0,
            out: 0,
            bits: Bits::default(),
            consumed: 0,
            state: State::Start,
            last: false,
            fixed: false,
            tables: Box::new(Tables::new()),
            header: Header::default(),
        }
    }

    /// Gets ready for another stream.
    pub fn reset(&mut self) {
        (self.ready, self.out) = (0, 0);
        (self.bits, self.consumed) = (Bits::default(), 0);
        (self.state, self.last) = (State::Start, false);
    }

    /// Goes on with `input`, which is all or part of what was not consumed yet. Returns how many
    /// bytes of it were consumed, and what came of it: no more than `most` bytes, which is not 0.
    ///
    /// # Errors
    ///
    /// When the stream is invalid, after all that could be decoded before was handed out. All
    /// further steps fail likewise.
    pub fn step(&mut self, input: &[u8], most: usize) -> Result<(usize, Step<'_>), Broken> {
        let mut at = 0;
        let starved = self.run(input, &mut at).unwrap_or_else(|broken| {
            self.state = State::Broken(broken);
            false
        });
        if !starved {
            // What was held before this step did not suffice to go on, so when a block ends none
            // of it is left, and whole bytes that are left are of this input.
            at -= self.bits.give_back(at);
        }
        self.consumed += at as u64;
        if self.ready < self.out {
            let bytes = &self.buffer[self.ready..self.out];
            let bytes = &bytes[..bytes.len().min(most)];
            self.ready += bytes.len();
            return Ok((at, Step::Bytes(bytes)));
        }
        let step = match self.state {
            State::Broken(broken) => return Err(broken),
            State::End => {
                if !self.last {
                    self.state = State::Start;
                }
                let bit = 8 * self.consumed - u64::from(self.bits.held);
                Step::Block { bit, last: self.last }
            }
            _ => Step::Starved,
        };
        Ok((at, step))
    }

    /// Decodes from `input[*at..]` until the input or the room is used up or a block ends; whether
    /// it was the input. What was read ahead is in `bits`.
    fn run(&mut self, input: &[u8], at: &mut usize) -> Result<bool, Broken> {
        loop {
            if self.out > LIMIT {
                if self.ready < self.out {
                    return Ok(false);
                }
                self.buffer.copy_within(self.out - WINDOW..self.out, 0);
                (self.ready, self.out) = (WINDOW, WINDOW);
            }
            self.bits.refill(input, at);
            let fed = match self.state {
                State::Broken(broken) => return Err(broken),
                State::End => return Ok(false),
                State::Start => self.start()?,
                State::StoredLength => self.stored_length()?,
                State::Stored(left) => self.stored(left, input, at),
                State::Header => self.header()?,
                State::Compressed => self.compressed(input, at)?,
            };
            if !fed {
                return Ok(true);
            }
        }
    }

    /// The start of a block (3.2.3); like the functions below, whether there was enough input.
    fn start(&mut self) -> Result<bool, Broken> {
        let Some(start) = self.bits.take(3) else { return Ok(false) };
        self.last = start & 1 == 1;
        self.state = match start >> 1 {
            0 => {
                self.bits.take(self.bits.held % 8);
                State::StoredLength
            }
            1 => {
                if !self.fixed {
                    self.tables.set(&header::FIXED, 288)?;
                    self.fixed = true;
                }
                State::Compressed
            }
            2 => {
                self.header = Header::default();
                State::Header
            }
            _ => return Err(Broken::BlockType),
        };
        Ok(true)
    }

    /// The lengths of a stored block (3.2.4).
    fn stored_length(&mut self) -> Result<bool, Broken> {
        let Some(lengths) = self.bits.take(32) else { return Ok(false) };
        if lengths & 0xffff != !lengths >> 16 {
            return Err(Broken::StoredLength);
        }
        self.state = State::Stored((lengths & 0xffff) as usize);
        Ok(true)
    }

    /// The bytes of a stored block, of which `left` are to come.
    fn stored(&mut self, mut left: usize, input: &[u8], at: &mut usize) -> bool {
        while left > 0
            && let Some(byte) = self.bits.take(8)
        {
            self.buffer[self.out] = byte as u8;
            self.out += 1;
            left -= 1;
        }
        let rest = &input[*at..];
        let count = left.min(rest.len()).min(SIZE - self.out);
        self.buffer[self.out..][..count].copy_from_slice(&rest[..count]);
        self.out += count;
        *at += count;
        left -= count;
        self.state = if left == 0 { State::End } else { State::Stored(left) };
        left == 0 || self.out > LIMIT
    }

    /// The header of a block with codes of its own, or a part of it.
    fn header(&mut self) -> Result<bool, Broken> {
        let fed = self.header.read(&mut self.bits)?;
        if let Some((lengths, litlen)) = self.header.lengths() {
            self.fixed = false;
            self.tables.set(lengths, litlen)?;
            self.state = State::Compressed;
        }
        Ok(fed)
    }
}

impl Default for Inflate {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Inflate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { state, consumed, .. } = self;
        f.debug_struct("Inflate")
            .field("state", state)
            .field("consumed", consumed)
            .finish_non_exhaustive()
    }
}

/// Made on the heap, for the stack may be too small.
fn zeroed() -> Box<[u8; SIZE]> {
    vec![0; SIZE].try_into().expect("as long as made")
}

/// How far back a match can reach, in bytes (RFC 1951, 2).
const WINDOW: usize = 32 << 10;
/// Bytes of history and of room for output together.
const SIZE: usize = WINDOW + (256 << 10);
/// Up to where one more round of the decoder is sure to have room: for two literals, the longest
/// match (258 bytes), and what copying it in chunks writes beyond.
const LIMIT: usize = SIZE - 640;
