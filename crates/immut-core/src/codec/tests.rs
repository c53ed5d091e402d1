//! The decoders against encoders that others wrote, and against blobs made to harm.
#![expect(clippy::cast_possible_truncation, reason = "what tests make fits in memory")]

use std::io::{BufReader, Write as _};

use immut_testkit::encoders::{Block, Body, Encoder, Header, Shape, Stream, encoders, gzip};
use immut_testkit::recipe::Encoding;
use proptest::prelude::*;

use super::*;

/// What a blob decodes to, and where it may be cut; read in pieces of that size.
fn decode(compression: Compression, blob: &[u8], piece: usize) -> io::Result<(Vec<u8>, Spans)> {
    let raw = BufReader::with_capacity(piece, blob);
    let mut decoder = Decoder::new(compression, raw, 25)?;
    let (mut found, mut buffer) = (Vec::new(), vec![0; piece]);
    loop {
        let count = decoder.read(&mut buffer)?;
        if count == 0 {
            return Ok((found, decoder.finish().0));
        }
        found.extend_from_slice(&buffer[..count]);
    }
}

fn compression_of(encoder: &Encoder) -> Compression {
    match encoder.encoding() {
        Encoding::Zstd => Compression::Zstd,
        _ => Compression::Gzip,
    }
}

/// Bytes of the kind that archives have: text, noise and zeros.
fn content(size: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let byte = |at: usize| match at / 15_000 % 3 {
        0 => next(),
        1 => next() & 3,
        _ => 0,
    };
    (0..size).map(byte).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(80) })]
    #[test]
    fn spans_are_pieces_of_the_archive(
        encoder in encoders(), size in 0..300_000_usize, piece in 1..3000_usize,
    ) {
        let tar = content(size);
        let blob = encoder.encode(&tar).expect("no program is needed");
        let compression = compression_of(&encoder);
        let (found, spans) = decode(compression, &blob, 64 << 10).expect("it decodes");
        prop_assert!(found == tar);
        let (again, same) = decode(compression, &blob, piece).expect("it decodes");
        prop_assert!(again == tar);
        prop_assert_eq!(&same, &spans, "spans depend on how the blob is read");
        let list = spans.list();
        let tiled = list.windows(2).all(|two| two[0].raw.end == two[1].raw.start);
        let all = list.first().is_none_or(|first| first.raw.start == 0)
            && list.last().map_or(0, |last| last.raw.end) == tar.len() as u64;
        prop_assert!(tiled && all, "spans leave something out: {:?}", list);
        match &spans.scheme {
            Scheme::Frames => {
                for span in list {
                    let bytes = span.bits.start as usize / 8..span.bits.end as usize / 8;
                    let (alone, _) = decode(compression, &blob[bytes], 9000).expect("it stands alone");
                    let part = &tar[span.raw.start as usize..span.raw.end as usize];
                    prop_assert!(alone == part);
                }
            }
            Scheme::Blocks { header, last } => {
                prop_assert!(blob.starts_with(header));
                prop_assert_eq!(list[0].bits.start, 8 * header.len() as u64);
                prop_assert!(list.windows(2).all(|two| two[0].bits.end == two[1].bits.start));
                let end = list[list.len() - 1].bits.end;
                prop_assert_eq!(end.div_ceil(8), blob.len() as u64 - 8);
                prop_assert!(*last < end && blob[*last as usize / 8] >> (last % 8) & 1 == 1);
            }
        }
    }

    #[test]
    fn what_is_cut_or_follows_is_refused(
        encoder in encoders(), size in 0..50_000_usize, at in any::<prop::sample::Index>(),
    ) {
        let tar = content(size);
        let mut blob = encoder.encode(&tar).expect("no program is needed");
        let compression = compression_of(&encoder);
        let whole = blob.len();
        let cut = &blob[..at.index(whole.max(1))];
        match decode(compression, cut, 4096) {
            // Between members or frames, a part of the archive: its digest is not the listed one.
            Ok((found, _)) => prop_assert!(tar.starts_with(&found) && found.len() <= tar.len()),
            Err(error) => prop_assert!(matches!(
                error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
            )),
        }
        blob.extend(b"garbage that is neither");
        prop_assert!(decode(compression, &blob, 4096).is_err());
    }
}

/// Deflate streams that no decoder may accept.
#[test]
fn broken_streams_are_refused() {
    let tar = content(5000);
    let member = |stream: &[u8]| gzip(&Header::default(), stream, &tar);
    let mut early = Stream::new(&tar);
    early.block(Block { shape: Shape::Fixed, length: 5000, last: true });
    early.block(Block { shape: Shape::Fixed, length: 0, last: true });
    let mut never = Stream::new(&tar);
    never.block(Block { shape: Shape::Dynamic, length: 5000, last: false });
    let good = Body::Level(6).encode(&tar);
    let mut wrong_sum = member(&good);
    let sum = wrong_sum.len() - 8;
    wrong_sum[sum] ^= 1;
    let mut wrong_size = member(&good);
    *wrong_size.last_mut().expect("bytes") ^= 1;
    let mut wrong_header = gzip(&Header { sum: true, ..Header::default() }, &good, &tar);
    wrong_header[10] ^= 1;
    let mut reserved = member(&good);
    reserved[3] |= 0x20;
    let endless = Header { name: Some("n".repeat(70_000)), ..Header::default() };
    // Fixed codes: length 3 at distance 1, before there is a byte.
    let too_far = [0b0000_0011, 0b0000_0010, 0, 0];
    for (what, blob) in [
        ("blocks after the last", member(&early.finish())),
        ("no last block", member(&never.finish())),
        ("a wrong sum", wrong_sum),
        ("a wrong size", wrong_size),
        ("a wrong sum of the header", wrong_header),
        ("reserved flags", reserved),
        ("a name of 70,000 bytes", gzip(&endless, &good, &tar)),
        ("a distance that is too far", member(&too_far)),
        ("a block of type 3", member(&[0b111, 0, 0])),
        ("zeros after the end", [member(&good), vec![0; 512]].concat()),
        ("no stream", Vec::new()),
    ] {
        assert!(decode(Compression::Gzip, &blob, 4096).is_err(), "{what} is accepted");
    }
    assert_eq!(decode(Compression::Gzip, &member(&good), 1).expect("it decodes").0, tar);
}

/// Members and frames that do not touch each other, more than the table holds several times over.
#[test]
fn crowds_of_members_and_frames_leave_a_small_table() {
    let one = gzip(&Header::default(), &Body::Level(1).encode(b"x"), b"x");
    let none = gzip(&Header::default(), &Body::Level(1).encode(b""), b"");
    let frame = ::zstd::encode_all(&b"x"[..], 1).expect("a frame");
    let skipped = b"\x50\x2a\x4d\x18\0\0\0\0";
    for (compression, both) in [
        (Compression::Gzip, [&one[..], &none[..]].concat()),
        (Compression::Zstd, [&frame[..], &skipped[..]].concat()),
    ] {
        let count = 400_000;
        let (found, spans) = decode(compression, &both.repeat(count), 64 << 10).expect("decoded");
        assert_eq!(found.len(), count);
        assert!(spans.list().len() <= 128 << 10, "{}", spans.list().len());
    }
}

/// 64 MiB of zeros in one block, and hundreds of thousands of blocks of ten bits.
#[test]
fn huge_and_tiny_blocks_are_decoded() {
    let zeros = vec![0; 64 << 20];
    let mut stream = Stream::new(&zeros);
    stream.block(Block { shape: Shape::Fixed, length: zeros.len(), last: true });
    let blob = gzip(&Header::default(), &stream.finish(), &zeros);
    let (found, spans) = decode(Compression::Gzip, &blob, 64 << 10).expect("decoded");
    assert!(found == zeros);
    assert_eq!(spans.list().len(), 1);
    let tar = content(1000);
    let mut stream = Stream::new(&tar);
    (0..300_000).for_each(|_| stream.block(Block { shape: Shape::Fixed, length: 0, last: false }));
    stream.block(Block { shape: Shape::Fixed, length: 1000, last: true });
    let blob = gzip(&Header::default(), &stream.finish(), &tar);
    let (found, spans) = decode(Compression::Gzip, &blob, 64 << 10).expect("decoded");
    assert!(found == tar);
    assert!(spans.list().len() <= 2 && spans.list()[0].raw.start == 0);
}

/// Whoever reads clears a buffer for each read: blocks and frames of a byte must not cost one each.
#[test]
fn reads_are_full_however_small_blocks_and_frames_are() {
    let tar = content(100_000);
    let blocks = Encoder::Gzip(Header::default(), Body::Symbols(1));
    let members = Encoder::Members { level: 6, piece: 1, footer: false };
    let frames = Encoder::Zstd { piece: 1, checksum: false, skippable: false };
    for encoder in [blocks, members, frames] {
        let blob = encoder.encode(&tar).expect("no program is needed");
        let raw = BufReader::new(&blob[..]);
        let mut decoder = Decoder::new(compression_of(&encoder), raw, 25).expect("a decoder");
        let mut buffer = vec![0; 64 << 10];
        assert_eq!(decoder.read(&mut buffer).expect("read"), buffer.len(), "{encoder:?}");
        assert_eq!(decoder.read(&mut buffer).expect("read"), tar.len() - buffer.len());
        assert_eq!(decoder.read(&mut buffer).expect("read"), 0);
    }
}

/// A frame that claims to hold 4 GiB to be skipped, and a window that is larger than is accepted.
#[test]
fn zstd_frames_made_to_harm_are_refused() {
    let mut skipped = b"\x50\x2a\x4d\x18\xff\xff\xff\xff".to_vec();
    skipped.resize(1 << 20, 0);
    let error = decode(Compression::Zstd, &skipped, 4096).expect_err("it is cut");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    let mut wide = ::zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
    wide.window_log(27).expect("a window");
    wide.include_contentsize(false).expect("set");
    wide.write_all(&content(100_000)).expect("written");
    let blob = wide.finish().expect("a frame");
    assert!(decode(Compression::Zstd, &blob, 4096).is_err(), "a window of 128 MiB is accepted");
}
