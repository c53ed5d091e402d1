//! The encoders against flate2 and zstd.

use super::*;

fn decode(encoder: &Encoder, blob: &[u8]) -> Vec<u8> {
    let mut found = Vec::new();
    if encoder.encoding() == Encoding::Zstd {
        return zstd::decode_all(blob).unwrap();
    }
    flate2::read::MultiGzDecoder::new(blob).read_to_end(&mut found).unwrap();
    found
}

fn content(size: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 28) as u8
    };
    (0..size).map(|at| if at / 10_000 % 2 == 0 { next() } else { next() * (next() & 1) }).collect()
}

#[test]
fn programs_make_what_they_say() {
    let content = content(300_000);
    for program in Program::ALL {
        let encoder = Encoder::Program(program);
        let Some(blob) = encoder.encode(&content) else { continue };
        assert!(decode(&encoder, &blob) == content, "{program:?}");
    }
}

#[test]
fn four_decoders_are_asked() {
    let content = content(100_000);
    let body = Body::Blocks(vec![(Shape::Fixed, 777), (Shape::Stored, 7000)], Some(Shape::Stored));
    let blob = gzip(&Header::default(), &body.encode(&content), &content);
    accepted(&[(blob.clone(), content.clone()), (blob.clone(), content.clone())]);
    let wrong = std::panic::catch_unwind(|| accepted(&[(blob, b"else".to_vec())]));
    assert!(wrong.is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]
    #[test]
    fn encoders_make_what_they_say(encoder in encoders(), size in 0..200_000_usize) {
        let content = content(size);
        let blob = encoder.encode(&content).unwrap();
        prop_assert!(decode(&encoder, &blob) == content);
    }
}
