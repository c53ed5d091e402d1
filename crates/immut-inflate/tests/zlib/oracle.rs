//! What zlib-rs says of a stream, and whether the decoder says the same.

use immut_inflate::{Broken, Inflate, Step};
use zlib_rs::{InflateFlush, Status};

use crate::random::Random;
use crate::writer::Writer;

/// What came of a stream.
pub(crate) struct Decoded {
    pub(crate) bytes: Vec<u8>,
    /// Where each block ended: at which bit of the stream, after how many bytes.
    blocks: Vec<(u64, usize)>,
    pub(crate) end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// After the last block, when so many bytes were consumed.
    Last(usize),
    Starved,
    /// With zlib's message.
    Broken(&'static str),
}

/// What zlib says of what is broken.
pub(crate) const MESSAGES: [(Broken, &str); 11] = [
    (Broken::BlockType, "invalid block type"),
    (Broken::StoredLength, "invalid stored block lengths"),
    (Broken::TooManyCodes, "too many length or distance symbols"),
    (Broken::LengthCode, UNUSED),
    (Broken::Repeat, "invalid bit length repeat"),
    (Broken::NoEnd, NO_END),
    (Broken::LiteralCode, "invalid literal/lengths set"),
    (Broken::DistanceCode, "invalid distances set"),
    (Broken::Literal, "invalid literal/length code"),
    (Broken::Distance, "invalid distance code"),
    (Broken::TooFarBack, "invalid distance too far back"),
];
const UNUSED: &str = "invalid code lengths set";
const NO_END: &str = "invalid code -- missing end-of-block";
/// What zlib-rs says of any error that its fast loop finds.
const VAGUE: &str = "repeated call with bad state";

/// Bytes that follow each stream, so that zlib-rs never stops for want of input where a block ends:
/// it would not say then that one did.
const TAIL: [u8; 64] = [0; 64];

pub(crate) struct Oracle {
    zlib: zlib_rs::Inflate,
    room: Vec<u8>,
    inflate: Inflate,
    random: Random,
}

impl Oracle {
    pub(crate) fn new() -> Self {
        Self {
            zlib: zlib_rs::Inflate::new(false, 15),
            room: vec![0; 16 << 20],
            inflate: Inflate::new(),
            random: Random::new(0),
        }
    }

    /// Decodes `stream` with something behind it, given in pieces of these sizes, and compares all
    /// that can be seen of it with zlib-rs.
    pub(crate) fn compare(
        &mut self,
        stream: &[u8],
        piece: impl FnMut(&mut Random) -> usize,
    ) -> Decoded {
        let input = [stream, &TAIL].concat();
        self.compare_input(&input, piece)
    }

    /// The same for a stream with nothing behind it.
    pub(crate) fn compare_cut(&mut self, stream: &[u8]) -> Decoded {
        self.compare_input(stream, |_| usize::MAX)
    }

    fn compare_input(&mut self, input: &[u8], piece: impl FnMut(&mut Random) -> usize) -> Decoded {
        let decoded = self.decode(input, piece);
        let (stops, end) = self.zlib(input);
        let bytes = &self.room[..self.zlib.total_out() as usize];
        assert!(decoded.bytes == bytes, "{} bytes, not {}", decoded.bytes.len(), bytes.len());
        match (decoded.end, end) {
            // zlib takes a precode of which nothing is used, and finds no end of the block later.
            (End::Broken(UNUSED), End::Starved | End::Broken(NO_END))
            | (End::Broken(_), End::Broken(VAGUE)) => {}
            (ours, theirs) => assert_eq!(ours, theirs),
        }
        let blocks: Vec<_> = decoded.blocks.iter().map(|&(_, bytes)| bytes).collect();
        if end == End::Starved {
            assert!(blocks.starts_with(&stops), "{blocks:?}, not {stops:?}");
        } else {
            assert_eq!(blocks, stops);
        }
        if !decoded.blocks.is_empty() {
            let index = self.random.below(decoded.blocks.len());
            self.closes(input, &decoded, index);
        }
        decoded
    }

    /// Whether a block ends at the bit where it is said to end: if so the stream up to there can be
    /// closed with an empty block.
    fn closes(&mut self, input: &[u8], decoded: &Decoded, index: usize) {
        let start = index.checked_sub(1).map_or(0, |before| decoded.blocks[before].0);
        let (bit, bytes) = decoded.blocks[index];
        let mut writer = Writer::after(input, bit as usize);
        // The block becomes none of the last; one with fixed codes and only an end follows.
        writer.bytes[start as usize / 8] &= !(1 << (start % 8));
        writer.bits(0b011, 10);
        let closed = writer.bytes;
        let (_, end) = self.zlib(&closed);
        assert_eq!(end, End::Last(closed.len()), "closed at bit {bit}");
        assert!(self.room[..self.zlib.total_out() as usize] == decoded.bytes[..bytes]);
    }

    /// Decodes with zlib-rs into `room`: how many bytes came before each block's end, and the end.
    fn zlib(&mut self, input: &[u8]) -> (Vec<usize>, End) {
        let Self { zlib, room, .. } = self;
        let mut stops = Vec::new();
        zlib.reset(false);
        loop {
            let (read, written) = (zlib.total_in() as usize, zlib.total_out() as usize);
            assert!(written < room.len(), "there is room for all");
            match zlib.decompress(&input[read..], &mut room[written..], InflateFlush::Block) {
                Ok(Status::StreamEnd) => return (stops, End::Last(zlib.total_in() as usize)),
                Ok(Status::BufError) => return (stops, End::Starved),
                Ok(Status::Ok) if zlib.total_in() == input.len() as u64 => {}
                Ok(Status::Ok) => stops.push(zlib.total_out() as usize),
                Err(_) => return (stops, End::Broken(zlib.error_message().expect("a message"))),
            }
        }
    }

    fn decode(&mut self, input: &[u8], mut piece: impl FnMut(&mut Random) -> usize) -> Decoded {
        let inflate = &mut self.inflate;
        inflate.reset();
        let most = if self.random.one_in(4) { 1 + self.random.below_power(17) } else { usize::MAX };
        let (mut bytes, mut blocks) = (Vec::new(), Vec::new());
        let (mut at, mut given) = (0_usize, 0);
        let end = loop {
            given = at.saturating_add(piece(&mut self.random)).max(given).min(input.len());
            match inflate.step(&input[at..given], most) {
                Ok((consumed, step)) => {
                    at += consumed;
                    match step {
                        Step::Bytes(more) => {
                            assert!((1..=most).contains(&more.len()));
                            bytes.extend_from_slice(more);
                        }
                        Step::Block { bit, last } => {
                            assert_eq!(bit.div_ceil(8), at as u64);
                            blocks.push((bit, bytes.len()));
                            if last {
                                let again = inflate.step(&input[at..], most);
                                assert_eq!(again, Ok((0, Step::Block { bit, last })));
                                break End::Last(at);
                            }
                        }
                        Step::Starved => {
                            assert_eq!(at, given, "all is consumed before there is a want of more");
                            if at == input.len() {
                                break End::Starved;
                            }
                        }
                    }
                }
                Err(broken) => {
                    assert_eq!(inflate.step(&input[at..], most), Err(broken));
                    let (_, message) =
                        MESSAGES.iter().find(|(known, _)| *known == broken).expect("a message");
                    break End::Broken(message);
                }
            }
        };
        Decoded { bytes, blocks, end }
    }
}
