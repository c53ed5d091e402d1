//! What is no layer that engines would agree on: refused with layer, entry and reason.

use immut_core::Options;
use immut_testkit::recipe::{Encoding, LayerRecipe, LongNames, pax_record};

use super::{app, edited, entry};
use crate::common::Scene;

/// What is wrong, the archive, and words of the refusal.
type Row = (&'static str, Vec<u8>, &'static [&'static str]);

fn tar(build: impl FnOnce(LayerRecipe) -> LayerRecipe) -> Vec<u8> {
    build(LayerRecipe::new()).into_tar()
}

/// An entry of that type, which stands before others and says something of them.
fn helper(kind: u8, content: &[u8]) -> Vec<u8> {
    edited("helper", content, |block| block[156] = kind)
}

/// A file with a field of its header overwritten.
fn field(at: usize, bytes: &'static [u8]) -> Vec<u8> {
    edited("f", b"x", |block| block[at..at + bytes.len()].copy_from_slice(bytes))
}

fn refuse_all(rows: Vec<Row>) {
    for (what, tar, words) in rows {
        let scene = Scene::of(&app().tar_layer(Encoding::Gzip, tar));
        let Err(error) = scene.try_harden(&Options::default()) else { panic!("{what} is taken") };
        let told = error.to_string();
        for word in words.iter().chain(&["layer 2"]) {
            assert!(told.contains(word), "{what}: no {word:?} in: {told}");
        }
        println!("{what}: {told}");
    }
}

#[test]
fn entries_that_engines_would_name_differently() {
    let several: &[&str] = &["entry f", "several PAX headers"];
    let unknown: &[&str] = &["entry", "no form that engines know"];
    let path = pax_record("path", b"harmless");
    refuse_all(vec![
        (
            "a GNU long name and another PAX path",
            [helper(b'L', b"usr/bin/bash\0"), helper(b'x', &path), entry("f", b"x")].concat(),
            &["differ"],
        ),
        (
            "the same the other way round",
            [helper(b'x', &path), helper(b'L', b"usr/bin/bash\0"), entry("f", b"x")].concat(),
            &["differ"],
        ),
        (
            "a GNU long link and another PAX link path",
            tar(|l| l.raw(helper(b'K', b"a\0")).pax("linkpath", "b").symlink("/l", "c")),
            &["entry l", "link target"],
        ),
        (
            "two PAX headers",
            [helper(b'x', &path), helper(b'x', &pax_record("comment", b"x")), entry("f", b"x")]
                .concat(),
            several,
        ),
        (
            "a Solaris PAX header",
            [helper(b'X', &path), entry("f", b"x")].concat(),
            &["entry helper", "type 'X'"],
        ),
        (
            "a global header among an entry's headers",
            [helper(b'x', &path), helper(b'g', &pax_record("comment", b"x")), entry("f", b"x")]
                .concat(),
            &["global header stands among"],
        ),
        (
            "a sparse name without a map",
            tar(|l| l.pax("GNU.sparse.name", "harmless").file("/usr/bin/bash", 0o755, "x")),
            unknown,
        ),
        (
            "a sparse version of the future",
            tar(|l| {
                l.pax("GNU.sparse.major", "2").pax("GNU.sparse.minor", "0").file("/f", 0o644, "x")
            }),
            unknown,
        ),
    ]);
}

#[test]
fn names_that_no_engine_could_make() {
    let long = |names| tar(move |l| l.long_names(names).file("n/".repeat(2100), 0o644, "x"));
    refuse_all(vec![
        ("5000 bytes in a PAX record", long(LongNames::Pax), &["longer than 4096"]),
        ("5000 bytes in a GNU entry", long(LongNames::Gnu), &["longer than 4096"]),
        (
            "a link target of 5000 bytes",
            tar(|l| l.long_names(LongNames::Gnu).symlink("/l", "t/".repeat(2100))),
            &["entry /l", "more than 4096 bytes"],
        ),
        (
            "`..` in the middle",
            tar(|l| l.file("/a/../b", 0o644, "x")),
            &["entry a/../b", "climbs out"],
        ),
        ("`..` at the end", tar(|l| l.dir("/a/..", 0o755)), &["entry a/..", "climbs out"]),
        (
            "`..` in a hardlink",
            tar(|l| l.hardlink("/h", "a/../../app")),
            &["entry /h", "climbs out"],
        ),
        (
            "a NUL in a PAX path",
            tar(|l| l.pax("path", "a\0b").file("/f", 0o644, "x")),
            &["entry a\\x00b", "NUL"],
        ),
        (
            "a NUL in a PAX link path",
            tar(|l| l.pax("linkpath", "a\0b").symlink("/l", "x")),
            &["entry l", "NUL"],
        ),
        (
            "a NUL in an owner's name",
            tar(|l| l.pax("uname", "a\0b").file("/f", 0o644, "x")),
            &["entry f", "NUL"],
        ),
        (
            "a whiteout of nothing",
            tar(|l| l.whiteout("/d/")),
            &["entry /d/.wh.", "whiteout of nothing"],
        ),
        (
            "a file in the root's place",
            tar(|l| l.symlink("/", "elsewhere")),
            &["entry /", "replace the root"],
        ),
    ]);
}

#[test]
fn types_that_no_engine_unpacks() {
    let rows = |kind: u8| [helper(kind, b""), entry("f", b"x")].concat();
    refuse_all(vec![
        ("a volume's name", rows(b'V'), &["entry helper", "type 'V'"]),
        ("a file that began in another volume", rows(b'M'), &["entry helper", "type 'M'"]),
        ("a directory's dump", rows(b'D'), &["entry helper", "type 'D'"]),
        ("an old long name", rows(b'N'), &["entry helper", "type 'N'"]),
        ("Solaris's access list", rows(b'A'), &["entry helper", "type 'A'"]),
        ("star's inode", rows(b'I'), &["entry helper", "type 'I'"]),
        ("a type of nobody", rows(b'z'), &["entry helper", "type 'z'"]),
    ]);
}

#[test]
fn numbers_that_are_none() {
    refuse_all(vec![
        ("a size with letters", field(124, b"0000000000x\0"), &["entry f", "size is no number"]),
        ("a negative size", field(124, &[0xff; 12]), &["entry f", "size is no number"]),
        (
            "a size of more than 63 bits",
            field(124, b"\x80\0\0\x01\0\0\0\0\0\0\0\0"),
            &["entry f", "size is no number"],
        ),
        ("a mode with letters", field(100, b"rwxr-xr-"), &["entry f", "mode is no number"]),
        ("a negative owner", field(108, &[0xff; 8]), &["entry f", "uid is no number"]),
        (
            "an owner of 33 bits",
            field(108, b"\x80\0\0\x01\0\0\0\0"),
            &["entry /f", "no 32-bit number"],
        ),
        (
            "a PAX size that is none",
            tar(|l| l.pax("size", "1x").file("/f", 0o644, "x")),
            &["entry f", "size is no number"],
        ),
        (
            "a negative PAX size",
            tar(|l| l.pax("size", "-1").file("/f", 0o644, "x")),
            &["entry f", "size is no number"],
        ),
        (
            "a PAX size of 64 bits",
            tar(|l| l.pax("size", "18446744073709551615").file("/f", 0o644, "x")),
            &["entry f", "size is no number"],
        ),
        (
            "a PAX size that is not there",
            tar(|l| l.pax("size", "8589934593").file("/f", 0o644, "x")),
            &["ends in the content of entry /f"],
        ),
        (
            "a size in base-256 that is not there",
            field(124, b"\x80\0\0\0\0\0\0\x7f\0\0\0\0"),
            &["ends in the content of entry /f"],
        ),
        (
            "a checksum that does not hold",
            {
                let mut tar = entry("f", b"x");
                tar[0] = b'g';
                tar
            },
            &["the start of the archive", "checksum"],
        ),
        (
            "a PAX record without an end",
            [helper(b'x', b"12 path=ab"), entry("f", b"x")].concat(),
            &["entry f", "malformed"],
        ),
    ]);
}

#[test]
fn hardlinks_to_nothing() {
    let with_content = || {
        edited("h", b"content", |block| {
            block[156] = b'1';
            block[157..160].copy_from_slice(b"app");
        })
    };
    refuse_all(vec![
        (
            "before its target",
            tar(|l| l.hardlink("/h", "/f").file("/f", 0o644, "x")),
            &["entry /h", "target /f is not there"],
        ),
        ("to itself", tar(|l| l.hardlink("/h", "/h")), &["entry /h", "target /h is not there"]),
        (
            "to what its layer whites out",
            tar(|l| l.whiteout("/app").hardlink("/h", "/app")),
            &["entry /h", "is not there"],
        ),
        ("to a directory", tar(|l| l.hardlink("/h", "/usr")), &["entry /h", "is a directory"]),
        // The bytes of POSIX's hardlinks with content stand where Go looks for the next header.
        (
            "with content",
            [with_content(), entry("f", b"x")].concat(),
            &["after entry /h", "checksum"],
        ),
    ]);
}

const NO_MAP: &[&str] = &["entry", "f: ", "pieces is none"];
const NO_FIT: &[&str] = &["entry", "f: ", "does not fit"];

#[test]
fn sparse_maps_in_records_that_are_none() {
    let map = |map: &'static str, count: &'static str| {
        tar(move |l| {
            let l = l.pax("GNU.sparse.map", map).pax("GNU.sparse.numblocks", count);
            l.pax("GNU.sparse.size", "1000").file("/f", 0o644, [b'x'; 20])
        })
    };
    let reversed = tar(|l| {
        let l = l.pax("GNU.sparse.numbytes", "20").pax("GNU.sparse.offset", "0");
        let l = l.pax("GNU.sparse.size", "1000").pax("GNU.sparse.numblocks", "1");
        l.file("/f", 0o644, [b'x'; 20])
    });
    refuse_all(vec![
        ("numbers that are none", map("0,x", "1"), NO_MAP),
        ("an odd count", map("0,20,30", "1"), NO_MAP),
        ("another count", map("0,20", "2"), NO_MAP),
        ("a number of 64 bits", map("18446744073709551615,20", "1"), NO_MAP),
        ("lengths before offsets", reversed, NO_MAP),
        ("pieces past the end", map("990,20", "1"), NO_FIT),
        ("pieces that overlap", map("0,10,5,10", "2"), NO_FIT),
        ("more than is stored", map("0,30", "1"), NO_FIT),
        ("less than is stored", map("0,10", "1"), NO_FIT),
    ]);
}

#[test]
fn sparse_maps_before_the_content_that_are_none() {
    let map = |map: &'static str| {
        tar(move |l| {
            let mut content = map.as_bytes().to_vec();
            content.resize(512, 0);
            content.extend([b'x'; 20]);
            let l = l.pax("GNU.sparse.major", "1").pax("GNU.sparse.minor", "0");
            let l = l.pax("GNU.sparse.realsize", "1000").pax("GNU.sparse.name", "f");
            l.file("/g", 0o644, content)
        })
    };
    let directory = tar(|l| {
        let l = l.pax("GNU.sparse.major", "1").pax("GNU.sparse.minor", "0");
        l.pax("GNU.sparse.name", "d").dir("/x", 0o755)
    });
    refuse_all(vec![
        ("no number", map("no number"), NO_MAP),
        ("a line that is no number", map("no number\n"), NO_MAP),
        ("a map that is cut", map("3\n0\n10\n"), NO_MAP),
        ("very many pieces", map("18446744073709551615\n"), NO_MAP),
        ("pieces that do not fit", map("1\n0\n30\n"), NO_FIT),
        ("a directory", directory, &["entry d", "no regular file"]),
    ]);
}

#[test]
fn sparse_maps_in_old_headers_that_are_none() {
    let cut = edited("f", b"", |block| {
        block[156] = b'S';
        block[257..265].copy_from_slice(b"ustar  \0");
        block[482] = 1;
    });
    let overlap = tar(|l| l.gnu_sparse("/f", 1000, &[(0, b"abc"), (1, b"def")]));
    refuse_all(vec![
        ("no GNU header", field(156, b"S"), &["entry f", "without a GNU header"]),
        ("a map that is cut", cut, &["ends in the middle of a header"]),
        ("pieces that overlap", overlap, NO_FIT),
    ]);
}

#[test]
fn archives_that_end_too_early() {
    let long = |kind: u8| {
        let mut tar = helper(kind, &[b'x'; 600]);
        tar.truncate(600);
        tar
    };
    let file = || entry("f", &[b'x'; 600]);
    refuse_all(vec![
        (
            "in a header",
            file()[..300].to_vec(),
            &["the start of the archive", "in the middle of a header"],
        ),
        ("in a content", file()[..900].to_vec(), &["in the content of entry /f"]),
        ("in a long name", long(b'L'), &["in the middle of a header"]),
        ("in PAX records", long(b'x'), &["in the middle of a header"]),
        ("after a long name", helper(b'L', b"name\0"), &["in the middle of a header"]),
        ("in zeros", [file(), vec![0; 700]].concat(), &["entry /f", "zeros stands among"]),
        (
            "with zeros after a long name",
            [helper(b'L', b"name\0"), vec![0; 1024]].concat(),
            &["zeros stands among"],
        ),
        (
            "in the middle, by one block of zeros",
            [file(), vec![0; 512], file()].concat(),
            &["after entry /f", "zeros"],
        ),
    ]);
}
