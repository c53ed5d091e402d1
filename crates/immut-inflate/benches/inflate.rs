//! Decoding of a stream with the ends of its blocks, by this decoder and by zlib-rs.
//!
//! `cargo bench -p immut-inflate` says bytes of output per second.
#![expect(clippy::cast_possible_truncation, reason = "low bits of random numbers will do")]

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use immut_inflate::{Inflate, Step};
use zlib_rs::{DeflateConfig, InflateFlush, ReturnCode, Status};

fn main() {
    divan::main();
}

/// What is compressed.
#[derive(Debug, Clone, Copy)]
enum Content {
    /// Words of which few are frequent.
    Text,
    /// Records of small numbers, as in programs and tables.
    Binary,
}

const STREAMS: [(Content, i32); 6] = [
    (Content::Text, 1),
    (Content::Text, 6),
    (Content::Text, 9),
    (Content::Binary, 1),
    (Content::Binary, 6),
    (Content::Binary, 9),
];

#[divan::bench(args = STREAMS)]
fn immut_inflate(bencher: Bencher<'_, '_>, (content, level): (Content, i32)) {
    let stream = stream(content, level);
    let mut inflate = Inflate::new();
    bencher.counter(BytesCount::new(SIZE)).bench_local(|| {
        inflate.reset();
        let (mut at, mut size) = (0, 0);
        loop {
            let (consumed, step) = inflate.step(&stream[at..], usize::MAX).expect("valid");
            at += consumed;
            match step {
                Step::Bytes(bytes) => size += black_box(bytes).len(),
                Step::Block { last: true, .. } => break,
                Step::Block { bit, .. } => drop(black_box(bit)),
                Step::Starved => unreachable!("the stream is whole"),
            }
        }
        assert_eq!(size, SIZE);
    });
}

#[divan::bench(args = STREAMS)]
fn zlib_rs(bencher: Bencher<'_, '_>, (content, level): (Content, i32)) {
    let stream = stream(content, level);
    let mut inflate = zlib_rs::Inflate::new(false, 15);
    let mut room = vec![0; 128 << 10];
    bencher.counter(BytesCount::new(SIZE)).bench_local(|| {
        inflate.reset(false);
        loop {
            let input = &stream[inflate.total_in() as usize..];
            let status = inflate.decompress(input, black_box(&mut room), InflateFlush::Block);
            if status.expect("valid") == Status::StreamEnd {
                break;
            }
        }
        assert_eq!(inflate.total_out(), SIZE as u64);
    });
}

fn stream(content: Content, level: i32) -> Vec<u8> {
    let content = match content {
        Content::Text => text(),
        Content::Binary => binary(),
    };
    let mut stream = vec![0; 2 * SIZE];
    let config = DeflateConfig { level, window_bits: -15, ..DeflateConfig::default() };
    let (stream, done) = zlib_rs::compress_slice(&mut stream, &content, config);
    assert_eq!(done, ReturnCode::Ok);
    stream.to_vec()
}

fn text() -> Vec<u8> {
    let mut random = random();
    let words: Vec<Vec<u8>> = (0..4096)
        .map(|_| {
            (0..2 + random() % 9).map(|_| b'a' + (random() % 26).min(random() % 26) as u8).collect()
        })
        .collect();
    let mut text = Vec::new();
    while text.len() < SIZE {
        let rank = (random() % 4096 * (random() % 4096)) >> 12;
        text.extend_from_slice(&words[rank as usize]);
        text.push(if random().is_multiple_of(12) { b'\n' } else { b' ' });
    }
    text.truncate(SIZE);
    text
}

fn binary() -> Vec<u8> {
    let mut random = random();
    let mut binary = Vec::new();
    let mut address = 0_u64;
    while binary.len() < SIZE {
        address += random() % 64;
        binary.extend_from_slice(&(address as u32).to_le_bytes());
        let scale = random() % 24;
        binary.extend_from_slice(&((random() % (1 << scale)) as u32).to_le_bytes());
        binary.extend_from_slice(&[0x48, 0x8b, (random() % 8) as u8, 0]);
    }
    binary.truncate(SIZE);
    binary
}

/// The same numbers in each run.
fn random() -> impl FnMut() -> u64 {
    let mut state = 1_u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state >> 33
    }
}

const SIZE: usize = 8 << 20;
