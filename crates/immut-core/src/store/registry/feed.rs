//! Content on its way from a blocking reader into the body of a request.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Where a request takes its body from.
///
/// The content comes once. Its first [`KEPT`] bytes are kept until more have been sent, so that a
/// request which is refused at once (an expired token, a busy registry), or whose content is small,
/// can be sent again.
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
    chunks: Vec<Bytes>,
    size: usize,
    /// The beginning is gone, or the content broke off.
    lost: bool,
    /// Which stream may take from the channel: the newest.
    stream: u64,
}

impl Feed {
    /// A feed and the end to put content into: pieces, or `None` when no more will come although
    /// more should.
    pub(super) fn new() -> (Sender<Option<Bytes>>, Self) {
        let (sender, receiver) = channel(PIECES);
        let receiver = tokio::sync::Mutex::new(receiver);
        let (kept, taken) = (Mutex::default(), AtomicU64::new(0));
        (sender, Self(Arc::new(Inner { receiver, kept, taken })))
    }

    /// Whether [`Feed::stream`] can start from the beginning once more.
    pub(super) fn rewinds(&self) -> bool {
        !self.0.kept().lost
    }

    /// A number that grows whenever something is taken.
    pub(super) fn taken(&self) -> u64 {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// The content from its beginning; streams that were given out before end in an error.
    pub(super) fn stream(&self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let inner = self.0.clone();
        let own = {
            let mut kept = inner.kept();
            kept.stream += 1;
            kept.stream
        };
        unfold(Some((inner, own, 0)), |state| async move {
            let (inner, own, next) = state?;
            match inner.piece(own, next).await {
                Ok(Some(piece)) => Some((Ok(piece), Some((inner, own, next + 1)))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

impl Inner {
    /// The piece number `next`, for the stream number `own`.
    async fn piece(&self, own: u64, next: usize) -> io::Result<Option<Bytes>> {
        if let Some(piece) = self.again(own, next)? {
            return Ok(Some(piece));
        }
        let mut receiver = self.receiver.lock().await;
        // An older stream may have taken it before it gave way.
        if let Some(piece) = self.again(own, next)? {
            return Ok(Some(piece));
        }
        let came = receiver.recv().await;
        self.taken.fetch_add(1, Ordering::Relaxed);
        let mut kept = self.kept();
        match came {
            Some(Some(piece)) => {
                kept.keep(&piece);
                Ok(Some(piece))
            }
            Some(None) => {
                kept.lost = true;
                Err(io::Error::other("the content broke off"))
            }
            None => Ok(None),
        }
    }

    fn again(&self, own: u64, next: usize) -> io::Result<Option<Bytes>> {
        let kept = self.kept();
        if kept.stream != own {
            return Err(io::Error::other("the request was given up"));
        }
        Ok(kept.chunks.get(next).cloned())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, piece: &Bytes) {
        self.size = self.size.saturating_add(piece.len());
        self.lost |= self.size > KEPT;
        if self.lost {
            self.chunks = Vec::new();
        } else {
            self.chunks.push(piece.clone());
        }
    }
}

/// How many pieces wait in the channel at most.
const PIECES: usize = 4;
/// How large the pieces are that a reader should put in.
pub(super) const PIECE: usize = 128 << 10;
/// How many bytes of the beginning are kept.
const KEPT: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;

    async fn all(feed: &Feed) -> Vec<u8> {
        let pieces: Vec<_> = feed.stream().map(|piece| piece.expect("content")).collect().await;
        pieces.concat()
    }

    #[tokio::test]
    async fn a_small_content_can_be_sent_again() {
        let (sender, feed) = Feed::new();
        for piece in ["a", "b", "c"] {
            sender.send(Some(Bytes::from(piece))).await.expect("room");
        }
        let mut first = std::pin::pin!(feed.stream());
        assert_eq!(first.next().await.expect("a piece").expect("content"), "a");
        drop(sender);
        assert_eq!(all(&feed).await, b"abc");
        assert!(first.next().await.expect("an end").is_err(), "the older stream is given up");
        assert_eq!(all(&feed).await, b"abc");
        assert!(feed.rewinds());
    }

    #[tokio::test]
    async fn a_large_or_broken_content_cannot() {
        let (sender, feed) = Feed::new();
        sender.send(Some(Bytes::from(vec![0; KEPT + 1]))).await.expect("room");
        drop(sender);
        assert_eq!(all(&feed).await.len(), KEPT + 1);
        assert!(!feed.rewinds());

        let (sender, feed) = Feed::new();
        sender.send(None).await.expect("room");
        let pieces: Vec<_> = feed.stream().collect().await;
        assert!(matches!(pieces[..], [Err(_)]));
        assert!(!feed.rewinds());
    }
}
