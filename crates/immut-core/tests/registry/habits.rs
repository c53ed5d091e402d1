//! Each registry that people have, as `docs/registries.md` says: an image goes in, with a referrer,
//! and comes out.

use immut_core::image::{Descriptor, media_type};
use immut_core::store::{Error, Layout, Registry, Sink, Source, copy, read_small};
use immut_testkit::Recipe;
use immut_testkit::registry::{self as testkit, IDENTITY_TOKEN, Options, Referrers, habits};
use serde_json::json;

use super::{PASSWORD, about, blob, connect, login, manifest, put, refused};

/// Pushes an image with a tag and two referrers, and pulls them again.
#[track_caller]
fn goes_in_and_comes_out(registry: &Registry) {
    let folder = tempfile::tempdir().expect("a folder");
    let recipe = Recipe::new().layer(|l| l.file("/app", 0o755, b"#!"));
    let built = recipe.write(&folder.path().join("image"));
    let layout = Layout::open(&folder.path().join("image")).expect("a layout");
    let digest = built.digest.parse().expect("a digest");
    let image = copy(&digest, &layout, registry).expect("copied");
    let referrers = [about(&image, 1), about(&image, 2)];
    let empty = Descriptor::of(media_type::OCI_EMPTY, b"{}");
    registry.put(&empty, &mut &b"{}"[..]).expect("pushed");
    for referrer in &referrers {
        registry.put_manifest(referrer).expect("a referrer");
    }
    registry.tag("v1", &image).expect("tagged");
    registry.tag("v1", &image).expect("tagged as it was");

    let back = Layout::create(&folder.path().join("back")).expect("a layout");
    assert_eq!(copy(&digest, registry, &back).expect("pulled"), image);
    let mut listed: Vec<_> =
        registry.referrers(&digest).expect("listed").iter().map(|line| line.digest).collect();
    listed.sort_by_key(ToString::to_string);
    let mut pushed = referrers.map(|referrer| referrer.descriptor().digest);
    pushed.sort_by_key(ToString::to_string);
    assert_eq!(listed, pushed);
}

fn storage() -> testkit::Registry {
    testkit::Registry::with(Options { signed: true, ..Options::default() })
}

/// A registry before that storage host.
fn before(storage: &testkit::Registry, habits: Options) -> testkit::Registry {
    testkit::Registry::beside(storage, Options { signed: true, ..habits })
}

#[track_caller]
fn saw_no_credentials(host: &testkit::Registry) {
    assert!(!host.log().is_empty());
    assert!(host.log().iter().all(|line| line.authorization.is_none()), "{:?}", host.log());
}

#[test]
fn docker_hub_goes() {
    let storage = storage();
    let there = before(&storage, habits::docker_hub(&storage.host()));
    goes_in_and_comes_out(&login(&there, PASSWORD));
    saw_no_credentials(&storage);
    let nobody = connect(&there, "demo/app").tag("v2", &manifest(&json!({})));
    let (_, message) = refused(&nobody.expect_err("nobody"));
    assert!(message.contains("nobody is logged in"), "{message}");
}

#[test]
fn ghcr_goes_and_its_website_is_not_asked() {
    let website = testkit::Registry::start();
    let there = testkit::Registry::with(habits::ghcr(&website.host()));
    goes_in_and_comes_out(&login(&there, PASSWORD));
    assert!(website.log().is_empty(), "{:?}", website.log());
}

#[test]
fn ecr_goes_when_the_repository_is_made() {
    let storage = storage();
    let there = before(&storage, habits::ecr(&storage.host()));
    let registry = login(&there, PASSWORD);
    let (status, message) = refused(&put(&registry, b"content").expect_err("no repository"));
    assert_eq!(status, 404);
    assert!(message.contains("wants repositories to be made first"), "{message}");
    there.add_blob("demo/app", b"the repository is made");
    goes_in_and_comes_out(&registry);
    saw_no_credentials(&storage);
}

#[test]
fn acr_goes_with_a_refresh_token() {
    let storage = storage();
    let there = before(&storage, habits::acr(&storage.host()));
    // As `az acr login` leaves it: no user, and a token.
    let zero = "MDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAwOg==";
    let entry = format!(r#"{{"auth":"{zero}","identitytoken":"{IDENTITY_TOKEN}"}}"#);
    goes_in_and_comes_out(&login(&there, &entry));
    assert!(there.count("POST", "/oauth2/token") > 0);
    saw_no_credentials(&storage);
}

#[test]
fn gar_goes() {
    let there = testkit::Registry::with(habits::gar());
    goes_in_and_comes_out(&login(&there, PASSWORD));
    assert!(there.count("PATCH", "/elsewhere/") > 0);
}

#[test]
fn harbor_goes() {
    let there = testkit::Registry::with(habits::harbor());
    goes_in_and_comes_out(&login(&there, PASSWORD));
    assert!(there.tags("demo/app").keys().all(|tag| tag == "v1"), "no fallback index");
}

#[test]
fn quay_goes() {
    let there = testkit::Registry::with(habits::quay());
    goes_in_and_comes_out(&login(&there, PASSWORD));
}

#[test]
fn docker_registry_goes() {
    let there = testkit::Registry::with(habits::docker_registry());
    goes_in_and_comes_out(&connect(&there, "demo/app"));
}

#[test]
fn registries_say_in_many_ways_that_they_list_no_referrers() {
    let elsewhere = testkit::Registry::start();
    for referrers in [
        Referrers::Absent,
        Referrers::Status(400),
        Referrers::Status(405),
        Referrers::Status(501),
        Referrers::Html,
        Referrers::LeadsTo(elsewhere.host()),
        Referrers::Native,
        Referrers::Silent,
    ] {
        let there = testkit::Registry::with(Options { referrers, ..Options::default() });
        goes_in_and_comes_out(&connect(&there, "demo/app"));
    }
    assert!(elsewhere.log().is_empty());
}

#[test]
fn an_error_is_not_an_empty_list_of_referrers() {
    for status in [401, 403, 418] {
        let referrers = Referrers::Status(status);
        let there = testkit::Registry::with(Options { referrers, ..Options::default() });
        let registry = connect(&there, "demo/app");
        let digest = manifest(&json!({})).descriptor().digest;
        assert_eq!(refused(&registry.referrers(&digest).expect_err("refused")).0, status);
    }
}

#[test]
fn a_blob_that_storage_lost_is_not_found() {
    let storage = storage();
    let there = before(&storage, habits::docker_hub(&storage.host()));
    let missing = blob(b"missing");
    let error = read_small(&login(&there, PASSWORD), &missing).expect_err("lost");
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}
