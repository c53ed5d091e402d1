//! Blobs on their way from the registry to a blocking reader.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::blocking::wait;
use super::client::{Call, Client};
use super::transport::text;
use super::{Error, retry};
use crate::image::Descriptor;
use crate::store;

impl Client {
    /// Asks for a blob from byte `start` on; none if there is no such blob.
    ///
    /// Every time it is the registry that is asked: an address on a storage host that it led to
    /// before may have expired. A registry that knows no ranges answers with the whole blob.
    pub(super) async fn blob(
        &self,
        blob: &Descriptor,
        start: u64,
    ) -> Result<Option<Response>, Error> {
        let step = step(blob);
        let url = self.url(&["blobs", &blob.digest.to_string()]);
        let mut call = Call::new(&step, Method::GET, url, self.to_pull());
        if start > 0 {
            call = call.header(RANGE, &format!("bytes={start}-"));
        }
        let response = self.send(&call).await?;
        match response.status() {
            StatusCode::OK => Ok(Some(response)),
            StatusCode::PARTIAL_CONTENT if continues(&response, start) => Ok(Some(response)),
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => {
                let reason = "the connection broke, and it sends another part than the rest";
                Err(self.transport.protocol(&step, reason))
            }
            _ => Err(self.refused(&step, response).await),
        }
    }

    /// Hands a blob on piece by piece; where the connection breaks, the rest is asked for.
    async fn pump(
        &self,
        blob: &Descriptor,
        mut response: Response,
        to: &Sender<Result<Bytes, Error>>,
    ) -> Result<(), Error> {
        let step = step(blob);
        let (mut seen, mut skipped, mut tried, mut broke_at) = (0, 0, 0, 0);
        loop {
            let (error, ended) = match self.transport.chunk(&step, &mut response).await {
                Ok(Some(mut piece)) => {
                    // What was handed on before is sent again where there are no ranges.
                    skipped += drop_front(&mut piece, seen - skipped);
                    seen += piece.len() as u64;
                    skipped += piece.len() as u64;
                    if piece.is_empty() || to.send(Ok(piece)).await.is_ok() {
                        continue;
                    }
                    return Ok(()); // nobody reads any more
                }
                _ if seen >= blob.size => return Ok(()),
                Ok(None) => (self.transport.ended_early(&step), true),
                Err(error) => (error, false),
            };
            if seen >= broke_at + PROGRESS {
                tried = 0;
            }
            broke_at = seen;
            match self.rest(blob, seen, &error, tried).await {
                Ok(rest) => response = rest,
                // Whoever checks the size says best what is wrong.
                Err(_) if ended => return Ok(()),
                Err(None) => return Err(error.after_tries(tried + 1)),
                Err(Some(error)) => return Err(error),
            }
            skipped = if response.status() == StatusCode::OK { 0 } else { seen };
            tried += 1;
        }
    }

    /// The blob from byte `start` on, after a pause; none in the place of an error when it is not
    /// worth asking again.
    async fn rest(
        &self,
        blob: &Descriptor,
        start: u64,
        error: &Error,
        tried: u32,
    ) -> Result<Response, Option<Error>> {
        let pause = retry::pause(error, self.backoff, tried).ok_or(None)?;
        tracing::debug!(%error, ?pause, start, "ask for the rest");
        tokio::time::sleep(pause).await;
        self.blob(blob, start).await?.ok_or(None)
    }
}

/// Takes up to `count` bytes off the front of a piece; says how many.
fn drop_front(piece: &mut Bytes, count: u64) -> u64 {
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(piece.len());
    drop(piece.split_to(count));
    count as u64
}

/// A blob that is being fetched; not verified yet.
#[derive(Debug)]
pub(super) struct Download {
    pieces: Receiver<Result<Bytes, Error>>,
    piece: Bytes,
}

impl Download {
    /// The reader's end, and what has to run for it.
    pub(super) fn new(
        client: Arc<Client>,
        blob: Descriptor,
        response: Response,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (to, pieces) = channel(PIECES);
        let pump = async move {
            if let Err(error) = client.pump(&blob, response, &to).await {
                // Nobody reads any more: nobody to tell.
                let _ = to.send(Err(error)).await;
            }
        };
        (Self { pieces, piece: Bytes::new() }, pump)
    }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match wait(self.pieces.recv()) {
                None => return Ok(0),
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(error)) => return Err(io::Error::other(store::Error::from(error))),
            }
        }
        let count = buffer.len().min(self.piece.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}

fn step(blob: &Descriptor) -> String {
    format!("fetch blob {}", blob.digest)
}

fn continues(response: &Response, start: u64) -> bool {
    text(response.headers(), CONTENT_RANGE.as_str())
        .is_some_and(|range| range.starts_with(&format!("bytes {start}-")))
}

/// How many pieces wait for the reader at most; hyper makes them no larger than half a MiB.
const PIECES: usize = 4;
/// So many bytes more and the tries are counted anew.
const PROGRESS: u64 = 1 << 20;
