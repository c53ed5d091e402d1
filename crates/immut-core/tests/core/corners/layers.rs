//! Layers on layers: very many, empty ones, markers of every kind.

use immut_core::Options;
use immut_core::rewrite::LayerOutcome;
use immut_testkit::contents;
use immut_testkit::recipe::{Encoding, LayerRecipe, Naming, Recipe};

use super::{Peer, agrees, app, harden, shell};
use crate::common::Scene;

/// Files that come, change and go from layer to layer, with a shell in every tenth.
fn stack(count: usize) -> Recipe {
    (0..count).fold(app(), |recipe, n| {
        recipe.layer(|l| {
            let l = l.file(format!("/f{}", n % 50), 0o644, format!("{n}"));
            let l = if n > 5 { l.whiteout(format!("/f{}", (n - 3) % 50)) } else { l };
            let l = l.file(format!("/d/{n}"), if n % 7 == 0 { 0o4755 } else { 0o644 }, "x");
            match n % 10 {
                3 => l.file("/usr/bin/bash", 0o755, contents::bash()),
                5 => l.hardlink_as(format!("/h{n}"), "/usr/bin/bash", 0o755),
                _ => l,
            }
        })
    })
}

#[test]
fn as_many_layers_as_engines_have() {
    let shells: Vec<String> = (5..126).step_by(10).map(|n| format!("h{n}")).collect();
    let gone: Vec<&str> = shells.iter().map(String::as_str).chain(["usr/bin/bash"]).collect();
    let recipe = stack(126)
        .layer(|l| (0..126).step_by(7).fold(l, |l, n| l.file(format!("/d/{n}"), 0o644, "x")));
    agrees(Peer::Umoci, &recipe, &gone);
}

#[test]
fn five_hundred_layers() {
    let done = harden(&stack(500));
    assert_eq!(done.hardened.platforms[0].rewritten.layers.len(), 501);
    assert!(done.paths().iter().all(|path| !path.starts_with('h')));
    assert!(!done.again(&Options::default()).is_changed());
}

/// Docker's layer without a file, `sha256:a3ed95ca...`, which schema 1 had for each empty step.
const DOCKERS_EMPTY: [u8; 32] = [
    0x1f, 0x8b, 8, 0, 0, 9, 0x6e, 0x88, 0, 0xff, 0x62, 0x18, 5, 0xa3, 0x60, 0x14, 0x8c, 0x58, 0, 8,
    0, 0, 0xff, 0xff, 0x2e, 0xaf, 0xb5, 0xef, 0, 4, 0, 0,
];

#[test]
fn layers_of_nothing_stay_as_they_are() {
    let empty = "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4";
    assert_eq!(immut_testkit::recipe::digest_of(&DOCKERS_EMPTY), empty);
    let zeros = || vec![0; 1024];
    let recipe = app()
        .layer(shell)
        .tar_layer(Encoding::Plain, Vec::new())
        .tar_layer(Encoding::Gzip, Vec::new())
        .tar_layer(Encoding::Plain, zeros())
        .tar_layer(Encoding::Gzip, zeros())
        .tar_layer(Encoding::Gzip, vec![0; 512])
        .blob_layer(Encoding::Gzip, zeros(), DOCKERS_EMPTY.to_vec());
    agrees(Peer::Umoci, &recipe, &["usr/bin/bash"]);
    // umoci knows no zstd.
    let recipe = recipe.tar_layer(Encoding::Zstd, Vec::new()).tar_layer(Encoding::Zstd, zeros());
    let done = harden(&recipe);
    let outcomes = &done.hardened.platforms[0].rewritten.layers;
    assert_eq!(outcomes[1], LayerOutcome::Dropped);
    assert_eq!(outcomes[2..], vec![LayerOutcome::Untouched; 8]);
}

#[test]
fn an_image_of_one_layer_of_nothing() {
    for (encoding, tar) in
        [(Encoding::Plain, vec![]), (Encoding::Gzip, vec![]), (Encoding::Zstd, vec![0; 1024])]
    {
        let done = harden(&Recipe::new().tar_layer(encoding, tar).user("7"));
        assert!(!done.hardened.is_changed(), "{encoding:?}");
    }
}

#[test]
fn chains_of_hardlinks_with_whiteouts_between() {
    let setuid = |n: usize| if n == 2 { 0o4755 } else { 0o755 };
    let recipe = (1..8).fold(app().layer(|l| l.file("/l0", 0o755, "content")), |recipe, n| {
        recipe
            .layer(|l| {
                let l = l.hardlink_as(format!("/l{n}"), format!("/l{}", n - 1), setuid(n));
                l.file(format!("/x{n}"), 0o644, "x")
            })
            .layer(|l| l.whiteout(format!("/l{}", n - 1)))
    });
    let done = agrees(Peer::Umoci, &recipe, &[]);
    assert_eq!(done.text("l7"), "content");
    let headers = done.tars().into_iter().flat_map(|tar| immut_testkit::model::read_tar(&tar));
    assert!(headers.into_iter().all(|one| one.mode & 0o6000 == 0), "a bit is left");
}

#[test]
fn the_first_name_of_a_file_goes_and_the_others_stay() {
    let recipe = app()
        .layer(|l| l.file("/first", 0o4755, "content").hardlink_as("/second", "/first", 0o4755))
        .layer(|l| l.whiteout("/first").file("/x", 0o644, "x"));
    let before = Scene::of(&recipe).plan(&Options::default()).inventory;
    assert_eq!(before.names().len(), 5);
    let done = harden(&recipe);
    assert_eq!(done.text("second"), "content");
    assert_eq!(done.view()["second"].mode, 0o755);
}

#[test]
fn opaque_directories_in_opaque_directories() {
    let deep = "/o".repeat(40);
    let levels = || (1..=40).map(|n| &deep[..2 * n]);
    let recipe = app()
        .layer(|l| {
            levels()
                .fold(shell(l), |l, path| l.dir(path, 0o755).file(format!("{path}/f"), 0o644, "x"))
        })
        .layer(|l| levels().fold(l, |l, path| l.dir(path, 0o750).opaque(path)))
        .layer(|l| shell(l).file(format!("{deep}/g"), 0o644, "y"));
    let done = agrees(Peer::Umoci, &recipe, &["usr/bin/bash"]);
    assert_eq!(done.paths().iter().filter(|path| path.ends_with('f')).count(), 0);
}

/// Metadata of aufs: engines unpack none of it.
#[test]
fn what_aufs_wrote_is_in_no_view() {
    let recipe = app()
        .layer(|l| l.file("/kept", 0o644, "x").dir("/d", 0o755).file("/d/f", 0o644, "x"))
        .layer(|l| {
            l.naming(Naming::Verbatim)
                .file(".wh..wh.aufs", 0o444, "")
                .dir(".wh..wh.orph/", 0o700)
                .dir(".wh..wh.plnk/", 0o700)
                .file(".wh..wh.plnk/12.34", 0o4755, "x")
                .file("d/.wh..wh..opq", 0o644, "")
                .file("x", 0o644, "x")
        })
        .layer(shell);
    let inventory = Scene::of(&recipe).plan(&Options::default()).inventory;
    let names: Vec<String> = inventory.names().keys().map(ToString::to_string).collect();
    assert_eq!(names, ["/app", "/d", "/kept", "/usr", "/usr/bin", "/usr/bin/bash", "/x"]);
    let done = harden(&recipe);
    for tar in done.tars() {
        for entry in immut_testkit::model::read_tar(&tar) {
            assert_eq!(entry.mode & 0o6000, 0, "{entry:?}");
        }
    }
}

#[test]
fn whiteouts_with_content_and_of_names_with_markers() {
    let recipe = app()
        .layer(|l| l.file("/a", 0o644, "x").dir("/b", 0o755).file("/b/.whx", 0o644, "y"))
        .layer(|l| {
            l.naming(Naming::Verbatim).file(".wh.a", 0o644, "content").file("b/x.wh.y", 0o644, "")
        })
        .layer(shell);
    agrees(Peer::Umoci, &recipe, &["usr/bin/bash"]);
}

#[test]
fn every_kind_becomes_every_other_from_layer_to_layer() {
    type Put = fn(LayerRecipe, &str) -> LayerRecipe;
    let kinds: [Put; 5] = [
        |l, path| l.file(path, 0o644, "x"),
        |l, path| l.dir(path, 0o755).file(format!("{path}/beneath"), 0o644, "y"),
        |l, path| l.symlink(path, "target"),
        |l, path| l.fifo(path),
        |l, path| l.hardlink_as(path, "/app", 0o755),
    ];
    let pairs = || (0..5).flat_map(|from| (0..5).map(move |to| (from, to)));
    let put = |recipe: Recipe, which: fn((usize, usize)) -> usize| {
        recipe.layer(|l| {
            pairs()
                .fold(shell(l), |l, pair| kinds[which(pair)](l, &format!("/{}-{}", pair.0, pair.1)))
        })
    };
    let recipe = put(put(put(app(), |pair| pair.0), |pair| pair.1), |pair| pair.0);
    agrees(Peer::Umoci, &recipe, &["usr/bin/bash"]);
}
