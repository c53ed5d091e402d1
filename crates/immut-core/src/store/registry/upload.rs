//! Blobs on their way to the registry: a session is started, filled and finished, or the blob is
//! mounted from another repository.

use std::io::{self, Read};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode, Url};
use tokio::sync::mpsc::Sender;
use tokio::task::{JoinError, JoinHandle};

use super::blocking::wait;
use super::client::{Call, Client};
use super::feed::{Feed, PIECE};
use super::transport::text;
use super::{Error, retry};
use crate::image::Descriptor;
use crate::name::Digest;
use crate::store;

/// What came of the wish to mount a blob.
pub(super) enum Mount {
    /// It is there.
    Done,
    /// It is not; the registry opened an upload session instead.
    Session(Url),
    /// It is not.
    Refused,
}

impl Client {
    /// Asks for a blob of the repository `from` to be mounted.
    ///
    /// To be refused is no error: the bytes can still be sent.
    pub(super) async fn mount(&self, digest: &Digest, from: &str) -> Result<Mount, Error> {
        let step = format!("mount blob {digest} from {from}");
        let mut url = self.url(&["blobs", "uploads", ""]);
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
            StatusCode::ACCEPTED => {
                let location = text(response.headers(), "location").unwrap_or_default();
                self.transport.target(&step, response.url(), location).map(Mount::Session)
            }
            _ => Ok(Mount::Refused),
        }
    }

    /// Sends a blob into the session, or a new one, and returns where it is to be finished.
    ///
    /// When the registry fails for a passing reason before the content is out of reach (see
    /// [`Feed`]) a new session is started.
    pub(super) async fn fill(
        &self,
        blob: Descriptor,
        mut session: Option<Url>,
        feed: Feed,
    ) -> Result<Url, Error> {
        let mut tried = 0;
        loop {
            let given = session.is_some();
            let target = match session.take() {
                Some(session) => session,
                None => self.start(&blob.digest).await?,
            };
            let error = match self.patch(&blob, target.clone(), feed.clone()).await {
                Ok(next) => return Ok(next),
                Err(error) => error,
            };
            self.abandon(target).await;
            // A session that a mount opened long ago may be forgotten by now.
            let stale = given && error.status() == Some(404);
            let pause = retry::pause(&error, self.backoff, tried)
                .or(stale.then_some(Duration::ZERO))
                .filter(|_| feed.rewinds());
            let Some(pause) = pause else { return Err(error) };
            tracing::debug!(%error, ?pause, "start the upload again");
            tokio::time::sleep(pause).await;
            tried += 1;
        }
    }

    async fn start(&self, digest: &Digest) -> Result<Url, Error> {
        let step = format!("start the upload of blob {digest}");
        let url = self.url(&["blobs", "uploads", ""]);
        let response = self.succeed(&Call::new(&step, Method::POST, url, self.to_push())).await?;
        let Some(location) = text(response.headers(), "location") else {
            return Err(self.transport.protocol(&step, "it does not say where to send the bytes"));
        };
        self.transport.target(&step, response.url(), location)
    }

    async fn patch(&self, blob: &Descriptor, session: Url, feed: Feed) -> Result<Url, Error> {
        let step = format!("push blob {}", blob.digest);
        let call = Call::new(&step, Method::PATCH, session.clone(), self.to_push())
            .header(CONTENT_TYPE, "application/octet-stream")
            .feed(feed, blob.size);
        let response = self.succeed(&call).await?;
        match text(response.headers(), "location") {
            Some(location) => self.transport.target(&step, response.url(), location),
            None => Ok(session),
        }
    }

    /// Finishes a session: the registry checks the digest and keeps the blob.
    pub(super) async fn finish(
        &self,
        blob: Descriptor,
        mut session: Url,
    ) -> Result<(), store::Error> {
        let step = format!("finish the upload of blob {}", blob.digest);
        session.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
        let call = Call::new(&step, Method::PUT, session, self.to_push())
            .header(CONTENT_TYPE, "application/octet-stream");
        let response = self.send(&call).await?;
        match response.status() {
            status if status.is_success() => text(response.headers(), "docker-content-digest")
                .map_or(Ok(()), |announced| self.same_digest(&blob.digest, announced)),
            // The session is gone: perhaps because a first try had been heard after all.
            StatusCode::NOT_FOUND if self.has(&step, self.blob_url(&blob.digest)).await? => Ok(()),
            _ => Err(self.transport.refused(&step, response).await.into()),
        }
    }

    /// Gives a session back; the registry would forget it by itself some day.
    pub(super) async fn abandon(&self, session: Url) {
        let call = Call::new("abandon an upload", Method::DELETE, session, self.to_push());
        if let Err(error) = self.attempt(&call).await {
            tracing::debug!(%error, "an upload session is left");
        }
    }

    pub(super) fn blob_url(&self, digest: &Digest) -> Url {
        self.url(&["blobs", &digest.to_string()])
    }
}

/// Reads the content and puts it into the feed's end until the content or the sending ends.
///
/// Gives the reader's verdict on the content and what came of the sending.
pub(super) fn supply<T>(
    content: &mut dyn Read,
    size: u64,
    to: Sender<Option<Bytes>>,
    mut sending: JoinHandle<T>,
) -> (io::Result<()>, Result<T, JoinError>) {
    let read = loop {
        let read = read_piece(content, size);
        let piece = match &read {
            Ok(piece) if piece.is_empty() => break Ok(()),
            Ok(piece) => Some(piece.clone()),
            Err(_) => None,
        };
        // A sender who has stopped need not have let go of the feed.
        match wait(select(Box::pin(to.send(piece)), &mut sending)) {
            Either::Left((Ok(()), _)) if read.is_ok() => {}
            Either::Left(_) => break read.map(drop),
            Either::Right((sent, _)) => return (read.map(drop), sent),
        }
    };
    drop(to);
    (read, wait(sending))
}

fn read_piece(content: &mut dyn Read, size: u64) -> io::Result<Bytes> {
    let mut piece = BytesMut::zeroed(usize::try_from(size).unwrap_or(PIECE).clamp(1, PIECE));
    let mut filled = 0;
    while filled < piece.len() {
        match content.read(&mut piece[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    piece.truncate(filled);
    Ok(piece.freeze())
}
