//! Stores that fail, and other writers that undo what was written.

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};

use immut_core::image::{Descriptor, RawManifest};
use immut_core::name::{Digest, Location};
use immut_core::store::{self, Layout, Sink, Source};
use immut_core::trust::{Error, Options, Outcome, Signer, sign, verify};

use crate::scene::Scene;

/// A layout that loses writes or cannot be asked.
struct Faulty {
    layout: Layout,
    /// So many tags are written for nothing: another writer puts the old one back.
    lost_tags: AtomicUsize,
    /// The list of referrers, or tags, cannot be read.
    down: bool,
}

impl Faulty {
    fn new(scene: &Scene, lost_tags: usize, down: bool) -> Self {
        Self { layout: scene.layout(), lost_tags: lost_tags.into(), down }
    }

    fn check(&self) -> Result<(), store::Error> {
        if !self.down {
            return Ok(());
        }
        let source = std::io::Error::other("the network is down");
        Err(store::Error::Io { action: "read", path: "the registry".into(), source })
    }
}

impl Source for Faulty {
    fn location(&self) -> Location {
        self.layout.location()
    }
    fn tagged(&self, tag: &str) -> Result<Option<RawManifest>, store::Error> {
        self.check()?;
        self.layout.tagged(tag)
    }
    fn manifest(&self, digest: &Digest) -> Result<RawManifest, store::Error> {
        self.layout.manifest(digest)
    }
    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>, store::Error> {
        self.layout.open(blob)
    }
    fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, store::Error> {
        self.check()?;
        self.layout.referrers(digest)
    }
}

impl Sink for Faulty {
    fn has(&self, blob: &Descriptor) -> Result<bool, store::Error> {
        self.layout.has(blob)
    }
    fn put(&self, blob: &Descriptor, content: &mut dyn Read) -> Result<(), store::Error> {
        self.layout.put(blob, content)
    }
    fn put_manifest(&self, manifest: &RawManifest) -> Result<(), store::Error> {
        self.layout.put_manifest(manifest)
    }
    fn tag(&self, tag: &str, manifest: &RawManifest) -> Result<(), store::Error> {
        let left = self.lost_tags.load(Ordering::Relaxed);
        if left > 0 {
            self.lost_tags.store(left - 1, Ordering::Relaxed);
            return Ok(());
        }
        self.layout.tag(tag, manifest)
    }

    fn finish(&self) -> Result<(), store::Error> {
        self.layout.finish()
    }
}

#[test]
fn a_signature_that_another_writer_undid_is_written_again() {
    let scene = Scene::demo();
    let store = Faulty::new(&scene, 2, false);
    let signed = sign(&scene.image, &store, &scene.key(), &Options::default()).expect("signed");
    assert!(signed.outcomes.iter().all(|(_, outcome)| *outcome == Outcome::Made));
    let verified = verify(&scene.layout(), &scene.image, &scene.public_key()).expect("verified");
    assert_eq!(verified.found().len(), 2);
    assert_eq!(scene.legacy()["layers"].as_array().expect("layers").len(), 1);
}

#[test]
fn a_signature_that_never_stays_is_an_error() {
    let scene = Scene::demo();
    let store = Faulty::new(&scene, usize::MAX, false);
    let error = sign(&scene.image, &store, &scene.key(), &Options::default()).expect_err("lost");
    assert!(matches!(error, Error::Lost { .. }), "{error}");
}

/// A store that cannot be asked is no store without signatures.
#[test]
fn a_failing_store_is_neither_unsigned_nor_written_to() {
    let scene = Scene::demo();
    let key = scene.key();
    let store = Faulty::new(&scene, 0, true);
    let error = verify(&store, &scene.image, key.public_key()).expect_err("unknown");
    assert!(matches!(error, Error::Store(_)), "{error}");
    let error = sign(&scene.image, &store, &key, &Options::default()).expect_err("unknown");
    assert!(matches!(error, Error::Store(_)), "{error}");
    assert_eq!(scene.layout().names().expect("names").len(), 1);
}
