//! The corner as the very thing that goes or loses its bits.

use immut_core::Options;
use immut_testkit::contents;
use immut_testkit::model::{Item, read_tar};
use immut_testkit::recipe::{LayerRecipe, LongNames, Naming, Recipe};

use super::{Peer, agrees, app, harden};
use crate::common::{MARK, Scene, profile, removing};

/// Hardens, and holds the result to umoci's tree without the names that went.
fn goes(recipe: &Recipe, gone: &[&str]) {
    let done = agrees(Peer::Umoci, recipe, gone);
    for entry in done.tars().iter().flat_map(|tar| read_tar(tar)) {
        let target = match &entry.item {
            Item::Hardlink(target) | Item::Symlink(target) => target.as_str(),
            _ => "",
        };
        let shell = |name: &str| name.ends_with("bash") || name.ends_with("bin/sh");
        assert!(!shell(&entry.path) && !shell(target), "{entry:?}");
    }
    assert!(!done.again(&Options::default()).is_changed());
}

fn bash(layer: LayerRecipe, path: impl AsRef<[u8]>) -> LayerRecipe {
    layer.file(path, 0o755, contents::bash())
}

#[test]
fn a_shell_under_a_long_name() {
    for long_names in [LongNames::Pax, LongNames::Gnu, LongNames::Prefix] {
        let folder = ["f".repeat(60), "g".repeat(60), "h".repeat(60), "i".repeat(60)].join("/");
        let name = format!("{folder}/{}bash", "n".repeat(60));
        let folders: Vec<&str> = folder
            .match_indices('/')
            .map(|(slash, _)| &folder[..slash])
            .chain([&*folder])
            .collect();
        let recipe = app()
            .layer(|l| bash(l, "/usr/bin/bash"))
            .layer(|l| folders.iter().fold(l.long_names(long_names), |l, path| l.dir(path, 0o755)))
            .layer(|l| bash(l.long_names(long_names), &name).file("/kept", 0o644, "x"));
        goes(&recipe, &["usr/bin/bash", &name]);
    }
}

#[test]
fn a_shell_under_a_prefix_in_a_gnu_header() {
    let entry = super::edited("bash", &contents::bash(), |block| {
        block[257..265].copy_from_slice(b"ustar  \0");
        block[345..352].copy_from_slice(b"usr/bin");
    });
    goes(&app().layer(|l| l.raw(entry).file("/kept", 0o644, "x")), &["usr/bin/bash"]);
}

#[test]
fn a_hardlink_across_layers_to_a_shell() {
    let recipe = app()
        .layer(|l| bash(l, "/usr/bin/bash").file("/x", 0o644, "x"))
        .layer(|l| l.hardlink_as("/opt-bash", "/usr/bin/bash", 0o755).file("/y", 0o644, "y"))
        .layer(|l| l.whiteout("/usr/bin/bash").file("/z", 0o644, "z"))
        .layer(|l| l.hardlink_as("/later-bash", "/opt-bash", 0o755).file("/a", 0o644, "a"));
    goes(&recipe, &["opt-bash", "later-bash"]);
}

#[test]
fn a_shell_at_the_end_of_links_through_links() {
    let recipe = app()
        .layer(|l| bash(l, "/usr/bin/bash").symlink("/bin", "usr/bin").file("/x", 0o644, "x"))
        .layer(|l| l.symlink("/here", "/bin").symlink("/one", "here/bash"))
        .layer(|l| l.symlink("/two", "./one").symlink("/three", "../../two"))
        .layer(|l| l.symlink("/loop", "loop").symlink("/dangling", "/bin/none"));
    goes(&recipe, &["usr/bin/bash", "one", "two", "three"]);
}

#[test]
fn a_shell_under_a_directory_that_becomes_a_link_and_one_again() {
    let recipe = app()
        .layer(|l| bash(l.dir("/bin", 0o755), "/bin/bash").file("/bin/x", 0o644, "x"))
        .layer(|l| l.symlink("/bin", "usr/bin").file("/y", 0o644, "y"))
        .layer(|l| l.dir("/bin", 0o755).file("/bin/z", 0o644, "z"));
    goes(&recipe, &[]);
}

#[test]
fn a_shell_that_only_a_directory_and_a_link_show() {
    let recipe = app()
        .layer(|l| bash(l.dir("/tools", 0o755), "/tools/bash").file("/tools/x", 0o644, "x"))
        .layer(|l| bash(l, "/usr/bin/bash").symlink("/tools", "usr/bin"))
        .layer(|l| l.symlink("/sh", "/tools/bash").file("/y", 0o644, "y"));
    goes(&recipe, &["usr/bin/bash", "sh"]);
}

#[test]
fn a_merged_usr_and_a_later_layer_with_real_paths() {
    // Where each layer has a folder of its own, the directory hides the link; so does a view of
    // literal names. umoci follows the link: there the shell lies in /usr/bin, and goes from there.
    let recipe = app()
        .layer(|l| l.symlink("/bin", "usr/bin").file("/usr/bin/x", 0o644, "x"))
        .layer(|l| l.dir("/bin", 0o755).file("/bin/y", 0o644, "y"))
        .layer(|l| bash(l, "/bin/bash").file("/z", 0o644, "z"));
    goes(&recipe, &["bin/bash"]);
}

#[test]
fn real_paths_and_a_later_layer_that_merges_usr() {
    let recipe = app()
        .layer(|l| bash(l.dir("/bin", 0o755), "/bin/bash").file("/bin/x", 0o644, "x"))
        .layer(|l| bash(l, "/usr/bin/bash").symlink("/bin", "usr/bin").file("/y", 0o644, "y"));
    goes(&recipe, &["usr/bin/bash"]);
}

#[test]
fn a_shell_in_two_spellings_in_two_layers() {
    let kept = |l: LayerRecipe, name: &str| l.file(name, 0o644, name);
    let recipe = app()
        .layer(|l| l.dir("/bin", 0o755))
        .layer(|l| kept(bash(l.naming(Naming::DotSlash), "/bin/bash"), "/x"))
        .layer(|l| kept(bash(l.naming(Naming::Absolute), "/bin/bash"), "/y"))
        .layer(|l| kept(bash(l.naming(Naming::Verbatim), "bin//./bash"), "/z"));
    goes(&recipe, &["bin/bash"]);
}

#[test]
fn a_shell_twice_in_one_layer() {
    let recipe = app().layer(|l| {
        let l = bash(l.dir("/bin", 0o755).file("/bin/bash", 0o755, "harmless"), "/bin/bash");
        bash(l, "/bin/rbash").file("/bin/rbash", 0o755, "harmless").file("/x", 0o644, "x")
    });
    let done = harden(&recipe);
    // The second rbash is not the shell that it hides.
    let names: Vec<String> = read_tar(&done.tars()[1]).into_iter().map(|one| one.path).collect();
    assert_eq!(names, ["bin", "bin/rbash", "x"]);
    assert_eq!(done.text("bin/rbash"), "harmless");
}

#[test]
fn a_setuid_file_twice_in_one_layer() {
    for (first, second) in [(0o4755, 0o755), (0o755, 0o4755), (0o4755, 0o2755)] {
        let recipe = app().layer(|l| l.file("/su", first, "one").file("/su", second, "two"));
        let done = harden(&recipe);
        assert_eq!(done.text("su"), "two");
        for entry in done.tars().iter().flat_map(|tar| read_tar(tar)) {
            assert_eq!(entry.mode & 0o6000, 0, "{first:o} {second:o}: {entry:?}");
        }
        assert!(!done.again(&Options::default()).is_changed());
    }
}

#[test]
fn setuid_files_with_any_name_lose_the_bit_in_place() {
    let names: [&[u8]; 6] =
        [b"caf\xe9", b"\xff/\x80", b"new\nline", b"trailing ", b"back\\slash", &[b'n'; 180]];
    for long_names in [LongNames::Pax, LongNames::Gnu, LongNames::AlwaysPax] {
        let layer = |mode: u32| {
            let l = LayerRecipe::new().long_names(long_names).owned(3_000_000, 9);
            names.iter().fold(l, |l, name| {
                let l =
                    l.pax("mtime", "-1.25").xattr("user.x", b"\0\n").file(name, mode, "content");
                l.hardlink_as([name, &b"h"[..]].concat(), name, mode)
            })
        };
        let recipe =
            app().tar_layer(immut_testkit::recipe::Encoding::Gzip, layer(0o6755).into_tar());
        let done = harden(&recipe);
        assert!(
            done.tars()[1] == layer(0o755).into_tar(),
            "{long_names:?}: more than a mode changed"
        );
    }
}

#[test]
fn capabilities_go_in_both_spellings_and_nothing_else() {
    let layer = |capable: bool| {
        let with = |l: LayerRecipe, libarchive: bool| match (capable, libarchive) {
            (false, _) => l,
            (true, false) => l.xattr("security.capability", b"\x01\0\0\x02\0\x20\0\0"),
            (true, true) => l.libarchive_xattr("security.capability", b"\x01\0\0\x02\0\x20\0\0"),
        };
        let l = LayerRecipe::new().xattr("user.x", b"\0");
        let l = with(l, false).pax("mtime", "7.5").file("/ping", 0o755, "p");
        let l = with(l.xattr("user.x", b"\0"), true).file("/pong", 0o755, "q");
        with(l.pax("comment", "x"), false)
            .xattr("security.ima", b"\x03\0")
            .file("/peng", 0o755, "r")
    };
    let recipe = app().tar_layer(immut_testkit::recipe::Encoding::Gzip, layer(true).into_tar());
    let done = harden(&recipe);
    assert_eq!(records(&done.tars()[1]), records(&layer(false).into_tar()));
}

/// The name of each entry, then its PAX records.
fn records(tar: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().expect("entries").flat_map(|entry| {
        let mut entry = entry.expect("an entry");
        let records = entry.pax_extensions().expect("records").into_iter().flatten();
        let record =
            |one: tar::PaxExtension<'_>| (one.key_bytes().to_owned(), one.value_bytes().to_vec());
        let records: Vec<_> = records.map(|one| record(one.expect("a record"))).collect();
        std::iter::once((b"entry".to_vec(), entry.path_bytes().into_owned())).chain(records)
    });
    entries.collect()
}

/// A hardlink that has to become the file keeps its own name, owner and times, however written.
#[test]
fn a_carrier_with_a_long_name_and_large_numbers() {
    let names = ["c".repeat(180), format!("{}/{}", "d".repeat(90), "c".repeat(90)), "c".into()];
    for long_names in [LongNames::Pax, LongNames::Gnu, LongNames::Prefix, LongNames::AlwaysPax] {
        for (first, second) in names.iter().zip(names.iter().cycle().skip(1)) {
            let file = |l: LayerRecipe, name: &str| {
                l.long_names(long_names).xattr("user.x", b"\0").file(name, 0o755, [7; 700])
            };
            let link = |l: LayerRecipe| {
                let l = l.long_names(long_names).owned(3_000_000, 5).pax("mtime", "-9.5");
                l.hardlink_as(second, first, 0o750).hardlink_as("/other", second, 0o750)
            };
            let recipe = app().layer(|l| file(l.file(MARK, 0o644, "x"), first)).layer(link);
            let options = removing(std::slice::from_ref(first));
            let done = Scene::of(&recipe).harden(&options);
            let tar = &done.tars()[2];
            let mut records = records(tar);
            records.truncate(4);
            records.retain(|(key, _)| key != b"path");
            let expected: [(&[u8], &[u8]); 3] = [
                (b"entry", second.as_bytes()),
                (b"SCHILY.xattr.user.x", b"\0"),
                (b"mtime", b"-9.5"),
            ];
            let expected = expected.map(|(key, value)| (key.to_vec(), value.to_vec()));
            assert_eq!(records[..3], expected, "{long_names:?}");
            let view = done.view();
            let facts = (view[second].mode, view[second].owner, view[second].twins.clone());
            assert_eq!(facts, (0o750, (3_000_000, 5), vec!["other".to_owned()]), "{long_names:?}");
            assert!(!done.again(&options).is_changed());
        }
    }
}

/// A hidden file that a hardlink of a later layer becomes goes like any hidden file.
#[test]
fn a_hidden_file_that_its_last_link_carries() {
    let recipe = app()
        .layer(|l| l.dir("/c", 0o755).dir("/c/b", 0o755))
        .layer(|l| l.dir("/b", 0o755).file("/c", 0o644, "content"))
        .layer(|l| l.hardlink("/a", "/c").dir("/c", 0o755).hardlink("/c/b", "/a"));
    let mut options = profile("minimal");
    options.choices.profile.keep.push("/c/b".parse().expect("a keep"));
    let done = Scene::of(&recipe).harden(&options);
    assert_eq!(done.text("c/b"), "content");
    let left: Vec<_> = done.tars().iter().flat_map(|tar| read_tar(tar)).collect();
    assert!(
        !left.iter().any(|one| one.path == "c" && matches!(one.item, Item::File(_))),
        "{left:?}"
    );
    assert!(!done.again(&options).is_changed());
}
