//! Signatures under the tag `sha256-HEX.sig`: what cosign wrote before version 3.
//!
//! Format: cosign's `specs/SIGNATURE_SPEC.md`. The tag names a manifest with one layer for each
//! signature; the layer is a "simple signing" payload, its signature an annotation of the layer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::verify::{MAX_SIGNATURES, Survey};
use super::{Error, Format, PublicKey, Reason, Signer, bundle, dsse};
use crate::image::{Descriptor, RawManifest, media_type};
use crate::name::{Digest, Repository};
use crate::store::{Sink, Source, read_small};

/// One signature, ready to be appended to the others of its image.
#[derive(Debug)]
pub(super) struct Signature {
    payload: Vec<u8>,
    signature: String,
}

impl Signature {
    /// Signs `digest`; `identity` is the repository that the payload names.
    pub(super) fn make(
        digest: &Digest,
        identity: Option<&Repository>,
        signer: &dyn Signer,
    ) -> Result<Self, Error> {
        let payload = payload(digest, identity);
        let signature = STANDARD.encode(signer.sign(&payload)?);
        Ok(Self { payload, signature })
    }

    /// Appends it to the signatures that are there; those, and what is not known of them, stay.
    pub(super) fn append(&self, digest: &Digest, to: &dyn Sink) -> Result<(), Error> {
        let tag = tag(digest);
        let mut manifest = match to.tagged(&tag)? {
            Some(old) => parse(&tag, &old)?,
            None => json!({
                "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": null, "layers": [],
            }),
        };
        let payload = bundle::put(to, SIMPLE_SIGNING, &self.payload)?;
        let layer = json!({
            "mediaType": payload.media_type, "size": payload.size, "digest": payload.digest,
            "annotations": { SIGNATURE: self.signature },
        });
        let Some(layers) = manifest["layers"].as_array_mut() else { return Ok(()) };
        // There already when a stale read made this a second attempt.
        if layers.contains(&layer) {
            return Ok(());
        }
        if layers.len() >= MAX_SIGNATURES {
            let reason = "it has as many layers as are ever looked at";
            return Err(Error::SignatureTag { tag, reason });
        }
        layers.push(layer);
        manifest["config"] = config(&manifest["config"], &payload.digest, to)?;
        let manifest = RawManifest::from_json(&manifest);
        to.put_manifest(&manifest)?;
        Ok(to.tag(&tag, &manifest)?)
    }
}

/// Looks at every signature under the tag.
pub(super) fn survey(source: &dyn Source, digest: &Digest, key: &PublicKey) -> Survey {
    let mut survey = Survey::new(Format::Legacy);
    let tag = tag(digest);
    let manifest = match source.tagged(&tag) {
        Ok(None) => return survey,
        Ok(Some(manifest)) => manifest,
        Err(error) => return survey.failed(&tag, error),
    };
    let Ok(manifest) = parse(&tag, &manifest) else {
        survey.note(tag, Err(Reason::Malformed("it is no signature manifest".into())));
        return survey;
    };
    let layers = manifest["layers"].as_array().map_or(&[][..], Vec::as_slice);
    survey.cap(&tag, layers.len());
    for layer in layers.iter().take(MAX_SIGNATURES) {
        if layer["mediaType"] != SIMPLE_SIGNING {
            continue;
        }
        let place = format!("{tag}, layer {}", dsse::text(&layer["digest"]));
        let Ok(blob) = Descriptor::deserialize(layer) else {
            survey.note(place, Err(Reason::Malformed("it is no descriptor".into())));
            continue;
        };
        match read_small(source, &blob) {
            Ok(payload) => survey.note(place, check(&layer["annotations"], &payload, digest, key)),
            Err(error) => survey = survey.failed(&place, error),
        }
    }
    survey
}

fn check(
    annotations: &Value,
    payload: &[u8],
    digest: &Digest,
    key: &PublicKey,
) -> Result<(), Reason> {
    let signature = annotations[SIGNATURE].as_str().and_then(dsse::from_base64);
    let signature = signature.ok_or(Reason::Malformed("it carries no signature".into()))?;
    if !key.verifies(payload, &signature) {
        let keyless = annotations[CERTIFICATE].is_string();
        return Err(if keyless { Reason::Certificate } else { Reason::OtherKey(None) });
    }
    let payload: Value = serde_json::from_slice(payload)
        .map_err(|error| Reason::Malformed(format!("its payload is no JSON: {error}")))?;
    let critical = &payload["critical"];
    if critical["type"] != TYPE {
        return Err(Reason::PayloadType(dsse::text(&critical["type"])));
    }
    let named = &critical["image"]["docker-manifest-digest"];
    if *named != digest.to_string() {
        return Err(Reason::OtherImage(dsse::text(named)));
    }
    Ok(())
}

/// The tag that holds the signatures of `digest`.
fn tag(digest: &Digest) -> String {
    format!("{}.sig", crate::store::fallback_tag(digest))
}

/// The signed text, byte for byte as cosign 2.5 writes it.
fn payload(digest: &Digest, identity: Option<&Repository>) -> Vec<u8> {
    let payload = json!({
        "critical": {
            "identity": { "docker-reference": identity.map(docker_reference).unwrap_or_default() },
            "image": { "docker-manifest-digest": digest },
            "type": TYPE,
        },
        "optional": null,
    });
    payload.to_string().into_bytes()
}

/// Docker Hub has its old name in signatures.
fn docker_reference(repository: &Repository) -> String {
    let host = if repository.host == "docker.io" { "index.docker.io" } else { &repository.host };
    format!("{host}/{}", repository.path)
}

fn parse(tag: &str, manifest: &RawManifest) -> Result<Value, Error> {
    let bad = |reason| Error::SignatureTag { tag: tag.to_owned(), reason };
    let json: Value = serde_json::from_slice(&manifest.bytes).map_err(|_| bad("it is no JSON"))?;
    if json["layers"].is_array() && json["config"].is_object() {
        return Ok(json);
    }
    Err(bad("it has no config and layers"))
}

/// The config of a signature manifest with one more layer, as a descriptor.
///
/// cosign writes an image config that lists the layers. One that is something else (other tools
/// write `{}`) is left as it is: no reader minds.
fn config(old: &Value, layer: &Digest, to: &dyn Sink) -> Result<Value, Error> {
    let mut config = match Descriptor::deserialize(old) {
        Ok(blob) => serde_json::from_slice(&read_small(to, &blob)?).unwrap_or_default(),
        Err(_) => json!({
            "architecture": "", "created": YEAR_1, "history": [], "os": "",
            "rootfs": { "type": "layers", "diff_ids": [] }, "config": {},
        }),
    };
    if !config["rootfs"]["diff_ids"].is_array() || !config["history"].is_array() {
        return Ok(old.clone());
    }
    if let Some(history) = config["history"].as_array_mut() {
        history.push(json!({ "created": YEAR_1 }));
    }
    if let Some(diff_ids) = config["rootfs"]["diff_ids"].as_array_mut() {
        diff_ids.push(json!(layer));
    }
    let kind = old["mediaType"].as_str().unwrap_or(media_type::OCI_CONFIG);
    let blob = bundle::put(to, kind, config.to_string().as_bytes())?;
    Ok(json!({ "mediaType": blob.media_type, "size": blob.size, "digest": blob.digest }))
}

const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const TYPE: &str = "cosign container image signature";
/// The zero time of Go: cosign's signatures have no date.
const YEAR_1: &str = "0001-01-01T00:00:00Z";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_what_cosign_writes() {
        let digest = Digest::of(b"{}");
        let repository = Repository { host: "127.0.0.1:5101".into(), path: "leg".into() };
        let expected = r#"{"critical":{"identity":{"docker-reference":"127.0.0.1:5101/leg"},"image":{"docker-manifest-digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"type":"cosign container image signature"},"optional":null}"#;
        assert_eq!(payload(&digest, Some(&repository)), expected.as_bytes());
        let hub = Repository { host: "docker.io".into(), path: "library/redis".into() };
        assert_eq!(docker_reference(&hub), "index.docker.io/library/redis");
    }
}
