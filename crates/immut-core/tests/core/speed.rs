//! No work that grows with the square of an image.

use std::time::{Duration, Instant};

use immut_core::Options;
use immut_testkit::contents;
use immut_testkit::recipe::{LayerRecipe, Recipe};

use crate::common::{Done, MARK, Scene, removing, words};

/// Far more than is needed on a slow machine, far less than anything quadratic takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn harden(recipe: &Recipe) -> Done {
    harden_by(recipe, Options::default())
}

fn harden_by(recipe: &Recipe, mut options: Options) -> Done {
    let scene = Scene::of(&recipe.clone().entrypoint(&["/app"]));
    options.choices.cmd = words(&[]);
    let start = Instant::now();
    let done = scene.harden(&options);
    let took = start.elapsed();
    println!("{took:?} for {} entries", done.hardened.platforms[0].plan.before.files);
    assert!(took < PATIENCE, "it took {took:?}");
    done
}

fn base() -> Recipe {
    Recipe::new().layer(|l| {
        let l =
            l.file("/bin/bash", 0o755, contents::bash()).file("/app", 0o755, contents::program());
        l.file("/etc/passwd", 0o644, "root:x:0:0::/root:/bin/bash\n")
    })
}

#[test]
fn an_image_of_50_000_files_takes_seconds() {
    let files = |l: LayerRecipe, layer: usize| {
        (0..500).fold(l, |l, folder| {
            let l = l.dir(format!("/data/{layer}/{folder}"), 0o755);
            (0..50).fold(l, |l, n| {
                l.file(format!("/data/{layer}/{folder}/{n}"), 0o4755, format!("{n}"))
            })
        })
    };
    let done = harden(&base().layer(|l| files(l, 1)).layer(|l| files(l, 2)));
    assert_eq!(done.hardened.platforms[0].plan.after.files, 50_002);
}

#[test]
fn many_hidden_entries_and_markers_take_seconds() {
    let each = |l: LayerRecipe, add: fn(LayerRecipe, String) -> LayerRecipe| {
        (0..8000).fold(l, |l, n| add(l, format!("/d{}/f{n}", n % 100)))
    };
    let shells = |l: LayerRecipe, path: String| l.file(path, 0o4755, contents::bash());
    let done = harden(
        &base()
            .layer(|l| each(l, shells))
            .layer(|l| each(l, LayerRecipe::whiteout))
            .layer(|l| each(l, shells))
            .layer(|l| (0..100).fold(l, |l, n| l.opaque(format!("/d{n}")))),
    );
    assert_eq!(done.paths(), ["app", "etc", "etc/passwd", "home", "home/nonroot"]);
}

#[test]
fn chains_of_links_and_crowds_of_hardlinks_take_seconds() {
    let chain = |l: LayerRecipe| {
        (0..8000).fold(l, |l, n| l.symlink(format!("/chain/{n}"), format!("{}", n + 1)))
    };
    let crowd = |l: LayerRecipe| {
        (0..8000).fold(l, |l, n| l.hardlink_as(format!("/crowd/{n}"), "/bin/bash", 0o4755))
    };
    let done = harden(&base().layer(|l| chain(l).symlink("/chain/8000", "/bin/bash")).layer(crowd));
    assert_eq!(done.paths().len(), 5);
}

#[test]
fn a_crowd_of_hardlinks_finds_a_new_carrier_in_seconds() {
    let crowd = |l: LayerRecipe, folder: &str| {
        (0..4000).fold(l, |l, n| {
            l.hardlink_as(format!("/{folder}/{n}"), "/lib/apt.systemd.daily", 0o4755)
        })
    };
    let apt = contents::Package { name: "apt", version: "1", files: &["/usr/bin/apt-get"] };
    let recipe = base()
        .layer(|l| crowd(l.file("/lib/apt.systemd.daily", 0o755, vec![7; 100]), "a").dpkg(&[apt]))
        .layer(|l| crowd(l, "b"))
        .layer(|l| l.whiteout("/lib/apt.systemd.daily"));
    let done = harden(&recipe);
    assert_eq!(done.view()["a/0"].twins.len(), 7999);
}

/// Each link that needs a new target would look through all names that are gone: hours.
#[test]
fn crowds_of_hardlinks_that_go_and_stay_take_seconds() {
    let crowd = |l: LayerRecipe, folder: &str, count: usize| {
        (0..count).fold(l, |l, n| l.hardlink(format!("/{folder}/{n}"), "/gone/first"))
    };
    let recipe = base()
        .layer(|l| crowd(l.file(MARK, 0o644, "x").file("/gone/first", 0o644, "x"), "gone", 60_000))
        .layer(|l| crowd(l, "kept", 60_000));
    let done = harden_by(&recipe, removing(&["gone".to_owned()]));
    assert_eq!(done.hardened.platforms[0].plan.after.files, 60_004);
    assert_eq!(done.tars()[2].len(), 512 + 512 + 59_999 * 512 + 1024);
}

/// Each marker would look through all that its own layer adds: hours.
#[test]
fn crowds_of_markers_over_what_their_layer_adds_take_seconds() {
    let opaque = |l: LayerRecipe| {
        (0..40_000).fold(l, |l, n| l.opaque("/d").file(format!("/d/{n}"), 0o644, ""))
    };
    let shell = |l: LayerRecipe| l.file("/bin/dash", 0o755, contents::dash());
    let done = harden(&base().layer(|l| opaque(shell(l))));
    // The markers hide nothing; the files take a block each.
    assert_eq!(done.tars()[1].len(), 40_000 * 512 + 1024);
}

/// A name of 4000 bytes in each of a million entries of a small blob.
#[test]
fn names_count_by_their_length() {
    let names = |l: LayerRecipe| {
        (0..2000).fold(l, |l, n| l.file(format!("/{}{n}", "n/".repeat(1900)), 0o644, ""))
    };
    let scene = Scene::of(&base().layer(names));
    let mut options = Options::default();
    options.limits.entries = 20_000;
    let error = scene.try_harden(&options).err().expect("too many");
    let told = error.to_string();
    assert!(
        told.contains("long names count as several") && told.contains("--max-entries"),
        "{told}"
    );
}
