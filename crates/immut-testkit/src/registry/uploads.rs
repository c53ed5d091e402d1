//! Upload sessions: opened, filled, asked, finished, given back.

use super::Sessions;
use super::http::Response;
use super::routes::{Call, Upload};
use crate::recipe::digest_of;

impl Call<'_> {
    pub(super) fn upload(&mut self) -> Response {
        let id = self.rest.clone();
        let limit = self.options.uploads.largest_body;
        if limit.is_some_and(|limit| self.request.body.len() > limit) {
            return Response::new(413).body("<html>413 Request Entity Too Large");
        }
        match self.request.method.as_str() {
            "POST" => self.start(),
            "PATCH" if self.options.uploads.only_put => Response::error(405, "UNSUPPORTED"),
            "PATCH" => self.fill(&id),
            "PUT" => self.finish(&id),
            "GET" => self.status(&id),
            "DELETE" => {
                let known = self.storage.uploads.remove(&id).is_some();
                Response::new(if known { 204 } else { 404 })
            }
            _ => Response::error(405, "UNSUPPORTED"),
        }
    }

    fn start(&mut self) -> Response {
        if self.options.made_first && !self.storage.repositories.contains_key(&self.name) {
            return Response::error(404, "NAME_UNKNOWN");
        }
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
        self.storage.uploads.insert(id.clone(), Upload::default());
        let opened = Response::new(202).with("Location", self.session(&id));
        match self.options.uploads.least_chunk {
            Some(least) => opened.with("OCI-Chunk-Min-Length", least.to_string()),
            None => opened,
        }
    }

    fn fill(&mut self, id: &str) -> Response {
        let location = self.session(id);
        let body = &self.request.body;
        let Some(upload) = self.storage.uploads.get_mut(id) else {
            return Response::error(404, "BLOB_UPLOAD_UNKNOWN");
        };
        let range = self.request.header("content-range").and_then(|range| range.split_once('-'));
        let too_large = self.options.uploads.largest_chunk.is_some_and(|most| body.len() > most);
        if range.is_some() && too_large {
            let message = "the request body is too large and exceeds the maximum";
            return Response::refusal(416, "REQUESTED_RANGE_NOT_SATISFIABLE", message);
        }
        let start = range.and_then(|(start, _)| start.parse().ok());
        if start.is_some_and(|start: usize| start != upload.content.len()) {
            return Response::error(416, "RANGE_INVALID").with("Location", location);
        }
        if upload.short {
            return Response::error(416, "CHUNK_TOO_SHORT");
        }
        upload.short = self.options.uploads.least_chunk.is_some_and(|least| body.len() < least);
        upload.content.extend(body);
        upload.first.get_or_insert(upload.content.len());
        Response::new(202).with("Location", location).with("Range", self.range(id))
    }

    fn status(&self, id: &str) -> Response {
        if self.options.uploads.no_status || !self.storage.uploads.contains_key(id) {
            return Response::error(404, "BLOB_UPLOAD_INVALID");
        }
        Response::new(204).with("Location", self.session(id)).with("Range", self.range(id))
    }

    fn range(&self, id: &str) -> String {
        let upload = &self.storage.uploads[id];
        let size = match upload.first {
            Some(first) if self.options.uploads.stale_range => first,
            _ => upload.content.len(),
        };
        format!("0-{}", size.saturating_sub(1))
    }

    /// A session's location.
    fn session(&self, id: &str) -> String {
        let (origin, root) = match &self.options.uploads.sessions {
            Sessions::Relative => (String::new(), "v2"),
            Sessions::Absolute => (format!("http://{}", self.host), "v2"),
            Sessions::OtherPath => (String::new(), "elsewhere"),
            Sessions::At(host) => (format!("http://{host}"), "v2"),
        };
        format!("{origin}/{root}/{}/blobs/uploads/{id}?_state=a%2Fb", self.name)
    }

    fn finish(&mut self, id: &str) -> Response {
        let Some(upload) = self.storage.uploads.remove(id) else {
            return Response::error(404, "BLOB_UPLOAD_UNKNOWN");
        };
        let mut content = upload.content;
        content.extend(&self.request.body);
        let found = digest_of(&content);
        if self.request.parameter("digest").as_deref() != Some(&found) {
            return Response::error(400, "DIGEST_INVALID");
        }
        self.repository().blobs.insert(found.clone(), content);
        self.created(&found)
    }
}
