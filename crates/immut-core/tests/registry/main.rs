//! The registry store against an in-process registry, a second client and the real program.

mod auth;
mod copy;
mod downloads;
mod faults;
mod growing;
mod habits;
mod messages;
mod peers;
mod referrers;
mod roundtrip;
mod runtimes;
mod tags;
mod tokens;
mod uploads;

use std::time::Duration;

use immut_core::image::{Descriptor, RawManifest, media_type};
use immut_core::name::{Digest, Repository};
use immut_core::store::registry::{self, Environment};
use immut_core::store::{Error, Registry, RegistryOptions, Sink};
use immut_testkit::registry as testkit;
use serde_json::{Value, json};
use tempfile::TempDir;

fn repository(there: &testkit::Registry, path: &str) -> Repository {
    Repository { host: there.host(), path: path.to_owned() }
}

/// Options without the credentials of whoever runs the tests, and with short pauses.
fn quick() -> RegistryOptions {
    RegistryOptions {
        environment: Environment::default(),
        backoff: Duration::from_millis(5),
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

/// The test user's client for `demo/app`.
fn login(there: &testkit::Registry, entry: &str) -> Registry {
    // The folder goes when this ends: what is in it is read when it is first needed.
    let (folder, options) = logged_in(there, entry);
    drop(folder.keep());
    Registry::connect(&repository(there, "demo/app"), &options).expect("a client")
}

/// `me:secret`.
const PASSWORD: &str = r#"{"auth":"bWU6c2VjcmV0"}"#;

fn blob(content: &[u8]) -> Descriptor {
    Descriptor::of("application/octet-stream", content)
}

/// Bytes that no two blobs share.
fn content(size: usize) -> Vec<u8> {
    let mut state = u32::try_from(size).unwrap_or(1) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()
    };
    let mut content =
        std::iter::repeat_with(next).take(size.div_ceil(4)).collect::<Vec<_>>().concat();
    content.truncate(size);
    content
}

fn put(registry: &Registry, content: &[u8]) -> Result<Descriptor, Error> {
    let blob = blob(content);
    registry.put(&blob, &mut &*content)?;
    Ok(blob)
}

fn manifest(more: &Value) -> RawManifest {
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
    manifest(&json!({ "subject": subject, "annotations": { "number": number.to_string() } }))
}

fn refused(error: &Error) -> (u16, String) {
    match error {
        Error::Registry(registry::Error::Refused { status, .. }) => (*status, error.to_string()),
        other => panic!("not a refusal: {other:?}"),
    }
}
