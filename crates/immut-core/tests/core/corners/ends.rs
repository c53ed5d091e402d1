//! How archives and their compressed streams end.

use std::io::Write;

use flate2::{Compression, GzBuilder};
use immut_core::rewrite::LayerOutcome;
use immut_testkit::recipe::{Encoding, LayerRecipe, Recipe};

use super::{Peer, agrees, app, harden, shell};

fn kept(layer: LayerRecipe) -> LayerRecipe {
    layer.file("/kept", 0o644, vec![b'k'; 700])
}

/// What may follow the last entry.
fn endings() -> Vec<(&'static str, Vec<u8>)> {
    let zeros = |count: usize| vec![0; count];
    let garbage = || b"not a header".repeat(100);
    vec![
        ("nothing", zeros(0)),
        ("one block of zeros", zeros(512)),
        ("two blocks", zeros(1024)),
        ("the rest of 10 KiB", zeros(10_240 - 2048)),
        ("8 MiB of zeros", zeros(8 << 20)),
        ("zeros and garbage", [zeros(1024), garbage()].concat()),
        ("another archive", [zeros(1024), shell(LayerRecipe::new()).into_tar()].concat()),
        ("an end that is no block", [zeros(1024), zeros(100)].concat()),
    ]
}

#[test]
fn what_follows_the_end_stays_with_the_blob_and_goes_with_a_rewrite() {
    for (what, ending) in endings() {
        let layer = || kept(LayerRecipe::new()).ending(&ending).into_tar();
        let untouched = harden(&app().layer(shell).tar_layer(Encoding::Gzip, layer()));
        let outcome = untouched.hardened.platforms[0].rewritten.layers.last();
        assert_eq!(outcome, Some(&LayerOutcome::Untouched), "{what}");
        for encoding in [Encoding::Plain, Encoding::Gzip, Encoding::Zstd] {
            let layer = kept(shell(LayerRecipe::new())).ending(&ending).into_tar();
            let done = harden(&app().tar_layer(encoding, layer));
            // Zeros as archives end with stay; anything else becomes two blocks of them.
            let stays = what == "the rest of 10 KiB";
            let ending = if stays { ending.clone() } else { vec![0; 1024] };
            let wanted = kept(LayerRecipe::new()).ending(&ending).into_tar();
            assert!(done.tars()[1] == wanted, "{what}");
        }
    }
}

#[test]
fn a_rewritten_layer_with_any_end_is_what_gnu_tar_unpacks() {
    for (what, ending) in endings().into_iter().take(5) {
        let recipe = app().layer(|l| kept(shell(l)).ending(ending));
        println!("{what}");
        agrees(Peer::Tar, &recipe, &["usr/bin/bash"]);
    }
}

/// Go reads an archive that ends in the padding of its last file, and nothing of the file is missing.
#[test]
fn an_archive_may_end_in_the_padding_of_its_last_file() {
    let whole = kept(shell(LayerRecipe::new())).ending([]).into_tar();
    for cut in [1, 100, 1024 - 700] {
        let done = harden(&app().tar_layer(Encoding::Gzip, whole[..whole.len() - cut].to_vec()));
        assert!(done.tars()[1] == kept(LayerRecipe::new()).into_tar(), "{cut} bytes are missing");
    }
}

#[test]
fn several_members_and_frames_are_one_archive() {
    // umoci knows no zstd.
    for (encoding, peer) in [
        (Encoding::GzipMembers(2), Peer::Umoci),
        (Encoding::GzipMembers(50), Peer::Umoci),
        (Encoding::ZstdFrames(2), Peer::Tar),
        (Encoding::ZstdFrames(50), Peer::Tar),
    ] {
        let recipe = app().layer_as(encoding, |l| kept(shell(l)));
        agrees(peer, &recipe, &["usr/bin/bash"]);
    }
}

/// A layer in that blob is read, kept, and rewritten.
fn is_read(what: &str, encoding: Encoding, compress: impl Fn(&[u8]) -> Vec<u8>) {
    let layer = |recipe: Recipe, tar: Vec<u8>| {
        let blob = compress(&tar);
        recipe.blob_layer(encoding, tar, blob)
    };
    let untouched = harden(&layer(app().layer(shell), kept(LayerRecipe::new()).into_tar()));
    let outcome = untouched.hardened.platforms[0].rewritten.layers.last();
    assert_eq!(outcome, Some(&LayerOutcome::Untouched), "{what}");
    let done = harden(&layer(app(), kept(shell(LayerRecipe::new())).into_tar()));
    assert!(done.tars()[1] == kept(LayerRecipe::new()).into_tar(), "{what}");
}

#[test]
fn gzip_with_all_its_fields() {
    is_read("fields", Encoding::Gzip, |tar| {
        let builder =
            GzBuilder::new().filename("layer.tar").comment("a comment").extra(*b"ab\x02\0xy");
        let mut encoder = builder.mtime(1).write(Vec::new(), Compression::best());
        encoder.write_all(tar).expect("written");
        encoder.finish().expect("compressed")
    });
}

#[test]
fn gzip_with_an_empty_member_before_and_after() {
    is_read("empty members", Encoding::Gzip, |tar| {
        [Encoding::Gzip.encode(b""), Encoding::Gzip.encode(tar), Encoding::Gzip.encode(b"")]
            .concat()
    });
}

#[test]
fn zstd_with_skippable_frames_first_as_pzstd_writes_it() {
    is_read("skippable", Encoding::Zstd, |tar| {
        let skippable = b"\x5f\x2a\x4d\x18\x04\0\0\0size".to_vec();
        let half = tar.len() / 2;
        let frames = [&tar[..half], &tar[half..]].map(|piece| Encoding::Zstd.encode(piece));
        let frames = frames.into_iter().flat_map(|frame| [skippable.clone(), frame]);
        frames.chain([skippable.clone()]).collect::<Vec<_>>().concat()
    });
}

#[test]
fn a_media_type_that_lies_about_the_compression() {
    for (said, is) in [(Encoding::Gzip, Encoding::Plain), (Encoding::Zstd, Encoding::Gzip)] {
        is_read("a lie", said, |tar| is.encode(tar));
    }
}
