//! Upload sessions (distribution specification 1.1, "Pushing blobs"): opened, filled, asked how far
//! they are, finished, given back.

use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, RANGE};
use reqwest::{Method, Response, StatusCode, Url};

use super::Error;
use super::client::{Call, Client};
use super::feed::Feed;
use super::transport::text;
use crate::image::Descriptor;
use crate::name::Digest;
use crate::store;

/// An upload that a registry keeps until it is finished.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// Where its next bytes go.
    pub(super) url: Url,
    /// How many bytes it has.
    pub(super) at: u64,
    /// The fewest bytes of a chunk, but for the last (`OCI-Chunk-Min-Length`).
    pub(super) least: u64,
}

/// How a registry takes the bytes of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// In one PATCH: what every registry is used to, since docker and podman do it.
    Stream,
    /// In several PATCH requests of at most so many bytes.
    Chunks(u64),
    /// With the PUT that finishes the session.
    Whole,
}

impl Manner {
    /// What is left to try when the first bytes of a blob of that size were refused with that status.
    pub(super) fn after(self, status: u16, size: u64) -> Option<Self> {
        let below = |size| CHUNKS.into_iter().find(|chunk| *chunk < size).map(Self::Chunks);
        match (self, status) {
            (Self::Stream, 405 | 501) => Some(Self::Whole),
            (Self::Stream, 400 | 413 | 416) => below(size),
            (Self::Chunks(now), 413 | 416) => below(now.min(size)),
            _ => None,
        }
    }
}

/// What came of the wish to mount a blob.
pub(super) enum Mount {
    /// It is there.
    Done,
    /// It is not; the registry opened an upload session instead.
    Session(Session),
    /// It is not.
    Refused,
}

impl Client {
    /// Asks for a blob of the repository `from` to be mounted, as whoever may push here.
    ///
    /// To be refused is no error: the bytes can still be sent.
    pub(super) async fn mount(&self, digest: &Digest, from: &str) -> Result<Mount, Error> {
        let step = format!("mount blob {digest} from {from}");
        let mut url = self.uploads_url();
        url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", from);
        let mut scopes = self.to_push();
        scopes.push(format!("repository:{from}:pull"));
        let answer = self.send(&Call::new(&step, Method::POST, url, scopes)).await;
        let response = match answer {
            Ok(response) => response,
            // The token server does not let us read there.
            Err(Error::Refused { status: 400..=403, .. }) => return Ok(Mount::Refused),
            Err(error) => return Err(error),
        };
        match response.status() {
            StatusCode::CREATED => Ok(Mount::Done),
            StatusCode::ACCEPTED => match self.opened(&step, &response)? {
                Some(session) => Ok(Mount::Session(session)),
                None => Ok(Mount::Refused),
            },
            _ => Ok(Mount::Refused),
        }
    }

    /// Opens a session for a blob.
    pub(super) async fn start(&self, digest: &Digest) -> Result<Session, Error> {
        self.open(&format!("start the upload of blob {digest}")).await
    }

    /// Opens a session for what the step is about.
    pub(super) async fn open(&self, step: &str) -> Result<Session, Error> {
        let call = Call::new(step, Method::POST, self.uploads_url(), self.to_push());
        let response = self.succeed(&call).await?;
        self.opened(step, &response)?
            .ok_or_else(|| self.transport.protocol(step, "it does not say where to send the bytes"))
    }

    fn opened(&self, step: &str, response: &Response) -> Result<Option<Session>, Error> {
        let Some(location) = text(response.headers(), "location") else { return Ok(None) };
        let url = self.transport.target(step, response.url(), location)?;
        let least = text(response.headers(), "oci-chunk-min-length");
        let least = least.and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
        Ok(Some(Session { url, at: 0, least }))
    }

    /// Sends the bytes of a blob up to byte `end` into a session.
    pub(super) async fn patch(
        &self,
        blob: &Descriptor,
        session: &mut Session,
        feed: &Feed,
        end: u64,
    ) -> Result<(), Error> {
        let step = format!("push blob {}", blob.digest);
        let mut call = self.patch_of(&step, session).feed(feed, session.at, end);
        if session.at > 0 || end < blob.size {
            call = call.header(CONTENT_RANGE, &range(session.at, end));
        }
        self.patched(&call, session).await?;
        // What the answer says of a `Range` is not asked: ECR's does not move after the first chunk.
        session.at = end;
        Ok(())
    }

    /// Sends all bytes of a feed into a session, however many there will be.
    pub(super) async fn patch_all(
        &self,
        step: &str,
        session: &mut Session,
        feed: &Feed,
    ) -> Result<(), Error> {
        let call = self.patch_of(step, session).open_feed(feed);
        self.patched(&call, session).await
    }

    /// Sends the next bytes into a session.
    pub(super) async fn patch_chunk(
        &self,
        step: &str,
        session: &mut Session,
        chunk: Bytes,
    ) -> Result<(), Error> {
        let end = session.at + chunk.len() as u64;
        let call = self.patch_of(step, session).header(CONTENT_RANGE, &range(session.at, end));
        self.patched(&call.bytes(chunk), session).await?;
        session.at = end;
        Ok(())
    }

    fn patch_of(&self, step: &str, session: &Session) -> Call {
        let call = Call::new(step, Method::PATCH, session.url.clone(), self.to_push());
        call.header(CONTENT_TYPE, OCTETS)
    }

    async fn patched(&self, call: &Call, session: &mut Session) -> Result<(), Error> {
        let response = self.succeed(call).await?;
        if let Some(location) = text(response.headers(), "location") {
            session.url = self.transport.target(&call.step, response.url(), location)?;
        }
        Ok(())
    }

    /// How far a session is, and where to go on; none if the registry does not say.
    pub(super) async fn progress(
        &self,
        digest: &Digest,
        session: &Session,
    ) -> Result<Option<Session>, Error> {
        let step = format!("ask how far the upload of blob {digest} is");
        let call = Call::new(&step, Method::GET, session.url.clone(), self.to_push());
        let response = self.attempt(&call).await?;
        let at = received(response.headers());
        let (StatusCode::NO_CONTENT, Some(at)) = (response.status(), at) else { return Ok(None) };
        let url = match text(response.headers(), "location") {
            Some(location) => self.transport.target(&step, response.url(), location)?,
            None => session.url.clone(),
        };
        Ok(Some(Session { url, at, ..*session }))
    }

    /// Finishes a session: the registry checks the digest and keeps the blob.
    ///
    /// `feed` is the whole content where the registry takes it in no other way.
    pub(super) async fn finish(
        &self,
        blob: &Descriptor,
        session: &Session,
        feed: Option<&Feed>,
    ) -> Result<(), store::Error> {
        let step = format!("finish the upload of blob {}", blob.digest);
        let mut url = session.url.clone();
        url.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
        let mut call =
            Call::new(&step, Method::PUT, url, self.to_push()).header(CONTENT_TYPE, OCTETS);
        if let Some(feed) = feed {
            call = call.feed(feed, 0, blob.size);
        }
        let response = self.send(&call).await?;
        match response.status() {
            status if status.is_success() => text(response.headers(), "docker-content-digest")
                .map_or(Ok(()), |announced| self.same_digest(&blob.digest, announced)),
            // The session is gone: perhaps because a first try had been heard after all.
            StatusCode::NOT_FOUND if self.has(&step, self.blob_url(&blob.digest)).await? => Ok(()),
            _ => Err(self.refused(&step, response).await.into()),
        }
    }

    /// Gives a session back; the registry would forget it by itself some day.
    pub(super) async fn abandon(&self, session: Session) {
        let call = Call::new("abandon an upload", Method::DELETE, session.url, self.to_push());
        if let Err(error) = self.attempt(&call).await {
            tracing::debug!(%error, "an upload session is left");
        }
    }

    pub(super) fn blob_url(&self, digest: &Digest) -> Url {
        self.url(&["blobs", &digest.to_string()])
    }

    fn uploads_url(&self) -> Url {
        self.url(&["blobs", "uploads", ""])
    }
}

/// The bytes from `at` up to `end`, as `Content-Range` has them.
fn range(at: u64, end: u64) -> String {
    format!("{at}-{}", end.saturating_sub(1))
}

/// The number of bytes that a `Range: 0-LAST` speaks of; `0-0` is what registries say of none.
fn received(headers: &HeaderMap) -> Option<u64> {
    let range = text(headers, RANGE.as_str())?;
    let range = range.trim_start_matches("bytes").trim_start_matches(['=', ' ']);
    let last: u64 = range.strip_prefix("0-")?.parse().ok()?;
    Some(if last == 0 { 0 } else { last.checked_add(1)? })
}

const OCTETS: &str = "application/octet-stream";
/// GHCR takes no larger chunk.
pub(super) const LARGEST_CHUNK: u64 = 4 << 20;
/// The sizes that are tried; nginx takes 1 MiB where nobody has set a limit.
const CHUNKS: [u64; 3] = [LARGEST_CHUNK, 1 << 20, 256 << 10];

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    #[test]
    fn ranges_are_read_as_registries_write_them() {
        for (written, bytes) in [
            ("0-0", Some(0)),
            ("0-41", Some(42)),
            ("bytes=0-41", Some(42)),
            ("bytes 0-41", Some(42)),
            ("1-41", None),
            ("0-18446744073709551615", None),
            ("all", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, HeaderValue::from_static(written));
            assert_eq!(received(&headers), bytes, "{written}");
        }
    }

    #[test]
    fn chunks_get_smaller_and_end() {
        for (size, chunks) in [
            (9 << 20, &CHUNKS[..]),
            (4 << 20, &CHUNKS[1..]),
            (1 << 20, &CHUNKS[2..]),
            (256 << 10, &[]),
        ] {
            let tried =
                std::iter::successors(Manner::Stream.after(413, size), |now| now.after(413, size));
            let expected: Vec<_> = chunks.iter().copied().map(Manner::Chunks).collect();
            assert_eq!(tried.collect::<Vec<_>>(), expected, "{size}");
        }
        assert_eq!(Manner::Stream.after(405, 1), Some(Manner::Whole));
        assert_eq!(Manner::Whole.after(413, 9 << 20), None);
    }
}
