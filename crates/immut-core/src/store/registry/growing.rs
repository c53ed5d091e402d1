//! Blobs that are sent while they are made: neither digest nor size is known before the end.

use std::pin::pin;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;

use super::blocking::wait;
use super::client::Client;
use super::feed::Feed;
use super::session::{Manner, Session};
use super::{Error, LONGEST_FAREWELL, Registry};
use crate::image::Descriptor;
use crate::store::{self, Growing};

/// An upload that is under way. Nothing of it is kept, so it is not tried again when it breaks.
pub(super) struct Upload<'a> {
    registry: &'a Registry,
    to: Option<Sender<Option<Bytes>>>,
    sending: Option<JoinHandle<Result<Session, Error>>>,
}

impl<'a> Upload<'a> {
    /// Begins an upload; none if the registry takes blobs with their digest only.
    pub(super) fn begin(registry: &'a Registry) -> Result<Option<Self>, store::Error> {
        if registry.client.manner() == Manner::Whole {
            return Ok(None);
        }
        let (to, feed) = Feed::keeping(0);
        let client = registry.client.clone();
        let sending = registry.runtime.spawn(async move { client.grow(feed).await });
        let sending = sending.ok_or_else(|| registry.stopped())?;
        Ok(Some(Self { registry, to: Some(to), sending: Some(sending) }))
    }

    /// Nothing more comes; gives the session that has all bytes.
    fn end(&mut self) -> Result<Session, store::Error> {
        self.to = None;
        let sending = self.sending.take().ok_or_else(|| self.registry.stopped())?;
        Ok(wait(sending).map_err(|_| self.registry.stopped())??)
    }
}

impl Growing for Upload<'_> {
    fn write(&mut self, piece: &[u8]) -> Result<(), store::Error> {
        let (Some(to), Some(sending)) = (&self.to, &mut self.sending) else {
            return Err(self.registry.stopped());
        };
        let piece = Some(Bytes::copy_from_slice(piece));
        // A sender who has stopped need not have let go of the feed.
        let stopped = match wait(select(Box::pin(to.send(piece)), sending)) {
            Either::Left((Ok(()), _)) => return Ok(()),
            Either::Left(_) => None,
            Either::Right((sent, _)) => Some(sent),
        };
        let session = match stopped {
            Some(sent) => {
                self.sending = None;
                sent.map_err(|_| self.registry.stopped())??
            }
            None => self.end()?,
        };
        // To be content with less than all is no success.
        self.registry.abandon(session)?;
        let transport = &self.registry.client.transport;
        Err(transport.protocol(STEP, "it did not wait for the end").into())
    }

    fn finish(mut self: Box<Self>, blob: &Descriptor) -> Result<(), store::Error> {
        let session = self.end()?;
        let (client, blob) = (self.registry.client.clone(), blob.clone());
        self.registry.run(async move {
            let done = client.complete(&blob, &session).await;
            if done.is_err() {
                client.abandon(session).await;
            }
            done
        })
    }
}

/// Gives the session back if it was not finished.
impl Drop for Upload<'_> {
    fn drop(&mut self) {
        self.to = None;
        let Some(sending) = self.sending.take() else { return };
        let client = self.registry.client.clone();
        let give = async move {
            if let Ok(Ok(session)) = sending.await {
                client.abandon(session).await;
            }
        };
        let give = async { drop(tokio::time::timeout(LONGEST_FAREWELL, give).await) };
        self.registry.runtime.run(give);
    }
}

impl Client {
    /// Sends all that comes into a new session, which is given back after a failure.
    async fn grow(&self, feed: Feed) -> Result<Session, Error> {
        let mut session = self.open(STEP).await?;
        let manner = self.manner();
        let sent = match manner {
            Manner::Chunks(size) => {
                let size = usize::try_from(size.max(session.least)).unwrap_or(usize::MAX);
                self.send_chunks(&mut session, &feed, size).await
            }
            Manner::Stream | Manner::Whole => self.patch_all(STEP, &mut session, &feed).await,
        };
        let Err(error) = sent else { return Ok(session) };
        if let Some(other) = self.after(manner, error.status().unwrap_or_default(), u64::MAX) {
            self.take_as(other);
        }
        self.abandon(session).await;
        Err(error)
    }

    async fn send_chunks(
        &self,
        session: &mut Session,
        feed: &Feed,
        size: usize,
    ) -> Result<(), Error> {
        let mut pieces = pin!(feed.stream(0, u64::MAX));
        let mut chunk = BytesMut::new();
        while let Some(Ok(piece)) = pieces.next().await {
            chunk.extend_from_slice(&piece);
            while chunk.len() >= size {
                self.patch_chunk(STEP, session, chunk.split_to(size).freeze()).await?;
            }
        }
        if chunk.is_empty() {
            return Ok(());
        }
        self.patch_chunk(STEP, session, chunk.freeze()).await
    }
}

const STEP: &str = "push a blob while it is made";
