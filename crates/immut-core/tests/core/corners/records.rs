//! PAX records: attributes, lists of access, global headers, comments.

use immut_testkit::recipe::LayerRecipe;

use super::{BOTH, Peer, holds};

#[test]
fn attributes_with_nuls_and_newlines() {
    holds(BOTH, |l| {
        l.xattr("user.nul", b"\0a\0\n=b\0")
            .xattr("user.caf\u{e9}", b"\xff")
            .xattr("user.empty", b"")
            .file("/schily", 0o644, "x")
            .libarchive_xattr("user.nul", b"\0a\0")
            .file("/libarchive", 0o644, "x")
            .xattr("user.both", b"\0")
            .libarchive_xattr("user.both", b"\0")
            .dir("/both", 0o755)
    });
}

#[test]
fn lists_of_access_and_labels() {
    holds(BOTH, |l| {
        l.pax("SCHILY.acl.access", "user::rw-,user:9:r--,group::r--,mask::r--,other::r--")
            .pax("SCHILY.acl.default", "user::rwx,group::r-x,other::r-x")
            .pax("SCHILY.fflags", "nodump")
            .pax("RHT.security.selinux", b"system_u:object_r:etc_t:s0\0")
            .dir("/d", 0o755)
    });
}

#[test]
fn records_that_nobody_knows() {
    // For GNU tar an empty value is a value, for Go it takes the record back.
    holds(&[Peer::Umoci], |l| {
        l.pax("comment", "a\nb")
            .pax("VENDOR.x=y", "z")
            .pax("hdrcharset", "BINARY")
            .pax("path", "")
            .pax("size", "")
            .file("/f", 0o644, "x")
    });
}

#[test]
fn of_a_record_twice_the_last_counts() {
    holds(BOTH, |l| l.pax("path", "first").pax("path", "second").file("/third", 0o644, "x"));
}

#[test]
fn a_global_header_as_git_archive_writes_it() {
    // umoci refuses it, other engines pass over it.
    holds(&[Peer::Tar], |l| {
        let commit = "e83c5163316f89bfbde7d9ab23ca2e25604af290";
        l.global_pax("comment", commit).file("/f", 0o644, "x").global_pax("comment", "again")
    });
}

#[test]
fn an_attribute_of_any_length() {
    holds(&[Peer::Umoci], |l: LayerRecipe| {
        l.xattr("user.long", vec![b'v'; 60_000]).symlink("/l", "x").file("/f", 0o644, "x")
    });
}
