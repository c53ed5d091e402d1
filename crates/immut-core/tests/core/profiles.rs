//! How far profiles go, and what stays in each of them.

use std::collections::BTreeSet;
use std::process::Command;

use immut_core::store::Layout;
use immut_core::{Hardened, Options};
use immut_testkit::contents::{self, Package};
use immut_testkit::recipe::{Encoding, Recipe};
use immut_testkit::{model, peers};

use crate::common::{Done, Scene, decode, fixture, profile, words};

fn options(name: &str, keep: &[&str]) -> Options {
    let mut options = profile(name);
    let parsed = keep.iter().map(|text| text.parse().expect("a keep"));
    options.choices.profile.keep.extend(parsed);
    options
}

/// The names of the result that are no directories.
fn files(done: &Done) -> Vec<String> {
    let view = done.view().into_iter();
    let files = view.filter(|(_, seen)| seen.item != model::Item::Directory);
    files.map(|(path, _)| format!("/{path}")).collect()
}

/// Hardened with a profile: the files that are left, after the result was hardened once more.
fn left(recipe: &Recipe, options: &Options) -> Vec<String> {
    let done = Scene::of(recipe).harden(options);
    assert!(!done.again(options).is_changed(), "hardened twice");
    files(&done)
}

/// Those of the names that start with one of the prefixes.
fn only(names: &[String], prefixes: &[&str]) -> Vec<String> {
    let wanted = |name: &&String| prefixes.iter().any(|prefix| name.starts_with(prefix));
    names.iter().filter(wanted).cloned().collect()
}

const LOADER: &str = "/usr/lib64/ld-linux-x86-64.so.2";

/// A merged /usr with tools of three packages, an application, and a package that was purged.
fn debian() -> Recipe {
    let tool = |mark: &str| contents::dynamic_elf("/lib64/ld-linux-x86-64.so.2", &[mark]);
    let packages = [
        Package {
            name: "coreutils",
            version: "9.1",
            files: &["/bin/ls", "/usr/bin/env", "/usr/share/doc/coreutils/copyright"],
        },
        Package {
            name: "util-linux",
            version: "2.38",
            files: &["/bin/more", "/usr/share/util-linux/extra/README"],
        },
        Package { name: "libapp1", version: "1", files: &["/usr/lib/libapp.so.1"] },
        Package { name: "findutils", version: "4", files: &["/usr/bin/find"] },
    ];
    Recipe::new()
        .layer(|l| {
            l.symlink("/bin", "usr/bin")
                .symlink("/lib64", "usr/lib64")
                .file(LOADER, 0o755, contents::elf(&["the loader"]))
                .dpkg(&packages)
                .file("/usr/bin/ls", 0o755, tool("ls"))
                .file("/usr/bin/env", 0o755, tool("env"))
                .file("/usr/bin/more", 0o755, tool("more"))
                .file("/usr/bin/find", 0o755, tool("find"))
                .symlink("/etc/alternatives/pager", "/bin/more")
                .symlink("/usr/bin/pager", "/etc/alternatives/pager")
                .file("/usr/lib/libapp.so.1", 0o644, contents::elf(&["a library"]))
                .file("/usr/share/util-linux/extra/README", 0o644, "read me")
                .file("/usr/share/doc/coreutils/copyright", 0o644, "GPL")
                .file("/usr/share/doc/coreutils/NEWS.gz", 0o644, "news")
                .symlink("/usr/share/doc/libapp1", "coreutils")
                .file("/usr/share/man/man1/ls.1.gz", 0o644, "man")
                .file("/usr/share/zoneinfo/UTC", 0o644, "TZif")
                .symlink("/etc/localtime", "/usr/share/zoneinfo/UTC")
                .file("/etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n")
                .file("/etc/group", 0o644, "root:x:0:\n")
                .dir("/tmp", 0o1777)
                .dir("/var/tmp", 0o1777)
        })
        .layer(|l| {
            l.file("/usr/local/bin/app", 0o755, tool("app"))
                .file("/srv/data", 0o644, "data that nobody names")
                .file("/secret", 0o600, "a secret that a later layer deletes, and more of it")
        })
        .layer(|l| l.whiteout("/secret"))
        .entrypoint(&["env", "app"])
}

#[test]
fn tools_of_packages_go_and_what_the_start_needs_stays() {
    let left = left(&debian(), &options("distroless", &[]));
    // `env` is needed, though coreutils goes; copyright stays, with the link to it.
    let usr = only(&left, &["/usr/bin", "/usr/lib", "/usr/share", "/etc/alternatives", "/etc/loc"]);
    let expected = [
        "/etc/localtime",
        "/usr/bin/env",
        "/usr/lib/libapp.so.1",
        LOADER,
        "/usr/share/doc/coreutils/copyright",
        "/usr/share/doc/libapp1",
        "/usr/share/zoneinfo/UTC",
    ];
    assert_eq!(usr, expected);
    assert!(left.contains(&"/srv/data".to_owned()), "no package has it");
}

#[test]
fn what_is_left_empty_by_tools_goes() {
    let done = Scene::of(&debian()).harden(&options("distroless", &[]));
    let paths = done.paths();
    assert!(!paths.iter().any(|path| path.starts_with("usr/share/util-linux")), "{paths:?}");
    assert!(!paths.iter().any(|path| path.starts_with("usr/share/man")), "{paths:?}");
    assert!(paths.contains(&"var/tmp".to_owned()) && paths.contains(&"tmp".to_owned()));
}

#[test]
fn baseline_leaves_tools_alone() {
    let left = left(&debian(), &options("baseline", &[]));
    for path in ["/usr/bin/ls", "/usr/bin/find", "/usr/bin/pager", "/usr/share/man/man1/ls.1.gz"] {
        assert!(left.contains(&path.to_owned()), "{path}: {left:?}");
    }
}

#[test]
fn what_is_kept_stays_with_what_it_needs() {
    let recipe = debian().entrypoint(&["/bin/static"]);
    let recipe = recipe.layer(|l| l.file("/usr/bin/static", 0o755, contents::program()));
    let bare = left(&recipe, &options("minimal", &[]));
    assert!(!bare.contains(&LOADER.to_owned()) && !bare.contains(&"/lib64".to_owned()), "{bare:?}");
    let keep = options("minimal", &["/bin/find", "/srv"]);
    let left = left(&recipe, &keep);
    let more: Vec<&String> = left.iter().filter(|path| !bare.contains(path)).collect();
    let list = "/var/lib/dpkg/info/findutils.list";
    assert_eq!(more, ["/lib64", "/srv/data", "/usr/bin/find", LOADER, list]);
    let whole = options("distroless", &["rule:people-tool"]);
    assert!(files(&Scene::of(&recipe).harden(&whole)).contains(&"/usr/bin/ls".to_owned()));
}

#[test]
fn minimal_has_the_closure_and_the_base_and_nothing_hidden() {
    let done = Scene::of(&debian()).harden(&options("minimal", &[]));
    let expected = [
        "/bin",
        "/etc/group",
        "/etc/localtime",
        "/etc/passwd",
        "/lib64",
        "/usr/bin/env",
        LOADER,
        "/usr/local/bin/app",
        "/usr/share/doc/coreutils/copyright",
        "/usr/share/doc/libapp1",
        "/usr/share/zoneinfo/UTC",
    ];
    let found = files(&done);
    let found: Vec<&String> =
        found.iter().filter(|path| !path.starts_with("/var/lib/dpkg/")).collect();
    assert_eq!(found, expected);
    let paths = done.paths();
    for directory in ["tmp", "var/tmp", "home/nonroot"] {
        assert!(paths.contains(&directory.to_owned()), "{directory}: {paths:?}");
    }
    assert!(done.text("etc/passwd").contains("nonroot:x:65532:65532:"));
    let secret = b"a secret that a later layer deletes";
    let holds = |tar: &Vec<u8>| tar.windows(secret.len()).any(|part| part == secret);
    assert!(!done.tars().iter().any(holds), "in no layer");
}

#[test]
fn hidden_entries_go_from_every_layer_where_that_is_asked_for() {
    let recipe = Recipe::new()
        .layer(|l| l.file("/secret", 0o600, "a secret").file("/app", 0o755, contents::program()))
        .layer(|l| l.whiteout("/secret").file("/other", 0o644, "x"))
        .user("7")
        .entrypoint(&["/app"]);
    let mut options = options("baseline", &[]);
    assert!(!Scene::of(&recipe).harden(&options).hardened.is_changed());
    options.choices.purge_hidden = true;
    let done = Scene::of(&recipe).harden(&options);
    let names = |tar: &Vec<u8>| model::Tree::of_tars(std::slice::from_ref(tar)).view();
    assert!(done.tars().iter().all(|tar| !names(tar).contains_key("secret")));
    assert!(!done.again(&options).is_changed());
    assert_eq!(done.paths(), ["app", "other"]);
}

#[test]
fn packages_of_alpine_decide_too() {
    let packages = [
        Package { name: "curl", version: "8", files: &["usr/bin/curl"] },
        Package { name: "libcurl", version: "8", files: &["usr/lib/libcurl.so.4"] },
        Package { name: "tool", version: "1", files: &["usr/bin/tail"] },
    ];
    let recipe = Recipe::new().user("7").entrypoint(&["/app"]).layer(|l| {
        l.apk(&packages)
            .file("/usr/bin/curl", 0o755, contents::elf(&["curl"]))
            .file("/usr/bin/tail", 0o755, contents::elf(&["of another package"]))
            .file("/usr/lib/libcurl.so.4", 0o755, contents::elf(&["libcurl"]))
            .file("/app", 0o755, contents::program())
    });
    let left = left(&recipe, &options("distroless", &[]));
    assert_eq!(only(&left, &["/usr"]), ["/usr/bin/tail", "/usr/lib/libcurl.so.4"]);
}

#[test]
fn names_decide_where_no_database_is_read() {
    let recipe = Recipe::new().user("7").entrypoint(&["/usr/bin/app"]).layer(|l| {
        l.file("/usr/bin/app", 0o755, contents::program())
            .file("/usr/bin/ls", 0o755, contents::elf(&["ls"]))
            .symlink("/usr/bin/dir", "ls")
            .file("/usr/bin/[", 0o755, contents::elf(&["["]))
            .file("/usr/bin/cat", 0o644, "no program")
            .file("/usr/bin/curls", 0o755, contents::elf(&["another name"]))
            .file("/opt/app/bin/ls", 0o755, contents::elf(&["the application's"]))
    });
    let left = left(&recipe, &options("distroless", &[]));
    assert_eq!(left, ["/opt/app/bin/ls", "/usr/bin/app", "/usr/bin/cat", "/usr/bin/curls"]);
}

/// Alpine's own root, with a static program.
#[test]
fn a_static_program_in_alpine_is_nearly_alone() {
    let Some(root) = fixture("1-rootfs/alpine-minirootfs-3.20.3-x86_64.tar.gz") else { return };
    let tar = decode(&std::fs::read(root).expect("a root"));
    let recipe = Recipe::new()
        .tar_layer(Encoding::Gzip, tar)
        .layer(|l| l.file("/usr/local/bin/app", 0o755, contents::program()))
        .entrypoint(&["app"]);
    for profile in ["baseline", "distroless", "minimal"] {
        let left = left(&recipe, &options(profile, &[]));
        println!("alpine, {profile}: {} files", left.len());
        let programs = only(&left, &["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local"]);
        let goes = |path: &String| path.ends_with("/busybox") || path.ends_with("/apk");
        assert!(!programs.iter().any(goes), "{programs:?}");
        for path in
            ["/etc/os-release", "/lib/apk/db/installed", "/etc/ssl/certs/ca-certificates.crt"]
        {
            assert!(left.contains(&path.to_owned()), "{profile} {path}");
        }
        if profile == "minimal" {
            assert_eq!(programs, ["/usr/local/bin/app"]);
            assert!(only(&left, &["/lib/ld-musl", "/lib/libc", "/usr/lib/lib"]).is_empty());
        }
    }
}

/// The fixture of redis, hardened with a profile.
fn redis(profile: &str) -> Option<(Hardened, Layout, tempfile::TempDir)> {
    let image = fixture("9-built/redis-bookworm-oci")?;
    let mut options = options(profile, &[]);
    options.choices.entrypoint = words(&["redis-server"]);
    options.choices.cmd = words(&["--save", ""]);
    let index = std::fs::read(image.join("index.json")).expect("an index");
    let index: serde_json::Value = serde_json::from_slice(&index).expect("JSON");
    let digest = index["manifests"][0]["digest"].as_str().expect("a digest");
    let pinned = format!("oci:{}@{digest}", image.display()).parse().expect("a reference");
    let folder = tempfile::tempdir().expect("a folder");
    let stage = Layout::create(&folder.path().join("stage")).expect("a stage");
    let source = Layout::open(&image).expect("a layout");
    let hardened = immut_core::harden(&pinned, &source, &stage, &options).expect("hardened");
    Some((hardened, stage, folder))
}

#[test]
fn each_profile_leaves_less_of_redis_and_all_that_it_needs() {
    let mut before = u64::MAX;
    for profile in ["baseline", "distroless", "minimal"] {
        let Some((hardened, stage, _folder)) = redis(profile) else { return };
        let outcome = &hardened.platforms[0];
        let after = outcome.plan.after;
        println!("redis, {profile}: {} files, {} bytes", after.files, after.bytes);
        assert!(after.bytes < before, "{profile}");
        before = after.bytes;
        assert!(outcome.left.iter().all(|one| one.remedy == immut_core::finding::Remedy::None));
        let check = |digest| {
            let temporary = tempfile::tempdir().expect("a folder");
            let other = Layout::temporary(temporary.path()).expect("a stage");
            immut_core::check(digest, &stage, &other, &Options::default()).expect("checked")
        };
        let checked = check(&hardened.digest());
        assert!(checked.platforms[0].conflicts.is_empty(), "{profile}");
        let needs = |closure: &immut_core::needs::Closure| -> BTreeSet<String> {
            let needs = closure.starts.iter().flat_map(|start| &start.needs);
            needs.map(|need| need.path.to_string()).collect()
        };
        let (planned, found) = (needs(&outcome.plan.closure), needs(&checked.platforms[0].closure));
        assert_eq!(planned, found, "{profile}");
        let (again, _, _folder) = redis(profile).expect("it was there");
        assert_eq!(again.digest(), hardened.digest());
    }
}

/// The cache of libraries names nothing that is gone, by ldconfig's own account.
#[test]
fn the_cache_of_libraries_names_those_that_are_left() {
    let Some(ldconfig) = peers::require("ldconfig") else { return };
    for profile in ["baseline", "distroless", "minimal"] {
        let Some((hardened, stage, folder)) = redis(profile) else { return };
        let layers = hardened.platforms[0].rewritten.manifest.layers();
        let tars: Vec<Vec<u8>> =
            layers.iter().map(|layer| crate::common::archive(&stage, layer)).collect();
        let view = model::Tree::of_tars(&tars).view();
        let model::Item::File(cache) = &view["etc/ld.so.cache"].item else { panic!("no file") };
        let path = folder.path().join("cache");
        std::fs::write(&path, cache).expect("written");
        let printed = Command::new(&ldconfig).arg("-p").arg("-C").arg(&path).output();
        let printed = String::from_utf8(printed.expect("ldconfig").stdout).expect("text");
        let named: Vec<&str> =
            printed.lines().filter_map(|line| line.split(" => /").nth(1)).collect();
        assert!(named.len() > 15, "{profile}: {printed}");
        for path in named {
            // Debian's /lib is a link to usr/lib.
            let there = view.contains_key(path) || view.contains_key(&format!("usr/{path}"));
            assert!(there, "{profile}: {path}");
        }
    }
}
