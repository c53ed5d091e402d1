use immut_testkit::elf::{AUXILIARY, Build, FILTER, I386, RPATH, RUNPATH};

use super::image::{Image, path};
use super::{Environment, PROGRAM, environment, finds, finds_in, found, library};
use crate::needs::loader::cache::tests::Caching;
use crate::needs::loader::{Family, How, Miss, Process, Role};

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// An image with a loader whose default folders are `/lib/` and `/usr/lib/`.
fn image() -> Image {
    let mut loader = Build::library("ld-linux-x86-64.so.2");
    loader.tail = b"\0/lib/\0/usr/lib/\0".to_vec();
    Image::default()
        .elf("/lib/ld-linux-x86-64.so.2", &loader)
        .link(LOADER, "../lib/ld-linux-x86-64.so.2")
}

fn program() -> Build {
    Build::program(LOADER).needs("liba.so")
}

fn a() -> Build {
    Build::library("liba.so")
}

#[test]
fn default_folders_are_those_of_the_loader() {
    let there = |folder: &str| {
        finds(&image().elf(PROGRAM, &program()).elf(&format!("{folder}/liba.so"), &a()), "liba.so")
    };
    assert_eq!(there("/usr/lib"), found("/usr/lib/liba.so", How::Default));
    assert_eq!(there("/lib64"), None);
    assert_eq!(there("/usr/lib/x86_64-linux-gnu"), None);
    // A loader that does not tell has the folders of all distributions.
    let mute = |folder: &str| {
        let image =
            image().elf("/lib/ld-linux-x86-64.so.2", &Build::library("ld-linux-x86-64.so.2"));
        finds(&image.elf(PROGRAM, &program()).elf(&format!("{folder}/liba.so"), &a()), "liba.so")
    };
    assert_eq!(mute("/lib64"), found("/lib64/liba.so", How::Default));
    let debian = "/usr/lib/x86_64-linux-gnu/liba.so";
    assert_eq!(mute("/usr/lib/x86_64-linux-gnu"), found(debian, How::Default));
}

#[test]
fn what_lies_nowhere_is_missing_with_where_it_was_sought() {
    let image = image().elf(PROGRAM, &program().string(RUNPATH, "/opt"));
    let environment = environment();
    let process = Process::start(&image, &path(PROGRAM), &environment).expect("a program");
    let library = library(&process, "liba.so");
    assert!(library.is_missing());
    let looked: Vec<_> =
        library.looked.iter().map(|it| (it.path.to_string(), it.how.clone(), it.why)).collect();
    let expected = [
        ("/opt/liba.so", How::RunPath(path(PROGRAM))),
        ("/lib/liba.so", How::Default),
        ("/usr/lib/liba.so", How::Default),
    ];
    assert_eq!(looked, expected.map(|(at, how)| (at.to_owned(), how, Miss::Absent)));
}

#[test]
fn rpath_is_inherited_and_comes_first_runpath_neither() {
    let chain = |tag| {
        image()
            .elf(PROGRAM, &Build::program(LOADER).needs("libmid.so").string(tag, "$ORIGIN/../lib"))
            .elf("/app/lib/libmid.so", &Build::library("libmid.so").needs("liba.so"))
            .elf("/app/lib/liba.so", &a())
    };
    assert_eq!(
        finds(&chain(RPATH), "liba.so"),
        found("/app/lib/liba.so", How::RPath(path(PROGRAM)))
    );
    assert_eq!(finds(&chain(RUNPATH), "liba.so"), None);
    let user = Environment { library_path: b"/user".to_vec(), ..environment() };
    let both = |tag| {
        image()
            .elf(PROGRAM, &program().string(tag, "/app/lib"))
            .elf("/app/lib/liba.so", &a())
            .elf("/user/liba.so", &a())
    };
    let rpath = found("/app/lib/liba.so", How::RPath(path(PROGRAM)));
    assert_eq!(finds_in(&both(RPATH), &user, "liba.so"), rpath);
    assert_eq!(
        finds_in(&both(RUNPATH), &user, "liba.so"),
        found("/user/liba.so", How::LibraryPath)
    );
    // A file with a RUNPATH does not see the RPATH of its loaders, nor its own.
    let hidden = image()
        .elf(PROGRAM, &Build::program(LOADER).needs("libmid.so").string(RPATH, "/app/lib"))
        .elf(
            "/app/lib/libmid.so",
            &Build::library("libmid.so")
                .needs("liba.so")
                .string(RUNPATH, "/none")
                .string(RPATH, "/app/lib"),
        )
        .elf("/app/lib/liba.so", &a());
    assert_eq!(finds(&hidden, "liba.so"), None);
}

#[test]
fn origin_is_where_a_file_was_opened_and_dots_follow_links() {
    // The program's origin is where it really is; a library's is the folder it was found in.
    let image = image()
        .elf(
            "/real/bin/program",
            &Build::program(LOADER).needs("libmid.so").string(RPATH, "${ORIGIN}/../lib"),
        )
        .link("/app/bin/program", "/real/bin/program")
        .link("/real/lib", "/store/deep/lib")
        .link("/store/deep/lib/libmid.so", "/elsewhere/libmid.so")
        .elf(
            "/elsewhere/libmid.so",
            &Build::library("libmid.so").needs("liba.so").string(RUNPATH, "$ORIGIN/../more"),
        )
        .elf("/store/deep/more/liba.so", &a())
        .elf("/real/more/liba.so", &a());
    assert_eq!(
        finds(&image, "libmid.so"),
        found("/elsewhere/libmid.so", How::RPath(path("/real/bin/program")))
    );
    // `/real/lib/../more` is beside where the link leads.
    let how = How::RunPath(path("/elsewhere/libmid.so"));
    assert_eq!(finds(&image, "liba.so"), found("/store/deep/more/liba.so", how));
    let environment = environment();
    let process =
        Process::start(&image, &path("/app/bin/program"), &environment).expect("a program");
    let links = &library(&process, "liba.so").place.as_ref().expect("found").found.links;
    assert_eq!(*links, [path("/real/lib")]);
}

#[test]
fn files_for_other_machines_are_passed_over_and_broken_ones_end_the_search() {
    let there = |first: &[u8]| {
        let image = image().elf(PROGRAM, &program()).elf("/usr/lib/liba.so", &a());
        finds(&image.file("/lib/liba.so", first), "liba.so")
    };
    assert_eq!(there(&a().on(I386).bytes()), found("/usr/lib/liba.so", How::Default));
    assert_eq!(there(b"INPUT(libreal.so)"), None);
    assert_eq!(there(b""), None);
}

#[test]
fn a_name_with_a_slash_is_a_path() {
    let named = |name: &'static str, at| {
        let image = image().elf(PROGRAM, &Build::program(LOADER).needs(name)).elf(at, &a());
        let environment = Environment { working_dir: path("/job"), ..environment() };
        finds_in(&image, &environment, name)
    };
    assert_eq!(named("/opt/liba.so", "/opt/liba.so"), found("/opt/liba.so", How::Path));
    assert_eq!(named("sub/liba.so", "/job/sub/liba.so"), found("/job/sub/liba.so", How::Path));
    assert_eq!(named("$ORIGIN/liba.so", "/app/bin/liba.so"), found("/app/bin/liba.so", How::Path));
}

#[test]
fn what_is_loaded_already_is_not_sought() {
    let image = image()
        .elf(PROGRAM, &program().needs("libb.so").string(RUNPATH, "/app/lib"))
        .elf("/app/lib/liba.so", &Build::library("libb.so"))
        .elf("/lib/libb.so", &Build::library("libb.so"));
    // `liba.so` goes by the soname `libb.so`.
    assert_eq!(finds(&image, "libb.so"), found("/app/lib/liba.so", How::Already));
}

#[test]
fn the_default_folders_are_not_for_files_that_say_so() {
    let cache = Caching::default().entry("liba.so", "/lib/liba.so", 0x303, 0);
    let image = |flags| {
        image()
            .elf(PROGRAM, &Build { flags, ..program() })
            .elf("/lib/liba.so", &a())
            .file("/etc/ld.so.cache", cache.bytes(true))
    };
    assert_eq!(finds(&image(0x800), "liba.so"), None);
    assert_eq!(finds(&image(0), "liba.so"), found("/lib/liba.so", How::Cache));
}

#[test]
fn the_cache_is_asked_by_abi_and_does_not_hide_the_default_folders() {
    let cached = |cache: Caching| {
        let image = image().elf(PROGRAM, &program()).elf("/opt/liba.so", &a());
        let image = image.elf("/lib/liba.so", &a()).file("/etc/ld.so.cache", cache.bytes(true));
        finds(&image, "liba.so")
    };
    let entry = |flags, path| Caching::default().entry("liba.so", path, flags, 0);
    let default = found("/lib/liba.so", How::Default);
    assert_eq!(cached(entry(0x303, "/opt/liba.so")), found("/opt/liba.so", How::Cache));
    assert_eq!(cached(entry(0x3, "/opt/liba.so")), default, "an entry for x86");
    assert_eq!(cached(entry(0x303, "/gone/liba.so")), default, "a stale entry");
}

#[test]
fn a_configured_folder_helps_only_through_the_cache() {
    let image = image()
        .elf(PROGRAM, &program())
        .elf("/usr/local/lib/liba.so", &a())
        .file("/etc/ld.so.conf", "# all\ninclude ld.so.conf.d/*.conf\n")
        .file("/etc/ld.so.conf.d/local.conf", "/usr/local/lib # ours\ninclude /etc/ld.so.conf\n")
        .file("/etc/ld.so.conf.d/readme", "/wrong\n");
    let environment = environment();
    let process = Process::start(&image, &path(PROGRAM), &environment).expect("a program");
    let library = library(&process, "liba.so");
    assert!(library.is_missing());
    assert_eq!(library.uncached, Some(path("/usr/local/lib/liba.so")));
}

#[test]
fn builds_for_some_processors_count_with_what_they_need() {
    let v3 = "/usr/lib/glibc-hwcaps/x86-64-v3/liba.so";
    let image = image()
        .elf(PROGRAM, &program())
        .elf("/usr/lib/liba.so", &a())
        .elf(v3, &a().needs("libfast.so"))
        .elf("/usr/lib/libfast.so", &Build::library("libfast.so"));
    let environment = environment();
    let process = Process::start(&image, &path(PROGRAM), &environment).expect("a program");
    let asked = library(&process, "liba.so");
    assert_eq!(asked.place.as_ref().expect("found").path, path("/usr/lib/liba.so"));
    assert_eq!(asked.variants.len(), 1);
    assert_eq!(asked.variants[0].path, path(v3));
    assert_eq!(library(&process, "libfast.so").needed_by, path(v3));
}

#[test]
fn preloads_are_loaded_but_not_required() {
    let image = image()
        .elf(PROGRAM, &Build::program(LOADER))
        .elf("/opt/wrap.so", &Build::library("wrap.so").needs("liba.so"))
        .elf("/lib/liba.so", &a())
        .file("/etc/ld.so.preload", "/opt/wrap.so # a comment\n");
    let environment = Environment { preload: b"libgone.so:".to_vec(), ..environment() };
    let process = Process::start(&image, &path(PROGRAM), &environment).expect("a program");
    let names: Vec<_> = process.libraries().iter().map(|it| (it.name.clone(), it.role)).collect();
    assert_eq!(
        names,
        [
            (b"libgone.so".to_vec(), Role::Preload),
            (b"/opt/wrap.so".to_vec(), Role::Preload),
            (b"liba.so".to_vec(), Role::Needed)
        ]
    );
    assert!(process.libraries().iter().all(|library| !library.is_missing()));
}

#[test]
fn a_filter_has_to_be_there_an_auxiliary_not() {
    let image = image().elf(
        PROGRAM,
        &Build::program(LOADER).string(AUXILIARY, "libaux.so").string(FILTER, "libfilter.so"),
    );
    let environment = environment();
    let process = Process::start(&image, &path(PROGRAM), &environment).expect("a program");
    assert!(!library(&process, "libaux.so").is_missing());
    assert!(library(&process, "libfilter.so").is_missing());
}

#[test]
fn a_program_whose_loader_is_gone_says_so() {
    let image = Image::default().elf(PROGRAM, &program()).elf("/lib/liba.so", &a());
    let environment = environment();
    let process = Process::start(&image, &path(PROGRAM), &environment).expect("a program");
    assert_eq!(process.family(), Family::Glibc);
    let interpreter = process.interpreter().expect("it names one");
    assert_eq!((interpreter.name.as_slice(), &interpreter.found), (LOADER.as_bytes(), &None));
}

#[test]
fn opening_by_name_goes_by_the_caller() {
    let image = image()
        .elf(PROGRAM, &program().string(RUNPATH, "/app/lib"))
        .elf("/app/lib/liba.so", &a())
        .elf("/app/lib/libplugin.so", &Build::library("libplugin.so").needs("libz.so"));
    let environment = environment();
    let mut process = Process::start(&image, &path(PROGRAM), &environment).expect("a program");
    let plugin = process.open(b"libplugin.so", 0).expect("a request");
    assert!(process.libraries()[plugin].place.is_some());
    assert!(library(&process, "libz.so").is_missing());
    let liba = process.loaded().iter().position(|it| it.found.file == path("/app/lib/liba.so"));
    let other = process.open(b"libother.so", liba.expect("loaded")).expect("a request");
    assert!(process.libraries()[other].place.is_none(), "liba.so has no RUNPATH");
}

#[test]
fn work_is_bounded() {
    let folders: Vec<String> = (0..8000).map(|number| format!("/{number}")).collect();
    let folders: &'static str = folders.join(":").leak();
    let names = (0..200).map(|number| &*format!("lib{number}.so").leak());
    let program = names.fold(Build::program(LOADER).string(RPATH, folders), Build::needs);
    let image = image().elf(PROGRAM, &program);
    let environment = environment();
    let process = Process::start(&image, &path(PROGRAM), &environment).expect("a program");
    assert!(!process.is_complete());
    assert_eq!(process.libraries().len(), 200);
}
