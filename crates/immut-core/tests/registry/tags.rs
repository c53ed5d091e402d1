//! Tags that do not move, and tags that do.

use immut_core::name::Reference;
use immut_core::store::registry::Error as Refusal;
use immut_core::store::{self, Error, Sink, Source, fallback_tag};
use immut_testkit::registry::{self as testkit, Fault, Options, Rule, habits};
use serde_json::json;

use super::{about, connect, manifest, refused};

/// How registries defend a tag.
fn rules() -> Vec<Rule> {
    let own = [habits::ecr("").immutable, habits::harbor().immutable, habits::quay().immutable];
    let proxy =
        Rule { status: 403, code: "DENIED", message: "existing tags cannot be overwritten" };
    own.into_iter().flatten().chain([proxy]).collect()
}

fn defends(rule: Rule) -> testkit::Registry {
    testkit::Registry::with(Options { immutable: Some(rule), ..Options::default() })
}

#[test]
fn a_tag_that_cannot_be_moved_is_told_as_that() {
    for rule in rules() {
        let status = rule.status;
        let there = defends(rule);
        let registry = connect(&there, "demo/app");
        let (old, new) = (manifest(&json!({})), manifest(&json!({ "annotations": { "a": "b" } })));
        registry.tag("v1", &old).expect("a new tag");
        let error = registry.tag("v1", &new).expect_err("refused");
        let immutable = matches!(error, Error::Registry(Refusal::Immutable { .. }));
        assert!(immutable, "{error:?}");
        let message = error.to_string();
        let words = format!("tag v1: {} answered {status}", there.host());
        let now = old.descriptor().digest;
        assert!(message.starts_with(&words), "{message}");
        assert!(message.contains(&format!("it names {now} and cannot be moved")), "{message}");
        assert!(message.ends_with("choose another tag"), "{message}");
    }
}

#[test]
fn a_tag_that_is_there_already_is_no_error() {
    for rule in rules() {
        let there = defends(rule);
        let registry = connect(&there, "demo/app");
        let image = manifest(&json!({}));
        for _again in 0..2 {
            registry.tag("v1", &image).expect("the same");
        }
        assert_eq!(there.count("PUT", "/manifests/v1"), 2);
    }
}

#[test]
fn a_refusal_that_is_none_of_tags_stays_what_it_is() {
    let there = testkit::Registry::start();
    let registry = connect(&there, "demo/app");
    let image = manifest(&json!({}));
    for status in [400, 403, 409, 412] {
        there.fail("PUT", "/manifests/v1", 1, Fault::Status(status, vec![]));
        assert_eq!(refused(&registry.tag("v1", &image).expect_err("refused")).0, status);
    }
    registry.tag("v1", &manifest(&json!({ "annotations": { "a": "b" } }))).expect("tagged");
    there.fail("PUT", "/manifests/v1", 1, Fault::Status(403, vec![]));
    let (status, message) = refused(&registry.tag("v1", &image).expect_err("may not"));
    assert!(status == 403 && !message.contains("choose another tag"), "{message}");
}

#[test]
fn a_list_of_referrers_that_cannot_grow_says_what_to_except() {
    for rule in rules() {
        let there = defends(rule);
        let registry = connect(&there, "demo/app");
        let subject = manifest(&json!({}));
        registry.put_manifest(&about(&subject, 1)).expect("the first line");
        let message = registry.put_manifest(&about(&subject, 2)).expect_err("refused").to_string();
        let tag = fallback_tag(&subject.descriptor().digest);
        assert!(message.starts_with(&format!("tag {tag}: ")), "{message}");
        assert!(message.contains("except tags that begin with `sha256-`"), "{message}");
    }
}

#[test]
fn a_tag_that_moves_in_mid_run_is_read_as_it_was_resolved() {
    let there = testkit::Registry::start();
    let registry = connect(&there, "demo/app");
    let (old, new) = (manifest(&json!({})), manifest(&json!({ "annotations": { "a": "b" } })));
    registry.put_manifest(&new).expect("pushed");
    registry.tag("v1", &old).expect("tagged");
    let moved = new.descriptor().digest.to_string();
    there.fail("GET", "/manifests/v1", 1, Fault::Retag("v1", moved.clone()));

    let name: Reference = format!("{}/demo/app:v1", there.host()).parse().expect("a name");
    let digest = store::resolve(&registry, &name).expect("resolved");
    assert_eq!(there.tags("demo/app")["v1"], moved);
    assert_eq!(registry.manifest(&digest).expect("there"), old);
    assert_eq!(there.count("GET", "/manifests/v1"), 1);
}
