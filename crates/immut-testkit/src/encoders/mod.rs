//! Compressed blobs as other programs make them: zlib's levels and strategies, pigz, Go, libdeflate,
//! eStargz, zstd with one frame or many; and deflate streams of any blocks, which no program would
//! write.
#![expect(
    clippy::cast_possible_truncation,
    reason = "bits and sizes are cut as the formats have it"
)]

mod deflate;
mod programs;

use std::io::{Read, Write as _};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use proptest::collection::vec;
use proptest::prelude::*;

pub use deflate::{Block, Shape, Stream};
pub use programs::{Program, accepted};

use crate::recipe::Encoding;

/// How a blob is made.
#[derive(Debug, Clone)]
pub enum Encoder {
    /// gzip with one member.
    Gzip(Header, Body),
    /// gzip with a member for each piece of so many bytes, and an empty one at the end, as eStargz.
    Members {
        /// zlib's level.
        level: u32,
        /// Bytes of archive in each.
        piece: usize,
        /// Whether an empty one follows.
        footer: bool,
    },
    /// zstd with a frame for each piece of so many bytes.
    Zstd {
        /// Bytes of archive in each.
        piece: usize,
        /// Whether frames have a sum.
        checksum: bool,
        /// Whether a skippable frame follows each.
        skippable: bool,
    },
    /// What a program makes.
    Program(Program),
}

/// A gzip member's deflate stream.
#[derive(Debug, Clone)]
pub enum Body {
    /// zlib's level, from 0.
    Level(u32),
    /// The same, with a flush after each of those lengths, over and over.
    Flushed(u32, Vec<(usize, Flush)>),
    /// libdeflate's level, from 0 to 12.
    Libdeflate(u32),
    /// Blocks of those shapes and lengths of archive, over and over, and an empty one at the end.
    Blocks(Vec<(Shape, usize)>, Option<Shape>),
    /// Blocks of so many symbols, and an empty stored one at the end, as Go's `compress/flate`.
    Symbols(usize),
}

/// zlib's flushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// Ends the block, at any bit.
    Partial,
    /// Goes on at a byte's border.
    Sync,
    /// Refers to nothing that was before.
    Full,
}

/// What a gzip header has beside the ten bytes that all have (RFC 1952, section 2.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// Any bytes.
    pub extra: Option<Vec<u8>>,
    /// The file's name.
    pub name: Option<String>,
    /// For people.
    pub comment: Option<String>,
    /// Whether it has a sum of its own.
    pub sum: bool,
}

impl Encoder {
    /// The blob for an archive; none if the program that makes it is missing.
    pub fn encode(&self, tar: &[u8]) -> Option<Vec<u8>> {
        Some(match self {
            Self::Gzip(header, body) => gzip(header, &body.encode(tar), tar),
            Self::Members { level, piece, footer } => {
                let member =
                    |piece| gzip(&Header::default(), &Body::Level(*level).encode(piece), piece);
                let footer = footer.then_some(&b""[..]);
                tar.chunks(*piece).chain(footer).flat_map(member).collect()
            }
            Self::Zstd { piece, checksum, skippable } => {
                let between: &[u8] = if *skippable { SKIPPABLE } else { b"" };
                let frame = |piece| [&frame(piece, *checksum)[..], between].concat();
                tar.chunks(*piece).flat_map(frame).collect()
            }
            Self::Program(program) => return program.encode(tar),
        })
    }

    /// What the media type of such a blob says.
    pub fn encoding(&self) -> Encoding {
        if matches!(self, Self::Zstd { .. }) { Encoding::Zstd } else { Encoding::Gzip }
    }
}

impl Body {
    /// The deflate stream of an archive.
    pub fn encode(&self, tar: &[u8]) -> Vec<u8> {
        match self {
            Self::Level(level) => zlib(*level, &[(tar, FlushCompress::Finish)]),
            Self::Flushed(level, lengths) => zlib(*level, &pieces(tar, lengths)),
            Self::Libdeflate(level) => {
                let level = libdeflater::CompressionLvl::new(level.cast_signed()).unwrap();
                let mut compressor = libdeflater::Compressor::new(level);
                let mut out = vec![0; compressor.deflate_compress_bound(tar.len())];
                let size = compressor.deflate_compress(tar, &mut out).unwrap();
                out.truncate(size);
                out
            }
            Self::Blocks(shapes, end) => {
                let mut stream = Stream::new(tar);
                for (shape, length) in shapes.iter().cycle() {
                    if stream.left() <= *length && end.is_none() {
                        break;
                    }
                    stream.block(Block { shape: *shape, length: *length, last: false });
                    if stream.left() == 0 {
                        break;
                    }
                }
                let (shape, length) = (end.unwrap_or(Shape::Dynamic), stream.left());
                stream.block(Block { shape, length, last: true });
                stream.finish()
            }
            Self::Symbols(count) => {
                let mut stream = Stream::new(tar);
                while stream.left() > 0 {
                    stream.symbols(*count);
                }
                stream.block(Block { shape: Shape::Stored, length: 0, last: true });
                stream.finish()
            }
        }
    }
}

impl Header {
    fn to_bytes(&self) -> Vec<u8> {
        let text = |text: &Option<String>| {
            text.iter().flat_map(|text| [text.as_bytes(), b"\0"].concat()).collect::<Vec<u8>>()
        };
        let flags = u8::from(self.sum) << 1
            | u8::from(self.extra.is_some()) << 2
            | u8::from(self.name.is_some()) << 3
            | u8::from(self.comment.is_some()) << 4;
        let mut bytes = vec![0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 0, 3];
        if let Some(extra) = &self.extra {
            bytes.extend(u16::try_from(extra.len()).unwrap().to_le_bytes());
            bytes.extend(extra);
        }
        bytes.extend(text(&self.name));
        bytes.extend(text(&self.comment));
        if self.sum {
            bytes.extend(&sum_of(&bytes).to_le_bytes()[..2]);
        }
        bytes
    }
}

/// A gzip member: header, deflate stream, sum and size of what it holds.
pub fn gzip(header: &Header, stream: &[u8], content: &[u8]) -> Vec<u8> {
    let size = (content.len() as u32).to_le_bytes();
    [&header.to_bytes()[..], stream, &sum_of(content).to_le_bytes(), &size].concat()
}

/// The gzip file that has the same deflate stream, with the sum and size of what is in it, so that
/// damage is not noticed by them; and what is in it. None if that is no deflate stream, or of more
/// than `most` bytes.
pub fn repaired(blob: &[u8], most: usize) -> Option<(Vec<u8>, Vec<u8>)> {
    let stream = blob.get(10..)?;
    let mut inflate = flate2::Decompress::new(false);
    let mut content = Vec::with_capacity(most);
    let all = flate2::FlushDecompress::Finish;
    let status = inflate.decompress_vec(stream, &mut content, all).ok()?;
    let read = inflate.total_in() as usize;
    let whole = status == Status::StreamEnd;
    whole.then(|| (gzip(&Header::default(), &stream[..read], &content), content))
}

/// What flate2 or zstd read in a blob; none if they refuse it, or it holds more than `most` bytes.
pub fn decoded(blob: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    let reader: Box<dyn Read> = if blob.starts_with(b"\x28\xb5\x2f\xfd") {
        Box::new(zstd::Decoder::new(blob).ok()?)
    } else {
        Box::new(flate2::read::MultiGzDecoder::new(blob))
    };
    reader.take(most as u64 + 1).read_to_end(&mut content).ok()?;
    (content.len() <= most).then_some(content)
}

fn sum_of(bytes: &[u8]) -> u32 {
    let mut sum = Crc::new();
    sum.update(bytes);
    sum.sum()
}

fn frame(bytes: &[u8], checksum: bool) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(checksum).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const SKIPPABLE: &[u8] = b"\x5f\x2a\x4d\x18\x05\0\0\0table";

type Piece<'a> = (&'a [u8], FlushCompress);

fn pieces<'a>(mut tar: &'a [u8], lengths: &[(usize, Flush)]) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    for (length, flush) in lengths.iter().cycle() {
        if tar.len() <= *length {
            break;
        }
        let flush = match flush {
            Flush::Partial => FlushCompress::Partial,
            Flush::Sync => FlushCompress::Sync,
            Flush::Full => FlushCompress::Full,
        };
        pieces.push((&tar[..*length], flush));
        tar = &tar[*length..];
    }
    pieces.push((tar, FlushCompress::Finish));
    pieces
}

fn zlib(level: u32, pieces: &[Piece<'_>]) -> Vec<u8> {
    let mut zlib = Compress::new(Compression::new(level), false);
    let mut out = Vec::new();
    for (piece, flush) in pieces {
        let start = zlib.total_in();
        loop {
            let rest = &piece[(zlib.total_in() - start) as usize..];
            out.reserve(rest.len() / 2 + 1024);
            let status = zlib.compress_vec(rest, &mut out, *flush).unwrap();
            let all = zlib.total_in() - start == piece.len() as u64;
            let room = out.len() < out.capacity();
            let ended = status == Status::StreamEnd;
            if ended || (all && room && !matches!(flush, FlushCompress::Finish)) {
                break;
            }
        }
    }
    out
}

/// All encoders that need no program.
pub fn encoders() -> impl Strategy<Value = Encoder> {
    let piece = prop_oneof![1_000..9_000_usize, 20_000..200_000_usize];
    let zstd = (piece.clone(), any::<bool>(), any::<bool>())
        .prop_map(|(piece, checksum, skippable)| Encoder::Zstd { piece, checksum, skippable });
    let members = (0..=9_u32, piece, any::<bool>())
        .prop_map(|(level, piece, footer)| Encoder::Members { level, piece, footer });
    prop_oneof![
        8 => (headers(), bodies()).prop_map(|(header, body)| Encoder::Gzip(header, body)),
        1 => members,
        1 => zstd,
    ]
}

/// Deflate streams.
pub fn bodies() -> impl Strategy<Value = Body> {
    let flush = prop::sample::select(vec![Flush::Partial, Flush::Sync, Flush::Full]);
    let shape = prop::sample::select(vec![Shape::Stored, Shape::Fixed, Shape::Dynamic]);
    let length = prop_oneof![1 => Just(0), 2 => 1..2_000_usize, 3 => 2_000..80_000_usize];
    let some = |shapes: &Vec<(Shape, usize)>| shapes.iter().any(|(_, length)| *length > 0);
    let shapes = vec((shape.clone(), length), 1..12).prop_filter("it ends", some);
    prop_oneof![
        3 => (0..=9_u32).prop_map(Body::Level),
        2 => (0..=9_u32, vec((1..60_000_usize, flush), 1..4))
            .prop_map(|(level, lengths)| Body::Flushed(level, lengths)),
        1 => (0..=12_u32).prop_map(Body::Libdeflate),
        4 => (shapes, proptest::option::of(shape)).prop_map(|(some, end)| Body::Blocks(some, end)),
        1 => prop_oneof![Just(16 << 10), 1..5_000_usize].prop_map(Body::Symbols),
    ]
}

fn headers() -> impl Strategy<Value = Header> {
    let text = || proptest::option::weighted(0.2, "[a-z]{0,300}");
    let extra = proptest::option::weighted(0.2, vec(any::<u8>(), 0..500));
    (extra, text(), text(), proptest::bool::weighted(0.2))
        .prop_map(|(extra, name, comment, sum)| Header { extra, name, comment, sum })
}

#[cfg(test)]
mod tests;
