//! The decoder against zlib-rs: bytes, ends of blocks, errors, and what is consumed.
//!
//! All cases are made from fixed seeds. `IMMUT_INFLATE_CASES=20` tries twenty times as many.
#![expect(clippy::cast_possible_truncation, reason = "the numbers here are small")]

mod codes;
mod oracle;
mod random;
mod streams;
mod writer;

use std::collections::BTreeSet;

use oracle::{End, Oracle};
use random::Random;
use zlib_rs::Strategy;

const STRATEGIES: [Strategy; 5] =
    [Strategy::Default, Strategy::Filtered, Strategy::HuffmanOnly, Strategy::Rle, Strategy::Fixed];

/// Stored, by the fast way, by the usual one, without matches and with fixed codes.
const FEW: [(i32, Strategy); 5] = [
    (0, Strategy::Default),
    (1, Strategy::Default),
    (6, Strategy::Default),
    (6, Strategy::HuffmanOnly),
    (6, Strategy::Fixed),
];

/// How many times as many cases are tried as usual.
fn cases() -> u64 {
    std::env::var("IMMUT_INFLATE_CASES").map_or(1, |cases| cases.parse().expect("a number"))
}

#[test]
fn streams_of_all_levels_and_strategies_decode_in_pieces_of_any_size() {
    let mut oracle = Oracle::new();
    for seed in 0..2 * cases() {
        let mut random = Random::new(seed);
        for (level, strategy) in (0..10).flat_map(|level| STRATEGIES.map(|it| (level, it))) {
            let size = [random.below(1 << 14), random.below(1 << 18)][seed as usize % 2];
            let content = streams::content(&mut random, size);
            let stream = streams::compress(&mut random, &content, level, strategy);
            for piece in [Some(1), Some(7), Some(4096), Some(usize::MAX), None] {
                let decoded = oracle
                    .compare(&stream, |random| piece.unwrap_or_else(|| 1 + random.below_power(16)));
                assert_eq!(decoded.end, End::Last(stream.len()), "level {level}, {strategy:?}");
                assert!(decoded.bytes == content, "level {level}, {strategy:?}");
            }
        }
    }
}

#[test]
fn a_stream_that_is_cut_starves_at_every_byte_with_all_that_came_before() {
    let mut oracle = Oracle::new();
    for seed in 0..cases() {
        let mut random = Random::new(seed);
        for (level, strategy) in FEW {
            let content = streams::content(&mut random, 1000);
            let stream = streams::compress(&mut random, &content, level, strategy);
            for end in 0..stream.len() {
                assert_eq!(oracle.compare_cut(&stream[..end]).end, End::Starved, "at {end}");
            }
        }
    }
}

#[test]
fn flipped_bits_are_judged_as_zlib_does() {
    let mut oracle = Oracle::new();
    for seed in 0..cases() {
        let mut random = Random::new(seed);
        for (level, strategy) in FEW {
            let content = streams::content(&mut random, 300);
            let mut stream = streams::compress(&mut random, &content, level, strategy);
            for bit in 0..8 * stream.len() {
                stream[bit / 8] ^= 1 << (bit % 8);
                oracle.compare(&stream, |_| usize::MAX);
                stream[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
}

#[test]
fn arbitrary_codes_are_judged_as_zlib_does() {
    let mut oracle = Oracle::new();
    let (mut broken, mut others) = (BTreeSet::new(), 0);
    for seed in 0..8000 * cases() {
        let mut random = Random::new(seed);
        let stream = codes::arbitrary(&mut random);
        let piece = [usize::MAX, 1, 5][random.below(3)];
        match oracle.compare(&stream, |_| piece).end {
            End::Broken(message) => drop(broken.insert(message)),
            _ => others += 1,
        }
    }
    assert_eq!(broken.len(), oracle::MESSAGES.len(), "only {broken:?}");
    assert!(others > 1000, "only {others} streams were valid or cut");
}
