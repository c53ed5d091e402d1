use std::io::{Read, Write};

use super::encode::Encoder;
use super::*;
use crate::image::Compression;

const ALL: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Zstd];

fn encode(compression: Compression, pieces: &[&[u8]]) -> (Digest, Digest, Vec<u8>) {
    let scratch = tempfile::NamedTempFile::new().expect("a file");
    let mut encoder = Encoder::new(compression, scratch).expect("an encoder");
    for piece in pieces {
        encoder.write_all(piece).expect("written");
    }
    let done = encoder.finish().expect("finished");
    let mut blob = Vec::new();
    std::fs::File::open(done.scratch.path()).expect("there").read_to_end(&mut blob).expect("read");
    assert_eq!(blob.len() as u64, done.size);
    (done.diff_id, done.digest, blob)
}

#[test]
fn digests_are_those_of_archive_and_blob() {
    let archive = vec![7; 100_000];
    for compression in ALL {
        let (diff_id, digest, blob) = encode(compression, &[&archive]);
        assert_eq!(diff_id, Digest::of(&archive), "{compression:?}");
        assert_eq!(digest, Digest::of(&blob), "{compression:?}");
        assert_eq!(Compression::of_magic(&blob), Some(compression));
        let mut decoder = crate::inventory::decoder(compression, &blob[..]).expect("a decoder");
        let mut read = Vec::new();
        decoder.read_to_end(&mut read).expect("read");
        assert_eq!(read, archive, "{compression:?}");
    }
}

#[test]
fn the_same_archive_gives_the_same_blob_however_it_arrives() {
    let archive: Vec<u8> = (0..50_000_u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
    for compression in ALL {
        let whole = encode(compression, &[&archive]);
        let pieces: Vec<&[u8]> = archive.chunks(777).collect();
        assert_eq!(encode(compression, &pieces), whole, "{compression:?}");
    }
}
