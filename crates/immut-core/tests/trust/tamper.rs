//! Every single change to a bundle, and what is said of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use immut_core::trust::{Error, Format, Options, Reason, sign, verify};
use serde_json::{Value, json};

use crate::scene::{BUNDLE, Scene};

/// Writes a changed bundle as the image's only signature and says why it is rejected.
fn reason_for(tamper: impl Fn(&mut Value)) -> Reason {
    let scene = Scene::demo();
    let other = Scene::demo();
    let options = Options { formats: [Format::Bundle].into(), ..Options::default() };
    sign(&other.image, &other.layout(), &scene.key(), &options).expect("signed");
    let mut bundle = other.bundle();
    tamper(&mut bundle);
    scene.referrer(bundle.to_string().as_bytes(), BUNDLE, Some(scene.image));
    match verify(&scene.layout(), &scene.image, &scene.public_key()) {
        Err(
            Error::Broken { mut rejected, .. }
            | Error::OtherKeys { mut rejected, .. }
            | Error::Unsigned { mut rejected, .. },
        ) => rejected.remove(0).reason,
        other => panic!("{other:?}"),
    }
}

/// Changes the statement within a bundle, whose signature then no longer holds.
fn reason_for_statement(edit: impl Fn(&mut Value)) -> Reason {
    reason_for(|bundle| {
        let payload = bundle["dsseEnvelope"]["payload"].as_str().expect("text");
        let payload = STANDARD.decode(payload).expect("base64");
        let mut statement: Value = serde_json::from_slice(&payload).expect("JSON");
        edit(&mut statement);
        bundle["dsseEnvelope"]["payload"] = json!(STANDARD.encode(statement.to_string()));
    })
}

fn is_malformed(reason: &Reason) -> bool {
    matches!(reason, Reason::Malformed(_))
}

#[test]
fn a_changed_statement_does_not_count() {
    assert_eq!(reason_for_statement(|s| s["x"] = json!(1)), Reason::Changed);
    let subject = |s: &mut Value| s["subject"][0]["digest"]["sha256"] = json!("00");
    assert_eq!(reason_for_statement(subject), Reason::Changed);
    let predicate = |s: &mut Value| s["predicateType"] = json!("https://slsa.dev/provenance/v1");
    assert!(matches!(reason_for_statement(predicate), Reason::Attestation(_)));
    assert!(is_malformed(&reason_for_statement(|s| s["_type"] = json!("x"))));
    assert!(is_malformed(&reason_for_statement(|s| *s = json!(null))));
}

#[test]
fn a_changed_envelope_does_not_count() {
    let signature = |b: &mut Value| b["dsseEnvelope"]["signatures"][0]["sig"] = json!("MEUCIQ==");
    assert_eq!(reason_for(signature), Reason::Changed);
    let unread = |b: &mut Value| b["dsseEnvelope"]["signatures"][0]["sig"] = json!("@");
    assert!(is_malformed(&reason_for(unread)));
    let two = |b: &mut Value| {
        let one = b["dsseEnvelope"]["signatures"][0].clone();
        b["dsseEnvelope"]["signatures"] = json!([one, one]);
    };
    assert_eq!(reason_for(two), Reason::SignatureCount(2));
    let none = |b: &mut Value| b["dsseEnvelope"]["signatures"] = json!([]);
    assert_eq!(reason_for(none), Reason::SignatureCount(0));
    let kind = |b: &mut Value| b["dsseEnvelope"]["payloadType"] = json!("text/plain");
    assert!(matches!(reason_for(kind), Reason::PayloadType(_)));
    assert!(is_malformed(&reason_for(|b| b["dsseEnvelope"] = Value::Null)));
}

#[test]
fn another_kind_of_bundle_does_not_count() {
    let keyless = json!({ "certificate": { "rawBytes": "AA==" } });
    let keyless = |b: &mut Value| b["verificationMaterial"] = keyless.clone();
    assert_eq!(reason_for(keyless), Reason::Certificate);
    let old = json!("application/vnd.dev.sigstore.bundle+json;version=0.2");
    assert!(is_malformed(&reason_for(|b| b["mediaType"] = old.clone())));
    assert!(is_malformed(&reason_for(|b| *b = json!("x"))));
    assert!(is_malformed(&reason_for(|b| *b = json!([{ "mediaType": 1 }]))));
}

/// The older spelling of v0.3 is read too, and the key's hint is a help for messages only.
#[test]
fn what_is_not_signed_and_means_nothing_may_differ() {
    let scene = Scene::demo();
    let other = Scene::demo();
    let options = Options { formats: [Format::Bundle].into(), ..Options::default() };
    sign(&other.image, &other.layout(), &scene.key(), &options).expect("signed");
    let mut bundle = other.bundle();
    bundle["verificationMaterial"]["publicKey"]["hint"] = json!("wrong");
    bundle["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.3");
    scene.referrer(bundle.to_string().as_bytes(), BUNDLE, Some(scene.image));
    verify(&scene.layout(), &scene.image, &scene.public_key()).expect("verified");
}
