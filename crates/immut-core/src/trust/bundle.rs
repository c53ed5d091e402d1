//! Sigstore bundles v0.3 as referrers of the image: what cosign 3 writes and reads first.
//!
//! Formats: the Sigstore bundle (protobuf-specs, `sigstore_bundle.proto`) as JSON, and the OCI
//! image specification 1.1, "Guidelines for artifact usage". Tools put different artifact types
//! and annotations on their lines of the referrers index, so neither is believed: every referrer
//! is opened, and one whose only layer is a bundle counts.

use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::verify::{MAX_SIGNATURES, Survey};
use super::{Error, Format, PublicKey, Reason, Signer, dsse};
use crate::image::{Descriptor, RawManifest, media_type};
use crate::name::Digest;
use crate::store::{self, Sink, Source, read_small};

/// The bundle that says: the holder of the key signed `digest`.
pub(super) fn make(digest: &Digest, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
    let envelope = dsse::seal(&dsse::signature_statement(digest), signer)?;
    let bundle = json!({
        "mediaType": BUNDLE,
        "verificationMaterial": { "publicKey": { "hint": signer.public_key().hint() } },
        "dsseEnvelope": envelope,
    });
    Ok(bundle.to_string().into_bytes())
}

/// Attaches a bundle to an image as a referrer.
pub(super) fn attach(
    bundle: &[u8],
    image: &RawManifest,
    created: SystemTime,
    to: &dyn Sink,
) -> Result<(), store::Error> {
    let config = put(to, media_type::OCI_EMPTY, b"{}")?;
    let layer = put(to, BUNDLE, bundle)?;
    to.put_manifest(&manifest(&config, &layer, &image.descriptor(), created))
}

/// Looks at every bundle that refers to `digest`.
pub(super) fn survey(source: &dyn Source, digest: &Digest, key: &PublicKey) -> Survey {
    let mut survey = Survey::new(Format::Bundle);
    let referrers = match source.referrers(digest) {
        Ok(referrers) => referrers,
        Err(error) => return survey.failed("the list of referrers", error),
    };
    survey.cap("the list of referrers", referrers.len());
    for referrer in referrers.iter().take(MAX_SIGNATURES) {
        let place = referrer.digest.to_string();
        match open(source, &referrer.digest) {
            Ok(None) => {}
            Ok(Some(bundle)) => survey.note(place, check(&bundle, digest, key)),
            Err(error) => survey = survey.failed(&place, error),
        }
    }
    survey
}

/// Writes a small blob unless it is there.
pub(super) fn put(to: &dyn Sink, kind: &str, content: &[u8]) -> Result<Descriptor, store::Error> {
    let blob = Descriptor::of(kind, content);
    if !to.has(&blob)? {
        to.put(&blob, &mut &content[..])?;
    }
    Ok(blob)
}

/// The bundle that a referrer carries; none if it is something else.
fn open(source: &dyn Source, referrer: &Digest) -> Result<Option<Vec<u8>>, store::Error> {
    let manifest = source.manifest(referrer)?;
    let json: Value = serde_json::from_slice(&manifest.bytes).unwrap_or_default();
    let layers = json["layers"].as_array().map_or(&[][..], Vec::as_slice);
    let [layer] = layers else { return Ok(None) };
    match Descriptor::deserialize(layer) {
        Ok(blob) if blob.media_type.starts_with(BUNDLE_PREFIX) => {
            read_small(source, &blob).map(Some)
        }
        _ => Ok(None),
    }
}

fn check(bundle: &[u8], digest: &Digest, key: &PublicKey) -> Result<(), Reason> {
    let bundle: Value = serde_json::from_slice(bundle)
        .map_err(|error| Reason::Malformed(format!("it is no JSON: {error}")))?;
    if !VERSIONS.iter().any(|version| bundle["mediaType"] == *version) {
        let reason = format!("it is a bundle of type {:?}", dsse::text(&bundle["mediaType"]));
        return Err(Reason::Malformed(reason));
    }
    let material = &bundle["verificationMaterial"];
    if material["publicKey"].is_null() {
        return Err(Reason::Certificate);
    }
    if bundle["dsseEnvelope"].is_null() {
        return Err(Reason::Malformed("it has no DSSE envelope".into()));
    }
    let hint = material["publicKey"]["hint"].as_str();
    dsse::check(&bundle["dsseEnvelope"], digest, key).map_err(|reason| match reason {
        Reason::OtherKey(_) if hint == Some(&key.hint()) => Reason::Changed,
        Reason::OtherKey(_) => Reason::OtherKey(hint.map(|hint| dsse::text(&json!(hint)))),
        other => other,
    })
}

/// The referrer manifest, field for field as cosign 3.1 writes it.
fn manifest(
    config: &Descriptor,
    layer: &Descriptor,
    subject: &Descriptor,
    created: SystemTime,
) -> RawManifest {
    RawManifest::from_json(&json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": line(config, Some(BUNDLE)),
        "layers": [line(layer, None)],
        "annotations": {
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": dsse::SIGNATURE,
            "org.opencontainers.image.created": rfc3339(created),
        },
        "subject": line(subject, None),
        "artifactType": BUNDLE,
    }))
}

fn line(blob: &Descriptor, artifact_type: Option<&str>) -> Value {
    let mut line =
        json!({ "mediaType": blob.media_type, "size": blob.size, "digest": blob.digest });
    if let Some(artifact_type) = artifact_type {
        line["artifactType"] = json!(artifact_type);
    }
    line
}

fn rfc3339(time: SystemTime) -> String {
    let whole = OffsetDateTime::from(time).replace_nanosecond(0);
    whole.ok().and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

/// The media type of bundles since v0.3.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const BUNDLE_PREFIX: &str = "application/vnd.dev.sigstore.bundle";
/// What a bundle may call itself; the second spelling is that of early v0.3 bundles.
const VERSIONS: [&str; 2] = [BUNDLE, "application/vnd.dev.sigstore.bundle+json;version=0.3"];
