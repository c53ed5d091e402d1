//! Archives that others recorded, each as a layer: read as GNU tar reads it and hardened, or refused.

use std::path::{Path, PathBuf};
use std::process::Command;

use immut_core::Options;
use immut_testkit::peers;
use immut_testkit::recipe::Encoding;

use super::{Peer, app, assert_same, seen, unpack, without_times};
use crate::common::{Scene, fixture, told, try_decode};

/// What becomes of an archive.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    /// It has so many entries, and is what that program unpacks.
    Read(usize, Peer),
    /// With these words, among others.
    Refused(&'static str),
}

use Outcome::{Read, Refused};

#[rustfmt::skip]
const RECORDED: [(&str, Outcome); 81] = [
    ("go-archive-tar/gnu-incremental.tar", Refused("entry test2/: its type 'D'")),
    ("go-archive-tar/gnu-multi-hdrs.tar", Read(1, Peer::Tar)),
    ("go-archive-tar/gnu-nil-sparse-hole.tar", Read(1, Peer::Tar)),
    ("go-archive-tar/gnu-sparse-big.tar", Read(1, Peer::Tar)),
    ("go-archive-tar/gnu.tar", Read(2, Peer::Tar)),
    ("go-archive-tar/hdr-only.tar", Read(16, Peer::Tar)),
    ("go-archive-tar/issue10968.tar", Refused("its size is no number")),
    ("go-archive-tar/issue12435.tar", Refused("a size is no number")),
    ("go-archive-tar/nil-uid.tar", Read(1, Peer::Tar)),
    ("go-archive-tar/pax-bad-hdr-large.tar.bz2", Refused("ends in the middle of a header")),
    ("go-archive-tar/pax-global-records.tar", Refused("it changes names, sizes, owners or attributes of all entries")),
    ("go-archive-tar/pax-nil-sparse-data.tar", Read(1, Peer::Tar)),
    ("go-archive-tar/pax-nul-path.tar", Refused("holds a NUL byte")),
    ("go-archive-tar/pax-path-hdr.tar", Refused("ends in the middle of a header")),
    ("go-archive-tar/pax-records.tar", Read(1, Peer::Tar)),
    ("go-archive-tar/pax.tar", Read(2, Peer::Tar)),
    ("go-archive-tar/small2.txt", Refused("ends in the middle of a header")),
    ("go-archive-tar/star.tar", Read(2, Peer::Tar)),
    ("go-archive-tar/ustar-file-devs.tar", Read(1, Peer::Tar)),
    ("go-archive-tar/ustar.tar", Read(1, Peer::Tar)),
    ("go-archive-tar/writer-big-long.tar", Refused("the archive ends in the content of entry /longname/")),
    ("go-archive-tar/writer.tar", Read(3, Peer::Tar)),
    ("libarchive/test_acl_pax_nfs4.tar", Read(3, Peer::Tar)),
    ("libarchive/test_compat_gtar_1.tar", Read(2, Peer::Tar)),
    ("libarchive/test_compat_mac-1.tar.Z", Read(9, Peer::Tar)),
    ("libarchive/test_compat_perl_archive_tar.tar", Read(1, Peer::Tar)),
    ("libarchive/test_compat_solaris_pax_sparse_1.pax.Z", Read(1, Peer::Tar)),
    ("libarchive/test_compat_solaris_tar_acl.tar", Refused("entry file-with-posix-acls: its type 'A'")),
    ("libarchive/test_compat_star_acl_posix1e.tar", Read(4, Peer::Tar)),
    ("libarchive/test_compat_tar_hardlink_1.tar", Read(2, Peer::Tar)),
    ("libarchive/test_compat_zstd_1.tar.zst", Read(6, Peer::Tar)),
    ("libarchive/test_pax_filename_encoding.tar", Read(2, Peer::Tar)),
    ("libarchive/test_pax_xattr_header_libarchive.tar", Read(1, Peer::Tar)),
    ("libarchive/test_read_format_gtar_filename_cp866.tar.Z", Read(2, Peer::Tar)),
    ("libarchive/test_read_format_gtar_filename_koi8r.tar.Z", Read(2, Peer::Tar)),
    ("libarchive/test_read_format_gtar_sparse_1_13.tar", Read(3, Peer::Tar)),
    ("libarchive/test_read_format_gtar_sparse_1_17_posix00.tar", Read(3, Peer::Tar)),
    ("libarchive/test_read_format_gtar_sparse_1_17_posix10.tar", Read(3, Peer::Tar)),
    ("libarchive/test_read_format_gtar_sparse_length.tar.Z", Read(2, Peer::Tar)),
    ("libarchive/test_read_format_gtar_sparse_skip_entry.tar.Z", Refused("entry /a: the map of its sparse pieces does not fit")),
    ("libarchive/test_read_format_tar_acl_oob_read.tar", Refused("after entry /file: the next header's checksum does not hold")),
    ("libarchive/test_read_format_tar_empty_filename.tar", Read(1, Peer::Tar)),
    ("libarchive/test_read_format_tar_empty_with_gnulabel.tar", Refused("entry label: its type 'V'")),
    ("libarchive/test_read_format_tar_invalid_pax_size.tar", Refused("entry aaa: its PAX records are malformed")),
    ("libarchive/test_read_format_tar_pax_g_large.tar", Refused("an extended header has more than 1 MiB")),
    ("libarchive/test_read_format_tar_pax_negative_time.tar", Read(1, Peer::Tar)),
    ("libarchive/test_read_format_tar_pax_timestamps.tar", Read(1, Peer::Tar)),
    ("libarchive/test_read_format_ustar_filename_cp866.tar.Z", Read(2, Peer::Tar)),
    ("libarchive/test_read_format_ustar_filename_koi8r.tar.Z", Read(2, Peer::Tar)),
    ("libarchive/test_read_pax_xattr_rht_security_selinux.tar", Read(1, Peer::Tar)),
    ("libarchive/test_write_disk_mac_metadata.tar.gz", Read(2, Peer::Tar)),
    ("osv-scalibr-images/escape.tar", Read(6, Peer::Umoci)),
    ("osv-scalibr-images/symlink-cycle.tar", Read(7, Peer::Tar)),
    ("snyk-zip-slip/zip-slip.tar", Refused("climbs out with a `..` component")),
    ("tar-rs/7z_long_path.tar", Read(2, Peer::Tar)),
    ("tar-rs/biguid_gnu.tar", Read(1, Peer::Tar)),
    ("tar-rs/biguid_pax.tar", Read(1, Peer::Tar)),
    ("tar-rs/directory.tar", Read(3, Peer::Tar)),
    ("tar-rs/duplicate_dirs.tar", Read(2, Peer::Tar)),
    ("tar-rs/empty_filename.tar", Read(1, Peer::Tar)),
    ("tar-rs/file_times.tar", Read(1, Peer::Tar)),
    ("tar-rs/link.tar", Read(2, Peer::Tar)),
    ("tar-rs/pax.tar", Read(2, Peer::Tar)),
    ("tar-rs/pax2.tar", Read(5, Peer::Tar)),
    ("tar-rs/pax_size.tar", Read(1, Peer::Tar)),
    ("tar-rs/reading_files.tar", Read(2, Peer::Tar)),
    ("tar-rs/simple.tar", Read(3, Peer::Tar)),
    ("tar-rs/simple_missing_last_header.tar", Read(3, Peer::Tar)),
    ("tar-rs/spaces.tar", Read(1, Peer::Tar)),
    ("tar-rs/sparse-1.tar", Read(1, Peer::Tar)),
    ("tar-rs/sparse-large.tar", Read(1, Peer::Tar)),
    ("tar-rs/sparse-n.sh", Refused("ends in the middle of a header")),
    ("tar-rs/sparse.tar", Read(4, Peer::Tar)),
    ("tar-rs/xattrs.tar", Read(2, Peer::Tar)),
    ("tar-split/1c51fc286aa95d9413226599576bafa38490b1e292375c90de095855b64caea6", Read(1, Peer::Tar)),
    ("tar-split/extranils.tar.gz", Read(1, Peer::Tar)),
    ("tar-split/fatlonglink.tar.gz", Read(22, Peer::Tar)),
    ("tar-split/iso-8859.tar.gz", Read(2, Peer::Tar)),
    ("tar-split/longlink.tar.gz", Read(18, Peer::Tar)),
    ("tar-split/notenoughnils.tar.gz", Read(1, Peer::Tar)),
    ("tar-split/t.tar.gz", Read(2, Peer::Tar)),
];

#[test]
fn each_recorded_archive_has_a_row() {
    let Some(folder) = fixture("3-hostile") else { return };
    let name = |file: PathBuf| file.strip_prefix(&folder).expect("beneath").display().to_string();
    let files: Vec<String> = files_beneath(&folder).into_iter().map(name).collect();
    assert_eq!(files, RECORDED.map(|(file, _)| file));
}

#[test]
fn recorded_archives_are_read_as_others_read_them_or_refused() {
    let Some(folder) = fixture("3-hostile") else { return };
    for (file, outcome) in RECORDED {
        let scene = Scene::of(&app().tar_layer(Encoding::Gzip, archive(&folder.join(file))));
        match (scene.plans(&Options::default()), outcome) {
            (Ok(plans), Read(entries, peer)) => {
                let inventory = &plans[0].inventory;
                assert_eq!(inventory.layers()[1].entries.len(), entries, "{file}");
                let digest = scene.digest;
                if let Some(theirs) = unpack(peer, &scene.source(), &digest, "root", &scene) {
                    assert_same(&seen(inventory), &without_times(theirs), file);
                }
                let done = scene.harden(&Options::default());
                assert!(!done.again(&Options::default()).is_changed(), "{file}");
            }
            (Err(error), Refused(words)) => {
                let told = told(&error);
                assert!(told.contains(words) && told.contains("layer 2"), "{file}: {told}");
                assert!(told.len() < 1000, "{file}: {told}");
            }
            (Ok(_), Refused(_)) => panic!("{file} is read"),
            (Err(error), Read(..)) => panic!("{file} is refused: {}", told(&error)),
        }
    }
}

/// The archive in a file, which may be compressed; gunzip knows `compress` too.
fn archive(file: &Path) -> Vec<u8> {
    let bytes = std::fs::read(file).expect("a file");
    if !bytes.starts_with(&[0x1f, 0x9d]) {
        return try_decode(&bytes).unwrap_or(bytes);
    }
    let gunzip = peers::find("gunzip").expect("gunzip, which every system with gzip has");
    let output = Command::new(gunzip).arg("-c").arg(file).output().expect("gunzip runs");
    assert!(output.status.success(), "{}", file.display());
    output.stdout
}

fn files_beneath(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut files: Vec<PathBuf> = entries
        .map(|one| one.expect("an entry").path())
        .flat_map(|path| if path.is_dir() { files_beneath(&path) } else { vec![path] })
        .collect();
    files.sort();
    files
}
