//! What realistic files hold: programs with their makers' marks, package databases.

use std::fmt::Write;

/// A minimal ELF64 executable (header only) that says of no processor that it is for it, followed by
/// `strings`, each ended by NUL.
pub fn elf(strings: &[&str]) -> Vec<u8> {
    elf_with(None, strings)
}

/// The same with a program interpreter (`PT_INTERP`), such as `/lib64/ld-linux-x86-64.so.2`.
pub fn dynamic_elf(interpreter: &str, strings: &[&str]) -> Vec<u8> {
    elf_with(Some(interpreter), strings)
}

fn elf_with(interpreter: Option<&str>, strings: &[&str]) -> Vec<u8> {
    const HEADER: u64 = 64;
    const PROGRAM_HEADER: u64 = 56;
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0];
    file.resize(16, 0);
    let programs = u16::from(interpreter.is_some());
    file.extend(2_u16.to_le_bytes()); // ET_EXEC
    file.extend(0_u16.to_le_bytes()); // EM_NONE
    file.extend(1_u32.to_le_bytes());
    file.extend(0x40_0000_u64.to_le_bytes()); // entry
    file.extend((u64::from(programs) * HEADER).to_le_bytes()); // e_phoff
    file.extend(0_u64.to_le_bytes()); // e_shoff
    file.extend(0_u32.to_le_bytes()); // e_flags
    for field in [64, 56, programs, 64, 0, 0] {
        file.extend(field.to_le_bytes());
    }
    if let Some(interpreter) = interpreter {
        let at = HEADER + PROGRAM_HEADER;
        let size = interpreter.len() as u64 + 1;
        file.extend(3_u32.to_le_bytes()); // PT_INTERP
        file.extend(4_u32.to_le_bytes()); // PF_R
        for field in [at, at, at, size, size, 1] {
            file.extend(field.to_le_bytes());
        }
        file.extend(interpreter.as_bytes());
        file.push(0);
    }
    for string in strings {
        file.extend(string.as_bytes());
        file.push(0);
    }
    file
}

/// `BusyBox` as distributions build it.
pub fn busybox() -> Vec<u8> {
    let copyright = "BusyBox is copyrighted by many authors between 1998-2015.";
    elf(&["BusyBox v1.36.1 (2024-01-01 00:00:00 UTC)", " multi-call binary.", copyright])
}

/// dash, the `/bin/sh` of Debian.
pub fn dash() -> Vec<u8> {
    let marks = ["arithmetic expression: %s: \"%s\"", "expecting primary", "Syntax error: %s"];
    elf(&[&marks[..], &["xvsnprintf failed"]].concat())
}

/// bash.
pub fn bash() -> Vec<u8> {
    elf(&["GNU bash, version %s (%s)\n", "BASH_VERSINFO", "BASH_EXECUTION_STRING"])
}

/// A program that is none of the shells.
pub fn program() -> Vec<u8> {
    elf(&["usage: %s [OPTION]...", "Report bugs to nobody"])
}

/// A package as its database knows it.
#[derive(Debug, Clone, Copy)]
pub struct Package<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Its files and directories, with a leading slash; directories end with one too.
    pub files: &'a [&'a str],
}

/// `/var/lib/dpkg/status`.
pub fn dpkg_status(packages: &[Package<'_>]) -> String {
    let record = |package: &Package<'_>| {
        format!(
            "Package: {}\nStatus: install ok installed\nPriority: required\nSection: utils\n\
             Installed-Size: 100\nMaintainer: Nobody <nobody@example.org>\nArchitecture: amd64\n\
             Version: {}\nDescription: made for a test\n It has no files beyond its list.\n\n",
            package.name, package.version
        )
    };
    packages.iter().map(record).collect()
}

/// `/var/lib/dpkg/info/NAME.list`: `/.`, each parent directory, then each file, as dpkg has it.
pub fn dpkg_list(package: &Package<'_>) -> String {
    let mut lines = vec!["/.".to_owned()];
    for file in package.files {
        let file = file.trim_end_matches('/');
        let parents = file.match_indices('/').skip(1).map(|(slash, _)| &file[..slash]);
        for line in parents.chain([file]) {
            if !lines.iter().any(|known| known == line) {
                lines.push(line.to_owned());
            }
        }
    }
    lines.join("\n") + "\n"
}

/// `/lib/apk/db/installed`; checksums are made up.
pub fn apk_installed(packages: &[Package<'_>]) -> String {
    packages.iter().map(apk_record).collect()
}

fn apk_record(package: &Package<'_>) -> String {
    let mut record = format!(
        "C:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nP:{}\nV:{}\nA:x86_64\nS:1000\nI:4000\n\
         T:made for a test\nU:https://example.org\nL:MIT\no:{}\n",
        package.name, package.version, package.name
    );
    let mut directory = None;
    for file in package.files {
        let (folder, name) = file.trim_start_matches('/').rsplit_once('/').unwrap_or(("", file));
        if directory != Some(folder) {
            writeln!(record, "F:{folder}").unwrap();
            directory = Some(folder);
        }
        if !name.is_empty() {
            writeln!(record, "R:{name}\na:0:0:755\nZ:Q1BBBBBBBBBBBBBBBBBBBBBBBBBBB=").unwrap();
        }
    }
    record + "\n"
}

/// Base64 with padding (RFC 4648).
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0, |group, byte| group << 8 | usize::from(*byte));
        let group = group << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS[group >> (18 - 6 * place) & 63];
            text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn dpkg_lists_parents_once() {
        let package =
            Package { name: "x", version: "1", files: &["/bin/a", "/usr/bin/b", "/usr/bin/c"] };
        assert_eq!(
            dpkg_list(&package),
            "/.\n/bin\n/bin/a\n/usr\n/usr/bin\n/usr/bin/b\n/usr/bin/c\n"
        );
    }

    #[test]
    fn apk_groups_files_by_directory() {
        let package = Package { name: "x", version: "1", files: &["/bin/a", "/bin/b", "/etc/"] };
        let text = apk_installed(&[package]);
        assert_eq!(text.matches("F:bin\n").count(), 1);
        assert!(text.ends_with("F:etc\n\n"), "{text}");
    }
}
