//! Manifests about manifests: the registry's own list, and the fallback index.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use immut_core::image::media_type;
use immut_core::store::{Error, Registry, RegistryOptions, Sink, Source, fallback_tag};
use immut_testkit::registry::{self as testkit, Fault, Options, Referrers};
use serde_json::{Value, json};

use super::{about, connect, manifest, quick, repository};

fn native(page: Option<usize>) -> testkit::Registry {
    testkit::Registry::with(Options { referrers: Referrers::Native, page, ..Options::default() })
}

#[test]
fn a_registry_that_lists_referrers_is_left_to_it() {
    for page in [None, Some(2)] {
        let there = native(page);
        let registry = connect(&there, "demo/app");
        let subject = manifest(&json!({}));
        let all: BTreeSet<_> = (0..5)
            .map(|number| {
                let referrer = about(&subject, number);
                registry.put_manifest(&referrer).expect("pushed");
                referrer.descriptor().digest
            })
            .collect();
        let listed = registry.referrers(&subject.descriptor().digest).expect("listed");
        assert_eq!(listed.into_iter().map(|line| line.digest).collect::<BTreeSet<_>>(), all);
        assert!(there.tags("demo/app").is_empty());
    }
}

#[test]
fn pages_on_another_host_are_refused() {
    let there = native(None);
    let registry = connect(&there, "demo/app");
    let link = "<http://127.0.0.1:1/v2/x>; rel=\"next\"".to_owned();
    there.fail("GET", "/referrers/", 1, Fault::Header("Link", link));
    let error = registry.referrers(&manifest(&json!({})).descriptor().digest).expect_err("refused");
    assert!(error.to_string().contains("another host"), "{error}");
}

#[test]
fn pages_without_end_end() {
    let there = native(None);
    let registry = connect(&there, "demo/app");
    there.fail("GET", "/referrers/", 999, Fault::Header("Link", "<?a=b>; rel=next".to_owned()));
    let error = registry.referrers(&manifest(&json!({})).descriptor().digest).expect_err("endless");
    assert!(error.to_string().contains("too many pages"), "{error}");
}

#[test]
fn the_fallback_index_keeps_foreign_lines() {
    let there = testkit::Registry::start();
    let registry = connect(&there, "demo/app");
    let subject = manifest(&json!({}));
    let tag = fallback_tag(&subject.descriptor().digest);
    let foreign = json!({
        "mediaType": "application/vnd.example+json", "size": 3, "x-unknown": [1],
        "digest": format!("sha512:{}", "0".repeat(128))
    });
    let index = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [foreign],
        "annotations": { "kept": "too" }
    });
    there.add_manifest("demo/app", &tag, media_type::OCI_INDEX, index.to_string().as_bytes());
    let referrer = about(&subject, 1);
    for _again in 0..2 {
        registry.put_manifest(&referrer).expect("pushed");
        let bytes = there.manifest("demo/app", &tag).expect("an index");
        let merged: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(merged["annotations"], index["annotations"]);
        assert_eq!(merged["manifests"].as_array().map(Vec::len), Some(2));
        assert_eq!(merged["manifests"][0], foreign);
        assert_eq!(merged["manifests"][1]["annotations"]["number"], "1");
    }
    let listed = registry.referrers(&subject.descriptor().digest).expect("listed");
    assert_eq!(listed, [referrer.descriptor()]);
}

#[test]
fn what_cannot_be_read_is_never_overwritten() {
    let there = testkit::Registry::start();
    let registry = connect(&there, "demo/app");
    let subject = manifest(&json!({}));
    let tag = fallback_tag(&subject.descriptor().digest);
    let refuse = |fault: Fault| {
        there.fail("GET", &tag, 1, fault);
        registry.put_manifest(&about(&subject, 1)).expect_err("refused");
        assert_eq!(there.count("PUT", &tag), 0);
    };
    for status in [400, 401, 403, 501] {
        refuse(Fault::Status(status, vec![]));
    }
    refuse(Fault::Body(b"<html>".to_vec()));
    there.add_manifest("demo/app", &tag, media_type::OCI_MANIFEST, &manifest(&json!({})).bytes);
    let error = registry.put_manifest(&about(&subject, 1)).expect_err("an image, no index");
    assert!(matches!(error, Error::Image(_)), "{error:?}");
}

#[test]
fn a_line_that_is_lost_is_written_again() {
    let there = testkit::Registry::start();
    let registry = connect(&there, "demo/app");
    let subject = manifest(&json!({}));
    let digest = subject.descriptor().digest;
    there.fail("PUT", &fallback_tag(&digest), 2, Fault::Lose);
    registry.put_manifest(&about(&subject, 1)).expect("pushed");
    assert_eq!(registry.referrers(&digest).expect("listed").len(), 1);

    there.fail("PUT", &fallback_tag(&digest), 99, Fault::Lose);
    let error = registry.put_manifest(&about(&subject, 2)).expect_err("always lost");
    assert!(error.to_string().contains("does not stay"), "{error}");
}

#[test]
fn writers_at_the_same_time_lose_nothing() {
    let there = testkit::Registry::start();
    let subject = manifest(&json!({}));
    thread::scope(|scope| {
        // A pause long enough for the slowest of them to have written what it read before.
        let options = RegistryOptions { backoff: Duration::from_millis(200), ..quick() };
        for number in 0..3 {
            let registry = Registry::connect(&repository(&there, "demo/app"), &options);
            let registry = registry.expect("a client");
            let referrer = about(&subject, number);
            scope.spawn(move || registry.put_manifest(&referrer).expect("pushed"));
        }
    });
    let registry = connect(&there, "demo/app");
    assert_eq!(registry.referrers(&subject.descriptor().digest).expect("listed").len(), 3);
}
