//! Times and owners beyond what octal digits hold.

use std::process::Command;

use immut_testkit::peers;
use immut_testkit::recipe::LayerRecipe;

use super::{BOTH, edited, harden, holds, shell};

/// A number in base-256, the lowest byte last.
fn base_256(field: &mut [u8], number: i64) {
    let sign = if number < 0 { 0xff } else { 0 };
    let places = field.len() - 8;
    field[..places].fill(sign);
    field[places..].copy_from_slice(&number.to_be_bytes());
    field[0] |= 0x80;
}

#[test]
fn times_before_1970_in_base_256() {
    holds(BOTH, |l| {
        l.raw(edited("before", b"x", |block| base_256(&mut block[136..148], -86_400 * 365)))
            .raw(edited("after", b"x", |block| base_256(&mut block[136..148], 1 << 33)))
    });
}

#[test]
fn times_before_1970_and_parts_of_seconds_in_pax_records() {
    holds(BOTH, |l| {
        let times = ["-1.5", "-86400", "0.000000001", "1700000000.123456789", "4294967296.5"];
        times.iter().zip(0..).fold(l, |l, (time, n)| {
            l.pax("mtime", time).pax("atime", "1700000000.000000001").pax("ctime", "-3.25").file(
                format!("/{n}"),
                0o644,
                "x",
            )
        })
    });
}

#[test]
fn times_in_gnu_headers() {
    holds(BOTH, |l| {
        l.raw(edited("times", b"x", |block| {
            block[257..265].copy_from_slice(b"ustar  \0");
            block[345..369].copy_from_slice(b"14576042634\x0014576042634\0");
        }))
    });
}

#[test]
fn owners_over_2_to_the_21_in_base_256() {
    holds(BOTH, |l| {
        l.owned(3_000_000, 4_000_000_000).file("/big", 0o644, "x").dir("/bigger", 0o755)
    });
}

#[test]
fn owners_over_2_to_the_21_in_pax_records() {
    holds(BOTH, |l| l.pax("uid", "3000000").pax("gid", "4294967294").file("/big", 0o644, "x"));
}

#[test]
fn owners_with_names_beyond_ascii() {
    holds(BOTH, |l| {
        l.pax("uname", "jos\u{e9}").pax("gname", b"gr\xfcppe").file("/pax", 0o644, "x").raw(edited(
            "header",
            b"x",
            |block| block[265..270].copy_from_slice(b"jos\xe9\0"),
        ))
    });
}

#[test]
fn modes_with_a_files_type_in_them() {
    holds(BOTH, |l| {
        l.raw(edited("old", b"x", |block| block[100..108].copy_from_slice(b"0100640\0")))
            .raw(edited("spaces", b"x", |block| block[100..108].copy_from_slice(b"   640 \0")))
            .raw(edited("empty", b"x", |block| block[108..124].fill(0)))
    });
}

/// GNU tar reads the owners back as they were, from a layer that was rewritten.
#[test]
fn gnu_tar_lists_the_same_owners_and_times() {
    let Some(tar) = peers::require("tar") else { return };
    let corner = |l: LayerRecipe| {
        l.pax("uid", "3000000").pax("mtime", "86399.25").file("/pax", 0o4755, "x").raw(edited(
            "raw",
            b"y",
            |block| {
                base_256(&mut block[108..116], 2_500_000);
                base_256(&mut block[136..148], -1);
            },
        ))
    };
    let done = harden(&super::app().layer(|l| corner(shell(l))));
    let archive = done.scene.folder.path().join("layer.tar");
    std::fs::write(&archive, &done.tars()[1]).expect("written");
    let output = Command::new(&tar)
        .args(["--numeric-owner", "--utc", "--full-time", "-tvf"])
        .arg(&archive)
        .output()
        .expect("tar runs");
    let told = String::from_utf8(output.stdout).expect("text");
    let lines: Vec<Vec<&str>> =
        told.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["-rwxr-xr-x", "3000000/0", "1", "1970-01-01", "23:59:59.25", "pax"]);
    assert_eq!(lines[1], ["-rwxr-xr-x", "2500000/0", "1", "1969-12-31", "23:59:59", "raw"]);
}
