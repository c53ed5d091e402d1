//! Images go from store to store as they are, with what is about them, and their tag last.

use std::path::Path;
use std::sync::Mutex;

use immut_core::image::{Platform, RawManifest, media_type};
use immut_core::name::Digest;
use immut_core::progress::{Event, Progress, Reuse, Silent, State};
use immut_core::store::{self, Layout, Registry, Sink, Source, fallback_tag};
use immut_core::{Copied, Copying, Error, Referrers, Tagging, copy};
use immut_testkit::recipe::{IndexRecipe, Recipe};
use immut_testkit::registry::{self as testkit, Fault, Options};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use super::{about, blob, connect, content, manifest, put, repository};

/// An index of two platforms and an attestation, in a layout.
struct Scene {
    folder: TempDir,
    digest: Digest,
    from: Layout,
}

impl Scene {
    fn new() -> Self {
        let image = |os, architecture, seed| {
            Recipe::new()
                .layer(|l| l.file("/shared", 0o644, content(3000)))
                .layer(|l| l.file("/own", 0o755, content(seed)))
                .platform(os, architecture)
        };
        let index = IndexRecipe::new()
            .image(&image("linux", "amd64", 40_001))
            .image(&image("linux", "arm64", 50_001))
            .attestation(0);
        Self::of(|folder| index.write(folder).digest)
    }

    fn of(write: impl FnOnce(&Path) -> String) -> Self {
        let folder = tempdir().expect("a folder");
        let digest = write(&folder.path().join("image")).parse().expect("a digest");
        let from = Layout::open(&folder.path().join("image")).expect("a layout");
        Self { folder, digest, from }
    }

    fn out(&self) -> Layout {
        Layout::create(&self.folder.path().join("out")).expect("a layout")
    }

    /// The manifest of a platform.
    fn platform(&self, number: usize) -> Digest {
        let index = self.from.manifest(&self.digest).expect("there");
        let index: Value = serde_json::from_slice(&index.bytes).expect("JSON");
        index["manifests"][number]["digest"].as_str().expect("text").parse().expect("a digest")
    }
}

/// A copy under the tag `v1`.
fn how(to: &dyn Sink) -> Copying<'_> {
    static TAGS: std::sync::LazyLock<[String; 1]> = std::sync::LazyLock::new(|| ["v1".to_owned()]);
    let (tags, platform, all_referrers) = (&TAGS[..], None, false);
    Copying { to, tags, platform, all_referrers, jobs: 3, progress: &Silent }
}

fn with_referrers(to: &dyn Sink) -> Copying<'_> {
    Copying { all_referrers: true, ..how(to) }
}

fn copied(digest: &Digest, from: &dyn Source, how: &Copying<'_>) -> Copied {
    copy(digest, from, how).unwrap_or_else(|error| panic!("{error}"))
}

/// Everything that a manifest names is there, byte for byte.
fn same(digest: &Digest, from: &dyn Source, to: &dyn Source) {
    let raw = from.manifest(digest).expect("there");
    assert_eq!(to.manifest(digest).expect("copied"), raw);
    let json: Value = serde_json::from_slice(&raw.bytes).expect("JSON");
    let list = |field: &str| json[field].as_array().cloned().unwrap_or_default();
    for line in list("manifests") {
        same(&line["digest"].as_str().expect("text").parse().expect("a digest"), from, to);
    }
    let config = Some(json["config"].clone()).filter(Value::is_object);
    for line in list("layers").into_iter().chain(config) {
        let blob = serde_json::from_value(line).expect("a descriptor");
        let read = |store: &dyn Source| store::read_small(store, &blob).expect("verified");
        assert!(read(from) == read(to), "{}", blob.digest);
    }
}

fn writes(there: &testkit::Registry) -> Vec<testkit::Logged> {
    let reads = ["GET", "HEAD"];
    there.log().into_iter().filter(|line| !reads.contains(&line.method.as_str())).collect()
}

#[test]
fn an_index_is_copied_whole() {
    let (scene, there) = (Scene::new(), testkit::Registry::start());
    let out = scene.out();
    let first = copied(&scene.digest, &scene.from, &how(&out));
    assert_eq!(first.reference.digest, scene.digest);
    assert_eq!(first.tags, [("v1".to_owned(), Tagging::New)]);
    same(&scene.digest, &scene.from, &out);
    let registry = connect(&there, "demo/app");
    copied(&scene.digest, &out, &how(&registry));
    same(&scene.digest, &scene.from, &registry);
    assert_eq!(there.tags("demo/app")["v1"], scene.digest.to_string());
    // And back.
    let back = Layout::create(&scene.folder.path().join("back")).expect("a layout");
    copied(&scene.digest, &registry, &how(&back));
    same(&scene.digest, &scene.from, &back);
    assert_eq!(back.names().expect("names")[0].0, "v1");
}

#[test]
fn manifests_come_after_what_they_name_and_the_tag_last() {
    let (scene, there) = (Scene::new(), testkit::Registry::start());
    copied(&scene.digest, &scene.from, &how(&connect(&there, "demo/app")));
    let puts: Vec<String> = writes(&there)
        .into_iter()
        .filter(|line| line.method == "PUT")
        .map(|line| line.target.rsplit('/').next().unwrap_or_default().to_owned())
        .collect();
    let manifests = puts.iter().position(|name| name.starts_with("sha256:")).expect("manifests");
    assert!(puts[..manifests].iter().all(|name| name.starts_with("session-")), "{puts:?}");
    assert_eq!(puts[puts.len() - 2..], [scene.digest.to_string(), "v1".to_owned()], "{puts:?}");
    assert_eq!(puts.len() - manifests, 5, "{puts:?}");
}

#[test]
fn the_second_copy_writes_nothing() {
    for referrers in [testkit::Referrers::Absent, testkit::Referrers::Native] {
        let options = Options { referrers: referrers.clone(), ..Options::default() };
        let (scene, there) = (Scene::new(), testkit::Registry::with(options));
        let image = scene.from.manifest(&scene.platform(0)).expect("there");
        scene.from.put_manifest(&about(&image, 1)).expect("written");
        signature(&scene.from, &scene.digest, &[b"one"]);
        let registry = connect(&there, "demo/app");
        copied(&scene.digest, &scene.from, &with_referrers(&registry));
        let before = writes(&there).len();
        let second = copied(&scene.digest, &scene.from, &with_referrers(&registry));
        assert_eq!(second.tags, [("v1".to_owned(), Tagging::Same)]);
        assert_eq!(second.referrers, Referrers::Copied(2));
        assert_eq!(writes(&there)[before..], [], "{referrers:?}");
    }
}

#[test]
fn a_tag_that_names_something_else_is_moved() {
    let (scene, there) = (Scene::new(), testkit::Registry::start());
    let registry = connect(&there, "demo/app");
    let old = manifest(&json!({ "annotations": { "old": "one" } }));
    registry.tag("v1", &old).expect("tagged");
    let done = copied(&scene.digest, &scene.from, &how(&registry));
    assert_eq!(done.tags, [("v1".to_owned(), Tagging::Moved(old.descriptor().digest))]);
    assert_eq!(there.tags("demo/app")["v1"], scene.digest.to_string());
    let untagged = connect(&there, "other/app");
    copied(&scene.digest, &scene.from, &Copying { tags: &[], ..how(&untagged) });
    assert!(there.tags("other/app").is_empty());
    same(&scene.digest, &scene.from, &untagged);
}

/// Counts the blobs that were reused, by how.
#[derive(Default)]
struct Counts(Mutex<(usize, usize)>);

impl Progress for Counts {
    fn event(&self, event: &Event<'_>) {
        let mut counts = self.0.lock().expect("no panic");
        match event.state {
            State::Reused(Reuse::Mounted(from)) => {
                assert_eq!(from.path, "base/image");
                counts.0 += 1;
            }
            State::Reused(_) => counts.1 += 1,
            state => assert_ne!(state, State::Started, "nothing is sent"),
        }
    }
}

#[test]
fn blobs_are_mounted_within_a_registry() {
    let (scene, there) = (Scene::new(), testkit::Registry::start());
    let base = connect(&there, "base/image");
    copied(&scene.digest, &scene.from, &how(&base));
    let (patches, counts) = (there.count("PATCH", ""), Counts::default());
    let app = connect(&there, "demo/app").mounting_from(repository(&there, "base/image"));
    copied(&scene.digest, &base, &Copying { progress: &counts, ..how(&app) });
    same(&scene.digest, &scene.from, &app);
    assert_eq!(there.count("PATCH", ""), patches);
    let blobs = there.blobs("demo/app").len();
    assert_eq!(*counts.0.lock().expect("no panic"), (blobs, 0));
}

/// Wherever it breaks, no tag names what is not whole.
#[test]
fn a_fault_in_the_middle_leaves_no_tag() {
    let refused = || Fault::Status(403, Vec::new());
    for (method, part) in [
        ("HEAD", "/blobs/"),
        ("POST", "/uploads/"),
        ("PATCH", ""),
        ("PUT", "digest="),
        ("PUT", "/manifests/sha256"),
    ] {
        let (scene, there) = (Scene::new(), testkit::Registry::start());
        there.fail(method, part, 1, refused());
        let to = connect(&there, "demo/app");
        let failed = copy(&scene.digest, &scene.from, &how(&to)).expect_err(part);
        assert!(failed.to_string().contains("403"), "{failed}");
        assert!(!there.tags("demo/app").contains_key("v1"), "{part}");
        assert!(there.manifest("demo/app", &scene.digest.to_string()).is_none(), "{part}");
    }
}

#[test]
fn signatures_are_there_before_the_tag() {
    let (scene, there) = (Scene::new(), testkit::Registry::start());
    signature(&scene.from, &scene.digest, &[b"one"]);
    there.fail("PUT", "/manifests/sha256-", 99, Fault::Status(403, Vec::new()));
    let to = connect(&there, "demo/app");
    copy(&scene.digest, &scene.from, &with_referrers(&to)).expect_err("refused");
    assert!(there.tags("demo/app").is_empty());
}

#[test]
fn wrong_content_is_never_copied() {
    let (scene, there) = (Scene::new(), testkit::Registry::start());
    let source = connect(&there, "base/image");
    copied(&scene.digest, &scene.from, &how(&source));
    there.fail("GET", "/blobs/", 1, Fault::Body(b"something else".to_vec()));
    let out = scene.out();
    let failed = copy(&scene.digest, &source, &how(&out)).expect_err("wrong");
    assert!(matches!(failed, Error::Copy(store::Error::Corrupt { .. })), "{failed:?}");
    assert!(out.manifest(&scene.digest).is_err() && out.names().expect("names").is_empty());
}

#[test]
fn one_platform_is_copied_alone() {
    let (scene, there) = (Scene::new(), testkit::Registry::start());
    let registry = connect(&there, "demo/app");
    let alone = |asked: &str| {
        let platform: Platform = asked.parse().expect("a platform");
        copy(&scene.digest, &scene.from, &Copying { platform: Some(&platform), ..how(&registry) })
    };
    let done = alone("linux/arm64").expect("copied");
    assert_eq!(done.reference.digest, scene.platform(1));
    assert_eq!(there.tags("demo/app")["v1"], scene.platform(1).to_string());
    assert!(there.manifest("demo/app", &scene.platform(0).to_string()).is_none());
    let error = alone("linux/s390x").expect_err("not there").to_string();
    assert!(error.contains("linux/s390x") && error.contains("linux/amd64, linux/arm64"), "{error}");
    // A manifest that is no index is asked too.
    let platform: Platform = "linux/arm64".parse().expect("a platform");
    let asked = Copying { platform: Some(&platform), ..how(&registry) };
    copy(&scene.platform(1), &scene.from, &asked).expect("its own platform");
    let error = copy(&scene.platform(0), &scene.from, &asked).expect_err("another one");
    assert!(error.to_string().contains("is not in this image; it has linux/amd64"), "{error}");
}

#[test]
fn what_several_lines_of_an_index_mean_is_asked_for() {
    let old = Recipe::new().layer(|l| l.file("/a", 0o644, "6")).platform("linux", "arm");
    let (six, seven) = (old.clone().variant("v6"), old.variant("v7").label("a", "b"));
    let index = IndexRecipe::new().image(&six).image(&seven);
    let scene = Scene::of(|folder| index.write(folder).digest);
    let (out, platform) = (scene.out(), "linux/arm".parse().expect("a platform"));
    let asked = Copying { platform: Some(&platform), ..how(&out) };
    let error = copy(&scene.digest, &scene.from, &asked).expect_err("ambiguous").to_string();
    assert!(error.contains("linux/arm/v6 (sha256:") && error.contains("linux/arm/v7 ("), "{error}");
}

/// A sparse image: what is missing has a name, and nothing half is published.
#[test]
fn what_is_missing_is_named() {
    let scene = Scene::new();
    let blobs = scene.folder.path().join("image/blobs/sha256");
    let arm = scene.from.manifest(&scene.platform(1)).expect("there");
    let arm: Value = serde_json::from_slice(&arm.bytes).expect("JSON");
    let layer: Digest = arm["layers"][1]["digest"].as_str().expect("text").parse().expect("one");
    for (missing, what) in [
        (layer, format!("layer 2 of 2 {layer}")),
        (scene.platform(1), format!("manifest {}", scene.platform(1))),
    ] {
        std::fs::remove_file(blobs.join(missing.hex())).expect("removed");
        let there = testkit::Registry::start();
        let to = connect(&there, "demo/app");
        let failed = copy(&scene.digest, &scene.from, &how(&to)).expect_err("incomplete");
        let Error::Copy(store::Error::Incomplete { what: named, .. }) = &failed else {
            panic!("{failed:?}")
        };
        assert_eq!(*named, what);
        let message = format!("has only a part of this image: linux/arm64 {what} is missing");
        assert!(failed.to_string().contains(&message), "{failed}");
        assert_eq!(there.count("PUT", "/manifests/"), 0);
    }
    let whole: Platform = "linux/amd64".parse().expect("a platform");
    let out = scene.out();
    copied(&scene.digest, &scene.from, &Copying { platform: Some(&whole), ..how(&out) });
}

/// Writes what cosign 2 writes, as far as a copy looks at it.
fn signature(to: &dyn Sink, image: &Digest, payloads: &[&[u8]]) -> RawManifest {
    let mut blobs: Vec<_> = payloads.iter().map(|payload| (blob(payload), *payload)).collect();
    blobs.push((blob(b"{}"), b"{}"));
    for (blob, content) in &blobs {
        to.put(blob, &mut &**content).expect("written");
    }
    let layers: Vec<_> = blobs[..payloads.len()].iter().map(|(blob, _)| blob).collect();
    let raw = manifest(&json!({ "config": blob(b"{}"), "layers": layers }));
    to.put_manifest(&raw).expect("written");
    to.tag(&format!("{}.sig", fallback_tag(image)), &raw).expect("tagged");
    raw
}

#[test]
fn what_is_about_an_image_goes_along_if_it_is_asked_for() {
    let (scene, there) = (Scene::new(), testkit::Registry::start());
    let image = scene.from.manifest(&scene.digest).expect("there");
    scene.from.put(&blob(b"{}"), &mut &b"{}"[..]).expect("written");
    let of_index = about(&image, 1);
    let of_platform = about(&scene.from.manifest(&scene.platform(0)).expect("there"), 2);
    let of_referrer = about(&of_platform, 3);
    for raw in [&of_index, &of_platform, &of_referrer] {
        scene.from.put_manifest(raw).expect("written");
    }
    let signed = signature(&scene.from, &scene.platform(1), &[b"one", b"two"]);
    let to = connect(&there, "demo/app");
    let without = copied(&scene.digest, &scene.from, &how(&to));
    assert_eq!(without.referrers, Referrers::Left(1));
    assert!(to.referrers(&scene.digest).expect("a list").is_empty());

    // Somebody else's line in the destination's list stays.
    let theirs = about(&image, 99);
    to.put_manifest(&theirs).expect("pushed");
    let with = copied(&scene.digest, &scene.from, &with_referrers(&to));
    assert_eq!(with.referrers, Referrers::Copied(4));
    let listed = |subject: &Digest| -> Vec<Digest> {
        to.referrers(subject).expect("a list").into_iter().map(|line| line.digest).collect()
    };
    let digest = |raw: &RawManifest| raw.descriptor().digest;
    assert_eq!(listed(&scene.digest), [digest(&theirs), digest(&of_index)]);
    assert_eq!(listed(&scene.platform(0)), [digest(&of_platform)]);
    assert_eq!(listed(&digest(&of_platform)), [digest(&of_referrer)]);
    let tag = format!("{}.sig", fallback_tag(&scene.platform(1)));
    assert_eq!(to.tagged(&tag).expect("an answer"), Some(signed));
}

#[test]
fn a_list_of_referrers_is_not_believed() {
    let scene = Scene::new();
    let out = scene.out();
    let stranger = manifest(&json!({ "annotations": { "about": "nothing" } }));
    scene.from.put_manifest(&stranger).expect("written");
    let gone =
        json!({ "mediaType": media_type::OCI_MANIFEST, "size": 2, "digest": Digest::of(b"gone") });
    let list = RawManifest::from_json(&json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_INDEX,
        "manifests": [stranger.descriptor(), gone],
    }));
    scene.from.tag(&fallback_tag(&scene.digest), &list).expect("tagged");
    let done = copied(&scene.digest, &scene.from, &with_referrers(&out));
    assert_eq!(done.referrers, Referrers::Copied(0));
    assert!(out.manifest(&stranger.descriptor().digest).is_err());
}

/// A tag of signatures is replaced only where nothing is lost by it.
#[test]
fn signatures_at_the_destination_are_never_lost() {
    let scene = Scene::new();
    signature(&scene.from, &scene.digest, &[b"one", b"two"]);
    let tag = format!("{}.sig", fallback_tag(&scene.digest));
    for (there, kept) in [
        (&[b"one" as &[u8]][..], Some(2)),
        (&[b"one", b"two", b"three"], Some(3)),
        (&[b"one", b"three"], None),
    ] {
        let registry = testkit::Registry::start();
        let to = connect(&registry, "demo/app");
        signature(&to, &scene.digest, there);
        let outcome = copy(&scene.digest, &scene.from, &with_referrers(&to));
        assert_eq!(outcome.is_ok(), kept.is_some());
        let now = to.tagged(&tag).expect("an answer").expect("there");
        let json: Value = serde_json::from_slice(&now.bytes).expect("JSON");
        assert_eq!(json["layers"].as_array().map(Vec::len), kept.or(Some(there.len())));
        if let Err(error) = outcome {
            assert!(matches!(error, Error::Diverged { .. }), "{error}");
            assert!(!registry.tags("demo/app").contains_key("v1"));
        }
    }
}

#[test]
fn artifacts_are_copied_and_foreign_layers_stay_where_they_are() {
    let folder = tempdir().expect("a folder");
    let from = Layout::create(&folder.path().join("from")).expect("a layout");
    let chart =
        from.add("application/vnd.cncf.helm.chart.content.v1.tar+gzip", b"chart").expect("ok");
    let config = from.add("application/vnd.cncf.helm.config.v1+json", b"{}").expect("written");
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let raw = manifest(&json!({
        "config": config,
        "layers": [chart, { "mediaType": foreign, "size": 7, "digest": Digest::of(b"windows") }],
    }));
    from.put_manifest(&raw).expect("written");
    let there = testkit::Registry::start();
    let to = connect(&there, "demo/chart");
    let done = copied(&raw.descriptor().digest, &from, &how(&to));
    assert_eq!(done.foreign, 1);
    assert_eq!(there.blobs("demo/chart").len(), 2);
    assert_eq!(there.manifest("demo/chart", "v1"), Some(raw.bytes));
}

#[test]
fn what_a_hostile_source_makes_us_read_is_bounded() {
    let there = testkit::Registry::start();
    let source = connect(&there, "base/image");
    let index = |lines: Vec<RawManifest>| {
        let lines: Vec<_> = lines.iter().map(RawManifest::descriptor).collect();
        RawManifest::from_json(
            &json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": lines }),
        )
    };
    let add = |raw: &RawManifest| {
        there.add_manifest("base/image", "any", &raw.media_type, &raw.bytes);
        raw.clone()
    };
    let many = (0..1000).map(|n| add(&manifest(&json!({ "annotations": { "n": n.to_string() } }))));
    let many = add(&index(many.collect()));
    let deep = (0..5).fold(add(&manifest(&json!({}))), |inner, _| add(&index(vec![inner])));
    let listed = manifest(&json!({ "annotations": { "a": "b" } }));
    let lines: Vec<_> = (0..1001)
        .map(
            |n: u32| json!({ "mediaType": "x", "size": 1, "digest": Digest::of(&n.to_be_bytes()) }),
        )
        .collect();
    let list =
        json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": lines });
    let tag = fallback_tag(&listed.descriptor().digest);
    there.add_manifest("base/image", &tag, media_type::OCI_INDEX, list.to_string().as_bytes());
    add(&listed);
    put(&source, b"{}").expect("pushed");
    for (raw, limit) in [
        (many, "1000 manifests"),
        (deep, "4 indexes inside each other"),
        (listed, "1000 referrers"),
    ] {
        let to: Registry = connect(&there, "demo/app");
        let failed = copy(&raw.descriptor().digest, &source, &with_referrers(&to));
        let failed = failed.expect_err(limit).to_string();
        assert!(failed.contains(&format!("more than {limit}")), "{failed}");
        assert!(there.tags("demo/app").is_empty(), "{limit}");
    }
}
