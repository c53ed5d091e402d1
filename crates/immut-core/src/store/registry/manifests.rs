//! Manifests and tags: fetched, checked, written.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::Value;

use super::Error;
use super::client::{Call, Client};
use super::error::speaks_of_a_rule;
use super::transport::text;
use crate::image::{RawManifest, media_type};
use crate::name::Digest;
use crate::store;

impl Client {
    /// The manifest or index that a tag or digest names; none if there is no such thing.
    pub(super) async fn manifest(
        &self,
        reference: &str,
    ) -> Result<Option<RawManifest>, store::Error> {
        let step = format!("fetch manifest {reference}");
        let url = self.url(&["manifests", reference]);
        let call = Call::new(&step, Method::GET, url, self.to_pull()).header(ACCEPT, MANIFESTS);
        let Some(found) = self.document(&call).await? else { return Ok(None) };
        let digest = Digest::of(&found.bytes);
        let announced = text(&found.headers, "docker-content-digest");
        for expected in [Some(reference), announced].into_iter().flatten() {
            self.same_digest(&digest, expected)?;
        }
        let Ok(json) = serde_json::from_slice(&found.bytes) else {
            let reason = "its answer is no JSON, but perhaps a page for people";
            return Err(self.transport.protocol(&step, reason).into());
        };
        let typed = text(&found.headers, CONTENT_TYPE.as_str()).unwrap_or_default();
        Ok(Some(RawManifest { media_type: media_type_of(&json, typed), bytes: found.bytes }))
    }

    /// Writes a manifest at a tag or digest; whether the registry lists it as a referrer by itself.
    pub(super) async fn put_manifest(
        &self,
        reference: &str,
        manifest: &RawManifest,
    ) -> Result<bool, store::Error> {
        let step = format!("push manifest {reference}");
        let url = self.url(&["manifests", reference]);
        let call = Call::new(step, Method::PUT, url, self.to_push())
            .header(CONTENT_TYPE, &manifest.media_type)
            .bytes(Bytes::from(manifest.bytes.clone()));
        let response = match self.succeed(&call).await {
            Ok(response) => response,
            Err(refused) => {
                self.already_tagged(reference, manifest, refused).await?;
                return Ok(false);
            }
        };
        if let Some(announced) = text(response.headers(), "docker-content-digest") {
            self.same_digest(&Digest::of(&manifest.bytes), announced)?;
        }
        Ok(response.headers().contains_key("oci-subject"))
    }

    /// Whether a tag that was refused names the manifest already, in a repository whose tags do not
    /// move; else the refusal.
    async fn already_tagged(
        &self,
        tag: &str,
        manifest: &RawManifest,
        refused: Error,
    ) -> Result<(), store::Error> {
        let Error::Refused { registry, status: status @ (400 | 403 | 409 | 412), said, .. } =
            &refused
        else {
            return Err(refused.into());
        };
        if tag.contains(':') {
            return Err(refused.into());
        }
        let Ok(Some(there)) = self.manifest(tag).await else { return Err(refused.into()) };
        let now = there.descriptor().digest;
        if now == Digest::of(&manifest.bytes) {
            return Ok(());
        }
        if *status == 403 && !speaks_of_a_rule(said) {
            return Err(refused.into());
        }
        let (registry, tag, said) = (registry.clone(), tag.to_owned(), said.clone());
        Err(Error::Immutable { registry, tag, now, status: *status, said }.into())
    }

    /// Fails when what should be a digest is another SHA-256 than the content's.
    pub(super) fn same_digest(&self, digest: &Digest, expected: &str) -> Result<(), store::Error> {
        if !expected.starts_with("sha256:") || expected == digest.to_string() {
            return Ok(());
        }
        let place = self.repository.to_string();
        let wanted = expected.parse();
        let reason = format!("it is about {digest}");
        Err(match wanted {
            Ok(digest) => store::Error::Corrupt { place, digest, reason },
            Err(_) => store::Error::Corrupt {
                place,
                digest: *digest,
                reason: "the digest that it announces is none".into(),
            },
        })
    }
}

/// The document's own word on what it is, else the registry's.
fn media_type_of(json: &Value, typed: &str) -> String {
    let typed = typed.split(';').next().unwrap_or_default().trim();
    match (json["mediaType"].as_str(), typed) {
        (Some(own), _) => own.to_owned(),
        (None, "") => media_type::OCI_MANIFEST.to_owned(),
        (None, typed) => typed.to_owned(),
    }
}

const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json";
