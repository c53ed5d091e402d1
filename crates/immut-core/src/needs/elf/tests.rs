use std::fs::File;
use std::io::Cursor;

use immut_testkit::elf::{self as made, AUXILIARY, Build, FILTER, I386, RPATH, RUNPATH, SONAME};

use super::{Elf, Error, Kind, Machine};

fn read(bytes: &[u8]) -> Result<Elf, Error> {
    Elf::read(Cursor::new(bytes))
}

fn full() -> Build {
    let mut build = Build::program("/lib64/ld-linux-x86-64.so.2")
        .needs("libssl.so.3")
        .needs("libc.so.6")
        .string(SONAME, "program")
        .string(RPATH, "/old")
        .string(RUNPATH, "$ORIGIN/../lib")
        .string(AUXILIARY, "libfast.so")
        .string(FILTER, "libreal.so");
    build.symbols = vec![("system", true), ("popen", false), ("dlopen", true), ("main", false)];
    build.flags = 0x800 | 0x0800_0000;
    build
}

#[test]
fn all_facts_are_read_in_every_class_and_byte_order() {
    for number in [62, 3, 22] {
        for (wide, little) in [(true, true), (true, false), (false, true), (false, false)] {
            let made = made::Machine { wide, little, number };
            let elf = read(&full().on(made).bytes()).expect("an ELF file");
            assert_eq!(elf.machine, Machine { wide, little, number });
            assert_eq!(elf.kind, Kind::PositionIndependent);
            assert_eq!(elf.interpreter.as_deref(), Some(&b"/lib64/ld-linux-x86-64.so.2"[..]));
            assert_eq!(elf.needed, [&b"libssl.so.3"[..], b"libc.so.6"]);
            assert_eq!(elf.soname.as_deref(), Some(&b"program"[..]));
            assert_eq!(elf.rpath.as_deref(), Some(&b"/old"[..]));
            assert_eq!(elf.runpath.as_deref(), Some(&b"$ORIGIN/../lib"[..]));
            assert_eq!(elf.auxiliary, [b"libfast.so"]);
            assert_eq!(elf.filter, [b"libreal.so"]);
            assert!(elf.no_default_folders);
            assert_eq!(elf.shell_calls, ["system"]);
        }
    }
}

#[test]
fn programs_are_told_from_libraries() {
    let kind = |build: &Build| read(&build.bytes()).expect("an ELF file").kind;
    assert_eq!(kind(&Build::library("liba.so")), Kind::Shared);
    assert_eq!(kind(&Build::program("/lib/ld.so")), Kind::PositionIndependent);
    // glibc's libc.so.6 has a loader too, but a soname.
    assert_eq!(kind(&Build::program("/lib/ld.so").string(SONAME, "libc.so.6")), Kind::Shared);
    assert_eq!(kind(&Build { kind: 2, ..Build::program("/lib/ld.so") }), Kind::Executable);
    assert_eq!(kind(&Build { kind: 1, ..Build::library("") }), Kind::Other);
    // A static program that may lie anywhere has the flag alone.
    let static_pie = Build { flags: 0x0800_0000, strings: Vec::new(), ..Build::library("") };
    assert_eq!(kind(&static_pie), Kind::PositionIndependent);
}

#[test]
fn machines_have_the_names_of_image_configs() {
    let name = |wide, little, number| Machine { wide, little, number }.architecture();
    assert_eq!(name(true, true, 62), Some("amd64"));
    assert_eq!(name(false, true, 3), Some("386"));
    assert_eq!(name(true, true, 183), Some("arm64"));
    assert_eq!(name(false, true, 40), Some("arm"));
    assert_eq!(name(true, true, 21), Some("ppc64le"));
    assert_eq!(name(true, false, 22), Some("s390x"));
    assert_eq!(name(true, true, 243), Some("riscv64"));
    assert_eq!(name(true, true, 8), Some("mips64le"));
    assert_eq!(name(true, true, 258), Some("loong64"));
    // x32 runs on amd64, but it is another ABI.
    assert_eq!(name(false, true, 62), None);
    assert_eq!(name(true, false, 9999), None);
    let unknown = Machine { wide: true, little: false, number: 9999 };
    assert_eq!(unknown.to_string(), "machine 9999 (64 bits, big-endian)");
}

#[test]
fn a_loader_tells_its_default_folders() {
    let mut build = Build::library("ld-linux-x86-64.so.2");
    build.tail = b"junk\0/proc/self/\0\x01\x02/lib/x/\0/usr/lib/x/\0/etc/\0/lib/alone/\0".to_vec();
    let elf = read(&build.bytes()).expect("an ELF file");
    assert_eq!(elf.default_folders, [&b"/lib/x/"[..], b"/usr/lib/x/"]);
    // Other libraries are not searched for them.
    build.strings = vec![(SONAME, "libx.so")];
    assert!(read(&build.bytes()).expect("an ELF file").default_folders.is_empty());
}

#[test]
fn broken_files_are_told_in_words() {
    let whole = full().bytes();
    assert!(matches!(read(b""), Err(Error::NotElf)));
    assert!(matches!(read(b"#!/bin/sh\n"), Err(Error::NotElf)));
    assert!(matches!(read(b"\x7fELF"), Err(Error::Truncated("the end of its header"))));
    assert!(matches!(read(&whole[..100]), Err(Error::Truncated("its program headers"))));
    assert!(matches!(read(&whole[..250]), Err(Error::Truncated("its dynamic section"))));
    let patched = |at: usize, with: &[u8]| {
        let mut bytes = whole.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        read(&bytes)
    };
    assert!(matches!(patched(4, &[9]), Err(Error::Malformed(_))));
    assert!(matches!(patched(54, &[1]), Err(Error::Malformed(_))), "size of program headers");
    assert!(matches!(patched(56, &[0xff, 0xff]), Err(Error::TooLarge(..))), "count of them");
    let dynamic_size = 64 + 56 + 32;
    let error = patched(dynamic_size, &[0xff; 8]).expect_err("too large");
    assert_eq!(
        error.to_string(),
        "bytes of the dynamic section of 18446744073709551615, more than is read"
    );
}

#[test]
fn no_bytes_make_it_panic() {
    let exe = File::open("/proc/self/exe").and_then(|mut file| {
        let mut head = Vec::new();
        std::io::Read::read_to_end(&mut std::io::Read::take(&mut file, 64 * 1024), &mut head)?;
        Ok(head)
    });
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for original in [full().bytes(), full().on(I386).bytes(), exe.expect("this test's own file")] {
        let mut well = 0;
        for _ in 0..4000 {
            let mut bytes = original.clone();
            let head = bytes.len().min(1024);
            for _ in 0..=random.below(8) {
                let at = random.below(head);
                bytes[at] = u8::try_from(random.below(256)).expect("a byte");
            }
            if random.below(3) == 0 {
                bytes.truncate(random.below(original.len()));
            }
            well += usize::from(read(&bytes).is_ok());
        }
        assert!(well < 4000, "no change was ever seen");
    }
}

/// Numbers that look random and are the same each time (xorshift).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end.max(1) as u64).expect("less than a usize")
    }
}
