//! The registry store against an in-process registry, a second client and the real program.

use std::io::Read;
use std::time::Duration;

use immut_core::image::{Descriptor, RawManifest, media_type};
use immut_core::name::{Digest, Repository};
use immut_core::store::registry::{self, Environment};
use immut_core::store::{Error, Registry, RegistryOptions, Sink, Source, fallback_tag, read_small};
use immut_testkit::registry::{self as testkit, Auth, Fault, Options};
use serde_json::{Value, json};
use tempfile::TempDir;

fn repository(there: &testkit::Registry, path: &str) -> Repository {
    Repository { host: there.host(), path: path.to_owned() }
}

/// Options without the credentials of whoever runs the tests, and with short pauses.
fn quick() -> RegistryOptions {
    RegistryOptions {
        environment: Environment::default(),
        backoff: Duration::from_millis(20),
        ..RegistryOptions::default()
    }
}

fn connect(there: &testkit::Registry, path: &str) -> Registry {
    Registry::connect(&repository(there, path), &quick()).expect("a client")
}

/// Options with the test user's entry in a docker config that is in the folder.
fn logged_in(there: &testkit::Registry, entry: &str) -> (TempDir, RegistryOptions) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = format!(r#"{{"auths":{{"{}":{entry}}}}}"#, there.host());
    std::fs::write(folder.path().join("config.json"), config).expect("written");
    let environment = [("DOCKER_CONFIG", folder.path())].into_iter().collect();
    (folder, RegistryOptions { environment, ..quick() })
}

/// `me:secret`.
const PASSWORD: &str = r#"{"auth":"bWU6c2VjcmV0"}"#;

fn blob(content: &[u8]) -> Descriptor {
    Descriptor::of("application/octet-stream", content)
}

/// Bytes that no two blobs share.
fn content(size: usize) -> Vec<u8> {
    let mut state = size as u32 | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..size).map(|_| next()).collect()
}

fn put(registry: &Registry, content: &[u8]) -> Result<Descriptor, Error> {
    let blob = blob(content);
    registry.put(&blob, &mut &*content)?;
    Ok(blob)
}

fn manifest(more: Value) -> RawManifest {
    let empty =
        json!({ "mediaType": media_type::OCI_EMPTY, "digest": Digest::of(b"{}"), "size": 2 });
    let mut json = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": empty, "layers": []
    });
    for (name, value) in more.as_object().expect("an object") {
        json[name] = value.clone();
    }
    RawManifest::from_json(&json)
}

fn about(subject: &RawManifest, number: usize) -> RawManifest {
    let subject = json!(subject.descriptor());
    manifest(json!({ "subject": subject, "annotations": { "number": number.to_string() } }))
}

fn refused(error: &Error) -> (u16, String) {
    match error {
        Error::Registry(registry::Error::Refused { status, .. }) => (*status, error.to_string()),
        other => panic!("not a refusal: {other:?}"),
    }
}

#[test]
fn what_is_pushed_can_be_pulled() {
    let there = testkit::Registry::start();
    let registry = connect(&there, "demo/app");
    for size in [0, 1, 70_000, 5 << 20] {
        let content = content(size);
        assert!(!registry.has(&blob(&content)).expect("an answer"));
        let blob = put(&registry, &content).expect("pushed");
        assert!(registry.has(&blob).expect("an answer"));
        let mut read = Vec::new();
        registry.open(&blob).expect("there").read_to_end(&mut read).expect("verified");
        assert!(read == content, "{size}");
    }
    let manifest = manifest(json!({}));
    registry.put_manifest(&manifest).expect("pushed");
    assert_eq!(registry.manifest(&manifest.descriptor().digest).expect("there"), manifest);
    assert_eq!(registry.tagged("v1").expect("an answer"), None);
    registry.tag("v1", &manifest).expect("tagged");
    assert_eq!(registry.tagged("v1").expect("an answer"), Some(manifest));
}

#[test]
fn what_is_not_there_is_not_found() {
    let there = testkit::Registry::start();
    let registry = connect(&there, "demo/app");
    let missing = blob(b"missing");
    assert!(matches!(registry.open(&missing).map(drop), Err(Error::NotFound { .. })));
    assert!(matches!(registry.manifest(&missing.digest), Err(Error::NotFound { .. })));
}

#[test]
fn a_blob_of_another_repository_is_mounted() {
    let there = testkit::Registry::start();
    there.add_blob("base/image", b"layer");
    let registry = connect(&there, "demo/app").mounting_from(repository(&there, "base/image"));
    assert!(registry.has(&blob(b"layer")).expect("an answer"));
    assert_eq!(there.blobs("demo/app").len(), 1);
    assert_eq!(there.count("PATCH", ""), 0);
    assert_eq!(there.count("POST", "from=base%2Fimage"), 1);

    // The session that a refused mount opens is the one that is used.
    assert!(!registry.has(&blob(b"other")).expect("an answer"));
    put(&registry, b"other").expect("pushed");
    assert_eq!(there.count("POST", ""), 2);
}
