//! Streams as zlib-rs makes them.

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Method, Status, Strategy};

use crate::random::Random;

/// Bytes of which some compress well and some do not.
pub(crate) fn content(random: &mut Random, size: usize) -> Vec<u8> {
    let mut content = Vec::new();
    while content.len() < size {
        let count = 1 + random.below_power(12);
        let byte = random.byte();
        match random.below(6) {
            0 => content.extend((0..count).map(|_| random.byte())),
            1 => content.extend(std::iter::repeat_n(byte, count)),
            2 if !content.is_empty() => {
                let back = 1 + random.below_power(16).min(content.len() - 1);
                let start = content.len() - back;
                (start..start + count).for_each(|from| content.push(content[from]));
            }
            3 => {
                let period = 1 + random.below(20);
                content.extend((0..count).map(|index| byte.wrapping_add((index % period) as u8)));
            }
            _ => content.extend((0..count).map(|_| {
                let rare = random.below(14).min(random.below(14));
                b"etaoin shrdlu\n"[rare]
            })),
        }
    }
    content.truncate(size);
    content
}

/// Compresses `content`, with a flush of some kind now and then.
pub(crate) fn compress(
    random: &mut Random,
    content: &[u8],
    level: i32,
    strategy: Strategy,
) -> Vec<u8> {
    const FLUSHES: [DeflateFlush; 5] = [
        DeflateFlush::NoFlush,
        DeflateFlush::PartialFlush,
        DeflateFlush::SyncFlush,
        DeflateFlush::FullFlush,
        DeflateFlush::Block,
    ];
    let mem_level = [1, 2, 3, 4, 5, 6, 7, 8, 9][random.below(9)];
    let method = Method::Deflated;
    let config = DeflateConfig { level, method, window_bits: -15, mem_level, strategy };
    let mut deflate = Deflate::new_with_config(config);
    let mut stream = vec![0; 16 * content.len() + 1024];
    let pieces = content.chunks(1 + random.below_power(15));
    for (piece, flush) in pieces
        .map(|piece| (piece, FLUSHES[random.below(5)]))
        .chain([(&[][..], DeflateFlush::Finish)])
    {
        let room = &mut stream[deflate.total_out() as usize..];
        let status = deflate.compress(piece, room, flush).expect("compresses");
        assert_eq!(status == Status::StreamEnd, flush == DeflateFlush::Finish);
    }
    assert_eq!(deflate.total_in(), content.len() as u64);
    stream.truncate(deflate.total_out() as usize);
    stream
}
