//! Archives with bytes of their headers changed at random: what immut reads and umoci unpacks is the
//! same tree, or one of them refuses it.

use std::cell::Cell;
use std::path::Path;
use std::process::Command;

use immut_core::Options;
use immut_core::inventory::{Inventory, Kind};
use immut_testkit::peers;
use immut_testkit::recipe::{Encoding, LayerRecipe, LongNames};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{Facts, app, edited, escaped, seen, walk};
use crate::common::Scene;

/// An entry of each form, one after the other, and where their headers stand.
fn archive() -> (Vec<u8>, Vec<usize>) {
    let long = |names: LongNames| {
        let layer = LayerRecipe::new().ending([]).long_names(names);
        layer.file("long/".repeat(25), 0o644, "x").into_tar()
    };
    let entry =
        |build: fn(LayerRecipe) -> LayerRecipe| build(LayerRecipe::new().ending([])).into_tar();
    let by_old_go = edited("name", b"x", |block| {
        block[257..265].copy_from_slice(b"ustar  \0");
        block[345..354].copy_from_slice(b"opt/under");
    });
    let entries = [
        entry(|l| l.file("/app", 0o755, "x")),
        by_old_go,
        long(LongNames::Gnu),
        long(LongNames::Prefix),
        long(LongNames::Pax),
        entry(|l| l.pax("uid", "7").xattr("user.x", "y").dir("/d", 0o755)),
        entry(|l| l.pax_sparse("/sparse", 5000, &[(512, b"abc"), (4000, b"def")])),
        entry(|l| l.symlink("/link", "d").hardlink("/hard", "/app").fifo("/pipe")),
        edited("old/", b"", |block| block[156] = 0),
    ];
    let (mut tar, mut headers) = (Vec::new(), Vec::new());
    for entry in entries {
        let magic =
            entry.chunks(512).zip(0..).filter(|(block, _)| block[257..].starts_with(b"ustar"));
        headers.extend(magic.map(|(_, place)| tar.len() + 512 * place));
        tar.extend(entry);
    }
    tar.extend([0; 1024]);
    (tar, headers)
}

/// Which header, where in it, and what is written there.
type Change = (prop::sample::Index, usize, Vec<u8>);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let texts: [&[u8]; 12] = [
        b"\0",
        b" ",
        b"7",
        b"0000007\0",
        b"\x80\0\0\0",
        b"\xff",
        b"x",
        b"/",
        b"L",
        b"tar\0",
        b"ustar\0",
        b"ustar  \0",
    ];
    let text = prop::sample::select(texts.map(<[u8]>::to_vec).to_vec());
    let field = prop::sample::select(vec![
        0, 99, 100, 108, 116, 124, 135, 136, 156, 157, 257, 263, 345, 357, 475, 500, 508,
    ]);
    let place = prop_oneof![3 => field, 1 => 0..512_usize];
    vec((any::<prop::sample::Index>(), place, text), 1..4)
}

fn changed(changes: &[Change]) -> Vec<u8> {
    let (mut tar, headers) = archive();
    for (header, place, text) in changes {
        let header = headers[header.index(headers.len())];
        let end = (place + text.len()).min(512);
        tar[header + place..header + end].copy_from_slice(&text[..end - place]);
    }
    for header in headers {
        let block = &mut tar[header..header + 512];
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    tar
}

#[test]
fn what_both_read_is_the_same() {
    let Some(umoci) = peers::require("umoci") else { return };
    let (compared, refused) = (Cell::new(0), Cell::new(0));
    let config = Config { cases: 150, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&changes(), |changes| {
        let scene = Scene::of(&app().tar_layer(Encoding::Gzip, changed(&changes)));
        let Ok(plans) = scene.plans(&Options::default()) else {
            refused.set(refused.get() + 1);
            return Ok(());
        };
        let Some(theirs) = unpacked(&umoci, &scene) else { return Ok(()) };
        compared.set(compared.get() + 1);
        let (ours, theirs) = comparable(&plans[0].inventory, theirs);
        prop_assert_eq!(ours, theirs);
        Ok(())
    });
    outcome.unwrap_or_else(|difference| panic!("{difference}"));
    println!("{} compared, {} refused", compared.get(), refused.get());
    assert!(compared.get() > 20, "only {} were compared", compared.get());
}

/// What umoci unpacks; none if it refuses.
fn unpacked(umoci: &Path, scene: &Scene) -> Option<Facts> {
    let (image, bundle) =
        (scene.folder.path().join("image:it"), scene.folder.path().join("bundle"));
    let mut command = Command::new(umoci);
    command.args(["unpack", "--rootless", "--image"]).args([&image, &bundle]);
    let output = command.output().expect("umoci runs");
    output.status.success().then(|| walk(&bundle.join("rootfs")))
}

/// Names, kinds, sizes and targets: umoci makes files of devices when it is not root's, and does
/// not apply the mode of a hardlink's own header.
fn comparable(inventory: &Inventory, mut theirs: Facts) -> (Facts, Facts) {
    let mut ours = seen(inventory);
    for (path, name) in inventory.names() {
        if inventory.inode(name.inode).kind == Kind::Special {
            let path = escaped(path.as_bytes());
            ours.remove(&path);
            theirs.remove(&path);
        }
    }
    for facts in [&mut ours, &mut theirs] {
        for (_, mode, time) in facts.values_mut() {
            (*mode, *time) = (0, None);
        }
    }
    (ours, theirs)
}
