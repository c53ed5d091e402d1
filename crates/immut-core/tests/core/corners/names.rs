//! Names: long, strange, and in every spelling.

use immut_testkit::recipe::{LayerRecipe, LongNames, Naming};

use super::{BOTH, Peer, edited, entry, holds};

/// Names around the borders of the formats' fields, each with a link and a hardlink to it.
fn lengths(layer: LayerRecipe, long_names: LongNames) -> LayerRecipe {
    [99, 100, 101, 154, 155, 156, 255, 256, 300, 1000].into_iter().fold(
        layer.long_names(long_names),
        |layer, length| {
            let name =
                format!("/{}", "d/".repeat(length / 2 - 20)) + &"n".repeat(40 - 1 + length % 2);
            let layer = layer.file(&name, 0o644, "x").symlink(format!("{name}l"), &name);
            layer.hardlink(format!("{name}h"), &name).dir(format!("{name}d"), 0o755)
        },
    )
}

#[test]
fn long_names_in_pax_records() {
    holds(BOTH, |l| lengths(l, LongNames::Pax));
}

#[test]
fn short_names_in_pax_records() {
    holds(BOTH, |l| lengths(l, LongNames::AlwaysPax));
}

#[test]
fn long_names_in_gnu_entries() {
    holds(BOTH, |l| lengths(l, LongNames::Gnu));
}

#[test]
fn long_names_in_prefixes() {
    holds(BOTH, |l| lengths(l, LongNames::Prefix));
}

#[test]
fn a_prefix_counts_whatever_the_version_after_the_magic() {
    // GNU tar looks at the version, Go does not; engines are Go.
    holds(&[Peer::Umoci], |l| {
        l.raw(edited("name", b"x", |block| {
            block[263..265].copy_from_slice(b"99");
            block[345..354].copy_from_slice(b"opt/under");
        }))
    });
}

#[test]
fn a_prefix_in_a_gnu_header_as_docker_wrote_it_until_2016() {
    holds(&[Peer::Umoci], |l| {
        l.raw(edited("name", b"x", |block| {
            block[257..265].copy_from_slice(b"ustar  \0");
            block[345..354].copy_from_slice(b"opt/under");
        }))
    });
}

#[test]
fn a_gnu_long_name_and_the_same_pax_path() {
    holds(BOTH, |l| {
        let name = "n".repeat(150);
        let long = LayerRecipe::new().ending([]).long_names(LongNames::Gnu).file(&name, 0o644, "x");
        let long = &long.into_tar()[..1024];
        l.raw(long).pax("path", &name).file("/short", 0o644, "x")
    });
}

#[test]
fn names_that_are_no_utf_8() {
    holds(BOTH, |l| {
        l.file(b"/caf\xe9", 0o644, "1")
            .dir(b"/\xff\xfe", 0o755)
            .file(b"/\xff\xfe/\x80", 0o644, "2")
            .symlink(b"/\xc3\x28", b"caf\xe9")
            .hardlink(b"/h\xe9", b"/caf\xe9")
            .pax("path", b"p\xe9x")
            .file("/replaced", 0o644, "3")
    });
}

#[test]
fn names_that_confuse_shells_and_windows() {
    holds(BOTH, |l| {
        let names = [
            "back\\slash",
            "new\nline",
            "trailing space ",
            "trailing.dot.",
            " leading",
            "...",
            "a..b",
            "-rf",
            "*",
            "$(id)",
            "\u{202e}txt",
            "\u{1b}[2J",
            "Case",
            "case",
            "CASE",
            "con",
            "nul.txt",
            ".wh",
            ".whx",
            "x.wh.y",
            "tab\tname",
            "'\"",
        ];
        names.iter().fold(l, |l, name| l.file(format!("/strange/{name}"), 0o644, name))
    });
}

#[test]
fn names_with_a_dot_and_a_slash_before_them() {
    holds(BOTH, |l| {
        let l =
            l.naming(Naming::DotSlash).dir("/", 0o755).dir("/d", 0o750).file("/d/f", 0o644, "x");
        l.hardlink("/d/h", "/d/f").symlink("/l", "./d/f")
    });
}

#[test]
fn absolute_names() {
    holds(BOTH, |l| {
        l.naming(Naming::Absolute)
            .dir("/d", 0o750)
            .file("/d/f", 0o644, "x")
            .hardlink("/d/h", "/d/f")
    });
}

#[test]
fn names_with_slashes_and_dots_to_spare() {
    holds(BOTH, |l| {
        let l = l.naming(Naming::Verbatim).dir("d//", 0o755).dir("d/./e/", 0o755);
        l.file("d//f", 0o644, "x").file(".//d/./g", 0o644, "x").hardlink("d/h", "./d//f")
    });
}

#[test]
fn names_that_fill_their_field_without_a_nul() {
    holds(BOTH, |l| {
        l.raw(entry(&"f".repeat(100), b"x")).raw(edited("filled-prefix", b"x", |block| {
            let prefix = format!("{}/{}", "p".repeat(77), "q".repeat(77));
            block[345..500].copy_from_slice(prefix.as_bytes());
        }))
    });
}
