use immut_testkit::elf::{Build, I386, RPATH, RUNPATH};

use super::image::{Image, path};
use super::{Environment, PROGRAM, environment, finds, finds_in, found, library};
use crate::needs::loader::{Family, How, Process};

const LOADER: &str = "/lib/ld-musl-x86_64.so.1";

fn image() -> Image {
    Image::default().elf(LOADER, &Build::library("libc.musl-x86_64.so.1"))
}

fn program() -> Build {
    Build::program(LOADER).needs("libc.musl-x86_64.so.1").needs("liba.so")
}

fn a() -> Build {
    Build::library("liba.so")
}

#[test]
fn the_loader_is_the_c_library() {
    let image = image().elf(PROGRAM, &program().needs("libpthread.so.0"));
    assert_eq!(finds(&image, "libc.musl-x86_64.so.1"), found(LOADER, How::Loader));
    assert_eq!(finds(&image, "libpthread.so.0"), found(LOADER, How::Loader));
    assert_eq!(finds(&image, "liba.so"), None);
}

#[test]
fn a_path_file_takes_the_place_of_the_default_folders() {
    let image = || image().elf(PROGRAM, &program()).elf("/usr/local/lib/liba.so", &a());
    assert_eq!(finds(&image(), "liba.so"), found("/usr/local/lib/liba.so", How::Default));
    let file = "/etc/ld-musl-x86_64.path";
    let with = |text: &str| finds(&image().file(file, text), "liba.so");
    assert_eq!(with("/lib\n/usr/lib\n"), None);
    let how = How::PathFile(path(file));
    assert_eq!(with("/lib\n/usr/local/lib\n"), found("/usr/local/lib/liba.so", how));
}

#[test]
fn both_run_paths_are_inherited_and_come_after_the_environment() {
    for tag in [RPATH, RUNPATH] {
        let image = image()
            .elf(PROGRAM, &Build::program(LOADER).needs("libmid.so").string(tag, "$ORIGIN/../lib"))
            .elf("/app/lib/libmid.so", &Build::library("libmid.so").needs("liba.so"))
            .elf("/app/lib/liba.so", &a())
            .elf("/user/liba.so", &a());
        let how = How::RPath(path(PROGRAM));
        assert_eq!(finds(&image, "liba.so"), found("/app/lib/liba.so", how));
        let user = Environment { library_path: b"/user".to_vec(), ..environment() };
        assert_eq!(finds_in(&image, &user, "liba.so"), found("/user/liba.so", How::LibraryPath));
    }
    // Any other token makes the whole run path void.
    let other = image()
        .elf(PROGRAM, &program().string(RUNPATH, "/app/lib:/$LIB"))
        .elf("/app/lib/liba.so", &a());
    assert_eq!(finds(&other, "liba.so"), None);
}

#[test]
fn a_file_for_another_machine_ends_the_search() {
    let image = image().elf(PROGRAM, &program());
    let image = image.elf("/lib/liba.so", &a().on(I386)).elf("/usr/lib/liba.so", &a());
    assert_eq!(finds(&image, "liba.so"), None);
}

#[test]
fn sonames_do_not_stand_for_files() {
    let image = image()
        .elf(PROGRAM, &program().needs("libb.so"))
        .elf("/lib/liba.so", &Build::library("libb.so"))
        .elf("/usr/lib/libb.so", &Build::library("libb.so"));
    assert_eq!(finds(&image, "libb.so"), found("/usr/lib/libb.so", How::Default));
}

#[test]
fn a_glibc_loader_that_is_gcompat_is_musl() {
    let image = image()
        .elf(PROGRAM, &Build::program("/lib64/ld-linux-x86-64.so.2").needs("libc.so.6"))
        .elf("/lib64/ld-linux-x86-64.so.2", &Build { strings: Vec::new(), ..a() })
        .elf("/lib/libgcompat.so.0", &Build::library("libgcompat.so.0").needs("libucontext.so.1"));
    let environment = environment();
    let process = Process::start(&image, &path(PROGRAM), &environment).expect("a program");
    assert_eq!(process.family(), Family::Musl);
    assert!(library(&process, "/lib/libgcompat.so.0").place.is_some());
    assert!(library(&process, LOADER).place.is_some(), "the loader behind it stays");
    assert!(library(&process, "libucontext.so.1").is_missing());
    assert!(!library(&process, "libc.so.6").is_missing());
}
