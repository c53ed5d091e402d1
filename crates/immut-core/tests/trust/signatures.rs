//! Signatures in layouts: made once, kept beside others, believed only when they hold.

use std::collections::BTreeMap;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use immut_core::image::RawManifest;
use immut_core::store::{Sink, Source};
use immut_core::trust::{Error, Format, Options, Outcome, Reason, Signer, sign, sign_all, verify};
use serde_json::{Value, json};

use crate::scene::{BUNDLE, Scene, open_key};

const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

fn contents(scene: &Scene) -> BTreeMap<String, Vec<u8>> {
    let blobs = scene.path("image/blobs/sha256");
    let names = fs::read_dir(blobs).expect("blobs").map(|entry| entry.expect("entry").path());
    let files = names.chain([scene.path("image/index.json")]);
    files.map(|path| (path.display().to_string(), fs::read(&path).expect("read"))).collect()
}

#[test]
fn both_formats_verify_and_are_read_back() {
    let scene = Scene::demo();
    let signed = scene.sign();
    let made = vec![(Format::Bundle, Outcome::Made), (Format::Legacy, Outcome::Made)];
    assert_eq!(signed[0].outcomes, made);
    let verified = verify(&scene.layout(), &scene.image, &scene.public_key()).expect("verified");
    assert_eq!(verified.value().digest, scene.image);
    let formats: Vec<_> = verified.found().iter().map(|found| found.format).collect();
    assert_eq!(formats, [Format::Bundle, Format::Legacy]);
    assert_eq!(verified.rejected(), []);
}

#[test]
fn signing_twice_is_signing_once() {
    let scene = Scene::index();
    scene.sign();
    let before = contents(&scene);
    for signed in scene.sign() {
        assert!(signed.outcomes.iter().all(|(_, outcome)| *outcome == Outcome::AlreadyThere));
    }
    assert_eq!(contents(&scene), before);
}

#[test]
fn an_index_is_signed_after_its_platforms_and_without_attestations() {
    let scene = Scene::index();
    let signed = scene.sign();
    assert_eq!(signed.len(), 3, "{signed:?}");
    assert_eq!(signed[2].digest, scene.image);
    for one in &signed {
        verify(&scene.layout(), &one.digest, &scene.public_key()).expect("verified");
    }
}

#[test]
fn artifacts_in_an_index_are_not_signed() {
    let mut scene = Scene::demo();
    let image = scene.image;
    let about = scene.referrer(b"{}", "application/spdx+json", Some(image));
    let alone = scene.artifact(b"{}", "application/vnd.cncf.helm.chart.content.v1.tar+gzip");
    let mut lines = [&image, &about, &alone].map(|digest| scene.line(digest, "amd64"));
    lines[1].as_object_mut().expect("a line").remove("platform");
    scene.become_index(&lines);
    let signed: Vec<_> = scene.sign().iter().map(|one| one.digest).collect();
    assert_eq!(signed, [image, scene.image]);
    for digest in [about, alone] {
        let error = verify(&scene.layout(), &digest, &scene.public_key()).expect_err("not signed");
        assert!(matches!(error, Error::Unsigned { .. }), "{error}");
    }
}

#[test]
fn of_a_partial_copy_what_is_there_is_signed_and_the_rest_named() {
    let mut scene = Scene::demo();
    let (image, lost) = (scene.image, scene.changed_image("lost"));
    let lines = [scene.line(&lost, "arm64"), scene.line(&image, "amd64")];
    scene.become_index(&lines);
    let inner = scene.image;
    scene.become_index(&[lines[0].clone(), scene.line(&inner, "amd64")]);
    fs::remove_file(scene.path("image/blobs/sha256").join(lost.hex())).expect("there");
    let key = scene.key();
    let done = sign_all(&scene.image, &scene.layout(), &key, &Options::default()).expect("signed");
    let signed: Vec<_> = done.signed.iter().map(|one| one.digest).collect();
    assert_eq!(signed, [image, inner, scene.image]);
    let missing: Vec<String> = done.missing.iter().map(ToString::to_string).collect();
    assert_eq!(missing, [format!("linux/arm64 ({lost})")]);
    verify(&scene.layout(), &scene.image, &scene.public_key()).expect("verified");
}

/// The documents are those that cosign 3.1 and 2.5 write, field for field.
#[test]
fn the_documents_are_those_of_cosign() {
    let scene = Scene::demo();
    let key = scene.key();
    let created = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_795_324_175);
    let identity = "127.0.0.1:5101/leg:t".parse::<immut_core::name::Reference>().expect("a name");
    let identity = immut_core::store::repository(&identity.location).cloned();
    let options = Options { created, identity, ..Options::default() };
    sign(&scene.image, &scene.layout(), &key, &options).expect("signed");
    let referrer = &scene.layout().referrers(&scene.image).expect("read")[0];
    let manifest = scene.layout().manifest(&referrer.digest).expect("there");
    let text = String::from_utf8(manifest.bytes).expect("text");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let subject = scene.layout().manifest(&scene.image).expect("there").descriptor();
    assert_eq!(
        text,
        format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.empty.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","artifactType":"{BUNDLE}"}},"layers":[{{"mediaType":"{BUNDLE}","size":{},"digest":{}}}],"annotations":{{"dev.sigstore.bundle.content":"dsse-envelope","dev.sigstore.bundle.predicateType":"https://sigstore.dev/cosign/sign/v1","org.opencontainers.image.created":"2026-11-22T05:09:35Z"}},"subject":{{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":{},"digest":"{}"}},"artifactType":"{BUNDLE}"}}"#,
            json["layers"][0]["size"], json["layers"][0]["digest"], subject.size, subject.digest
        )
    );
    let bundle = scene.bundle();
    let envelope = &bundle["dsseEnvelope"];
    assert_eq!(
        bundle.to_string(),
        format!(
            r#"{{"mediaType":"{BUNDLE}","verificationMaterial":{{"publicKey":{{"hint":"{}"}}}},"dsseEnvelope":{{"payload":{},"payloadType":"application/vnd.in-toto+json","signatures":[{{"sig":{}}}]}}}}"#,
            key.public_key().hint(),
            envelope["payload"],
            envelope["signatures"][0]["sig"]
        )
    );
    let legacy = scene.legacy();
    let layer = &legacy["layers"][0]["digest"];
    let config = String::from_utf8(scene.blob(&legacy["config"])).expect("text");
    assert_eq!(
        config,
        format!(
            r#"{{"architecture":"","created":"0001-01-01T00:00:00Z","history":[{{"created":"0001-01-01T00:00:00Z"}}],"os":"","rootfs":{{"type":"layers","diff_ids":[{layer}]}},"config":{{}}}}"#
        )
    );
    let payload = String::from_utf8(scene.blob(&legacy["layers"][0])).expect("text");
    assert!(payload.contains(r#""docker-reference":"127.0.0.1:5101/leg""#), "{payload}");
}

#[test]
fn a_signature_moved_from_another_image_does_not_count() {
    let mut scene = Scene::demo();
    scene.sign();
    let (bundle, legacy) = (scene.bundle(), scene.legacy());
    scene.image = scene.changed_image("changed");
    scene.referrer(bundle.to_string().as_bytes(), BUNDLE, Some(scene.image));
    let legacy = RawManifest::from_json(&legacy);
    scene.layout().tag(&scene.tag(), &legacy).expect("written");
    let error = verify(&scene.layout(), &scene.image, &scene.public_key()).expect_err("refused");
    let Error::Broken { rejected, .. } = error else { panic!("{error}") };
    assert_eq!(rejected.len(), 2);
    assert!(rejected.iter().all(|r| matches!(r.reason, Reason::OtherImage(_))), "{rejected:?}");
}

#[test]
fn legacy_signatures_that_were_changed_do_not_count() {
    for (name, change) in [
        ("signature", json!({ SIGNATURE: "MEUCIQ==" })),
        ("none", json!({})),
        ("keyless", json!({ SIGNATURE: "AA==", "dev.sigstore.cosign/certificate": "x" })),
    ] {
        let scene = Scene::demo();
        let formats = [Format::Legacy].into();
        let options = Options { formats, ..Options::default() };
        sign(&scene.image, &scene.layout(), &scene.key(), &options).expect("signed");
        let mut legacy = scene.legacy();
        legacy["layers"][0]["annotations"] = change;
        scene.layout().tag(&scene.tag(), &RawManifest::from_json(&legacy)).expect("written");
        verify(&scene.layout(), &scene.image, &scene.public_key()).expect_err(name);
    }
}

/// The key may sign other things than images in the same format.
#[test]
fn a_legacy_payload_that_is_no_image_signature_does_not_count() {
    let scene = Scene::demo();
    let good = json!({
        "critical": {
            "identity": { "docker-reference": "" },
            "image": { "docker-manifest-digest": scene.image },
            "type": "cosign container image signature",
        },
        "optional": { "creator": "somebody" },
    });
    let signed_as = |payload: &str| {
        let signature = scene.key().sign(payload.as_bytes()).expect("signed");
        let layout = scene.layout();
        let kind = "application/vnd.dev.cosign.simplesigning.v1+json";
        let mut layer = json!(layout.add(kind, payload.as_bytes()).expect("written"));
        layer["annotations"] = json!({ SIGNATURE: STANDARD.encode(signature) });
        let config =
            layout.add("application/vnd.oci.image.config.v1+json", b"{}").expect("written");
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
        layout.tag(&scene.tag(), &RawManifest::from_json(&manifest)).expect("written");
        verify(&scene.layout(), &scene.image, &scene.public_key())
    };
    signed_as(&good.to_string()).expect("verified");
    let mut other = good.clone();
    other["critical"]["type"] = json!("atomic container signature");
    for payload in [other.to_string(), "null".to_owned(), "no JSON".to_owned()] {
        let error = signed_as(&payload).expect_err(&payload);
        assert!(matches!(error, Error::Broken { .. }), "{payload}: {error}");
    }
}

#[test]
fn the_three_refusals_are_three_sentences() {
    let scene = Scene::demo();
    let said = |scene: &Scene| {
        verify(&scene.layout(), &scene.image, &scene.public_key()).expect_err("refused").to_string()
    };
    assert!(said(&scene).ends_with("has no signature"), "{}", said(&scene));
    scene.sign_with(&Scene::demo().key());
    assert!(said(&scene).contains("is signed, but not with this key: "), "{}", said(&scene));
    scene.sign();
    let mut bundle = scene.bundle();
    bundle["verificationMaterial"]["publicKey"]["hint"] = json!(scene.public_key().hint());
    let broken = Scene::demo();
    fs::copy(scene.path("key.pub"), broken.path("key.pub")).expect("copied");
    broken.referrer(bundle.to_string().as_bytes(), BUNDLE, Some(broken.image));
    assert!(said(&broken).contains("has a signature that does not hold: "), "{}", said(&broken));
}

/// cosign 3.1 accepts an image that carries only an attestation by the key; immut does not.
#[test]
fn an_attestation_by_the_same_key_is_no_signature() {
    let scene = Scene::demo();
    scene.referrer(b"{}", "application/spdx+json", Some(scene.image));
    let key = scene.key();
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "digest": { "sha256": scene.image.hex() } }],
        "predicateType": "https://slsa.dev/provenance/v1", "predicate": {},
    });
    let (kind, payload) = ("application/vnd.in-toto+json", statement.to_string());
    let message = format!("DSSEv1 {} {kind} {} {payload}", kind.len(), payload.len());
    let signature = key.sign(message.as_bytes()).expect("signed");
    let bundle = json!({
        "mediaType": BUNDLE,
        "verificationMaterial": { "publicKey": { "hint": key.public_key().hint() } },
        "dsseEnvelope": {
            "payload": STANDARD.encode(payload), "payloadType": kind,
            "signatures": [{ "sig": STANDARD.encode(signature) }],
        },
    });
    scene.referrer(bundle.to_string().as_bytes(), BUNDLE, Some(scene.image));
    let error = verify(&scene.layout(), &scene.image, &scene.public_key()).expect_err("refused");
    let Error::Unsigned { rejected, .. } = &error else { panic!("{error}") };
    assert_eq!(rejected.len(), 1);
    assert!(matches!(rejected[0].reason, Reason::Attestation(_)), "{error}");
    assert!(error.to_string().contains("has no signature (bundle sha256:"), "{error}");
}

#[test]
fn a_keyless_bundle_is_told_from_one_by_another_key() {
    let Some(folder) = crate::peers::fixtures("6-sigstore/sigstore-rs") else { return };
    let scene = Scene::demo();
    let bundle = fs::read(folder.join("bundle_v03.json")).expect("read");
    scene.referrer(&bundle, BUNDLE, Some(scene.image));
    let error = verify(&scene.layout(), &scene.image, &scene.public_key()).expect_err("refused");
    assert!(matches!(error, Error::OtherKeys { .. }), "{error}");
    assert!(error.to_string().contains("with a certificate, not with a key"), "{error}");
}

#[test]
fn the_signatures_of_others_stay() {
    let scene = Scene::demo();
    let other = Scene::demo().key();
    scene.sign_with(&other);
    let sbom = scene.referrer(b"{}", "application/spdx+json", Some(scene.image));
    // What other tools know and immut does not.
    let mut theirs = scene.legacy();
    theirs["annotations"] = json!({ "theirs": "1" });
    let foreign = json!({
        "mediaType": "text/plain", "size": 2, "annotations": { "theirs": "2" },
        "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    });
    theirs["layers"].as_array_mut().expect("layers").push(foreign.clone());
    scene.layout().tag(&scene.tag(), &RawManifest::from_json(&theirs)).expect("written");
    scene.sign();
    let legacy = scene.legacy();
    assert_eq!(legacy["annotations"], theirs["annotations"]);
    assert_eq!(legacy["layers"][0], theirs["layers"][0]);
    assert_eq!(legacy["layers"][1], foreign);
    assert_eq!(legacy["layers"].as_array().expect("layers").len(), 3);
    let config: Value = serde_json::from_slice(&scene.blob(&legacy["config"])).expect("JSON");
    assert_eq!(config["rootfs"]["diff_ids"].as_array().expect("list").len(), 2);
    let referrers = scene.layout().referrers(&scene.image).expect("read");
    assert_eq!(referrers.len(), 3);
    assert!(referrers.iter().any(|referrer| referrer.digest == sbom));
    for key in [other.public_key(), &scene.public_key()] {
        let verified = verify(&scene.layout(), &scene.image, key).expect("verified");
        assert_eq!((verified.found().len(), verified.rejected().len()), (2, 2));
    }
}

#[test]
fn what_lies_under_the_signature_tag_and_is_no_signature_is_left_alone() {
    let scene = Scene::demo();
    let layout = scene.layout();
    let index = RawManifest::from_json(&json!({
        "schemaVersion": 2, "mediaType": immut_core::image::media_type::OCI_INDEX, "manifests": [],
    }));
    layout.tag(&scene.tag(), &index).expect("written");
    let error =
        sign(&scene.image, &layout, &scene.key(), &Options::default()).expect_err("refused");
    assert!(matches!(error, Error::SignatureTag { .. }), "{error}");
    assert_eq!(layout.tagged(&scene.tag()).expect("read"), Some(index));
}

#[test]
fn a_missing_bundle_is_said_and_does_not_hide_a_good_one() {
    let scene = Scene::demo();
    let bundle = b"to be lost";
    scene.referrer(bundle, BUNDLE, Some(scene.image));
    let digest = immut_core::name::Digest::of(bundle);
    let blob = scene.path(&format!("image/blobs/sha256/{}", digest.hex()));
    fs::remove_file(blob).expect("removed");
    let error = verify(&scene.layout(), &scene.image, &scene.public_key()).expect_err("refused");
    assert!(error.to_string().contains("cannot be read"), "{error}");
    scene.sign();
    let verified = verify(&scene.layout(), &scene.image, &scene.public_key()).expect("verified");
    assert_eq!((verified.found().len(), verified.rejected().len()), (2, 1));
}

#[test]
fn an_image_that_is_not_there_is_not_signed() {
    let scene = Scene::demo();
    let digest = immut_core::name::Digest::of(b"nowhere");
    let error = sign(&digest, &scene.layout(), &scene.key(), &Options::default());
    assert!(matches!(error, Err(Error::Store(_))), "{error:?}");
}

#[test]
fn signatures_by_another_kind_of_key_verify_too() {
    let Some(folder) = crate::peers::fixtures("6-sigstore/sigstore-rs/keys") else { return };
    for file in ["rsa_private.key", "ed25519_private.key"] {
        let scene = Scene::demo();
        let key = open_key(&folder.join(file), "");
        scene.sign_with(&key);
        let verified = verify(&scene.layout(), &scene.image, key.public_key()).expect(file);
        assert_eq!(verified.found().len(), 2, "{file}");
        verify(&scene.layout(), &scene.image, &scene.public_key()).expect_err(file);
    }
}
