//! Recorded images and documents that are too large for the repository.

use std::env;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::peers;

/// The folder of fixtures: `$IMMUT_FIXTURES`, or `shared/fixtures` beside the workspace.
///
/// A test without it says so and returns. Panics if it is missing and `IMMUT_FIXTURES_REQUIRED=1`.
pub fn folder() -> Option<PathBuf> {
    let beside = || peers::workspace().join("../shared/fixtures");
    let folder = env::var_os("IMMUT_FIXTURES").map_or_else(beside, PathBuf::from);
    let missing = "the fixtures are not here; IMMUT_FIXTURES names their folder";
    peers::found_or(folder.is_dir().then_some(folder), missing, "IMMUT_FIXTURES_REQUIRED")
}

/// A recorded archive without its compression; none where `xz` is needed and is not here.
pub fn archive(file: &Path) -> Option<Vec<u8>> {
    let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    match bytes[..] {
        [0x1f, 0x8b, ..] => {
            let mut tar = Vec::new();
            flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut tar).unwrap();
            Some(tar)
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(zstd::decode_all(&bytes[..]).unwrap()),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => {
            let output = Command::new(peers::require("xz")?).arg("-dc").arg(file).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(output.stdout)
        }
        _ => Some(bytes),
    }
}
