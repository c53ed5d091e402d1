//! Types of entries: devices, pipes, links, and the forms of old archives.

use immut_testkit::recipe::LayerRecipe;

use super::{BOTH, Peer, edited, holds, holds_as_a_tree};

#[test]
fn devices_and_pipes() {
    // umoci makes files of devices when it is not root's.
    holds(&[Peer::Tar], |l| {
        l.fifo("/pipe").dir("/dev", 0o755).device("/dev/null", 1, 3).block_device(
            "/dev/loop0",
            7,
            0,
        )
    });
}

#[test]
fn a_device_with_privileges_is_none() {
    // The kernel runs no device: there is no bit to clear.
    holds(&[Peer::Tar], |l| {
        l.raw(edited("odd", b"", |block| {
            block[156] = b'3';
            block[100..108].copy_from_slice(b"0006666\0");
        }))
    });
}

#[test]
fn old_regular_files_and_directories() {
    holds(BOTH, |l| {
        let old = |name: &str| edited(name, b"x", |block| block[156] = 0);
        let v7 = |block: &mut [u8; 512]| {
            block[156] = 0;
            block[257..345].fill(0);
        };
        l.raw(old("old"))
            .raw(edited("v7", b"y", v7))
            .raw(edited("directory/", b"", v7))
            .raw(edited("directory/f", b"z", v7))
    });
}

#[test]
fn contiguous_files() {
    holds(&[Peer::Tar], |l| l.raw(edited("contiguous", b"x", |block| block[156] = b'7')));
}

#[test]
fn sizes_of_what_has_no_content() {
    holds(&[Peer::Umoci], |l| {
        let sized = |name: &str, kind: u8| {
            edited(name, b"", |block| {
                block[156] = kind;
                block[124..136].copy_from_slice(b"00000001000\0");
                block[157] = b'x';
            })
        };
        l.raw(sized("link", b'2')).raw(sized("directory/", b'5')).raw(sized("pipe", b'6'))
    });
}

#[test]
fn entries_twice_and_more_often() {
    holds_as_a_tree(BOTH, |l| {
        l.file("/f", 0o600, "first")
            .dir("/d", 0o700)
            .dir("/d", 0o750)
            .file("/f", 0o644, "second")
            .symlink("/s", "f")
            .symlink("/s", "d")
            .file("/x", 0o644, "x")
            .hardlink("/h", "/x")
            .hardlink("/h", "/x")
    });
}

#[test]
fn a_directory_that_becomes_a_link_in_one_layer() {
    // GNU tar keeps a directory, Go's engines replace it.
    holds_as_a_tree(&[Peer::Umoci], |l: LayerRecipe| {
        l.dir("/d", 0o755).file("/d/f", 0o644, "x").symlink("/d", "e")
    });
}

#[test]
fn links_to_anywhere() {
    holds(BOTH, |l| {
        l.symlink("/absolute", "/etc/shadow")
            .symlink("/climbs", "../../../../../../etc/shadow")
            .symlink("/self", "self")
            .symlink("/a", "b")
            .symlink("/b", "a")
            .symlink("/slashes", "//etc/./x//")
            .symlink("/dangling", "no such file")
            .symlink("/bytes", b"\xff\x80")
            .symlink("/root", "/")
    });
}

#[test]
fn links_as_long_as_the_kernel_has_them() {
    holds(BOTH, |l| l.symlink("/long", "t/".repeat(2047)));
}

#[test]
fn hardlinks_of_hardlinks() {
    holds(BOTH, |l| {
        l.file("/a", 0o644, "x").hardlink("/b", "/a").hardlink("/c", "/b").hardlink("/d/e", "/c")
    });
}

#[test]
fn a_hardlink_to_a_link_is_a_link() {
    holds(&[Peer::Tar], |l| l.symlink("/l", "target").hardlink("/h", "/l"));
}

#[test]
fn a_hardlink_to_itself_changes_nothing() {
    holds_as_a_tree(&[Peer::Tar], |l| {
        l.file("/f", 0o755, "x").hardlink_as("/f", "/f", 0o755).hardlink_as("/g", "/f", 0o755)
    });
}
