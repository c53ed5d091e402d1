//! Against programs that nobody here made.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::disk::{Disk, root_path};
use super::environment;
use super::image::path;
use crate::needs::loader::{Family, How, Process};

/// What the loader of this machine says that a program loads, links followed.
fn told_by_loader(loader: &Path, program: &Path) -> BTreeSet<PathBuf> {
    let mut command = Command::new(loader);
    command.env_clear().arg("--list").arg(program);
    let output = command.output().expect("the loader runs");
    assert!(output.status.success(), "{} --list {}", loader.display(), program.display());
    let text = String::from_utf8(output.stdout).expect("text");
    let paths = text.lines().filter_map(|line| {
        let line = line.split(" => ").last()?.trim();
        line.split(" (0x").next().filter(|path| path.starts_with('/'))
    });
    paths.map(|path| Path::new(path).canonicalize().expect("a library")).collect()
}

#[test]
fn this_machines_loader_agrees() {
    let own = std::env::current_exe().expect("this test's own file");
    let others = ["dash", "env", "perl"].into_iter().filter_map(immut_testkit::peers::require);
    let disk = Disk::at("/");
    let environment = environment();
    for program in &others.chain([own]).collect::<Vec<_>>() {
        let process = Process::start(&disk, &root_path(program), &environment).expect("a program");
        let interpreter = process.interpreter().expect("not static");
        let loader = Path::new(OsStr::from_bytes(&interpreter.name)).to_owned();
        let files = process.loaded()[1..].iter();
        let ours: BTreeSet<PathBuf> =
            files.map(|file| PathBuf::from(file.found.file.to_string())).collect();
        assert_eq!(ours, told_by_loader(&loader, program), "{}", program.display());
        assert!(process.libraries().iter().all(|library| !library.is_missing()));
    }
}

#[test]
fn alpine_finds_all_its_libraries() {
    let Some(fixtures) = immut_testkit::fixtures::folder() else { return };
    let root = tempfile::tempdir().expect("a folder");
    let archive = fixtures.join("1-rootfs/alpine-minirootfs-3.20.3-x86_64.tar.gz");
    let tar = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(root.path()).status();
    assert!(tar.expect("tar").success());
    let disk = Disk::at(root.path());
    let environment = environment();
    for (program, expected) in [
        ("/bin/busybox", &["/lib/ld-musl-x86_64.so.1"][..]),
        (
            "/sbin/apk",
            &[
                "/lib/ld-musl-x86_64.so.1",
                "/lib/libapk.so.2.14.0",
                "/lib/libcrypto.so.3",
                "/lib/libssl.so.3",
                "/lib/libz.so.1.3.1",
            ],
        ),
    ] {
        let process = Process::start(&disk, &path(program), &environment).expect("a program");
        assert_eq!(process.family(), Family::Musl);
        assert!(process.libraries().iter().all(|library| !library.is_missing()));
        assert!(
            process
                .libraries()
                .iter()
                .any(|it| { it.place.as_ref().is_some_and(|place| place.how == How::Loader) })
        );
        let mut files: Vec<_> =
            process.loaded()[1..].iter().map(|file| file.found.file.to_string()).collect();
        files.sort();
        assert_eq!(files, expected);
    }
}
