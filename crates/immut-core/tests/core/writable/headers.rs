//! The headers that change: in every layer that names the inode, in every form of a number, and nothing
//! of the content.

use std::fs;
use std::process::Command;

use immut_core::Options;
use immut_core::rewrite::LayerOutcome;
use immut_testkit::contents;
use immut_testkit::model::read_tar;
use immut_testkit::peers;
use immut_testkit::recipe::Recipe;

use super::{NONROOT, harden, image, with_volumes, writing};
use crate::common::Done;

/// What GNU tar lists of the layers: owner and name of each entry.
fn listed_by_gnu_tar(done: &Done) -> Vec<String> {
    let Some(tar) = peers::require("tar") else { return Vec::new() };
    let file = done.scene.folder.path().join("layer.tar");
    let list = |layer: Vec<u8>| {
        fs::write(&file, layer).expect("written");
        let output = Command::new(&tar).args(["--numeric-owner", "-tvf"]).arg(&file).output();
        let output = output.expect("tar runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        let line = |line: &str| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            format!("{} {}", words[1], words[5].trim_end_matches('/'))
        };
        text.lines().map(line).collect::<Vec<_>>()
    };
    done.tars().into_iter().flat_map(list).collect()
}

#[test]
fn gnu_tar_sees_the_new_owner_in_every_form() {
    let big = "4000000000";
    let recipe = with_volumes(
        image(|l| {
            l.dir("/data", 0o755)
                .file("/data/octal", 0o644, "o")
                .owned(3_000_000, 3_000_000)
                .file("/data/base-256", 0o644, "b")
                .pax("uid", big)
                .pax("gid", big)
                .pax("uname", "root")
                .pax("mtime", "1.5")
                .file("/data/pax", 0o644, "p")
                .owned(5, 6)
                .file("/keep", 0o644, "k")
        }),
        &["/data"],
    );
    for user in ["7:8", "3000000000:3000000001"] {
        let mut options = Options::default();
        options.choices.user = Some(user.parse().expect("a user"));
        let done = harden(&recipe, &options);
        let owner = user.replace(':', "/");
        let lines = listed_by_gnu_tar(&done);
        for name in ["data", "data/octal", "data/base-256", "data/pax"] {
            assert!(lines.contains(&format!("{owner} {name}")), "{user}: {lines:?}");
        }
        assert!(lines.contains(&"5/6 keep".to_owned()), "{lines:?}");
        let archive = done.tars().concat();
        let has = |text: &[u8]| memchr::memmem::find(&archive, text).is_some();
        assert!(!has(b"uname=root") && !has(big.as_bytes()), "the old owner is told");
        assert!(has(b"mtime=1.5"), "other records stay");
    }
}

#[test]
fn every_header_of_the_inode_changes_and_others_do_not() {
    let recipe = image(|l| l.dir("/data", 0o755).file("/data/a", 0o644, "a"))
        .layer(|l| l.hardlink_as("/data/b", "/data/a", 0o640).file("/x", 0o644, "x"))
        .layer(|l| l.file("/y", 0o644, "y"))
        .layer(|l| l.whiteout("/data/a"));
    let done = harden(&recipe, &writing(&["/data"]));
    assert_eq!(done.view()["data/b"].owner, NONROOT);
    for entry in done.tars().iter().flat_map(|tar| read_tar(tar)) {
        let given = entry.path.starts_with("data") && !entry.path.is_empty();
        let marker = entry.item == immut_testkit::model::Item::Whiteout;
        assert!(marker || given == (entry.owner == NONROOT), "{entry:?}");
    }
    let outcomes = &done.hardened.platforms[0].rewritten.layers;
    assert_eq!(outcomes[2], LayerOutcome::Untouched);
    assert!(matches!(outcomes[1], LayerOutcome::Rewritten(..)));
}

/// A layer that had nothing but a directory as a lower one has it carries the new owner, so it stays.
#[test]
fn the_owner_survives_a_layer_that_a_removal_empties() {
    let recipe = image(|l| l.dir("/data", 0o755))
        .layer(|l| l.dir("/data", 0o755).file("/bin/bash", 0o755, contents::bash()));
    let done = harden(&recipe, &writing(&["/data"]));
    assert_eq!(done.view()["data"].owner, NONROOT);
}

/// A file on top brings the directories above it along, with the owners that they will have.
#[test]
fn a_layer_on_top_does_not_take_owners_back() {
    let passwd = "root:x:0:0::/root:/x\n";
    let recipe = Recipe::new()
        .layer(|l| {
            l.dir("/home", 0o755).file("/etc/passwd", 0o644, passwd).file(
                "/app",
                0o755,
                contents::program(),
            )
        })
        .layer(|l| l.dir("/home", 0o711).dir("/srv", 0o755).file("/srv/x", 0o644, "x"))
        .entrypoint(&["/app"]);
    let done = harden(&recipe, &writing(&["/home", "/srv", "/srv/new/er"]));
    let view = done.view();
    for path in ["home", "home/nonroot", "srv", "srv/x", "srv/new/er"] {
        assert_eq!(view[path].owner, NONROOT, "{path}");
    }
    assert_eq!((view["home"].mode, view["home/nonroot"].mode), (0o711, 0o700));
}

#[test]
fn a_header_alone_changes_so_the_content_is_copied() {
    let lines = |n: u64| format!("{n} {}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let text: String = (0..60_000).map(lines).collect();
    let recipe = image(|l| l.dir("/data", 0o755).file("/data/text", 0o644, &text));
    let done = harden(&recipe, &writing(&["/data"]));
    let LayerOutcome::Rewritten(_, encoding) = &done.hardened.platforms[0].rewritten.layers[0]
    else {
        panic!("rewritten")
    };
    assert!(encoding.copied > encoding.encoded * 4, "{encoding:?}");
}

/// Ten thousand files are one step, and a line of the receipt.
#[test]
fn a_tree_of_many_files_is_one_step() {
    let recipe = image(|l| {
        (0..10_000).fold(l.dir("/data", 0o755), |l, n| l.file(format!("/data/{n}"), 0o644, "x"))
    });
    let done = harden(&recipe.user("7"), &writing(&["/data"]));
    assert_eq!(done.hardened.platforms[0].plan.steps.len(), 1);
    let receipt = done.hardened.receipt("x".into(), "distroless").to_json();
    assert!(receipt.len() < 4000, "{} bytes", receipt.len());
}
