//! Blobs on their way to the registry, and what is done when that breaks.

use std::io::{self, Read};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use tokio::sync::mpsc::Sender;
use tokio::task::{JoinError, JoinHandle};

use super::blocking::wait;
use super::client::Client;
use super::feed::{Feed, PIECE};
use super::session::{LARGEST_CHUNK, Manner, Session};
use super::{Error, retry};
use crate::image::Descriptor;
use crate::store;

impl Client {
    /// Sends a blob into the session, or a new one; returns where it is to be finished, or none
    /// when it is.
    ///
    /// An upload that breaks goes on where it broke, if the registry says where that is and the
    /// feed still has it, else from the beginning if the feed still has that. Otherwise it is
    /// [`Error::Interrupted`], and the content has to be opened again.
    pub(super) async fn fill(
        &self,
        blob: Descriptor,
        given: Option<Session>,
        feed: Feed,
    ) -> Result<Option<Session>, store::Error> {
        let mut session = match given {
            Some(session) => session,
            None => self.start(&blob.digest).await?,
        };
        let (mut tried, mut furthest) = (0, 0);
        loop {
            let manner = self.manner();
            let error = match self.send_into(&blob, &mut session, &feed, manner).await {
                Ok(true) => return Ok(None),
                Ok(false) => return Ok(Some(session)),
                Err(store::Error::Registry(error)) => error,
                Err(error) => return Err(error),
            };
            session = self.recover(&blob, session, &feed, error, (manner, tried)).await?;
            // Whoever gets somewhere may break again.
            tried = if session.at >= furthest + PROGRESS { 0 } else { tried + 1 };
            furthest = furthest.max(session.at);
        }
    }

    /// Sends what is left; whether the session is finished by it.
    async fn send_into(
        &self,
        blob: &Descriptor,
        session: &mut Session,
        feed: &Feed,
        manner: Manner,
    ) -> Result<bool, store::Error> {
        let size = match manner {
            Manner::Whole if session.at == 0 => {
                self.finish(blob, session, Some(feed)).await?;
                return Ok(true);
            }
            Manner::Stream if session.at == 0 => blob.size,
            // To go on is to send chunks.
            Manner::Stream | Manner::Whole => LARGEST_CHUNK.max(session.least),
            Manner::Chunks(size) => size.max(session.least),
        };
        while session.at < blob.size {
            let end = session.at.saturating_add(size).min(blob.size);
            self.patch(blob, session, feed, end).await?;
        }
        Ok(false)
    }

    /// What to try after that manner was refused with that status: what another upload has found
    /// out meanwhile, else the next.
    pub(super) fn after(&self, refused: Manner, status: u16, size: u64) -> Option<Manner> {
        let next = refused.after(status, size)?;
        Some(Some(self.manner()).filter(|now| *now != refused).unwrap_or(next))
    }

    /// The session to go on with after an error of the try in that manner, if it is not the last word.
    async fn recover(
        &self,
        blob: &Descriptor,
        session: Session,
        feed: &Feed,
        error: Error,
        (manner, tried): (Manner, u32),
    ) -> Result<Session, Error> {
        let status = error.status().unwrap_or_default();
        let other = self.after(manner, status, blob.size).filter(|_| session.at == 0);
        // Once more may help when the token died while the bytes were sent, or the session did.
        let lost = match status {
            401 => !feed.reaches(session.at),
            404 | 416 => true,
            _ => false,
        };
        let lost = lost && tried < 2;
        let pause = match (other, lost) {
            (None, false) => retry::pause(&error, self.backoff, tried),
            _ => Some(Duration::ZERO),
        };
        let Some(pause) = pause.filter(|_| !feed.broke_off()) else {
            self.abandon(session).await;
            return Err(error.after_tries(tried + 1));
        };
        tracing::debug!(%error, ?pause, "go on with the upload, or start it again");
        tokio::time::sleep(pause).await;
        // A session that is not where it said it is cannot be believed again.
        let asks = other.is_none() && status != 416;
        let reached = if asks { self.progress(&blob.digest, &session).await } else { Ok(None) };
        match reached {
            Ok(Some(reached)) if reached.at > 0 && feed.reaches(reached.at) => return Ok(reached),
            Err(refused) if matches!(refused.status(), Some(401 | 403)) => return Err(refused),
            _ => self.abandon(session).await,
        }
        // Where a broken request cannot be gone on with, smaller ones lose less.
        let smaller = self.after(manner, 413, blob.size).filter(|_| error.is_break());
        if let Some(other) = other.or(smaller) {
            self.take_as(other);
        }
        if feed.reaches(0) {
            return self.start(&blob.digest).await;
        }
        Err(Error::Interrupted { cause: Box::new(error), pause: self.backoff })
    }

    /// Finishes a session that has all bytes.
    ///
    /// If the registry does not know the session any more, or finds other bytes in it than were
    /// sent, the content has to be opened again.
    pub(super) async fn complete(
        &self,
        blob: &Descriptor,
        session: &Session,
    ) -> Result<(), store::Error> {
        match self.finish(blob, session, None).await {
            Err(store::Error::Registry(cause))
                if matches!(cause.status(), Some(400 | 404 | 416)) =>
            {
                let (cause, pause) = (Box::new(cause), self.backoff);
                Err(Error::Interrupted { cause, pause }.into())
            }
            done => done,
        }
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

/// So many bytes more and the tries are counted anew.
const PROGRESS: u64 = 1 << 20;
