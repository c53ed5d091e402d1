//! Any bytes as a layer: `harden` with fixed rules never panics, and if it succeeds, the layers are
//! those that come out when nothing is copied.
//!
//! The first byte says what the others are: a blob as it stands, a deflate stream whose sum and size
//! are made true, or an archive that one of the encoders compresses.
#![no_main]

use std::path::Path;

use immut_core::image::Compression;
use immut_core::rules::Catalog;
use immut_core::store::{Layout, Source};
use immut_core::{Options, harden};
use immut_testkit::Recipe;
use immut_testkit::encoders::{Block, Body, Encoder, Header, Shape, Stream, gzip, repaired};
use immut_testkit::recipe::{Encoding, LayerRecipe};
use libfuzzer_sys::fuzz_target;

/// The most bytes of an archive.
const MOST: usize = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else { return };
    let Some((archive, blob)) = layer(*choice, rest) else { return };
    let folder = if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" };
    let folder = tempfile::tempdir_in(folder).expect("a folder");
    let zstd = blob.starts_with(b"\x28\xb5\x2f\xfd");
    let encoding = if zstd { Encoding::Zstd } else { Encoding::Gzip };
    let recipe = Recipe::new()
        .layer(|l| l.file("/mark", 0o644, "x"))
        .blob_layer(encoding, archive, blob);
    let image = recipe.write(&folder.path().join("image"));
    let of = |stage: &str, recompress| {
        let source = Layout::open(&image.path).expect("a layout");
        let stage = Layout::create(&folder.path().join(stage)).expect("a stage");
        let options = Options { recompress, jobs: 2, ..options() };
        let reference = image.reference().parse().expect("a reference");
        let hardened = harden(&reference, &source, &stage, &options).ok()?;
        let layers = hardened.platforms[0].rewritten.manifest.layers();
        Some(layers.iter().map(|layer| decoded(&stage, layer)).collect::<Vec<_>>())
    };
    assert!(of("spliced", false) == of("whole", true), "what is copied is something else");
});

/// An archive, or what stands for it, and its blob.
fn layer(choice: u8, rest: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    match choice % 4 {
        0 => Some((decode(rest).unwrap_or_default(), rest.to_vec())),
        1 => {
            let (blob, archive) = repaired(&gzip(&Header::default(), rest, b""), MOST)?;
            Some((archive, blob))
        }
        2 => {
            let archive = archive(rest);
            let blob = encoder(choice / 4, rest)?.encode(&archive)?;
            Some((archive, blob))
        }
        _ => {
            let archive = archive(rest);
            let blob = blocks(&archive, rest);
            Some((archive, blob))
        }
    }
}

/// Entries whose sizes, names and contents the bytes say.
fn archive(bytes: &[u8]) -> Vec<u8> {
    let entries = bytes.chunks(4).take(24).enumerate();
    let layer = entries.fold(LayerRecipe::new(), |layer, (number, entry)| {
        let byte = |at: usize| entry.get(at).copied().unwrap_or_default();
        let mut state = u32::from(byte(2));
        let noise = (0..usize::from(byte(1)) * 200).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8 & byte(3)
        });
        let content = noise.collect::<Vec<u8>>();
        let folder = if byte(0) & 1 == 1 { "gone" } else { "kept" };
        let mode = if byte(0) & 2 == 2 { 0o4755 } else { 0o644 };
        let layer = layer.file(format!("/{folder}/{number}"), mode, content);
        if byte(0) & 12 == 12 {
            layer.hardlink_as(format!("/kept/link{number}"), format!("/{folder}/{number}"), mode)
        } else {
            layer
        }
    });
    match bytes.last().copied().unwrap_or_default() % 3 {
        0 => layer.ending([]).into_tar(),
        1 => layer.ending([vec![0; 1024], bytes.to_vec()].concat()).into_tar(),
        _ => layer.into_tar(),
    }
}

fn encoder(choice: u8, bytes: &[u8]) -> Option<Encoder> {
    let size = usize::from(*bytes.first()?) * 300 + 1;
    let deflate = |body| Encoder::Gzip(Header::default(), body);
    Some(match choice % 5 {
        0 => deflate(Body::Level(u32::from(choice / 5) % 10)),
        1 => deflate(Body::Libdeflate(u32::from(choice / 5) % 13)),
        2 => deflate(Body::Symbols(size)),
        3 => Encoder::Members { level: 1, piece: size, footer: size % 2 == 1 },
        _ => Encoder::Zstd { piece: size, checksum: size % 2 == 1, skippable: size % 3 == 1 },
    })
}

/// Blocks whose shapes and lengths the bytes say.
fn blocks(archive: &[u8], bytes: &[u8]) -> Vec<u8> {
    let shapes = [Shape::Stored, Shape::Fixed, Shape::Dynamic];
    let mut stream = Stream::new(archive);
    for two in bytes.chunks_exact(2) {
        let (shape, length) = (shapes[usize::from(two[0]) % 3], usize::from(two[1]) * 256);
        stream.block(Block { shape, length: length + usize::from(two[0]), last: false });
    }
    let length = stream.left();
    stream.block(Block { shape: Shape::Dynamic, length, last: true });
    gzip(&Header::default(), &stream.finish(), archive)
}

fn options() -> Options {
    const RULE: &str = "[[rule]]\nid='gone'\ntitle='t'\nseverity='low'\nremedy='remove'\n\
        matcher='files'\nwhy='w'\n\
        [[rule.places]]\nfamily='f'\npresent=['/mark']\npaths=['/gone']\n";
    const PRIVILEGE: &str = include_str!("../../crates/immut-core/catalog/privilege.toml");
    let catalog = Catalog::parse(&[RULE, PRIVILEGE], "executables=[]").expect("a catalog");
    Options { catalog, ..Options::default() }
}

fn decoded(stage: &Layout, layer: &immut_core::image::Descriptor) -> Vec<u8> {
    let mut blob = Vec::new();
    let mut reader = stage.open(layer).expect("a blob");
    std::io::Read::read_to_end(&mut reader, &mut blob).expect("read");
    match Compression::of_magic(&blob) {
        Some(Compression::None) => blob,
        _ => decode(&blob).expect("a new blob can be decoded"),
    }
}

/// By decoders that are not immut's; none if they refuse the blob, or it is too large.
fn decode(blob: &[u8]) -> Option<Vec<u8>> {
    immut_testkit::encoders::decoded(blob, 4 * MOST)
}
