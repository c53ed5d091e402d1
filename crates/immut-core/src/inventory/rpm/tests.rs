use std::collections::BTreeSet;
use std::fs;
use std::io::{Cursor, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use immut_testkit::contents::Package;
use immut_testkit::{fixtures, peers};

use super::source::Source;
use super::{Error, File, Read, each_package, sqlite};

const SQLITE: (&str, &str) = ("8-pkgdb/rpm-sqlite-cbl-mariner-2.0/rpmdb.sqlite", "sqlite");
const BERKELEY: (&str, &str) = ("8-pkgdb/rpm-bdb-libuuid/Packages", "bdb_ro");

fn fixture(path: &str) -> Option<Vec<u8>> {
    Some(fs::read(fixtures::folder()?.join(path)).expect("a database"))
}

/// A line for each package and each of its files, with what is known of it.
fn lines(database: &[u8]) -> Result<BTreeSet<String>, Error> {
    let mut lines = BTreeSet::new();
    let read = each_package(&mut Cursor::new(database), |package| {
        let name = format!("{} {}", package.name, package.version);
        lines.extend(package.files().map(|file| format!("{name} {}", line(&file))));
        lines.insert(name);
    })?;
    assert_eq!(read.unreadable, 0);
    Ok(lines)
}

fn line(file: &File) -> String {
    let path = String::from_utf8_lossy(&file.path);
    let facts = [
        file.is_directory(),
        file.is_configuration(),
        file.is_documentation(),
        file.is_optional(),
        file.is_installed(),
    ];
    format!("{path} {facts:?}")
}

/// The same as rpm has it.
fn lines_of_rpm(rpm: &Path, folder: &Path, backend: &str) -> BTreeSet<String> {
    const FORMAT: &str =
        "%{NAME} %{EVR}\n[%{=NAME} %{=EVR} %{FILENAMES} %{FILEFLAGS} %{FILEMODES} %{FILESTATES}\n]";
    let output = Command::new(rpm)
        .args(["-qa", "--qf", FORMAT, "--define", &format!("_db_backend {backend}"), "--dbpath"])
        .arg(folder)
        .output()
        .expect("rpm starts");
    let text = String::from_utf8(output.stdout).expect("text");
    let lines = text.lines().filter(|line| !line.starts_with("gpg-pubkey "));
    lines.map(described).collect()
}

fn described(line: &str) -> String {
    let columns: Vec<&str> = line.rsplitn(4, ' ').collect();
    let [state, mode, flags, rest] = columns[..] else { return line.to_owned() };
    let number = |text: &str| text.parse::<u32>().expect("a number");
    let flag = |bit: u32| number(flags) >> bit & 1 == 1;
    let directory = number(mode) & 0xffff & 0o170_000 == 0o040_000;
    let installed = state != "2" && state != "3" && state != "4" && !flag(6);
    format!("{rest} {:?}", [directory, flag(0), flag(1), flag(3), installed])
}

/// What rpm says of a database, in a folder of its own since rpm may write there.
fn second_opinion(database: &[u8], name: &str, backend: &str) -> Option<BTreeSet<String>> {
    let rpm = peers::require("rpm")?;
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(name), database).expect("a database");
    Some(lines_of_rpm(&rpm, folder.path(), backend))
}

#[test]
fn each_kind_of_database_is_read_as_rpm_reads_it() {
    for ((path, backend), packages, files) in [(SQLITE, 129, 7269), (BERKELEY, 1, 7)] {
        let Some(database) = fixture(path) else { return };
        let found = lines(&database).expect("a database");
        let named = found.iter().filter(|line| line.matches(' ').count() == 1).count();
        assert_eq!(named, packages);
        assert_eq!(found.len() - named, files);
        let name = path.rsplit('/').next().expect("a name");
        let Some(expected) = second_opinion(&database, name, backend) else { continue };
        assert_eq!(found.symmetric_difference(&expected).collect::<Vec<_>>(), [""; 0], "{path}");
    }
}

/// The headers of a database of SQLite.
fn headers(database: &[u8]) -> Vec<Vec<u8>> {
    let mut headers = Vec::new();
    let mut content = Cursor::new(database);
    let mut source = Source::new(&mut content).expect("a database");
    let read = sqlite::each_blob(&mut source, &mut |blob| {
        headers.extend(blob.map(<[u8]>::to_vec));
        Ok(())
    });
    read.expect("a database");
    headers
}

#[test]
fn ndb_has_what_sqlite_had() {
    let Some(database) = fixture(SQLITE.0) else { return };
    let converted = immut_testkit::rpm::ndb(&headers(&database));
    let (was, is) = (lines(&database).expect("a database"), lines(&converted).expect("another"));
    assert_eq!(was.symmetric_difference(&is).collect::<Vec<_>>(), [""; 0]);
    hostile(&converted);
}

const PACKAGES: [Package<'_>; 3] = [
    Package { name: "none", version: "1-2", files: &[] },
    Package { name: "some", version: "3:4.5-6.el9", files: &["/etc/x", "/usr/bin/", "/usr/bin/y"] },
    Package { name: "gpg-pubkey", version: "0-0", files: &[] },
];

#[test]
fn headers_of_recipes_are_read_as_rpm_imports_them() {
    let found = lines(&immut_testkit::rpm::packages_db(&PACKAGES)).expect("a database");
    let names = found.iter().filter(|line| !line.contains('[')).collect::<Vec<_>>();
    assert_eq!(names, ["none 1-2", "some 3:4.5-6.el9"]);
    let Some(rpmdb) = peers::require("rpmdb") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut import = Command::new(rpmdb)
        .args(["--define", "_db_backend sqlite", "--importdb", "--dbpath"])
        .arg(folder.path())
        .stdin(Stdio::piped())
        .spawn()
        .expect("rpmdb starts");
    let mut stdin = import.stdin.take().expect("a pipe");
    for package in &PACKAGES {
        // What headers in files begin with.
        let magic = [0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];
        let header = [&magic[..], &immut_testkit::rpm::header(package)].concat();
        stdin.write_all(&header).expect("a pipe");
    }
    drop(stdin);
    assert!(import.wait().expect("an end").success());
    let database = fs::read(folder.path().join("rpmdb.sqlite")).expect("a database");
    assert_eq!(lines(&database).expect("a database"), found);
    assert_eq!(second_opinion(&database, "rpmdb.sqlite", "sqlite"), Some(found));
}

#[test]
fn hostile_databases_are_told_and_end() {
    for (path, _) in [SQLITE, BERKELEY] {
        let Some(database) = fixture(path) else { return };
        hostile(&database);
    }
    for text in ["", "SQLite format 3\0", "RpmP", "0123456789ab\x61\x15\x06\0"] {
        assert!(lines(text.as_bytes()).is_err(), "{text:?}");
    }
}

/// Changes a database in many ways; whatever comes of it, it comes, and never more than there was
/// room for.
fn hostile(database: &[u8]) {
    let most = database.len();
    let look = |database: &[u8]| {
        let (mut names, mut paths) = (0, 0);
        let read = each_package(&mut Cursor::new(database), |package| {
            names += package.name.len();
            paths += package.files().count();
        });
        assert!(names <= most && paths <= most);
        read
    };
    for cut in [0, 1, 15, 16, 17, 31, 99, 100, 511, 4096, most / 3, most - 1] {
        assert!(!matches!(look(&database[..cut]), Ok(Read { unreadable: 0, .. })), "{cut}");
    }
    // What does not depend on chance can be looked into again.
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    let mut changed = database.to_vec();
    for round in 0..400 {
        // Most of what says where something is stands at the beginning of pages.
        let pages = if round % 2 == 0 { most / 4096 } else { 2 };
        let places: Vec<usize> =
            (0..=random(4)).map(|_| 4096 * random(pages) + random(128)).collect();
        for place in &places {
            changed[*place] =
                [0, 1, 0x7f, 0xff, u8::try_from(random(256)).expect("a byte")][random(5)];
        }
        let _ = look(&changed);
        for place in places {
            changed[place] = database[place];
        }
    }
    assert!(changed == database);
}

/// A page of a table of SQLite, with cells that are there already.
fn sqlite_page(kind: u8, cells: &[(u16, &[u8])], right: u32, start: usize) -> Vec<u8> {
    let mut page = vec![0; 512];
    page[start] = kind;
    page[start + 3..start + 5].copy_from_slice(&u16::try_from(cells.len()).unwrap().to_be_bytes());
    page[start + 8..start + 12].copy_from_slice(&right.to_be_bytes());
    let array = start + if kind == 5 { 12 } else { 8 };
    for (index, (at, cell)) in cells.iter().enumerate() {
        page[array + 2 * index..][..2].copy_from_slice(&at.to_be_bytes());
        page[usize::from(*at)..][..cell.len()].copy_from_slice(cell);
    }
    page
}

/// A database of SQLite with those pages after the first.
fn sqlite(pages: &[Vec<u8>]) -> Vec<u8> {
    let row = b"\x1c\x01\x06\x17\x1d\x1d\x01\x0dtablePackagesPackages\x02";
    let mut first = sqlite_page(13, &[(400, row)], 0, 100);
    first[..16].copy_from_slice(b"SQLite format 3\0");
    first[16..18].copy_from_slice(&512_u16.to_be_bytes());
    first.extend(pages.concat());
    first
}

#[test]
fn pages_that_go_round_in_a_circle_are_broken() {
    let broken = |pages: &[Vec<u8>], reason: &str| {
        let error = lines(&sqlite(pages)).expect_err("no database");
        assert_eq!(error.to_string(), format!("the database is broken: {reason}"));
    };
    let circle = "its pages go round in a circle";
    assert_eq!(lines(&sqlite(&[sqlite_page(13, &[], 0, 0)])).expect("it is empty").len(), 0);
    broken(&[sqlite_page(5, &[], 2, 0)], circle);
    broken(&[sqlite_page(5, &[(400, &[0, 0, 0, 3]), (400, &[])], 2, 0), vec![13; 512]], circle);
    broken(&[sqlite_page(5, &[], 0, 0), vec![0; 512]], "it names a page 0");
    broken(&[sqlite_page(5, &[], 9, 0), vec![0; 512]], "it ends too early");
    // A long row whose further pages are one page.
    let cell = [&[0x87, 0x68, 1][..], &[0; 39], &[0, 0, 0, 3]].concat();
    let more = [vec![0, 0, 0, 3], vec![0; 508]].concat();
    broken(&[sqlite_page(13, &[(300, &cell)], 0, 0), more], circle);
    // Rows that share their bytes.
    let shared = [(90, &[0x83, 0x20, 1][..]); 4];
    broken(&[sqlite_page(13, &shared, 0, 0)], "its records share their bytes");
}
