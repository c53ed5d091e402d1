//! Content on its way from a blocking reader into the bodies of requests.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Where requests take the content of a blob from.
///
/// The content comes once. The last [`KEPT`] bytes of what was sent are kept, so that a request
/// which is refused (an expired token, a busy registry) can be sent again, and an upload that broke
/// can go on where it broke.
#[derive(Debug, Clone)]
pub(super) struct Feed(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    receiver: tokio::sync::Mutex<Receiver<Option<Bytes>>>,
    kept: Mutex<Kept>,
    taken: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    pieces: VecDeque<Bytes>,
    /// Where in the content the first of the pieces begins, and the last one ends.
    start: u64,
    end: u64,
    /// The content broke off.
    broken: bool,
    /// Which stream may take from the channel: the newest.
    stream: u64,
    /// How many bytes are kept.
    most: u64,
}

impl Feed {
    /// A feed and the end to put content into: pieces, or `None` when no more will come although
    /// more should.
    pub(super) fn new() -> (Sender<Option<Bytes>>, Self) {
        Self::keeping(KEPT)
    }

    /// A feed that keeps only so many bytes of what was sent.
    pub(super) fn keeping(most: u64) -> (Sender<Option<Bytes>>, Self) {
        let (sender, receiver) = channel(PIECES);
        let receiver = tokio::sync::Mutex::new(receiver);
        let kept = Mutex::new(Kept { most, ..Kept::default() });
        let taken = AtomicU64::new(0);
        (sender, Self(Arc::new(Inner { receiver, kept, taken })))
    }

    /// Whether [`Feed::stream`] can start at that byte of the content.
    pub(super) fn reaches(&self, at: u64) -> bool {
        let kept = self.0.kept();
        !kept.broken && (kept.start..=kept.end).contains(&at)
    }

    /// Whether the content itself broke off, so that nothing helps.
    pub(super) fn broke_off(&self) -> bool {
        self.0.kept().broken
    }

    /// A number that grows whenever something is taken.
    pub(super) fn taken(&self) -> u64 {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// The content from byte `at` up to byte `end`; streams that were given out before end in an
    /// error.
    pub(super) fn stream(
        &self,
        at: u64,
        end: u64,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let inner = self.0.clone();
        let own = {
            let mut kept = inner.kept();
            kept.stream += 1;
            kept.stream
        };
        unfold(Some((inner, at)), move |state| async move {
            let (inner, at) = state.filter(|(_, at)| *at < end)?;
            match inner.piece(own, at).await {
                Ok(Some(mut piece)) => {
                    piece.truncate(usize::try_from(end - at).unwrap_or(usize::MAX));
                    let next = at + piece.len() as u64;
                    Some((Ok(piece), Some((inner, next))))
                }
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

impl Inner {
    /// What there is from byte `at` on, for the stream number `own`.
    async fn piece(&self, own: u64, at: u64) -> io::Result<Option<Bytes>> {
        self.taken.fetch_add(1, Ordering::Relaxed);
        if let Some(piece) = self.again(own, at)? {
            return Ok(Some(piece));
        }
        let mut receiver = self.receiver.lock().await;
        // An older stream may have taken it before it gave way.
        if let Some(piece) = self.again(own, at)? {
            return Ok(Some(piece));
        }
        let came = receiver.recv().await;
        let mut kept = self.kept();
        match came {
            Some(Some(piece)) => {
                kept.keep(&piece);
                Ok(Some(piece))
            }
            Some(None) => {
                kept.broken = true;
                Err(io::Error::other("the content broke off"))
            }
            None => Ok(None),
        }
    }

    fn again(&self, own: u64, at: u64) -> io::Result<Option<Bytes>> {
        let kept = self.kept();
        if kept.stream != own {
            return Err(io::Error::other("the request was given up"));
        }
        if at < kept.start {
            return Err(io::Error::other("the content is out of reach"));
        }
        Ok(kept.from(at))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// The rest of the piece in which byte `at` lies.
    fn from(&self, at: u64) -> Option<Bytes> {
        let mut start = self.start;
        for piece in &self.pieces {
            let end = start + piece.len() as u64;
            if (start..end).contains(&at) {
                return Some(piece.slice(usize::try_from(at - start).ok()?..));
            }
            start = end;
        }
        None
    }

    fn keep(&mut self, piece: &Bytes) {
        self.end += piece.len() as u64;
        self.pieces.push_back(piece.clone());
        while self.end - self.start > self.most
            && let Some(first) = self.pieces.pop_front()
        {
            self.start += first.len() as u64;
        }
    }
}

/// How many pieces wait in the channel at most.
const PIECES: usize = 4;
/// How large the pieces are that a reader should put in.
pub(super) const PIECE: usize = 128 << 10;
/// How many bytes of what was sent are kept.
pub(super) const KEPT: u64 = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;

    async fn all(feed: &Feed, at: u64) -> Vec<u8> {
        let pieces: Vec<_> =
            feed.stream(at, 99).map(|piece| piece.expect("content")).collect().await;
        pieces.concat()
    }

    #[tokio::test]
    async fn what_is_kept_can_be_sent_again() {
        let (sender, feed) = Feed::new();
        for piece in ["ab", "cd", "ef"] {
            sender.send(Some(Bytes::from(piece))).await.expect("room");
        }
        let mut first = std::pin::pin!(feed.stream(0, 99));
        assert_eq!(first.next().await.expect("a piece").expect("content"), "ab");
        assert!(feed.reaches(2) && !feed.reaches(3), "no more than two were taken");
        drop(sender);
        for (at, rest) in [(0, "abcdef"), (1, "bcdef"), (2, "cdef"), (5, "f"), (6, "")] {
            assert_eq!(all(&feed, at).await, rest.as_bytes(), "{at}");
        }
        assert!(first.next().await.expect("an end").is_err(), "the older stream is given up");
        let chunk: Vec<_> = feed.stream(1, 3).map(|piece| piece.expect("content")).collect().await;
        assert_eq!(chunk.concat(), b"bc");
    }

    #[tokio::test]
    async fn the_beginning_of_a_large_content_is_let_go() {
        let (sender, feed) = Feed::new();
        let half = Bytes::from(vec![0; usize::try_from(KEPT / 2).expect("small")]);
        for piece in [&half, &half, &half] {
            sender.send(Some(piece.clone())).await.expect("room");
        }
        drop(sender);
        let sent: Vec<_> = feed.stream(0, u64::MAX).collect().await;
        assert_eq!(sent.len(), 3);
        assert!(!feed.reaches(0) && feed.reaches(KEPT / 2) && feed.reaches(KEPT / 2 * 3));
        assert!(!feed.reaches(KEPT / 2 * 3 + 1));
    }

    #[tokio::test]
    async fn content_that_breaks_off_is_not_sent_again() {
        let (sender, feed) = Feed::new();
        sender.send(None).await.expect("room");
        let pieces: Vec<_> = feed.stream(0, 99).collect().await;
        assert!(matches!(pieces[..], [Err(_)]));
        assert!(feed.broke_off() && !feed.reaches(0));
    }
}
