//! Sparse files as GNU tar writes them, in its four forms.

use std::os::unix::fs::{FileExt, PermissionsExt};
use std::process::Command;

use immut_core::Options;
use immut_core::inventory::Kind;
use immut_core::path::RootPath;
use immut_testkit::model::{Entry, Item, read_tar};
use immut_testkit::recipe::{LayerRecipe, Recipe};
use immut_testkit::{contents, peers};

use super::{Peer, agrees, app, harden, holds, shell};
use crate::common::{MARK, Scene, removed, removing, run};

/// The options of each form.
const FORMS: [&[&str]; 4] = [
    &["--format=gnu"],
    &["--format=posix", "--sparse-version=0.0"],
    &["--format=posix", "--sparse-version=0.1"],
    &["--format=posix", "--sparse-version=1.0"],
];

/// The entry that GNU tar makes of a file with those pieces, without the zeros at the archive's end;
/// none if it is not there, which it says.
fn by_gnu_tar(form: &[&str], name: &str, mode: u32, pieces: &[(u64, &[u8])]) -> Option<Vec<u8>> {
    let tar = peers::require("tar")?;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    let file = std::fs::File::create(&path).expect("a file");
    for (offset, bytes) in pieces {
        file.write_all_at(bytes, *offset).expect("written");
    }
    file.set_len(pieces.iter().map(|(at, bytes)| at + bytes.len() as u64).max().unwrap_or(0))
        .expect("long");
    file.set_permissions(std::fs::Permissions::from_mode(mode)).expect("a mode");
    let archive = folder.path().join("archive.tar");
    run(Command::new(tar)
        .args(form)
        .args(["--sparse", "--hole-detection=raw", "--owner=0", "--group=0", "-b1"])
        .args(["-C".as_ref(), folder.path().as_os_str(), "-cf".as_ref(), archive.as_os_str()])
        .arg(name));
    let mut bytes = std::fs::read(archive).expect("an archive");
    bytes.truncate(bytes.len() - 1024);
    Some(bytes)
}

/// Enough pieces for further blocks of an old map, and for several blocks of a new one.
fn many() -> Vec<(u64, &'static [u8])> {
    (0..200)
        .map(|n| (n * 8192 + 1024, &[b'x'; 512][..]))
        .chain([(200 * 8192, &b"end"[..])])
        .collect()
}

#[test]
fn every_form_is_kept_byte_for_byte() {
    for form in FORMS {
        let Some(entry) = by_gnu_tar(form, "sparse", 0o644, &many()) else { return };
        assert!(entry.len() < 200_000, "{form:?} is sparse");
        let long = by_gnu_tar(form, &"n".repeat(200), 0o644, &many()).expect("tar is there");
        holds(&[Peer::Tar], |l: LayerRecipe| l.raw(&entry).raw(&long));
    }
}

#[test]
fn the_pax_forms_are_what_umoci_unpacks() {
    for form in &FORMS[1..] {
        let Some(entry) = by_gnu_tar(form, "sparse", 0o644, &many()) else { return };
        agrees(Peer::Umoci, &app().layer(|l| shell(l).raw(entry)), &["usr/bin/bash"]);
    }
}

#[test]
fn a_setuid_sparse_file_loses_the_bit_and_no_byte() {
    for form in FORMS {
        let Some(entry) = by_gnu_tar(form, "su", 0o4755, &many()) else { return };
        let done = harden(&app().layer(|l| l.raw(&entry)));
        let planning =
            crate::common::plan(&done.hardened.digest(), &done.stage, &Options::default());
        let su = planning.expect("planned").platforms[0]
            .inventory
            .lookup(&path("/su"))
            .expect("su")
            .clone();
        assert_eq!((su.mode, su.size), (0o755, expanded().len() as u64), "{form:?}");
        assert!(unpacked(&done.tars()[1], "su") == expanded(), "{form:?}: other bytes");
    }
}

/// The file of [`many`] pieces.
fn expanded() -> Vec<u8> {
    let mut file = vec![0; 200 * 8192 + 3];
    for (offset, bytes) in many() {
        let offset = usize::try_from(offset).expect("small");
        file[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
    file
}

/// A file as GNU tar unpacks it; nothing if it is not there, which it says.
fn unpacked(archive: &[u8], name: &str) -> Vec<u8> {
    let Some(tar) = peers::require("tar") else { return Vec::new() };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("layer.tar");
    std::fs::write(&file, archive).expect("written");
    run(Command::new(tar).arg("-xpf").arg(&file).arg("-C").arg(folder.path()));
    std::fs::read(folder.path().join(name)).expect("a file")
}

fn path(text: &str) -> RootPath {
    text.parse().expect("a path")
}

/// A shell whose marks lie behind holes is one.
#[test]
fn a_sparse_shell_is_found_by_its_content() {
    let bash = contents::bash();
    let pieces = [(0, &bash[..64]), (1 << 16, &bash[64..]), (1 << 20, &b"end"[..])];
    for form in FORMS {
        let Some(entry) = by_gnu_tar(form, "bin/bash", 0o755, &pieces) else { return };
        let recipe = app().layer(|l| l.raw(&entry).file("/kept", 0o644, "x"));
        let planned = Scene::of(&recipe).plan(&Options::default());
        assert_eq!(removed(&planned.plan), ["/bin/bash"], "{form:?}");
        agrees(Peer::Tar, &app().layer(|l| l.dir("/bin", 0o755).raw(entry)), &["bin/bash"]);
    }
}

/// The first surviving name of a sparse file becomes the file, sparse as it was.
#[test]
fn a_sparse_file_is_carried_by_its_other_name() {
    for form in FORMS {
        let Some(entry) = by_gnu_tar(form, "first", 0o755, &many()) else { return };
        let recipe = app()
            .layer(|l| l.file(MARK, 0o644, "x").raw(&entry))
            .layer(|l| l.file("/x", 0o644, "x").hardlink_as("/kept", "/first", 0o755));
        let done = Scene::of(&recipe).harden(&removing(&["first".to_owned()]));
        let tar = &done.tars()[2];
        assert!(!read_tar(tar).iter().any(is_link), "{form:?}");
        assert!(unpacked(tar, "kept") == expanded(), "{form:?}");
    }
}

fn is_link(entry: &Entry) -> bool {
    matches!(entry.item, Item::Hardlink(_))
}

#[test]
fn sizes_are_those_of_the_file_with_its_holes() {
    for form in FORMS {
        let Some(entry) = by_gnu_tar(form, "sparse", 0o644, &many()) else { return };
        let planned = Scene::of(&Recipe::new().layer(|l| l.raw(entry))).plan(&Options::default());
        let inode = planned.inventory.lookup(&path("/sparse")).expect("it is there");
        assert_eq!((&inode.kind, inode.size), (&Kind::File, 200 * 8192 + 3), "{form:?}");
        assert_eq!(inode.fingerprint, None, "its bytes are not compared with others");
    }
}

#[test]
fn a_file_of_nothing_but_a_hole() {
    for form in FORMS {
        let Some(entry) = by_gnu_tar(form, "hole", 0o644, &[(1 << 20, b"")]) else { return };
        holds(&[Peer::Tar], |l: LayerRecipe| l.raw(&entry));
    }
}

#[test]
fn a_text_that_is_looked_into_and_sparse_is_told() {
    let Some(entry) = by_gnu_tar(FORMS[3], "etc/passwd", 0o644, &[(1 << 20, b"x")]) else { return };
    let planned = Scene::of(&app().layer(|l| l.raw(entry))).plan(&Options::default());
    assert_eq!(planned.plan.unseen, ["/etc/passwd is sparse and was not looked into"]);
}
