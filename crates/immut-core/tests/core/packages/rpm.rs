//! rpm's databases: read for who owns what, never written.

use immut_core::plan::Layering;
use immut_testkit::contents::Package as Listed;
use immut_testkit::rpm::packages_db;

use super::*;

const DATABASE: &str = "usr/lib/sysimage/rpm/Packages.db";

const GONE: Listed<'_> = Listed {
    name: "gone",
    version: "1.0-1",
    files: &["/bin/gone", "/etc/gone.conf", "/usr/share/doc/gone/README", "/usr/lib/gone/"],
};
const PART: Listed<'_> =
    Listed { name: "part", version: "2:2.0-1.el9", files: &["/usr/bin/part-1", "/usr/bin/part-2"] };
const WHOLE: Listed<'_> = Listed {
    name: "whole",
    version: "3-1",
    files: &["/usr/bin/whole", "/usr/share/doc/whole/README", "/usr/lib/.build-id/ab/whole"],
};
/// Nothing of it is there.
const LOST: Listed<'_> = Listed { name: "lost", version: "4-1", files: &["/usr/bin/lost"] };
const EMPTY: Listed<'_> = Listed { name: "empty", version: "5-1", files: &[] };
const ALL: [Listed<'_>; 5] = [GONE, PART, WHOLE, LOST, EMPTY];
const ASKED: [&str; 3] = ["usr/bin/gone", "usr/bin/part-1", "usr/share/doc/whole"];

fn files(layer: LayerRecipe) -> LayerRecipe {
    layer
        .symlink("/bin", "usr/bin")
        .file("/usr/bin/gone", 0o755, "1")
        .file("/etc/gone.conf", 0o644, "2")
        .file("/usr/share/doc/gone/README", 0o644, "3")
        .file("/usr/bin/part-1", 0o755, "4")
        .file("/usr/bin/part-2", 0o755, "5")
        .file("/usr/bin/whole", 0o755, "6")
        .file("/usr/share/doc/whole/README", 0o644, "7")
        .symlink("/var/lib/rpm", "../../usr/lib/sysimage/rpm")
}

fn unseen(done: &Done) -> &[String] {
    &done.hardened.platforms[0].plan.unseen
}

fn bytes(done: &Done, path: &str) -> Vec<u8> {
    match done.view().remove(path).map(|seen| seen.item) {
        Some(Item::File(bytes)) => bytes,
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn packages_are_listed_and_the_database_stays_byte_for_byte() {
    let done = strip(Recipe::new().layer(|l| files(l).rpm(&ALL)), &ASKED);
    let [removed, partly, kept] = fates(&done);
    assert_eq!(removed, ["rpm gone 1.0-1"]);
    assert_eq!(partly, ["rpm part 2:2.0-1.el9"]);
    assert_eq!(kept, ["rpm empty 5-1", "rpm whole 3-1"]);
    assert!(bytes(&done, DATABASE) == packages_db(&ALL));
    let told = format!(
        "/{DATABASE}: rpm databases are not edited; it still names 2 packages that are removed and 1 \
         of which files are gone"
    );
    assert_eq!(unseen(&done), std::slice::from_ref(&told));
    let again = done.again_in("third", &removing(&ASKED.map(str::to_owned)));
    assert_eq!(again.platforms[0].plan.unseen, [told], "what a later run sees is the same");
}

/// An image with a tool that has an odd name, one with a usual name that is an application's, and
/// that database.
fn tools(database: Vec<u8>) -> Recipe {
    let tool = |mark: &str| contents::elf(&[mark]);
    Recipe::new().user("7").entrypoint(&["/app"]).layer(|l| {
        l.file("/app", 0o755, contents::program())
            .file("/usr/bin/odd", 0o755, tool("odd"))
            .file("/usr/bin/ls", 0o755, tool("ls"))
            .file("/usr/bin/sort", 0o755, tool("sort"))
            .file("/usr/bin/bash", 0o755, tool("no mark"))
            .file(DATABASE, 0o644, database)
    })
}

const TOOLS: [Listed<'_>; 3] = [
    Listed {
        name: "coreutils-single",
        version: "8.32-39.el9",
        files: &["/usr/bin/ls", "/usr/bin/odd"],
    },
    Listed { name: "bash", version: "5.1-9.el9", files: &["/usr/bin/bash"] },
    Listed { name: "application", version: "1-1", files: &["/usr/bin/sort"] },
];

fn left(done: &Done) -> Vec<String> {
    let paths = done.paths().into_iter();
    paths.filter_map(|path| path.strip_prefix("usr/bin/").map(str::to_owned)).collect()
}

#[test]
fn what_serves_people_goes_by_package() {
    let options = profile("distroless");
    let done = Scene::of(&tools(packages_db(&TOOLS))).harden(&options);
    assert_eq!(left(&done), ["sort"]);
    let [removed, partly, kept] = fates(&done);
    assert_eq!(removed, ["rpm bash 5.1-9.el9", "rpm coreutils-single 8.32-39.el9"]);
    assert_eq!((partly, kept), (vec![], vec!["rpm application 1-1".to_owned()]));
    assert!(!done.again(&options).is_changed());
}

#[test]
fn where_the_database_is_broken_names_decide_and_it_is_told() {
    let whole = packages_db(&TOOLS);
    let mut garbled = whole.clone();
    // The count of fields of the first header.
    garbled[4096 + 16] = 0xff;
    let reasons = [
        (whole[..whole.len() - 100].to_vec(), "the database is broken: it ends too early"),
        (b"nonsense, and more".to_vec(), "the database is broken: it is of no kind that rpm has"),
        (garbled, "the database is broken: not all of its records could be read"),
    ];
    for (database, reason) in reasons {
        let options = profile("distroless");
        let done = Scene::of(&tools(database.clone())).harden(&options);
        assert_eq!(left(&done), ["bash", "odd"], "{reason}");
        assert!(unseen(&done).contains(&format!("/{DATABASE}: {reason}")), "{:?}", unseen(&done));
        assert!(bytes(&done, DATABASE) == database);
        assert!(!done.again(&options).is_changed());
    }
}

#[test]
fn packages_of_older_layers_own_hidden_files() {
    let odd = contents::elf(&["the odd tool of a package that was purged"]);
    let recipe = tools(packages_db(&TOOLS)).layer(|l| {
        let database = packages_db(&TOOLS[1..]);
        l.whiteout("/usr/bin/odd").whiteout("/usr/bin/ls").file(DATABASE, 0o644, database)
    });
    let recipe = recipe.layer(|l| l.file("/usr/bin/other", 0o755, &odd));
    let done = Scene::of(&recipe).harden(&profile("distroless"));
    assert_eq!(left(&done), ["other", "sort"]);
    let hidden = contents::elf(&["odd"]);
    let holds = |tar: &Vec<u8>| tar.windows(hidden.len()).any(|bytes| bytes == hidden);
    assert!(!done.tars().iter().any(holds));
}

#[test]
fn layers_are_cut_by_package() {
    let mut options = profile("baseline");
    options.choices.layering = Layering::Package;
    let recipe =
        Recipe::new().layer(|l| files(l).rpm(&ALL).file("/app", 0o755, contents::program()));
    let done = Scene::of(&recipe.user("7").entrypoint(&["/app"])).harden(&options);
    let bundles =
        done.hardened.platforms[0].plan.steps.iter().find_map(|step| match &step.action {
            Action::Arrange { bundles } => Some(bundles),
            _ => None,
        });
    let bundles = bundles.expect("layers are arranged");
    let all = bundles.iter().flat_map(|bundle| named(&bundle.packages));
    let owners: BTreeSet<String> = all.collect();
    let expected = ["rpm gone 1.0-1", "rpm part 2:2.0-1.el9", "rpm whole 3-1"];
    assert_eq!(owners, expected.map(str::to_owned).into());
    assert!(!done.again(&options).is_changed());
}

/// A manifest with a line for each package, as Azure Linux writes it.
fn manifest(packages: &[(&str, &str, &str)]) -> String {
    let line = |(name, version, epoch): &(&str, &str, &str)| {
        format!(
            "{name}\t{version}\t1676303377\t1675121233\tMicrosoft Corporation\t{epoch}\t40960\tx86_64\t0\t\
             {name}-{version}.src.rpm\n"
        )
    };
    packages.iter().map(line).collect()
}

const MANIFEST: &str = "var/lib/rpmmanifest/container-manifest-2";

#[test]
fn a_manifest_loses_the_lines_of_packages_that_go() {
    let whole = ("whole", "3-1", "(none)");
    let lines = [("gone", "1.0-1", "(none)"), ("part", "2.0-1.el9", "2"), whole];
    let text = manifest(&lines);
    let done = strip(
        Recipe::new().layer(|l| files(l).rpm(&ALL).file(format!("/{MANIFEST}"), 0o644, &text)),
        &ASKED,
    );
    assert_eq!(done.text(MANIFEST), manifest(&lines[1..]));
    assert_eq!(
        fates(&done)[1..],
        [vec!["rpm part 2:2.0-1.el9"], vec!["rpm empty 5-1", "rpm whole 3-1"]]
    );
    let alone = strip(
        Recipe::new()
            .layer(|l| files(l).file(format!("/{MANIFEST}"), 0o644, text.clone() + "junk\n")),
        &ASKED,
    );
    assert_eq!(alone.text(MANIFEST), text + "junk\n");
    assert_eq!(fates(&alone)[2], ["rpm gone 1.0-1", "rpm part 2:2.0-1.el9", "rpm whole 3-1"]);
    let expected = [
        format!("/{MANIFEST}: 1 records of packages could not be read"),
        format!(
            "/{MANIFEST}: it does not say which files its packages have, so it may name some that are \
             gone"
        ),
    ];
    assert_eq!(unseen(&alone), expected);
}

/// An image with the recorded database of CBL-Mariner, and of its files those of two packages.
fn mariner(layer: LayerRecipe, database: &[u8]) -> LayerRecipe {
    let tool = |name: &str| contents::elf(&[name]);
    let coreutils = ["/bin/cat", "/bin/ls", "/usr/bin/sort", "/usr/sbin/chroot"];
    let layer = coreutils.iter().fold(layer, |l, path| l.file(path, 0o755, tool(path)));
    layer
        .file("/usr/lib/libz.so.1.2.11", 0o755, tool("zlib"))
        .file("/usr/bin/mine", 0o755, tool("mine"))
        .file("/var/lib/rpm/rpmdb.sqlite", 0o644, database)
}

#[test]
fn a_recorded_database_tells_that_coreutils_goes() {
    let Some(path) = fixture("8-pkgdb/rpm-sqlite-cbl-mariner-2.0/rpmdb.sqlite") else { return };
    let database = std::fs::read(path).expect("a database");
    let recipe = Recipe::new().user("7").entrypoint(&["/app"]);
    let recipe = recipe.layer(|l| mariner(l, &database).file("/app", 0o755, contents::program()));
    let options = profile("distroless");
    let done = Scene::of(&recipe).harden(&options);
    let [removed, partly, kept] = fates(&done);
    assert_eq!(removed, ["rpm coreutils 8.32-1.cm2"]);
    assert!(partly.contains(&"rpm zlib 1.2.11-5.cm2".to_owned()), "{partly:?}");
    assert!(kept.iter().all(|kept| !kept.contains("coreutils")), "{kept:?}");
    assert_eq!(left(&done), ["mine"]);
    assert!(bytes(&done, "var/lib/rpm/rpmdb.sqlite") == database);
    assert!(!done.again(&options).is_changed());
}
