//! The registry's verbs over its storage, as the distribution specification 1.1 names them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::Digest as _;

use super::Options;
use super::http::{Request, Response};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What is stored.
#[derive(Debug, Default)]
pub(super) struct Storage {
    pub(super) repositories: BTreeMap<String, Repository>,
    uploads: BTreeMap<String, Vec<u8>>,
    started: usize,
}

/// What one repository holds.
#[derive(Debug, Default)]
pub(super) struct Repository {
    pub(super) blobs: BTreeMap<String, Vec<u8>>,
    pub(super) manifests: BTreeMap<String, (String, Vec<u8>)>,
    pub(super) tags: BTreeMap<String, String>,
}

pub(super) fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(sha2::Sha256::digest(content)))
}

/// Answers a request that is allowed.
pub(super) fn answer(storage: &mut Storage, options: &Options, request: &Request) -> Response {
    let path = request.path().trim_start_matches("/v2/");
    let kinds = ["/blobs/uploads/", "/blobs/", "/manifests/", "/referrers/"];
    let found = kinds.iter().find_map(|kind| Some((*kind, path.split_once(kind)?)));
    let Some((kind, (name, rest))) = found else {
        return Response::new(if path.is_empty() { 200 } else { 404 });
    };
    let mut call = Call { storage, options, request, name: name.into(), rest: rest.into() };
    match kind {
        "/blobs/uploads/" => call.upload(),
        "/blobs/" => call.blob(),
        "/manifests/" => call.manifest(),
        _ => call.referrers(),
    }
}

struct Call<'a> {
    storage: &'a mut Storage,
    options: &'a Options,
    request: &'a Request,
    /// The repository.
    name: String,
    /// What follows in the path.
    rest: String,
}

impl Call<'_> {
    fn repository(&mut self) -> &mut Repository {
        self.storage.repositories.entry(self.name.clone()).or_default()
    }

    fn upload(&mut self) -> Response {
        let id = self.rest.clone();
        match self.request.method.as_str() {
            "POST" => self.start(),
            "PATCH" => match self.storage.uploads.get_mut(&id) {
                Some(content) => {
                    content.extend(&self.request.body);
                    Response::new(202).with("Location", self.session(&id))
                }
                None => Response::error(404, "BLOB_UPLOAD_UNKNOWN"),
            },
            "PUT" => self.finish(&id),
            "DELETE" => {
                let known = self.storage.uploads.remove(&id).is_some();
                Response::new(if known { 204 } else { 404 })
            }
            _ => Response::error(405, "UNSUPPORTED"),
        }
    }

    fn start(&mut self) -> Response {
        if let (Some(digest), Some(from)) =
            (self.request.parameter("mount"), self.request.parameter("from"))
        {
            let source = self.storage.repositories.get(&from);
            if let Some(content) = source.and_then(|from| from.blobs.get(&digest)).cloned() {
                self.repository().blobs.insert(digest.clone(), content);
                return self.created(&digest);
            }
        }
        self.storage.started += 1;
        let id = format!("session-{}", self.storage.started);
        self.storage.uploads.insert(id.clone(), Vec::new());
        Response::new(202).with("Location", self.session(&id))
    }

    /// The session's location: relative and with a query, or on another host.
    fn session(&self, id: &str) -> String {
        let host = self.options.uploads_at.as_ref().map(|host| format!("http://{host}"));
        format!("{}/v2/{}/blobs/uploads/{id}?_state=a%2Fb", host.unwrap_or_default(), self.name)
    }

    fn finish(&mut self, id: &str) -> Response {
        let Some(mut content) = self.storage.uploads.remove(id) else {
            return Response::error(404, "BLOB_UPLOAD_UNKNOWN");
        };
        content.extend(&self.request.body);
        let found = digest(&content);
        if self.request.parameter("digest").as_deref() != Some(&found) {
            return Response::error(400, "DIGEST_INVALID");
        }
        self.repository().blobs.insert(found.clone(), content);
        self.created(&found)
    }

    fn created(&self, digest: &str) -> Response {
        if self.options.no_location {
            return Response::new(201);
        }
        let location = format!("/v2/{}/blobs/{digest}", self.name);
        Response::new(201).with("Location", location).with("Docker-Content-Digest", digest)
    }

    fn blob(&mut self) -> Response {
        let (digest, range) = (self.rest.clone(), self.request.header("range"));
        if let Some(host) = &self.options.blobs_at {
            let target = format!("http://{host}{}", self.request.target);
            return Response::new(307).with("Location", target);
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
        let digest = digest(&content);
        let subject = subject(&content);
        if asked.starts_with("sha256:") && asked != digest {
            return Response::error(400, "DIGEST_INVALID");
        }
        self.repository().manifests.insert(digest.clone(), (media_type, content));
        if !asked.starts_with("sha256:") {
            self.repository().tags.insert(asked.to_owned(), digest.clone());
        }
        let created = self.created(&digest);
        match subject {
            Some(subject) if self.options.native_referrers => created.with("OCI-Subject", subject),
            _ => created,
        }
    }

    fn referrers(&mut self) -> Response {
        if !self.options.native_referrers {
            return Response::error(404, "UNSUPPORTED");
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
