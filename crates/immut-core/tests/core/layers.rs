//! `--layers`: the same files in other layers.

use std::collections::BTreeSet;
use std::process::Command;

use immut_core::image::Compression;
use immut_core::name::Digest;
use immut_core::plan::{Action, Layering, Recoding};
use immut_core::rewrite::LayerOutcome;
use immut_core::{Hardened, Options};
use immut_testkit::contents::{self, Package};
use immut_testkit::generate::{Stack, any_path, stacks};
use immut_testkit::model::{Item, read_tar, without_owners};
use immut_testkit::peers;
use immut_testkit::recipe::{Encoding, LayerRecipe, LongNames, Naming, Recipe};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use crate::carrier;
use crate::common::{Scene, removing};

fn laid(layering: Layering) -> Options {
    with(Options::default(), layering)
}

fn with(mut options: Options, layering: Layering) -> Options {
    options.choices.layering = layering;
    options
}

fn app(layer: LayerRecipe) -> LayerRecipe {
    layer.file("/app", 0o755, contents::program())
}

fn compare(cases: u32, mut check: impl FnMut(&Stack, &[String]) -> Result<(), TestCaseError>) {
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let check = std::cell::RefCell::new(&mut check);
    let strategy = (stacks(), vec(any_path(), 0..3));
    let outcome = TestRunner::new(config)
        .run(&strategy, |(stack, asked)| (check.borrow_mut())(&stack, &asked));
    outcome.unwrap_or_else(|difference| panic!("{difference}"));
}

/// The image of a stack in which two packages own a name of three each.
fn packaged(stack: &Stack) -> Recipe {
    let names: Vec<String> = stack.view().into_keys().map(|path| format!("/{path}")).collect();
    let files = |rest| {
        let own = names.iter().enumerate().filter(move |(at, _)| at % 3 == rest);
        own.map(|(_, path)| path.as_str()).collect::<Vec<_>>()
    };
    let (one, other) = (files(0), files(1));
    let package = |name, files| Package { name, version: "1", files };
    let packages = [package("one", &one[..]), package("other", &other[..])];
    carrier::recipe(stack).layer(|l| l.dpkg(&packages))
}

/// Each name once, after the directories above it, and nothing that is no file.
fn is_plain(tar: &[u8]) -> bool {
    let mut seen = BTreeSet::new();
    read_tar(tar).into_iter().all(|entry| {
        let parent = entry.path.rsplit_once('/').is_none_or(|(parent, _)| seen.contains(parent));
        let marker = matches!(entry.item, Item::Whiteout | Item::Opaque);
        parent && !marker && seen.insert(entry.path)
    })
}

#[test]
fn one_layer_shows_what_many_did() {
    compare(200, |stack, asked| {
        let options = removing(asked);
        let kept = Scene::of(&carrier::recipe(stack)).harden(&options);
        let options = with(options, Layering::Squash);
        let squashed = Scene::of(&carrier::recipe(stack)).harden(&options);
        prop_assert_eq!(squashed.view(), kept.view());
        let tars = squashed.tars();
        prop_assert_eq!(tars.len(), 1);
        prop_assert!(is_plain(&tars[0]) || stack.layers.is_empty());
        let again = squashed.again(&options);
        prop_assert!(!again.is_changed(), "{:?}", again.platforms[0].plan.steps);
        Ok(())
    });
}

#[test]
fn layers_of_packages_show_what_others_did() {
    let mut layers = BTreeSet::new();
    compare(200, |stack, asked| {
        let options = removing(asked);
        let kept = Scene::of(&packaged(stack)).harden(&options);
        let options = with(options, Layering::Package);
        let packed = Scene::of(&packaged(stack)).harden(&options);
        prop_assert_eq!(packed.view(), kept.view());
        let tars = packed.tars();
        layers.insert(tars.len());
        prop_assert!(tars.iter().all(|tar| is_plain(tar)));
        let mut seen = BTreeSet::new();
        for entry in tars.iter().flat_map(|tar| read_tar(tar)) {
            let again = !seen.insert(entry.path.clone());
            prop_assert!(!again || entry.item == Item::Directory, "{entry:?} hides another");
        }
        let again = packed.again(&options);
        prop_assert!(!again.is_changed(), "{:?}", again.platforms[0].plan.steps);
        Ok(())
    });
    assert_eq!(layers, BTreeSet::from([1, 2, 3]), "the cases are of all kinds");
}

#[test]
fn the_result_is_what_umoci_unpacks() {
    let Some(umoci) = peers::require("umoci") else { return };
    for layering in [Layering::Squash, Layering::Package] {
        compare(25, |stack, asked| {
            let options = with(removing(asked), layering);
            let kept = Scene::of(&packaged(stack)).harden(&removing(asked));
            let laid = Scene::of(&packaged(stack)).harden(&options);
            prop_assert_eq!(
                without_owners(laid.unpacked_by(&umoci)),
                without_owners(kept.unpacked_by(&umoci))
            );
            Ok(())
        });
    }
}

/// What GNU tar lists of archives: each file's type, mode, owner, size or device, time and name, and
/// its extended attributes.
fn listed(tars: &[Vec<u8>]) -> BTreeSet<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut lines = BTreeSet::new();
    for tar in tars {
        let file = folder.path().join("layer.tar");
        std::fs::write(&file, tar).expect("written");
        let arguments = ["--xattrs", "--xattrs-include=*", "--full-time", "--numeric-owner"];
        let output = Command::new("tar").args(arguments).arg("-tvvf").arg(&file).output();
        let output = output.expect("tar starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut name = String::new();
        for line in text.lines() {
            if line.starts_with(' ') {
                lines.insert(format!("{name}: {line}"));
            } else {
                name = line.split_whitespace().collect::<Vec<_>>().join(" ").replace(" ./", " ");
                lines.insert(name.clone());
            }
        }
    }
    lines
}

/// A layer with everything that a header can say.
fn peculiar(layer: LayerRecipe) -> LayerRecipe {
    let long = "n".repeat(90);
    layer
        .owned(3_000_000, 4_000_000)
        .mtime(1_600_000_000)
        .dir("/a", 0o1777)
        .xattr("user.note", b"a\nb\0c")
        .file("/a/noted", 0o711, "noted")
        .hardlink_as("/a/same", "/a/noted", 0o711)
        .pax("mtime", "1600000001.25")
        .file("/a/precise", 0o600, "precise")
        .file(b"/a/\xff\xfe", 0o644, "no text")
        .file(format!("/a/{long}/{long}"), 0o644, "long")
        .symlink("/a/link", format!("/a/{long}/{long}"))
        .fifo("/a/fifo")
        .device("/a/null", 1, 3)
        .block_device("/a/disk", 8, 1)
        .gnu_sparse("/a/old", 100_000, &[(0, &[1; 512]), (99_000, &[2; 1000])])
        .pax_sparse("/a/new", 100_000, &[(4096, &[3; 512]), (90_000, &[4; 10_000])])
        .raw(from_1969())
}

/// An entry that was changed a day before 1970, as its header says.
fn from_1969() -> Vec<u8> {
    let mut bytes = LayerRecipe::new().ending([]).file("/a/ancient", 0o644, "ancient").into_tar();
    let mut header = tar::Header::new_old();
    header.as_mut_bytes().copy_from_slice(&bytes[..512]);
    header.as_old_mut().mtime[..4].fill(0xff);
    header.as_old_mut().mtime[4..].copy_from_slice(&(-86_400_i64).to_be_bytes());
    header.set_cksum();
    bytes[..512].copy_from_slice(header.as_bytes());
    bytes
}

#[test]
fn gnu_tar_lists_the_same_files() {
    let recipe = Recipe::new().layer(peculiar).layer(|l| l.file("/b", 0o644, "b")).user("7");
    let before: Vec<Vec<u8>> = recipe.build().layers.into_iter().map(|layer| layer.tar).collect();
    let squashed = Scene::of(&recipe).harden(&laid(Layering::Squash));
    assert_eq!(squashed.hardened.platforms[0].rewritten.layers, vec![LayerOutcome::Arranged; 2]);
    let (before, after) = (listed(&before), listed(&squashed.tars()));
    let directories = |line: &&String| !line.contains("/nnn") || !line.starts_with('d');
    let lost: Vec<_> = before.difference(&after).collect();
    let new: Vec<_> = after.difference(&before).filter(directories).collect();
    assert!(lost.is_empty() && new.is_empty(), "lost {lost:#?}, new {new:#?}");
    for kept in ["user.note", "1969-12-31"] {
        assert!(after.iter().any(|line| line.contains(kept)), "{kept}: {after:#?}");
    }
}

#[test]
fn the_same_files_make_the_same_layer_whoever_wrote_them() {
    let deep = format!("/d/{}/{}", "x".repeat(80), "y".repeat(80));
    let files = |l: LayerRecipe| {
        let l = l.dir("/d", 0o755).xattr("user.a", "1").file("/d/a", 0o644, "a");
        l.hardlink_as("/d/b", "/d/a", 0o644).file(&deep, 0o600, "deep")
    };
    let diff_ids = |recipe: Recipe| {
        let done = Scene::of(&recipe.user("7")).harden(&laid(Layering::Squash));
        done.config()["rootfs"]["diff_ids"].clone()
    };
    let top = |l: LayerRecipe| l.file("/top", 0o644, "t");
    let plain = diff_ids(Recipe::new().layer(files).layer(top));
    for names in [LongNames::Gnu, LongNames::AlwaysPax, LongNames::Prefix] {
        let written = |l: LayerRecipe| files(l.long_names(names).naming(Naming::DotSlash));
        assert_eq!(diff_ids(Recipe::new().layer(written).layer(top)), plain, "{names:?}");
    }
    let noted = |l: LayerRecipe| {
        files(l.global_pax("comment", "x").pax("uname", "me").pax("atime", "12.5"))
    };
    assert_eq!(diff_ids(Recipe::new().layer(noted).layer(top)), plain);
    let split = Recipe::new().layer(top).layer(|l| l.file("/d/a", 0o600, "old")).layer(files);
    assert_eq!(diff_ids(split), plain);
}

fn digests(hardened: &Hardened) -> Vec<Digest> {
    let layers = hardened.platforms[0].rewritten.manifest.layers();
    layers.iter().map(|layer| layer.digest).collect()
}

/// An image of packages, each with a layer of its own or together in one, and an application.
fn shipped(packages: &[(&str, u8)], app: &[u8], apart: bool) -> Recipe {
    let file = |name: &str| format!("/usr/lib/{name}/lib.so");
    let configuration = |name: &str| format!("/etc/{name}.conf");
    let put = |l: LayerRecipe, (name, seed): &(&str, u8)| {
        let content: Vec<u8> = (0..300_000_u32).map(|n| (n >> 7).to_le_bytes()[0] ^ seed).collect();
        l.dir(format!("/usr/lib/{name}"), 0o755)
            .file(file(name), 0o644, content)
            .file(format!("/usr/share/doc/{name}/copyright"), 0o644, name)
            .file(configuration(name), 0o644, name)
    };
    let lists: Vec<Vec<String>> = packages
        .iter()
        .map(|(name, _)| {
            let copyright = format!("/usr/share/doc/{name}/copyright");
            vec!["/usr/lib".to_owned(), file(name), copyright, configuration(name)]
        })
        .collect();
    let lists: Vec<Vec<&str>> =
        lists.iter().map(|list| list.iter().map(String::as_str).collect()).collect();
    let known: Vec<Package<'_>> = packages
        .iter()
        .zip(&lists)
        .map(|((name, _), files)| Package { name, version: "1", files })
        .collect();
    let mut recipe = Recipe::new().history(true);
    if apart {
        for one in packages {
            recipe = recipe.layer(|l| put(l.mtime(1000), one));
        }
    } else {
        recipe = recipe.layer(|l| packages.iter().fold(l.mtime(1000), put));
    }
    let app = [contents::program(), app.to_vec()].concat();
    recipe.layer(|l| l.mtime(2000).dpkg(&known).file("/app", 0o755, app)).entrypoint(&["/app"])
}

#[test]
fn images_that_share_packages_share_layers() {
    let options = laid(Layering::Package);
    let first = Scene::of(&shipped(&[("a", 1), ("b", 2)], b"1", false)).harden(&options);
    let second = Scene::of(&shipped(&[("c", 3), ("a", 1)], b"2", true)).harden(&options);
    let (of_first, of_second) = (digests(&first.hardened), digests(&second.hardened));
    assert_eq!((of_first.len(), of_second.len()), (3, 3));
    assert_eq!(of_first[0], of_second[0], "package a");
    assert!(of_first[1..].iter().all(|layer| !of_second.contains(layer)));
    let names = |tar: &[u8]| -> Vec<String> {
        let files = read_tar(tar).into_iter().filter(|entry| entry.item != Item::Directory);
        files.map(|entry| entry.path).collect()
    };
    assert_eq!(names(&first.tars()[0]), ["usr/lib/a/lib.so", "usr/share/doc/a/copyright"]);
    let rest = ["app", "etc/a.conf", "etc/b.conf", "var/lib/dpkg/info/a.list"];
    assert_eq!(names(&first.tars()[2])[..4], rest);
    // Another application, and another version of a package, change one layer each.
    let changed = Scene::of(&shipped(&[("a", 1), ("b", 2)], b"3", false)).harden(&options);
    assert_eq!(digests(&changed.hardened)[..2], of_first[..2]);
    assert_ne!(digests(&changed.hardened)[2], of_first[2]);
    let newer = Scene::of(&shipped(&[("a", 1), ("b", 9)], b"1", false)).harden(&options);
    let newer = digests(&newer.hardened);
    assert_eq!((newer[0], newer[2]), (of_first[0], of_first[2]));
    assert_ne!(newer[1], of_first[1]);
}

/// Files may say that they are as large as they like: nothing of them is there.
#[test]
fn packages_of_endless_files_have_no_layers_of_their_own() {
    let names: Vec<String> = (0..100).map(|number| format!("p{number:03}")).collect();
    let file = |name: &str, number: u8| format!("/usr/lib/{name}/{number}");
    let files: Vec<Vec<String>> =
        names.iter().map(|name| (0..3).map(|number| file(name, number)).collect()).collect();
    let files: Vec<Vec<&str>> =
        files.iter().map(|files| files.iter().map(String::as_str).collect()).collect();
    let all = names.iter().zip(&files);
    let known: Vec<Package<'_>> =
        all.map(|(name, files)| Package { name, version: "1", files }).collect();
    let sparse = |l: LayerRecipe| {
        files.iter().flatten().fold(l, |l, path| l.pax_sparse(path, i64::MAX.unsigned_abs(), &[]))
    };
    let program = |l: LayerRecipe| l.dpkg(&known).file("/app", 0o755, contents::program());
    let recipe = Recipe::new().layer(sparse).layer(program).user("7").entrypoint(&["/app"]);
    let done = Scene::of(&recipe).harden(&laid(Layering::Package));
    assert!(digests(&done.hardened).len() <= 40, "{:?}", digests(&done.hardened));
}

#[test]
fn history_and_receipt_say_what_is_in_which_layer() {
    let done = Scene::of(&shipped(&[("a", 1), ("b", 2)], b"1", true));
    let done = done.harden(&laid(Layering::Package));
    let config = done.config();
    let history = config["history"].as_array().expect("a history");
    let full: Vec<&Value> = history.iter().filter(|one| one["empty_layer"] != true).collect();
    let comments: Vec<Option<&str>> = full.iter().map(|one| one["comment"].as_str()).collect();
    assert_eq!(comments, [Some("a"), Some("b"), None]);
    assert_eq!(config["rootfs"]["diff_ids"].as_array().map(Vec::len), Some(full.len()));
    let receipt = done.hardened.receipt("example.org/x".into(), "baseline").to_json();
    let receipt: Value = serde_json::from_str(&receipt).expect("JSON");
    let platform = &receipt["platforms"][0];
    assert!(
        platform["layers"]
            .as_array()
            .expect("layers")
            .iter()
            .all(|one| one["outcome"] == "arranged")
    );
    let arranged = platform["arranged"].as_array().expect("layers");
    assert_eq!(arranged[1]["packages"][0]["name"], "b");
    let digests = digests(&done.hardened).into_iter();
    assert!(digests.eq(
        arranged.iter().map(|one| one["result"].as_str().expect("a digest").parse().expect("one"))
    ));
}

#[test]
fn small_packages_come_in_groups_that_depend_on_their_names() {
    let names: Vec<String> = (0..40).map(|n| format!("small{n}")).collect();
    let paths: Vec<String> = names.iter().map(|name| format!("/usr/bin/{name}")).collect();
    let image = |names: &[String]| {
        let lists: Vec<[&str; 1]> = paths.iter().map(|path| [path.as_str()]).collect();
        let package = |(name, files)| Package { name, version: "1", files };
        let lists = names.iter().map(String::as_str).zip(lists.iter().map(<[&str; 1]>::as_slice));
        let known: Vec<Package<'_>> = lists.map(package).collect();
        Recipe::new()
            .layer(|l| paths.iter().take(names.len()).fold(l, |l, path| l.file(path, 0o755, path)))
            .layer(|l| l.dpkg(&known))
            .user("7")
    };
    let options = laid(Layering::Package);
    let all = digests(&Scene::of(&image(&names)).harden(&options).hardened);
    let fewer = digests(&Scene::of(&image(&names[..39])).harden(&options).hardened);
    assert!(all.len() > 15 && all.len() < 34, "{} layers", all.len());
    let shared = fewer.iter().filter(|layer| all.contains(layer)).count();
    assert!(shared >= all.len() - 2, "{shared} of {} layers", all.len());
}

#[test]
fn an_image_that_is_laid_out_so_is_left_alone() {
    let one = Recipe::new().layer(|l| app(l).file("/z", 0o644, "z").dir("/b", 0o755)).user("7");
    assert!(!Scene::of(&one).harden(&laid(Layering::Squash)).hardened.is_changed());
    for hidden in [
        Recipe::new().layer(|l| app(l).file("/x", 0o644, "1").file("/x", 0o644, "2")),
        Recipe::new().layer(|l| app(l).whiteout("/nothing")),
        Recipe::new().layer(app).layer(|l| l),
    ] {
        let done = Scene::of(&hidden.user("7")).harden(&laid(Layering::Squash));
        assert!(done.hardened.is_changed());
        assert_eq!(done.tars().len(), 1);
        assert!(is_plain(&done.tars()[0]));
        assert!(!done.again(&laid(Layering::Squash)).is_changed());
    }
}

#[test]
fn new_layers_are_of_the_family_and_the_compression_that_is_said() {
    let recipe = |encoding| {
        let image = Recipe::new().layer_as(encoding, app);
        image.layer_as(encoding, |l| l.file("/su", 0o4755, "s")).entrypoint(&["/app"])
    };
    for (compression, ending) in [(Compression::Gzip, "gzip"), (Compression::Zstd, "zstd")] {
        let mut options = laid(Layering::Squash);
        options.choices.compression = Recoding::As(compression);
        let done = Scene::of(&recipe(Encoding::Plain)).harden(&options);
        let media_type = done.manifest()["layers"][0]["mediaType"].clone();
        assert!(media_type.as_str().expect("a type").ends_with(ending), "{media_type}");
        assert!(!done.again(&options).is_changed());
    }
    let docker = Scene::of(&recipe(Encoding::Zstd).docker()).harden(&laid(Layering::Squash));
    let layer = docker.manifest()["layers"][0]["mediaType"].clone();
    assert_eq!(layer, "application/vnd.docker.image.rootfs.diff.tar.gzip");
}

#[test]
fn tables_of_lazy_layers_go_with_their_layers() {
    let image = Recipe::new().estargz_layer(app).estargz_layer(|l| l.file("/b", 0o644, "b"));
    for layering in [Layering::Squash, Layering::Package] {
        let done = Scene::of(&image.clone().user("7")).harden(&laid(layering));
        assert_eq!(done.paths(), ["app", "b"]);
        let steps = &done.hardened.platforms[0].plan.steps;
        let tables = steps.iter().filter(|step| matches!(step.action, Action::DropTable { .. }));
        assert!(tables.count() >= 2, "{steps:?}");
        assert!(!done.again(&laid(layering)).is_changed());
    }
}
