//! Blobs on their way from the registry to a blocking reader.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::Error;
use super::blocking::wait;
use super::client::{Call, Client};
use super::transport::text;
use crate::image::Descriptor;
use crate::store;

impl Client {
    /// Asks for a blob from byte `start` on; none if there is no such blob.
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
            StatusCode::OK if start == 0 => Ok(Some(response)),
            StatusCode::PARTIAL_CONTENT if continues(&response, start) => Ok(Some(response)),
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => {
                let reason = "the connection broke, and it does not send the rest alone";
                Err(self.transport.protocol(&step, reason))
            }
            _ => Err(self.transport.refused(&step, response).await),
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
        let (mut seen, mut broken) = (0, 0);
        loop {
            match self.transport.chunk(&step, &mut response).await {
                Ok(None) => return Ok(()),
                Ok(Some(piece)) => {
                    seen += piece.len() as u64;
                    if to.send(Ok(piece)).await.is_err() {
                        return Ok(()); // nobody reads any more
                    }
                }
                Err(_) if seen >= blob.size => return Ok(()),
                Err(error) => {
                    broken += 1;
                    if broken > MOST_RESUMES || seen == 0 && broken > 1 {
                        return Err(error);
                    }
                    tracing::debug!(%error, seen, "ask for the rest");
                    response = self.blob(blob, seen).await?.ok_or(error)?;
                }
            }
        }
    }
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
const MOST_RESUMES: u32 = 5;
