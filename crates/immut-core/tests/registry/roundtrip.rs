//! What goes in comes out, and mounts; other clients agree.

use std::io::Read;

use immut_core::image::media_type;
use immut_core::store::{Error, Sink, Source};
use immut_testkit::registry::{self as testkit, Fault, Options};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use serde_json::json;

use super::{blob, connect, content, manifest, put, repository};

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
    let manifest = manifest(&json!({}));
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
    let base = repository(&there, "base/image");
    let registry = connect(&there, "demo/app").mounting_from(base.clone());
    assert!(!registry.has(&blob(b"layer")).expect("an answer"));
    assert_eq!(registry.mount(&blob(b"layer")).expect("an answer"), Some(base));
    assert_eq!(there.blobs("demo/app").len(), 1);
    assert_eq!(there.count("PATCH", ""), 0);
    assert_eq!(there.count("POST", "from=base%2Fimage"), 1);

    // The session that a refused mount opens is the one that is used.
    assert_eq!(registry.mount(&blob(b"other")).expect("an answer"), None);
    put(&registry, b"other").expect("pushed");
    assert_eq!(there.count("POST", ""), 2);

    // Unless the registry has forgotten it.
    assert_eq!(registry.mount(&blob(b"third")).expect("an answer"), None);
    there.fail("PATCH", "", 1, Fault::Status(404, vec![]));
    put(&registry, b"third").expect("pushed");
}

#[test]
fn registries_that_answer_without_locations_and_digests_do() {
    let there = testkit::Registry::with(Options { no_location: true, ..Options::default() });
    let registry = connect(&there, "demo/app");
    let blob = put(&registry, b"content").expect("pushed");
    let manifest = manifest(&json!({ "config": blob }));
    registry.put_manifest(&manifest).expect("pushed");
    registry.tag("v1", &manifest).expect("tagged");
    assert_eq!(registry.tagged("v1").expect("an answer"), Some(manifest));
}

/// A second client, which nobody here wrote, pulls what was pushed.
#[tokio::test]
async fn another_client_pulls_what_we_pushed() {
    let there = testkit::Registry::start();
    let registry = connect(&there, "demo/app");
    let layer = put(&registry, b"layer").expect("pushed");
    let config = put(&registry, b"{}").expect("pushed");
    let manifest = manifest(&json!({ "config": config, "layers": [layer] }));
    registry.put_manifest(&manifest).expect("pushed");
    registry.tag("v1", &manifest).expect("tagged");

    let protocol = ClientProtocol::Http;
    let client = oci_client::Client::new(ClientConfig { protocol, ..ClientConfig::default() });
    let name: oci_client::Reference =
        format!("{}/demo/app:v1", there.host()).parse().expect("a name");
    let accepted = vec!["application/octet-stream"];
    let image = client.pull(&name, &RegistryAuth::Anonymous, accepted).await.expect("pulled");
    assert_eq!(image.digest, Some(manifest.descriptor().digest.to_string()));
    assert_eq!(image.layers[0].data, &b"layer"[..]);
    let pulled = image.manifest.and_then(|manifest| manifest.media_type);
    assert_eq!(pulled.as_deref(), Some(media_type::OCI_MANIFEST));
}
