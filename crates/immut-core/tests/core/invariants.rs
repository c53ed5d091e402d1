//! The invariants that ARCHITECTURE.md lists, each by its number; 7 is the audit after each hardening.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use immut_core::image::{Descriptor, RawManifest};
use immut_core::name::{Digest, Location};
use immut_core::plan::Action;
use immut_core::rewrite::LayerOutcome;
use immut_core::store::{self, Layout, Source};
use immut_core::{Error, Options};
use immut_testkit::contents;
use immut_testkit::model::{Item, read_tar};
use immut_testkit::recipe::{LayerRecipe, Recipe};
use serde_json::{Value, json};

use crate::common::{Scene, keeping, words};

/// Which rooms of the core a room may use, besides itself. Verbs and what belongs to them use all.
const EDGES: [(&str, &[&str]); 15] = [
    ("name", &[]),
    ("path", &[]),
    ("parallel", &[]),
    ("finding", &["path"]),
    ("archive", &["path"]),
    ("image", &["name"]),
    ("progress", &["image", "name"]),
    ("store", &["archive", "image", "name", "parallel", "path", "progress"]),
    ("inventory", &["archive", "image", "name", "parallel", "path", "progress", "store"]),
    ("user", &["inventory", "path"]),
    ("rules", &["finding", "image", "inventory", "name", "path", "user"]),
    ("plan", &["finding", "image", "inventory", "name", "path", "rules", "user"]),
    (
        "rewrite",
        &["archive", "image", "inventory", "name", "parallel", "path", "plan", "progress", "store"],
    ),
    ("receipt", &["finding", "name", "path", "plan"]),
    ("trust", &["finding", "image", "name", "progress", "receipt", "store"]),
];
/// Verbs, and what describes or feeds them.
const VERBS: [&str; 9] =
    ["audit", "copy", "error", "harden", "lib", "options", "planning", "select", "verify"];
/// Rooms that see the world only through `Source` and the stage.
const CLOSED: [&str; 7] = ["archive", "finding", "inventory", "path", "plan", "rules", "user"];

#[test]
fn invariant_1_rooms_depend_one_way() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let room = room_of(&file);
        if VERBS.contains(&room.as_str()) {
            continue;
        }
        let allowed = EDGES.iter().find(|(name, _)| *name == room);
        let Some((_, allowed)) = allowed else {
            panic!("room {room} has no line in the table of edges");
        };
        for used in uses(&text) {
            if used != room && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{file} uses {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn invariant_1_a_wrong_edge_is_noticed() {
    let text = "use crate::{plan, store::Layout};\nuse crate::harden::x;\n/// use crate::y;\n    crate::receipt::f();\n";
    assert_eq!(uses(text), ["plan", "store", "harden", "receipt"]);
}

#[test]
fn invariant_1_only_the_stage_touches_the_world() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let room = room_of(&file);
        // A file that is put aside while a layer is rewritten comes from the stage's folder.
        let door = file == "rewrite/spool.rs";
        for word in ["async ", ".await", "tokio", "std::fs", "std::net", "std::env", "std::process"]
        {
            let closed = CLOSED.contains(&room.as_str()) || (room == "rewrite" && !door);
            if closed && code(&text).any(|line| line.contains(word)) {
                wrong.push(format!("{file}: {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn sources() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    collect(&folder, &folder, &mut found);
    assert!(found.len() > 40);
    found
}

fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path: PathBuf = entry.expect("an entry").path();
        if path.is_dir() {
            collect(root, &path, found);
        } else if !path.ends_with("tests.rs") {
            let name = path.strip_prefix(root).expect("beneath").display().to_string();
            let text = std::fs::read_to_string(&path).expect("text");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
            found.insert(name, code);
        }
    }
}

fn room_of(file: &str) -> String {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs").to_owned()
}

fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// The rooms that a file names after `crate::`.
fn uses(text: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for line in code(text) {
        for (at, _) in line.match_indices("crate::") {
            let rest = &line[at + "crate::".len()..];
            let names: Vec<&str> = match rest.strip_prefix('{') {
                Some(list) => list.split('}').next().unwrap_or("").split(',').collect(),
                None => vec![rest],
            };
            for name in names {
                let word = name.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next();
                rooms.extend(word.filter(|word| !word.is_empty()).map(str::to_owned));
            }
        }
    }
    rooms
}

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
        .layer(|l| l.whiteout("/bin/bash").whiteout("/old").symlink("/sh", "/bin/bash"))
        .entrypoint(&["/app"])
}

/// Peak memory in KiB of a child that hardens an image.
fn peak(scene: &Scene) -> u64 {
    let image = scene.folder.path().join("image");
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["--ignored", "--exact", "--nocapture", "invariants::child_that_hardens"])
        .env("IMMUT_TEST_IMAGE", format!("{}@{}", image.display(), scene.digest))
        .output()
        .expect("a child");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let line = told.lines().find_map(|line| line.split("peak KiB: ").nth(1));
    line.unwrap_or_else(|| panic!("{told}")).trim().parse().expect("a number")
}

#[test]
#[ignore = "a child of the tests of memory"]
fn child_that_hardens() {
    let Ok(image) = std::env::var("IMMUT_TEST_IMAGE") else { return };
    let (folder, digest) = image.split_once('@').expect("a reference");
    let source = Layout::open(Path::new(folder)).expect("a layout");
    let stage = Layout::create(&Path::new(folder).with_file_name("stage")).expect("a stage");
    let pinned = format!("oci:{folder}@{digest}").parse().expect("a reference");
    let options = Options { jobs: 2, ..Options::default() };
    let hardened = immut_core::harden(&pinned, &source, &stage, &options).expect("hardened");
    assert!(hardened.is_changed());
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    println!("\npeak KiB: {}", peak.trim().trim_end_matches(" kB"));
}

/// An image with one large file in a layer that has a hit, written without holding it.
fn large(megabytes: u64) -> Scene {
    let scene = Scene::of(&Recipe::new().layer(app));
    let folder = scene.folder.path().join("image");
    let layout = Layout::open(&folder).expect("a layout");
    let mut tar = Hashing::new(flate2::write::GzEncoder::new(
        Hashing::new(layout.scratch().expect("a file")),
        flate2::Compression::fast(),
    ));
    let mut header = tar::Header::new_ustar();
    header.set_path("su").expect("a name");
    header.set_mode(0o4755);
    header.set_size(megabytes << 20);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    tar.write_all(header.as_bytes()).expect("written");
    let mut state = 1_u64;
    let piece: Vec<u8> = (0..1 << 20_u32)
        .map(|byte: u32| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // One page in 16 does not compress.
            if (byte / 4096).is_multiple_of(16) { (state >> 56) as u8 } else { 0 }
        })
        .collect();
    for _ in 0..megabytes {
        tar.write_all(&piece).expect("written");
    }
    tar.write_all(&[0; 1024]).expect("written");
    let diff_id = tar.digest();
    let blob = tar.inner.finish().expect("written");
    let (digest, size) = (blob.digest(), blob.size);
    layout.keep(blob.inner, &digest).expect("kept");
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": { "Entrypoint": ["/su"] },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
    });
    let config =
        layout.add("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let layer = Descriptor {
        media_type: "application/vnd.oci.image.layer.v1.tar+gzip".into(),
        digest,
        size,
    };
    let manifest = RawManifest::from_json(&json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config.expect("added"), "layers": [layer],
    }));
    store::Sink::put_manifest(&layout, &manifest).expect("put");
    Scene { digest: manifest.descriptor().digest, ..scene }
}

struct Hashing<W> {
    inner: W,
    hasher: sha2::Sha256,
    size: u64,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, hasher: sha2::Digest::new(), size: 0 }
    }

    fn digest(&self) -> Digest {
        Digest::finish(self.hasher.clone())
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        sha2::Digest::update(&mut self.hasher, &bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

const MOST: u64 = 64 << 10;

#[test]
fn invariant_2_memory_does_not_depend_on_bytes() {
    let (small, big) = (peak(&large(8)), peak(&large(300)));
    println!("8 MB: {small} KiB, 300 MB: {big} KiB");
    assert!(big < MOST, "{big} KiB for 300 MB");
    assert!(big < small + 4096, "{small} KiB for 8 MB, {big} KiB for 300 MB");
}

#[test]
fn invariant_2_memory_for_50_000_entries_is_bounded() {
    let files = |layer: usize| {
        move |l: LayerRecipe| {
            (0..25_000).fold(l, |l, n| {
                l.file(
                    format!("/usr/share/doc/folder-{}/{layer}-{n}", n / 50),
                    0o644,
                    format!("{n}"),
                )
            })
        }
    };
    let recipe = Recipe::new().layer(files(1)).layer(files(2)).layer(|l| bash(app(l)));
    let peak = peak(&Scene::of(&recipe.entrypoint(&["/app"])));
    println!("{peak} KiB for 50,000 entries");
    assert!(peak < MOST, "{peak} KiB");
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
    let entries =
        |tars: &[Vec<u8>]| -> Vec<_> { tars.iter().flat_map(|tar| read_tar(tar)).collect() };
    let before: Vec<Vec<u8>> = recipe.build().layers.into_iter().map(|layer| layer.tar).collect();
    let (before, after) = (entries(&before), entries(&done.tars()));
    let parents = ["etc", "home"];
    for entry in before.iter().filter(|entry| !after.contains(entry)) {
        assert!(touched.contains(&entry.path), "{entry:?} went without a step");
    }
    for entry in after.iter().filter(|entry| !before.contains(entry)) {
        let parent = entry.item == Item::Directory && parents.contains(&entry.path.as_str());
        assert!(touched.contains(&entry.path) || parent, "{entry:?} came without a step");
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
        Ok(Box::new(store::Verified::new(lie, blob, "a mirror")))
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
