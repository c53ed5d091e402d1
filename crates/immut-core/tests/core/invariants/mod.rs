//! The invariants that ARCHITECTURE.md lists, each by its number; 7 is the audit after each hardening.

mod memory;
mod rooms;

pub(crate) use rooms::sources;

use std::io;

use immut_core::image::{Descriptor, RawManifest};
use immut_core::name::{Digest, Location};
use immut_core::plan::Action;
use immut_core::rewrite::LayerOutcome;
use immut_core::store::{self, Layout, Source};
use immut_core::{Error, Options};
use immut_testkit::contents;
use immut_testkit::model::{Item, read_tar};
use immut_testkit::recipe::{LayerRecipe, Recipe};
use serde_json::Value;

use crate::common::{MARK, Scene, keeping, removing, words};

fn bash(layer: LayerRecipe) -> LayerRecipe {
    layer.file("/bin/bash", 0o755, contents::bash())
}

fn app(layer: LayerRecipe) -> LayerRecipe {
    layer.file("/app", 0o755, contents::program())
}

/// An image in which every kind of step has something to do.
fn eventful() -> Recipe {
    let passwd = "root:x:0:0::/root:/bin/bash\n";
    Recipe::new()
        .history(true)
        .layer(|l| app(l).file("/etc/passwd", 0o644, passwd).file("/old", 0o644, vec![9; 100]))
        .layer(|l| bash(l).hardlink_as("/opt/b", "/bin/bash", 0o755).file("/su", 0o4755, "su"))
        .layer(|l| l.xattr("security.capability", [1]).file("/ping", 0o755, "p"))
        .layer(|l| l.file("/untouched", 0o644, "u"))
        .layer(|l| l.dir("/data", 0o755).file("/data/x", 0o600, "x"))
        .layer(|l| l.whiteout("/bin/bash").whiteout("/old").symlink("/sh", "/bin/bash"))
        .entrypoint(&["/app"])
        .config(|config| {
            config["config"]["Volumes"] = serde_json::json!({ "/data": {}, "/made": {} });
        })
}

#[test]
fn invariant_3_every_difference_is_a_step_with_its_rules() {
    let recipe = eventful();
    let done = Scene::of(&recipe).harden(&Options::default());
    let plan = &done.hardened.platforms[0].plan;
    assert!(plan.steps.iter().all(|step| !step.because.is_empty()));
    let touched: Vec<String> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Remove { path }
            | Action::DropHidden { path, .. }
            | Action::DropMarker { path, .. }
            | Action::ClearMode { path, .. }
            | Action::ClearCapability { path }
            | Action::Carry { path, .. }
            | Action::Relink { path, .. }
            | Action::EditFile { path, .. }
            | Action::AddDirectory { path, .. } => Some(path.to_string()[1..].to_owned()),
            _ => None,
        })
        .collect();
    let given: Vec<String> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::SetOwner { path, .. } => Some(path.to_string()[1..].to_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(given, ["data"]);
    let touched = |path: &String| {
        let mut trees = given.iter();
        touched.contains(path) || trees.any(|tree| path.starts_with(tree.as_str()))
    };
    let entries =
        |tars: &[Vec<u8>]| -> Vec<_> { tars.iter().flat_map(|tar| read_tar(tar)).collect() };
    let before: Vec<Vec<u8>> = recipe.build().layers.into_iter().map(|layer| layer.tar).collect();
    let (before, after) = (entries(&before), entries(&done.tars()));
    let parents = ["etc", "home"];
    for entry in before.iter().filter(|entry| !after.contains(entry)) {
        assert!(touched(&entry.path), "{entry:?} went without a step");
    }
    for entry in after.iter().filter(|entry| !before.contains(entry)) {
        let parent = entry.item == Item::Directory && parents.contains(&entry.path.as_str());
        assert!(touched(&entry.path) || parent, "{entry:?} came without a step");
    }
}

#[test]
fn invariant_4_layers_without_a_hit_keep_blob_and_diff_id() {
    let done = Scene::of(&eventful()).harden(&Options::default());
    let one = &done.hardened.platforms[0];
    let old: Value = serde_json::from_slice(&eventful().build().config).expect("JSON");
    assert_eq!(one.rewritten.layers[3], LayerOutcome::Untouched);
    let new = one.rewritten.manifest.layers().iter().position(|layer| *layer == one.layers[3]);
    let new = new.expect("the blob is there");
    assert_eq!(done.config()["rootfs"]["diff_ids"][new], old["rootfs"]["diff_ids"][3]);
}

#[test]
fn invariant_4_an_empty_plan_gives_the_same_digest() {
    let clean = [
        Recipe::new().layer(app).user("7").entrypoint(&["/app"]),
        Recipe::new().layer(app).user("7").docker(),
        Recipe::new().layer(|l| app(l).file("/etc/passwd", 0o644, "root:x:0:0::/:/x")).user("7:7"),
        Recipe::new().layer(app).layer(|l| l).user("7"),
        Recipe::new().layer(|l| app(l).owned(7, 7).dir("/data", 0o700)).user("7").config(
            |config| {
                config["config"]["Volumes"] = serde_json::json!({ "/data": {} });
            },
        ),
        Recipe::new().layer(|l| app(l).file("/x", 0o644, "1").file("/x", 0o644, "2")).user("7"),
        Recipe::new().layer(app).layer(|l| l.whiteout("/app").whiteout("/nothing")).user("7"),
    ];
    for recipe in clean {
        let options = Options {
            epoch: Some(5),
            source_name: Some("example.org/x".into()),
            ..Options::default()
        };
        let done = Scene::of(&recipe).harden(&options);
        assert!(!done.hardened.is_changed(), "{:?}", done.hardened.platforms[0].plan.steps);
        assert_eq!(done.hardened.result.bytes, recipe.build().manifest);
    }
}

#[test]
fn invariant_5_the_same_input_gives_the_same_digest() {
    let digest = |jobs: usize| {
        let options = Options { jobs, ..Options::default() };
        Scene::of(&eventful()).harden(&options).hardened.digest()
    };
    let first = digest(1);
    for jobs in [1, 2, 8] {
        assert_eq!(digest(jobs), first, "with {jobs} jobs");
    }
}

#[test]
fn invariant_5_choices_decide_and_the_store_does_not() {
    let done = Scene::of(&eventful()).harden(&Options::default());
    let elsewhere = Layout::create(&done.scene.folder.path().join("elsewhere")).expect("a layout");
    store::copy(&done.scene.digest, &done.scene.source(), &elsewhere).expect("copied");
    let stage = Layout::create(&done.scene.folder.path().join("other")).expect("a stage");
    let pinned = format!("oci:{}@{}", elsewhere.folder().display(), done.scene.digest);
    let pinned = pinned.parse().expect("a reference");
    let again =
        immut_core::harden(&pinned, &elsewhere, &stage, &Options::default()).expect("hardened");
    assert_eq!(again.digest(), done.hardened.digest());
    let mut options = Options::default();
    options.choices.user = Some("9:9".parse().expect("a user"));
    let other = Scene::of(&eventful()).harden(&options);
    assert_ne!(other.hardened.digest(), done.hardened.digest());
}

#[test]
fn invariant_6_hardening_twice_is_hardening_once() {
    let mut chosen = keeping(&["/su"]);
    chosen.choices.entrypoint = words(&["/app", "--x"]);
    chosen.choices.cmd = words(&["y"]);
    chosen.choices.user = Some("9".parse().expect("a user"));
    chosen.choices.writable = vec!["/opt/new".parse().expect("a path")];
    for options in [Options::default(), keeping(&["rule:shell"]), chosen] {
        let again = Scene::of(&eventful()).harden(&options).again(&options);
        assert!(again.platforms[0].plan.is_empty(), "{:?}", again.platforms[0].plan.steps);
        assert!(!again.is_changed());
    }
}

#[test]
fn invariant_7_an_audit_of_the_result_finds_nothing_to_do() {
    for options in [Options::default(), keeping(&["/su"])] {
        let done = Scene::of(&eventful()).harden(&options);
        let audit =
            immut_core::audit(&done.hardened.digest(), &done.stage, &options).expect("audited");
        let findings = &audit.platforms[0].findings;
        let left: Vec<_> =
            findings.iter().filter(|one| one.remedy != immut_core::finding::Remedy::None).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn invariant_8_what_is_removed_is_gone_from_every_layer() {
    let done = Scene::of(&eventful()).harden(&Options::default());
    for tar in done.tars() {
        assert!(memchr::memmem::find(&tar, b"GNU bash, version").is_none());
        for entry in read_tar(&tar) {
            let link = match &entry.item {
                Item::Hardlink(target) | Item::Symlink(target) => target.clone(),
                _ => String::new(),
            };
            let names = [&entry.path, &link];
            assert!(!names.iter().any(|name| name.ends_with("bin/bash")), "{entry:?}");
        }
    }
}

#[test]
fn invariant_8_a_whiteout_stays_while_it_hides_something() {
    let recipe = Recipe::new()
        .layer(|l| app(l).file("/secret", 0o600, vec![5; 200]))
        .layer(|l| bash(l).whiteout("/secret"))
        .layer(|l| l.file("/x", 0o644, "x").whiteout("/bin/bash"))
        .entrypoint(&["/app"]);
    let done = Scene::of(&recipe).harden(&Options::default());
    let tars = done.tars();
    assert!(!done.paths().contains(&"secret".to_owned()));
    let markers: Vec<String> = tars
        .iter()
        .flat_map(|tar| read_tar(tar))
        .filter(|entry| entry.item == Item::Whiteout)
        .map(|entry| entry.path)
        .collect();
    assert_eq!(markers, ["secret"]);
}

/// The catalog of this run removes the home that the run itself makes, so the result has something to
/// remove.
#[test]
fn invariant_7_what_does_not_pass_its_own_audit_is_no_result() {
    let recipe = Recipe::new().layer(app).entrypoint(&["/app"]).layer(|l| {
        l.file("/etc/passwd", 0o644, "root:x:0:0::/root:/x\n").file(format!("/{MARK}"), 0o644, "")
    });
    let options = removing(&["home/nonroot".to_owned()]);
    let scene = Scene::of(&recipe);
    let plan = scene.plan(&options).plan;
    assert_eq!(plan.conflicts, [], "nothing speaks against it before it is made");
    let stage = Layout::create(&scene.folder.path().join("audited")).expect("a stage");
    let error = immut_core::harden(&scene.pinned(), &scene.source(), &stage, &options);
    let error = error.expect_err("an audit that fails");
    assert!(matches!(&error, Error::SelfCheck(what) if what.contains("/home/nonroot")), "{error}");
    assert!(stage.images().expect("images").is_empty(), "nothing names what was made");
    assert!(scene.harden(&Options::default()).hardened.is_changed(), "without the rule");
}

#[test]
fn invariant_9_deletions_see_only_lower_layers() {
    let orders: [fn(LayerRecipe) -> LayerRecipe; 2] = [
        |l| l.file("/d/new", 0o644, "n").opaque("/d").whiteout("/d/new"),
        |l| l.whiteout("/d/new").opaque("/d").file("/d/new", 0o644, "n"),
    ];
    for upper in orders {
        let recipe = Recipe::new()
            .layer(|l| l.file("/d/old", 0o644, "o").file("/d/new", 0o644, "l"))
            .layer(upper);
        let names = Scene::of(&recipe).plan(&Options::default()).inventory;
        let names: Vec<String> = names.names().keys().map(ToString::to_string).collect();
        assert_eq!(names, ["/d", "/d/new"]);
    }
}

/// A store that lies about one blob; like a careless mirror it does not check what it gives.
struct Lying {
    inner: Layout,
    about: Digest,
}

impl Source for Lying {
    fn location(&self) -> Location {
        self.inner.location()
    }

    fn tagged(&self, tag: &str) -> Result<Option<RawManifest>, store::Error> {
        self.inner.tagged(tag)
    }

    fn manifest(&self, digest: &Digest) -> Result<RawManifest, store::Error> {
        self.inner.manifest(digest)
    }

    fn open(&self, blob: &Descriptor) -> Result<Box<dyn io::Read + Send + '_>, store::Error> {
        if blob.digest != self.about {
            return self.inner.open(blob);
        }
        let lie = Box::new(io::Cursor::new(vec![0; usize::try_from(blob.size).expect("small")]));
        Ok(Box::new(store::Verifying::new(lie, blob, "a mirror")))
    }

    fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, store::Error> {
        self.inner.referrers(digest)
    }
}

#[test]
fn invariant_10_nothing_is_published_before_all_was_verified() {
    let scene = Scene::of(&eventful());
    let built = eventful().build();
    let manifest: Value = serde_json::from_slice(&built.manifest).expect("JSON");
    let layers = manifest["layers"].as_array().expect("layers");
    for line in layers.iter().chain([&manifest["config"]]) {
        let about: Digest = line["digest"].as_str().expect("a digest").parse().expect("a digest");
        let source = Lying { inner: scene.source(), about };
        let folder = tempfile::tempdir().expect("a folder");
        let stage = Layout::create(&folder.path().join("stage")).expect("a stage");
        let error = immut_core::harden(&scene.pinned(), &source, &stage, &Options::default());
        let error = error.expect_err("a lie");
        assert!(!matches!(error, Error::SelfCheck(_)), "{error}");
        assert!(stage.names().expect("names").is_empty());
        let blob = stage.folder().join("blobs/sha256").join(about.hex());
        assert!(!blob.exists(), "the lie was kept: {error}");
    }
}

#[test]
fn invariant_11_the_receipt_is_a_form_of_its_own_with_a_version() {
    let done = Scene::of(&eventful()).harden(&Options::default());
    let receipt = done.hardened.receipt("example.org/x".into(), "baseline");
    let json: Value = serde_json::from_str(&receipt.to_json()).expect("JSON");
    assert_eq!(json["version"], 1);
    assert_eq!(json["sourceDigest"], done.scene.digest.to_string());
    let one = &json["platforms"][0];
    let removed: Vec<&str> = one["removed"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["path"].as_str())
        .collect();
    for gone in ["/bin/bash", "/opt/b", "/sh"] {
        assert!(removed.contains(&gone), "{removed:?}");
    }
    assert_eq!(one["layers"][3]["outcome"], "untouched");
}
