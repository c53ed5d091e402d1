//! What goes to a registry while the image is made.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use immut_core::name::Repository;
use immut_core::progress::{Event, Progress, Silent, State, Task};
use immut_core::store::registry::Environment;
use immut_core::store::{Layout, Registry, RegistryOptions, Sink};
use immut_core::{Ahead, Error, Options, Publication, publish, trust};
use immut_testkit::registry::{self as testkit, Fault, Uploads, habits};
use immut_testkit::{contents, recipe::Recipe};

use crate::common::{Done, MARK, Scene, removing};

const REPOSITORY: &str = "demo/app";

/// What of the registry's a test waits for.
type Awaited = Box<dyn Fn(&testkit::Registry) -> bool + Send + Sync>;

/// Takes note of uploads, and holds the rewriting up until the registry has seen something.
struct Watch {
    there: Arc<testkit::Registry>,
    held: fn(&Event<'_>) -> bool,
    awaited: Awaited,
    /// How often it did.
    waited: AtomicUsize,
    uploads: Mutex<BTreeMap<String, Vec<&'static str>>>,
}

impl Progress for Watch {
    fn event(&self, event: &Event<'_>) {
        if event.work.task == Task::Rewrite && (self.held)(event) {
            self.waited.fetch_add(1, Ordering::SeqCst);
            let begun = Instant::now();
            while !(self.awaited)(&self.there) {
                assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", self.there.log());
                std::thread::yield_now();
            }
        }
        let word = match event.state {
            State::Started => "start",
            State::Done => "done",
            State::Reused(_) => "reused",
            State::Running => return,
            _ => "failed",
        };
        if event.work.task == Task::Upload {
            let mut uploads = self.uploads.lock().expect("whole");
            uploads.entry(event.work.digest.to_string()).or_default().push(word);
        }
    }
}

/// A registry and who watches.
struct There {
    registry: Arc<testkit::Registry>,
    watch: Arc<Watch>,
    to: Arc<dyn Sink>,
}

impl There {
    fn new(options: testkit::Options) -> Self {
        Self::holding(options, |_| false, Box::new(|_| true))
    }

    fn holding(options: testkit::Options, held: fn(&Event<'_>) -> bool, awaited: Awaited) -> Self {
        let registry = Arc::new(testkit::Registry::with(options));
        let repository = Repository { host: registry.host(), path: REPOSITORY.to_owned() };
        let quick = RegistryOptions {
            environment: Environment::default(),
            backoff: Duration::from_millis(5),
            ..RegistryOptions::default()
        };
        let to = Arc::new(Registry::connect(&repository, &quick).expect("a client"));
        let (there, waited, uploads) = (registry.clone(), AtomicUsize::new(0), Mutex::default());
        let watch = Arc::new(Watch { there, held, awaited, waited, uploads });
        Self { registry, watch, to }
    }

    fn options(&self) -> Options {
        let ahead = Ahead { to: self.to.clone(), tags: vec!["v1".to_owned()] };
        let progress = self.watch.clone();
        Options { jobs: 2, progress, ahead: Some(ahead), ..Options::default() }
    }

    fn publish(&self, done: &Done) {
        let (tags, signing) = (["v1".to_owned()], trust::Options::default());
        let (to, progress) = (&*self.to, &*self.watch);
        let how =
            Publication { to, signer: None, signing: &signing, tags: &tags, jobs: 2, progress };
        publish(&done.hardened, &done.stage, &how).expect("published");
        let digest = done.hardened.digest().to_string();
        assert_eq!(self.registry.tags(REPOSITORY)["v1"], digest);
        let mut named: Vec<String> = blobs(done);
        named.sort();
        assert_eq!(self.registry.blobs(REPOSITORY), named);
    }

    fn harden(&self, recipe: &Recipe) -> Done {
        let done = Scene::of(recipe).harden(&self.options());
        self.publish(&done);
        done
    }

    /// How many sessions were opened, blobs asked for, and bodies sent.
    fn requests(&self) -> (usize, usize, usize) {
        let count = |method, part| self.registry.count(method, part);
        (count("POST", "/uploads/"), count("HEAD", "/blobs/"), count("PATCH", "/uploads/"))
    }
}

/// The blobs that the result names.
fn blobs(done: &Done) -> Vec<String> {
    let manifest = done.manifest();
    let layers = manifest["layers"].as_array().expect("layers").iter();
    let all = layers.chain([&manifest["config"]]);
    all.map(|blob| blob["digest"].as_str().expect("a digest").to_owned()).collect()
}

/// A layer that changes, one that stays, and one that changes.
fn image() -> Recipe {
    let noise = |seed: u64| {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..600_000).map(|_| next()).collect::<Vec<u8>>()
    };
    Recipe::new()
        .layer(|l| {
            l.file("/a", 0o644, noise(1)).file("/bin/bash", 0o755, contents::bash()).file(
                "/b",
                0o644,
                noise(2),
            )
        })
        .layer(|l| l.file("/app", 0o755, contents::program()))
        .layer(|l| {
            l.file("/c", 0o644, noise(3)).file("/bin/dash", 0o755, contents::bash()).file(
                "/d",
                0o644,
                noise(4),
            )
        })
        .entrypoint(&["/app"])
}

#[test]
fn a_new_layer_is_under_way_before_it_is_made() {
    // The event comes from the middle of the layer, and the rewriting waits in it.
    let in_the_middle = |event: &Event<'_>| {
        event.state == State::Running && event.done < event.work.total / 2 + 1000
    };
    // Those of both new layers, and that of the layer which stays.
    let begun = |there: &testkit::Registry| there.begun("PATCH", "/uploads/") > 2;
    let there = There::holding(testkit::Options::default(), in_the_middle, Box::new(begun));
    there.harden(&image());
    assert!(there.watch.waited.load(Ordering::SeqCst) >= 2);
}

#[test]
fn a_layer_that_stays_is_sent_while_others_are_made() {
    let kept =
        image().build().layers[1].descriptor["digest"].as_str().expect("a digest").to_owned();
    let arrived = move |there: &testkit::Registry| there.blobs(REPOSITORY).contains(&kept);
    let begins = |event: &Event<'_>| event.state == State::Started;
    There::holding(testkit::Options::default(), begins, Box::new(arrived)).harden(&image());
}

#[test]
fn each_blob_is_sent_once_and_told_of_once() {
    let there = There::new(testkit::Options::default());
    let done = Scene::of(&image()).harden(&there.options());
    let ahead = there.watch.uploads.lock().expect("whole").clone();
    assert_eq!(ahead.len(), 3, "all but the config: {ahead:?}");
    there.publish(&done);
    let uploads = there.watch.uploads.lock().expect("whole");
    let told: Vec<(String, Vec<&str>)> = uploads.clone().into_iter().collect();
    let mut named = blobs(&done);
    named.sort();
    let once: Vec<_> = named.into_iter().map(|blob| (blob, vec!["start", "done"])).collect();
    assert_eq!(told, once);
    // Nobody asks for what was made: only for the layer that stays and for the config.
    assert_eq!(there.requests(), (4, 2, 4));
    let without = Scene::of(&image()).harden(&Options::default());
    assert_eq!(done.hardened.digest(), without.hardened.digest());
}

#[test]
fn what_was_sent_to_one_place_is_sent_to_another_too() {
    let (there, other) =
        (There::new(testkit::Options::default()), There::new(testkit::Options::default()));
    let done = Scene::of(&image()).harden(&there.options());
    other.publish(&done);
    assert_eq!(other.requests(), (4, 4, 4));
}

#[test]
fn a_registry_that_takes_no_growing_blobs_gets_the_image_all_the_same() {
    let uploads = [
        Uploads { only_put: true, ..Uploads::default() },
        Uploads { largest_body: Some(300_000), ..Uploads::default() },
        Uploads { loses_what_breaks: true, no_status: true, ..Uploads::default() },
        Uploads { least_chunk: Some(1 << 20), ..Uploads::default() },
    ];
    let digest = Scene::of(&image()).harden(&Options::default()).hardened.digest();
    for uploads in uploads {
        let there = There::new(testkit::Options { uploads, ..testkit::Options::default() });
        assert_eq!(there.harden(&image()).hardened.digest(), digest);
        assert_eq!(there.registry.open_uploads(), 0);
    }
    for (method, fault) in [
        ("PATCH", Fault::Break(0)),
        ("PATCH", Fault::Hasty(503)),
        ("PATCH", Fault::Status(400, Vec::new())),
        ("POST", Fault::Status(404, Vec::new())),
        ("PUT", Fault::Status(400, Vec::new())),
    ] {
        let there = There::new(habits::docker_registry());
        // Whichever it hits, a layer that is made or the one that stays.
        there.registry.fail(method, "/uploads/", 1, fault.clone());
        assert_eq!(there.harden(&image()).hardened.digest(), digest, "{method} {fault:?}");
    }
}

#[test]
fn what_an_earlier_run_made_of_the_same_source_is_not_sent_again() {
    let there = There::new(testkit::Options::default());
    there.harden(&image());
    let before = there.requests();
    there.watch.uploads.lock().expect("whole").clear();
    let again = There { registry: there.registry.clone(), ..there };
    again.harden(&image());
    let (opened, asked, sent) = again.requests();
    assert_eq!((opened, asked, sent), (before.0, before.1 + 4, before.2));
    let uploads = again.watch.uploads.lock().expect("whole").clone();
    assert!(uploads.values().all(|told| told == &["reused"]), "{uploads:?}");

    // Another source is another image, whatever the tag names.
    let other = Scene::of(&image().label("which", "other")).harden(&again.options());
    assert_eq!(again.requests().0, before.0 + 2);
    assert_eq!(blobs(&other).len(), 4);
}

#[test]
fn without_a_tag_nobody_knows_what_is_there() {
    let there = There::new(testkit::Options::default());
    let mut options = there.options();
    options.ahead.iter_mut().for_each(|ahead| ahead.tags.clear());
    drop(Scene::of(&image()).harden(&options));
    assert_eq!(there.requests(), (1, 1, 1), "only the layer that stays");
}

#[test]
fn nothing_is_sent_for_a_run_that_is_refused() {
    let there = There::new(testkit::Options::default());
    let refused = image().entrypoint(&["/bin/bash", "-c", "/app; /app"]);
    assert!(Scene::of(&refused).try_harden(&there.options()).is_err());
    assert!(there.registry.log().is_empty(), "{:?}", there.registry.log());
}

/// Blobs went ahead; no manifest and no tag does, since the result is audited first.
#[test]
fn nothing_names_a_result_that_does_not_pass_its_own_audit() {
    let there = There::new(testkit::Options::default());
    let catalog = removing(&["home/nonroot".to_owned()]).catalog;
    let recipe = image().layer(|l| {
        l.file("/etc/passwd", 0o644, "root:x:0:0::/root:/x\n").file(format!("/{MARK}"), 0o644, "")
    });
    let options = Options { catalog, ..there.options() };
    let Err(error) = Scene::of(&recipe).try_harden(&options) else { panic!("it passed") };
    assert!(matches!(error, Error::SelfCheck(_)), "{error}");
    assert!(there.registry.count("POST", "/uploads/") > 0, "blobs were on their way");
    assert_eq!(there.registry.count("PUT", "/manifests/"), 0);
    assert!(there.registry.tags(REPOSITORY).is_empty());
}

#[test]
fn a_layout_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let to = Arc::new(Layout::create(folder.path()).expect("a layout"));
    let ahead = Ahead { to: to.clone(), tags: Vec::new() };
    let options = Options { ahead: Some(ahead), progress: Arc::new(Silent), ..Options::default() };
    let done = Scene::of(&image()).harden(&options);
    let blob = done.hardened.platforms[0].rewritten.manifest.layers()[0].clone();
    assert!(!to.has(&blob).expect("read"));
}
