//! Databases of packages in step with what goes.

mod rpm;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use immut_core::Hardened;
use immut_core::plan::{Action, Package, Packages};
use immut_core::store::Layout;
use immut_testkit::model::{Item, Tree, View};
use immut_testkit::recipe::{LayerRecipe, Recipe};
use immut_testkit::{contents, peers};

use crate::common::{
    Done, MARK, Scene, archive, fixture, keeping, profile, removed, removing, rules_of, told, words,
};

const RECORD: &str = "Package: whole\nStatus: install ok installed\nArchitecture: amd64\n\
    Version: 1:2.3-4\nDescription: has\n .\n two paragraphs\n\n";
const GONE: &str = "Package: gone\nStatus: install ok installed\nArchitecture: amd64\n\
    Version: 1.0\nConffiles:\n /etc/gone.conf 0123456789abcdef0123456789abcdef\n\n";
const PART: &str = "Package: part\nStatus: install ok installed\nArchitecture: amd64\n\
    Multi-Arch: same\nVersion: 2.0\nX-Odd:   spaces  \n\n";
const PURGED: &str = "Package: old\nStatus: deinstall ok config-files\nArchitecture: amd64\n\
    Version: 0.1\nConffiles:\n /etc/old.conf 0123456789abcdef0123456789abcdef\n\n";
const MARKED: &str = "immut-Stripped: yes\n";

/// Removes the names from an image that has those layers; a second run finds nothing to do.
fn strip(recipe: Recipe, asked: &[&str]) -> Done {
    let asked: Vec<String> = asked.iter().map(|path| (*path).to_owned()).collect();
    let options = removing(&asked);
    let recipe = recipe.layer(|l| l.file(MARK, 0o644, "").file("/app", 0o755, contents::program()));
    let done = Scene::of(&recipe.user("7").entrypoint(&["/app"])).harden(&options);
    let again = done.again(&options);
    let first = packages(&done.hardened);
    let second = packages(&again);
    assert!(!again.is_changed(), "{:?}", again.platforms[0].plan.steps);
    assert_eq!(second.removed, []);
    assert_eq!((&second.partly_kept, &second.kept), (&first.partly_kept, &first.kept));
    done
}

fn packages(hardened: &Hardened) -> &Packages {
    &hardened.platforms[0].plan.packages
}

fn named(packages: &[Package]) -> Vec<String> {
    packages.iter().map(|one| format!("{} {} {}", one.database, one.name, one.version)).collect()
}

/// Removed, partly kept, kept.
fn fates(done: &Done) -> [Vec<String>; 3] {
    let Packages { removed, partly_kept, kept } = packages(&done.hardened);
    [removed, partly_kept, kept].map(|packages| named(packages))
}

fn dpkg(layer: LayerRecipe) -> LayerRecipe {
    let sums = |name: &str| format!("0123456789abcdef0123456789abcdef  {name}\n");
    layer
        .symlink("/bin", "usr/bin")
        .file("/usr/bin/gone", 0o755, "1")
        .file("/usr/bin/part-1", 0o755, "2")
        .file("/usr/bin/part-2", 0o755, "3")
        .file("/usr/bin/whole", 0o755, "4")
        .file("/etc/gone.conf", 0o644, "5")
        .file("/etc/old.conf", 0o644, "6")
        .file("/usr/share/doc/gone/copyright", 0o644, "7")
        .file("/usr/share/doc/whole/copyright", 0o644, "8")
        .file("/usr/share/man/whole.1", 0o644, "9")
        .file("/var/lib/dpkg/status", 0o640, [GONE, PART, PURGED, RECORD].concat())
        .file(
            "/var/lib/dpkg/info/gone.list",
            0o644,
            "/.\n/bin\n/bin/gone\n/etc\n/etc/gone.conf\n/usr/share/doc/gone/copyright\n",
        )
        .file("/var/lib/dpkg/info/gone.md5sums", 0o644, sums("bin/gone"))
        .file("/var/lib/dpkg/info/gone.conffiles", 0o644, "/etc/gone.conf\n")
        .file(
            "/var/lib/dpkg/info/part:amd64.list",
            0o644,
            "/.\n/usr/bin\n/usr/bin/part-1\n/usr/bin/part-2\n/usr/bin/never-there\n",
        )
        .file(
            "/var/lib/dpkg/info/part:amd64.md5sums",
            0o644,
            sums("usr/bin/part-1") + &sums("usr/bin/part-2"),
        )
        .file("/var/lib/dpkg/info/old.list", 0o644, "/etc/old.conf\n")
        .file(
            "/var/lib/dpkg/info/whole.list",
            0o644,
            "/usr/bin/whole\n/usr/share/doc/whole/copyright\n/usr/share/man/whole.1\n",
        )
        .file("/var/lib/dpkg/info/whole.md5sums", 0o644, sums("usr/bin/whole"))
        .file("/var/lib/dpkg/info/format", 0o644, "1\n")
}

const ASKED: [&str; 3] = ["usr/bin/gone", "usr/bin/part-1", "usr/share/man/whole.1"];

#[test]
fn dpkg_records_go_or_are_marked_and_others_stay_byte_for_byte() {
    let done = strip(Recipe::new().layer(dpkg), &ASKED);
    let part = PART.replace("\n\n", "\n") + MARKED + "\n";
    assert_eq!(done.text("var/lib/dpkg/status"), [&part, PURGED, RECORD].concat());
    let [removed, partly, kept] = fates(&done);
    assert_eq!(removed, ["dpkg gone 1.0"]);
    assert_eq!(partly, ["dpkg part 2.0"]);
    assert_eq!(kept, ["dpkg whole 1:2.3-4"], "what people read is no part of it");
    let info = "var/lib/dpkg/info/";
    let left: Vec<String> = done.paths();
    let left: Vec<&str> = left.iter().filter_map(|path| path.strip_prefix(info)).collect();
    let listed = ["old.list", "part:amd64.list", "part:amd64.md5sums", "whole.list"];
    assert_eq!(left, [&["format"], &listed[..], &["whole.md5sums"]].concat());
    assert_eq!(
        done.text("var/lib/dpkg/info/part:amd64.list"),
        "/.\n/usr/bin\n/usr/bin/part-2\n/usr/bin/never-there\n"
    );
    let sums = done.text("var/lib/dpkg/info/part:amd64.md5sums");
    assert_eq!(sums, "0123456789abcdef0123456789abcdef  usr/bin/part-2\n");
    assert!(done.text("var/lib/dpkg/info/whole.list").contains("man/whole.1"), "as it was");
    assert_eq!(done.view()["var/lib/dpkg/status"].mode, 0o640);
    assert!(done.paths().contains(&"usr/share/doc/gone/copyright".to_owned()));
    assert_eq!(done.tars().len(), 2, "edited in place");
    assert!(rules_of(&done.hardened.platforms[0].plan).contains("package-database"));
}

#[test]
fn a_database_in_a_layer_that_stays_is_edited_on_top() {
    let program = |l: LayerRecipe| l.file("/usr/bin/tool", 0o755, "1");
    let database = |l: LayerRecipe| {
        l.file("/var/lib/dpkg/status", 0o644, RECORD.to_owned() + &GONE.replace("gone", "tool"))
            .file("/var/lib/dpkg/info/whole.list", 0o644, "/usr/bin/whole\n")
    };
    let list = |l: LayerRecipe| {
        let listed = "/usr/bin/tool\n/usr/bin/other\n";
        l.file("/usr/bin/other", 0o755, "2").file("/var/lib/dpkg/info/tool.list", 0o644, listed)
    };
    let recipe = Recipe::new().layer(program).layer(database).layer(list);
    let done = strip(recipe, &["usr/bin/tool"]);
    let marked = GONE.replace("gone", "tool").replace("\n\n", "\n") + MARKED + "\n";
    assert_eq!(done.text("var/lib/dpkg/status"), RECORD.to_owned() + &marked);
    assert_eq!(done.text("var/lib/dpkg/info/tool.list"), "/usr/bin/other\n");
    assert_eq!(fates(&done)[1], ["dpkg tool 1.0"]);
}

#[test]
fn records_of_distroless_images_are_files() {
    let control = |name: &str| format!("Package: {name}\nVersion: 1\nArchitecture: all\n");
    let sums = |path: &str| format!("0123456789abcdef0123456789abcdef  {path}\n");
    let status = |name: &str| format!("/var/lib/dpkg/status.d/{name}");
    let done = strip(
        Recipe::new().layer(|l| {
            l.file("/usr/bin/a", 0o755, "1")
                .file("/usr/bin/b-1", 0o755, "2")
                .file("/usr/bin/b-2", 0o755, "3")
                .file("/usr/bin/c", 0o755, "4")
                .file(status("a"), 0o644, control("a"))
                .file(status("a.md5sums"), 0o644, sums("usr/bin/a"))
                .file(status("b"), 0o644, control("b"))
                .file(status("b.md5sums"), 0o644, sums("usr/bin/b-1") + &sums("usr/bin/b-2"))
                .file(status("c"), 0o644, control("c"))
                .file(status("c.md5sums"), 0o644, sums("usr/bin/c"))
                .file(status("d"), 0o644, control("d"))
        }),
        &["usr/bin/a", "usr/bin/b-1"],
    );
    assert_eq!(fates(&done)[..2], [vec!["dpkg a 1".to_owned()], vec!["dpkg b 1".to_owned()]]);
    assert_eq!(fates(&done)[2], ["dpkg c 1", "dpkg d 1"]);
    let left = done.paths();
    let left: Vec<&str> =
        left.iter().filter_map(|path| path.strip_prefix("var/lib/dpkg/status.d/")).collect();
    assert_eq!(left, ["b", "b.md5sums", "c", "c.md5sums", "d"]);
    assert_eq!(done.text("var/lib/dpkg/status.d/b"), control("b") + MARKED);
    assert_eq!(done.text("var/lib/dpkg/status.d/b.md5sums"), sums("usr/bin/b-2"));
    assert_eq!(done.text("var/lib/dpkg/status.d/c"), control("c"));
    let unseen = &done.hardened.platforms[0].plan.unseen;
    assert_eq!(*unseen, ["/var/lib/dpkg/status.d: 1 packages have no list of their files"]);
}

#[test]
fn apk_records_go_or_get_its_own_flag() {
    let package = |name, files| contents::Package { name, version: "1-r0", files };
    let gone = package("gone", &["/bin/gone", "/etc/gone.conf"]);
    let part = package("part", &["/usr/bin/part-1", "/usr/bin/part-2", "/usr/lib/part/x"]);
    let whole = package("whole", &["/usr/bin/whole", "/usr/share/doc/whole/README"]);
    let one = |package| contents::apk_installed(&[package]);
    let database = one(gone) + &one(part) + &one(whole);
    let done = strip(
        Recipe::new().layer(|l| {
            [gone, part, whole]
                .iter()
                .flat_map(|package| package.files)
                .fold(l, |l, file| l.file(file, 0o755, *file))
                .file("/lib/apk/db/installed", 0o644, &database)
        }),
        &["bin/gone", "usr/bin/part-1", "usr/lib/part", "usr/share/doc/whole/README"],
    );
    let file = |name: &str| format!("R:{name}\na:0:0:755\nZ:Q1BBBBBBBBBBBBBBBBBBBBBBBBBBB=\n");
    let expected = one(part)
        .replace(&file("part-1"), "")
        .replace(&("F:usr/lib/part\n".to_owned() + &file("x")), "")
        .replace("F:usr/bin\n", "f:f\nF:usr/bin\n");
    assert_eq!(done.text("lib/apk/db/installed"), expected + &one(whole));
    assert_eq!(fates(&done), [["apk gone 1-r0"], ["apk part 1-r0"], ["apk whole 1-r0"]]);
}

#[test]
fn opkg_has_each_record_twice() {
    let record = |name: &str| {
        format!("Package: {name}\nVersion: 3\nStatus: install user installed\nArchitecture: all\n")
    };
    let status = format!("{}\n{}\n{}", record("a"), record("b"), record("c"));
    let info = |name: &str| format!("/usr/lib/opkg/info/{name}");
    let done = strip(
        Recipe::new().layer(|l| {
            l.file("/usr/bin/a", 0o755, "1")
                .file("/usr/bin/b-1", 0o755, "2")
                .file("/usr/bin/b-2", 0o755, "3")
                .file("/usr/bin/c", 0o755, "4")
                .file("/usr/lib/opkg/status", 0o644, status)
                .file(info("a.control"), 0o644, record("a"))
                .file(info("a.list"), 0o644, "/usr/bin/a\n")
                .file(info("b.control"), 0o644, record("b"))
                .file(info("b.list"), 0o644, "/usr/bin/b-1\t0100755\n/usr/bin/b-2\t0100755\n")
                .file(info("c.list"), 0o644, "/usr/bin/c\n")
        }),
        &["usr/bin/a", "usr/bin/b-1"],
    );
    assert_eq!(fates(&done), [["opkg a 3"], ["opkg b 3"], ["opkg c 3"]]);
    let marked = record("b") + MARKED;
    assert_eq!(done.text("usr/lib/opkg/status"), format!("{marked}\n{}", record("c")));
    assert_eq!(done.text("usr/lib/opkg/info/b.control"), marked);
    assert_eq!(done.text("usr/lib/opkg/info/b.list"), "/usr/bin/b-2\t0100755\n");
    assert!(!done.paths().iter().any(|path| path.starts_with("usr/lib/opkg/info/a.")));
}

/// An image with pacman's recorded database; nothing of gmp is there but two files.
fn pacman() -> Option<Recipe> {
    let local = fixture("8-pkgdb/pacman-syft/installed/var/lib/pacman/local")?;
    Some(Recipe::new().layer(|l| {
        let l = ["gmp-6.2.1-2", "fuzzy-1.2-3", "emacs-29.3-3"].iter().fold(l, |l, package| {
            let files = ["desc", "files"].iter().filter_map(|name| {
                let content = std::fs::read(local.join(package).join(name)).ok()?;
                Some((format!("/var/lib/pacman/local/{package}/{name}"), content))
            });
            files.fold(l, |l, (path, content)| l.file(path, 0o644, content))
        });
        l.file("/usr/lib/libgmp.so.10.4.1", 0o755, "1")
            .file("/usr/include/gmp.h", 0o644, "2")
            .file("/etc/fuzzy.conf", 0o644, "3")
            .file("/var/lib/pacman/local/ALPM_DB_VERSION", 0o644, "9\n")
    }))
}

const PACMAN: [&str; 2] = ["usr/include/gmp.h", "etc/fuzzy.conf"];

#[test]
fn pacman_has_a_folder_for_each_package() {
    let Some(recipe) = pacman() else { return };
    let done = strip(recipe, &PACMAN);
    let [gone, partly, kept] = fates(&done);
    assert_eq!(gone, ["pacman fuzzy 1.2-3"]);
    assert_eq!(partly, ["pacman gmp 6.2.1-2"]);
    assert_eq!(kept, ["pacman emacs 29.3-3"]);
    assert!(!done.paths().iter().any(|path| path.contains("fuzzy")));
    assert!(!done.text("var/lib/pacman/local/gmp-6.2.1-2/files").contains("gmp.h"));
    let desc = done.text("var/lib/pacman/local/gmp-6.2.1-2/desc");
    assert!(desc.ends_with("64\n\n%IMMUT_STRIPPED%\nyes\n\n"), "{desc}");
}

/// Writes what a view has beneath a folder to the disk.
fn write(view: &View, beneath: &str, to: &Path) -> PathBuf {
    for (path, seen) in view.range(beneath.to_owned()..) {
        let Some(Item::File(content)) = path.starts_with(beneath).then_some(&seen.item) else {
            continue;
        };
        let path = to.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, content).expect("a file");
    }
    to.join(beneath)
}

fn lines_of(command: &mut Command) -> BTreeSet<String> {
    let output = command.output().expect("the program starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.is_empty(), "{command:?}: {told}");
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

/// What dpkg-query makes of a view's database.
fn dpkg_packages(dpkg_query: &Path, view: &View) -> BTreeSet<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let database = write(view, "var/lib/dpkg", folder.path());
    lines_of(
        Command::new(dpkg_query)
            .args(["-W", "-f", "${Package} ${Version} ${immut-Stripped}\n"])
            .arg(format!("--admindir={}", database.display())),
    )
}

#[test]
fn dpkg_sees_all_packages_of_redis_but_the_removed_ones() {
    redis_packages("baseline", "apt");
    redis_packages("distroless", "openssl");
}

/// Hardens redis, and compares what dpkg-query says with what the plan says.
fn redis_packages(name: &str, partly: &str) {
    let Some(folder) = fixture("9-built/redis-bookworm-oci") else { return };
    let Some(dpkg_query) = peers::require("dpkg-query") else { return };
    let source = Layout::open(&folder).expect("a layout");
    let index = std::fs::read(folder.join("index.json")).expect("an index");
    let index: serde_json::Value = serde_json::from_slice(&index).expect("JSON");
    let digest = index["manifests"][0]["digest"].as_str().expect("a digest");
    let pinned = format!("oci:{}@{digest}", folder.display()).parse().expect("a reference");
    let mut options = profile(name);
    options.choices.entrypoint = words(&["redis-server"]);
    options.choices.cmd = words(&[]);
    let temporary = tempfile::tempdir().expect("a folder");
    let stage = Layout::create(&temporary.path().join("stage")).expect("a stage");
    let hardened = immut_core::harden(&pinned, &source, &stage, &options)
        .unwrap_or_else(|error| panic!("{}", told(&error)));
    let one = &hardened.platforms[0];
    let view = |layers: &[immut_core::image::Descriptor]| {
        let tars: Vec<Vec<u8>> = layers.iter().map(|layer| archive(&stage, layer)).collect();
        Tree::of_tars(&tars).view()
    };
    let (before, after) = (view(&one.layers), view(one.rewritten.manifest.layers()));
    let Packages { removed, partly_kept, kept } = &one.plan.packages;
    let lines = |packages: &[Package], mark: &str| -> BTreeSet<String> {
        packages.iter().map(|one| format!("{} {} {mark}", one.name, one.version)).collect()
    };
    let was = dpkg_packages(&dpkg_query, &before);
    let all = [removed, partly_kept, kept].iter().flat_map(|some| lines(some, "")).collect();
    assert_eq!(was, all, "each is in one list");
    let is = dpkg_packages(&dpkg_query, &after);
    let expected: BTreeSet<String> =
        lines(kept, "").into_iter().chain(lines(partly_kept, "yes")).collect();
    assert_eq!(is, expected);
    assert!(lines(removed, "").contains("dash 0.5.12-2 "), "{removed:?}");
    assert!(partly_kept.iter().any(|package| package.name == partly), "{partly_kept:?}");
    assert!(kept.len() > 50, "{}", kept.len());
}

#[test]
fn pacman_lists_the_packages_that_are_left() {
    let Some(recipe) = pacman() else { return };
    let Some(pacman) = peers::require("pacman") else { return };
    let view = strip(recipe, &PACMAN).view();
    let folder = tempfile::tempdir().expect("a folder");
    let database = write(&view, "var/lib/pacman", folder.path());
    let output = Command::new(pacman)
        .args(["-Q", "--config", "/dev/null", "--dbpath"])
        .arg(database)
        .output()
        .expect("pacman starts");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "emacs 29.3-3\ngmp 6.2.1-2\n");
}

#[test]
fn databases_that_make_no_sense_stay_byte_for_byte() {
    let broken = "\0\u{1}\n\nPackage\n\nPackage: ../../etc/passwd\nVersion: 1\n\nVersion: 2\n\n";
    let status = broken.to_owned() + GONE;
    let nested = "x/".repeat(1000);
    let done = strip(
        Recipe::new().layer(|l| {
            l.file("/bin/gone", 0o755, "1")
                .symlink("/loop", "loop")
                .file("/var/lib/dpkg/status", 0o644, status)
                .file(
                    "/var/lib/dpkg/info/gone.list",
                    0o644,
                    format!("/bin/gone\n../../../x\n/loop/loop\n/{nested}\n\0\n//\n"),
                )
                .file("/lib/apk/db/installed", 0o644, [0xff, b'P', b':', b'\n', b'F'])
                .file("/var/lib/dpkg/status.d/junk", 0o644, [0xfe; 300])
                .symlink("/usr/lib/opkg/status", "/usr/lib/opkg/status")
                .dir("/var/lib/opkg/status", 0o755)
                .file("/var/lib/pacman/local/x/desc", 0o644, "%NAME%\n")
        }),
        &["bin/gone"],
    );
    assert_eq!(done.text("var/lib/dpkg/status"), broken);
    assert_eq!(fates(&done)[0], ["dpkg gone 1.0"]);
    assert_eq!(fates(&done)[1..], [Vec::<String>::new(), Vec::new()]);
    let unseen = &done.hardened.platforms[0].plan.unseen;
    let expected = [
        "/var/lib/dpkg/status: 4 records of packages could not be read",
        "/var/lib/dpkg/status.d: 1 records of packages could not be read",
        "/var/lib/pacman/local: 1 records of packages could not be read",
        "/lib/apk/db/installed: 1 records of packages could not be read",
    ];
    assert_eq!(*unseen, expected);
}

#[test]
fn a_database_beyond_all_reason_stays() {
    let huge = "Package: a\nVersion: 1\n\n".repeat(100_001);
    let done = strip(
        Recipe::new().layer(|l| {
            l.file("/bin/a", 0o755, "1")
                .file("/var/lib/dpkg/status", 0o644, &huge)
                .file("/var/lib/dpkg/info/a.list", 0o644, "/bin/a\n")
                .file("/lib/apk/db/installed", 0o644, vec![b'\n'; (16 << 20) + 1])
        }),
        &["bin/a"],
    );
    assert!(done.text("var/lib/dpkg/status") == huge);
    let unseen = &done.hardened.platforms[0].plan.unseen;
    for path in ["/var/lib/dpkg/status", "/lib/apk/db/installed"] {
        let expected = format!("{path}: the database is too large to be looked at");
        assert!(unseen.contains(&expected), "{unseen:?}");
    }
}

#[test]
fn a_database_that_is_kept_stays() {
    let bash = contents::Package { name: "bash", version: "5", files: &["/bin/bash"] };
    let recipe = Recipe::new().layer(|l| {
        l.file("/bin/bash", 0o755, contents::bash())
            .file("/app", 0o755, contents::program())
            .dpkg(&[bash])
    });
    let plan = Scene::of(&recipe.user("7").entrypoint(&["/app"]))
        .plan(&keeping(&["rule:package-database"]))
        .plan;
    assert_eq!(removed(&plan), ["/bin/bash"]);
    assert!(!plan.steps.iter().any(|step| matches!(step.action, Action::EditFile { .. })));
    let kept: Vec<String> = plan.kept.iter().map(|kept| kept.path.to_string()).collect();
    assert_eq!(kept, ["/var/lib/dpkg/info/bash.list", "/var/lib/dpkg/status"]);
}

#[test]
fn a_database_that_goes_is_not_edited() {
    let done = strip(Recipe::new().layer(dpkg), &["usr/bin/gone", "var/lib/dpkg"]);
    assert_eq!(fates(&done), [const { Vec::<String>::new() }; 3]);
    assert!(!done.paths().iter().any(|path| path.starts_with("var/lib/dpkg")));
}
