//! The registry's verbs over its storage, as the distribution specification 1.1 names them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::http::{Request, Response};
use super::{Options, Referrers};
use crate::recipe::digest_of;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What is stored.
#[derive(Debug, Default)]
pub(super) struct Storage {
    pub(super) repositories: BTreeMap<String, Repository>,
    pub(super) uploads: BTreeMap<String, Upload>,
    pub(super) started: usize,
    /// Signatures of addresses that were not used yet.
    signatures: BTreeSet<String>,
}

/// An upload session.
#[derive(Debug, Default)]
pub(super) struct Upload {
    pub(super) content: Vec<u8>,
    /// How many bytes it had after the first chunk.
    pub(super) first: Option<usize>,
    /// Its last chunk was too short to be followed by another.
    pub(super) short: bool,
}

/// What one repository holds.
#[derive(Debug, Default)]
pub(super) struct Repository {
    pub(super) blobs: BTreeMap<String, Vec<u8>>,
    pub(super) manifests: BTreeMap<String, (String, Vec<u8>)>,
    pub(super) tags: BTreeMap<String, String>,
}

/// Answers a request that is allowed.
pub(super) fn answer(
    storage: &mut Storage,
    options: &Options,
    host: &str,
    request: &Request,
) -> Response {
    let path = request.route();
    let kinds = ["/blobs/uploads/", "/blobs/", "/manifests/", "/referrers/"];
    let found = kinds.iter().find_map(|kind| Some((*kind, path.split_once(kind)?)));
    let Some((kind, (name, rest))) = found else {
        return Response::new(if path.is_empty() { 200 } else { 404 });
    };
    let mut call = Call { storage, options, host, request, name: name.into(), rest: rest.into() };
    match kind {
        "/blobs/uploads/" => call.upload(),
        "/blobs/" => call.blob(),
        "/manifests/" => call.manifest(),
        _ => call.referrers(),
    }
}

pub(super) struct Call<'a> {
    pub(super) storage: &'a mut Storage,
    pub(super) options: &'a Options,
    pub(super) host: &'a str,
    pub(super) request: &'a Request,
    /// The repository.
    pub(super) name: String,
    /// What follows in the path.
    pub(super) rest: String,
}

impl Call<'_> {
    pub(super) fn repository(&mut self) -> &mut Repository {
        self.storage.repositories.entry(self.name.clone()).or_default()
    }

    pub(super) fn created(&self, digest: &str) -> Response {
        if self.options.no_location {
            return Response::new(201);
        }
        let location = format!("/v2/{}/blobs/{digest}", self.name);
        Response::new(201).with("Location", location).with("Docker-Content-Digest", digest)
    }

    fn blob(&mut self) -> Response {
        let (digest, range) = (self.rest.clone(), self.request.header("range"));
        if let Some(host) = &self.options.blobs_at {
            let target = format!("http://{host}{}{}", self.request.target, self.sign());
            return Response::new(307).with("Location", target);
        }
        if self.options.signed && !self.signature_is_good() {
            return Response::new(403).body("<Error><Code>AccessDenied</Code></Error>");
        }
        let start = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        let start = start.and_then(|start| start.parse().ok()).filter(|_| !self.options.no_ranges);
        let Some(content) = self.repository().blobs.get(&digest) else {
            return Response::error(404, "BLOB_UNKNOWN");
        };
        let size = content.len();
        match start {
            Some(start) if start >= size => Response::error(416, "RANGE_INVALID"),
            Some(start) => Response::new(206)
                .with("Content-Range", format!("bytes {start}-{}/{size}", size - 1))
                .body(&content[start..]),
            None => Response::new(200).with("Docker-Content-Digest", digest).body(&content[..]),
        }
    }

    fn sign(&mut self) -> String {
        if !self.options.signed {
            return String::new();
        }
        self.storage.started += 1;
        let signature = format!("signature-{}", self.storage.started);
        self.storage.signatures.insert(signature.clone());
        format!("?signature={signature}")
    }

    fn signature_is_good(&mut self) -> bool {
        let given = self.request.parameter("signature");
        given.is_some_and(|signature| self.storage.signatures.remove(&signature))
    }

    fn manifest(&mut self) -> Response {
        let asked = self.rest.clone();
        if self.request.method == "PUT" {
            return self.put_manifest(&asked);
        }
        let repository = self.repository();
        let digest = repository.tags.get(&asked).unwrap_or(&asked).clone();
        match repository.manifests.get(&digest) {
            Some((media_type, content)) => Response::new(200)
                .with("Content-Type", media_type)
                .with("Docker-Content-Digest", digest)
                .body(&content[..]),
            None => Response::error(404, "MANIFEST_UNKNOWN"),
        }
    }

    fn put_manifest(&mut self, asked: &str) -> Response {
        let content = self.request.body.clone();
        let media_type = self.request.header("content-type").unwrap_or_default().to_owned();
        let digest = digest_of(&content);
        let subject = subject(&content);
        if asked.starts_with("sha256:") && asked != digest {
            return Response::error(400, "DIGEST_INVALID");
        }
        let taken = self.repository().tags.contains_key(asked);
        if let Some(rule) = self.options.immutable.as_ref().filter(|_| taken) {
            return Response::refusal(rule.status, rule.code, rule.message);
        }
        self.repository().manifests.insert(digest.clone(), (media_type, content));
        if !asked.starts_with("sha256:") {
            self.repository().tags.insert(asked.to_owned(), digest.clone());
        }
        let created = self.created(&digest);
        match subject {
            Some(subject) if matches!(self.options.referrers, Referrers::Native) => {
                created.with("OCI-Subject", subject)
            }
            _ => created,
        }
    }

    fn referrers(&mut self) -> Response {
        match &self.options.referrers {
            Referrers::Absent => return Response::error(404, "UNSUPPORTED"),
            Referrers::Status(status) => return Response::error(*status, "UNSUPPORTED"),
            Referrers::Html => {
                return Response::new(200).with("Content-Type", "text/html").body("<html>Hello");
            }
            Referrers::LeadsTo(host) => {
                let target = format!("http://{host}/-{}", self.request.target);
                return Response::new(303).with("Location", target);
            }
            Referrers::Native | Referrers::Silent => {}
        }
        let asked = self.rest.clone();
        let about = |content: &[u8]| subject(content).as_deref() == Some(asked.as_str());
        let mut lines = Vec::new();
        for (digest, (media_type, content)) in &self.repository().manifests {
            if about(content) {
                let size = content.len();
                lines.push(json!({ "mediaType": media_type, "digest": digest, "size": size }));
            }
        }
        self.page(&lines).with("Content-Type", INDEX)
    }

    fn page(&self, lines: &[Value]) -> Response {
        let start = self.request.parameter("last").and_then(|n| n.parse().ok()).unwrap_or(0);
        let end = self.options.page.map_or(lines.len(), |size| lines.len().min(start + size));
        let page = lines.get(start..end).unwrap_or_default();
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": page });
        let response = Response::new(200).body(index.to_string());
        if end == lines.len() {
            return response;
        }
        let next = format!("<{}?last={end}>; rel=\"next\"", self.request.path());
        response.with("Link", next)
    }
}

fn subject(manifest: &[u8]) -> Option<String> {
    let json: Value = serde_json::from_slice(manifest).ok()?;
    Some(json["subject"]["digest"].as_str()?.to_owned())
}
