//! Programs that make gzip files, and programs that read them.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::peers;

/// A program that compresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// pigz with those flags.
    Pigz(&'static [&'static str]),
    /// gzip with those flags.
    Gzip(&'static [&'static str]),
    /// Python's zlib: level, memory level (which says how many symbols a block has), strategy.
    Python(i8, u8, &'static str),
}

impl Program {
    /// All that are worth trying.
    pub const ALL: [Self; 11] = [
        Self::Pigz(&["-p4", "-b128"]),
        Self::Pigz(&["-p4", "-b128", "-i"]),
        Self::Pigz(&["-p2", "-b32", "-1"]),
        Self::Pigz(&["-11", "-I1", "-b64"]),
        Self::Pigz(&["-p1", "-H"]),
        Self::Gzip(&["-9"]),
        Self::Gzip(&["--rsyncable"]),
        Self::Python(6, 1, "Z_DEFAULT_STRATEGY"),
        Self::Python(6, 8, "Z_FIXED"),
        Self::Python(6, 9, "Z_HUFFMAN_ONLY"),
        Self::Python(9, 4, "Z_RLE"),
    ];

    pub(super) fn encode(self, content: &[u8]) -> Option<Vec<u8>> {
        const SCRIPT: &str = "import sys, zlib\n\
            made = zlib.compressobj(int(sys.argv[1]), zlib.DEFLATED, 31, int(sys.argv[2]),\n\
            \x20   getattr(zlib, sys.argv[3]))\n\
            data = sys.stdin.buffer.read()\n\
            sys.stdout.buffer.write(made.compress(data) + made.flush())";
        Some(match self {
            Self::Pigz(flags) => piped(Command::new(peers::require("pigz")?).args(flags), content),
            Self::Gzip(flags) => piped(Command::new(peers::require("gzip")?).args(flags), content),
            Self::Python(level, memory, strategy) => {
                let mut python = Command::new(peers::require("python3")?);
                python.args(["-c", SCRIPT, &level.to_string(), &memory.to_string(), strategy]);
                piped(&mut python, content)
            }
        })
    }
}

/// What a program makes of its input.
fn piped(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{command:?}");
    output.stdout
}

/// Panics unless gzip, pigz, Python and libdeflate read all of those gzip files, and find that
/// content in them. The programs are started once for all files.
pub fn accepted(files: &[(Vec<u8>, Vec<u8>)]) {
    let folder = tempfile::tempdir().unwrap();
    for (number, (blob, content)) in files.iter().enumerate() {
        fs::write(folder.path().join(format!("{number:04}.gz")), blob).unwrap();
        // It reads the first member, and the caller would have to know where that ends.
        let mut out = vec![0; content.len() + 1];
        let size = libdeflater::Decompressor::new().gzip_decompress(blob, &mut out).unwrap();
        assert!(content.starts_with(&out[..size]), "libdeflate reads something else in {number}");
    }
    let names = (0..files.len()).map(|number| format!("{number:04}.gz")).collect::<Vec<_>>();
    let all = files.iter().flat_map(|(_, content)| content).copied().collect::<Vec<_>>();
    let read = |program: &str, arguments: &[&str]| {
        let Some(program) = peers::require(program) else { return };
        let output = run(folder.path(), program.as_ref(), arguments, &names);
        assert!(output == all, "{} reads something else", program.display());
    };
    read("gzip", &["-dc"]);
    read("pigz", &["-dc"]);
    read("python3", &["-c", PYTHON]);
}

const PYTHON: &str = "import gzip, sys\n\
    for name in sys.argv[1:]:\n\
    \x20   sys.stdout.buffer.write(gzip.open(name).read())";

fn run(folder: &Path, program: &OsStr, arguments: &[&str], names: &[String]) -> Vec<u8> {
    let mut command = Command::new(program);
    let output = command.current_dir(folder).args(arguments).args(names).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.is_empty(), "{}: {told}", program.display());
    output.stdout
}
