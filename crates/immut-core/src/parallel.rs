//! Work side by side: layers, and the steps of one layer.

use std::io::{self, BufRead, Read, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};

/// Runs `one` for each of the weights' numbers on at most `jobs` threads, the heaviest first, so that
/// none of them comes last and alone. After an error no new one is begun, and the first error in
/// order is given back.
pub(crate) fn in_parallel<T: Send, E: Send>(
    weights: &[u64],
    jobs: usize,
    one: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let count = weights.len();
    let mut order: Vec<usize> = (0..count).collect();
    if jobs > 1 {
        order.sort_by_key(|number| std::cmp::Reverse(weights[*number]));
    }
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Result<T, E>>>> = (0..count).map(|_| Mutex::new(None)).collect();
    let work = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(number) = order.get(place).copied() else { return };
            let outcome = one(number);
            if outcome.is_err() {
                next.store(count, Ordering::Relaxed);
            }
            *results[number].lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, count.max(1)) {
            scope.spawn(work);
        }
    });
    let results = results.into_iter().map(Mutex::into_inner);
    results.filter_map(|result| result.unwrap_or_else(PoisonError::into_inner)).collect()
}

/// Bytes from one thread to another, a few pieces at a time: what goes in waits while so many are
/// under way.
pub(crate) fn pipe() -> (Inlet, Outlet) {
    let (full, pieces) = sync_channel(PIECES);
    let (empty, spare) = channel();
    for _ in 0..PIECES {
        let _ = empty.send(vec![0; PIECE]);
    }
    let inlet = Inlet { full, spare, filling: vec![0; PIECE], filled: 0 };
    (inlet, Outlet { pieces, empty, current: Vec::new(), left: 0..0, ended: false })
}

/// Reads on a thread of its own, some pieces ahead. The thread gives the reader back; it ends when
/// the reader does, or when the outlet is dropped.
pub(crate) fn ahead<'scope, R: Read + Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    mut reader: R,
) -> (Outlet, ScopedJoinHandle<'scope, R>) {
    let (mut inlet, outlet) = pipe();
    let thread = scope.spawn(move || {
        match inlet.read_from(&mut reader) {
            Ok(()) => inlet.end(),
            Err(error) => inlet.fail(error),
        }
        reader
    });
    (outlet, thread)
}

/// Writes on a thread of its own, some pieces behind. The thread gives the writer back.
pub(crate) fn behind<'scope, W: Write + Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    mut writer: W,
) -> (Inlet, ScopedJoinHandle<'scope, io::Result<W>>) {
    let (inlet, mut outlet) = pipe();
    let thread = scope.spawn(move || {
        loop {
            let piece = outlet.fill_buf()?;
            if piece.is_empty() {
                return Ok(writer);
            }
            writer.write_all(piece)?;
            let count = piece.len();
            outlet.consume(count);
        }
    });
    (inlet, thread)
}

/// Pieces that may be under way, and their size in bytes.
const PIECES: usize = 4;
const PIECE: usize = 128 << 10;

/// A piece with the number of its bytes that count, or the end.
type Message = io::Result<Option<(Vec<u8>, usize)>>;

/// Where bytes go in. They have not all arrived before [`Inlet::end`].
pub(crate) struct Inlet {
    full: SyncSender<Message>,
    spare: Receiver<Vec<u8>>,
    filling: Vec<u8>,
    filled: usize,
}

impl Inlet {
    /// Nothing more comes.
    pub(crate) fn end(mut self) {
        if self.pass_on().is_ok() {
            let _ = self.full.send(Ok(None));
        }
    }

    /// What was to come cannot be had.
    fn fail(self, error: io::Error) {
        let _ = self.full.send(Err(error));
    }

    fn read_from(&mut self, reader: &mut impl Read) -> io::Result<()> {
        loop {
            match reader.read(&mut self.filling[self.filled..]) {
                Ok(0) => return Ok(()),
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.filled == PIECE {
                self.pass_on()?;
            }
        }
    }

    fn pass_on(&mut self) -> io::Result<()> {
        if self.filled == 0 {
            return Ok(());
        }
        let next = self.spare.recv().map_err(|_| gone())?;
        let piece = std::mem::replace(&mut self.filling, next);
        let filled = std::mem::take(&mut self.filled);
        self.full.send(Ok(Some((piece, filled)))).map_err(|_| gone())
    }
}

impl Write for Inlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(PIECE - self.filled);
        self.filling[self.filled..][..count].copy_from_slice(&bytes[..count]);
        self.filled += count;
        if self.filled == PIECE {
            self.pass_on()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on()
    }
}

/// Where bytes come out.
pub(crate) struct Outlet {
    pieces: Receiver<Message>,
    empty: Sender<Vec<u8>>,
    current: Vec<u8>,
    /// What of it was not handed out yet.
    left: Range<usize>,
    ended: bool,
}

impl BufRead for Outlet {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left.is_empty() && !self.ended {
            let used = std::mem::take(&mut self.current);
            self.left = 0..0;
            if !used.is_empty() {
                let _ = self.empty.send(used);
            }
            match self.pieces.recv() {
                Ok(Ok(Some((piece, filled)))) => (self.current, self.left) = (piece, 0..filled),
                Ok(Ok(None)) => self.ended = true,
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(gone()),
            }
        }
        Ok(&self.current[self.left.clone()])
    }

    fn consume(&mut self, count: usize) {
        self.left.start += count;
    }
}

impl Read for Outlet {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.fill_buf()?;
        let count = piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&piece[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// The word of one end of a pipe when the other was dropped.
#[derive(Debug, thiserror::Error)]
#[error("the other end of a pipe is gone")]
struct Gone;

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, Gone)
}

/// Whether that is all that went wrong: then the reason is at the other end.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(error.get_ref(), Some(inner) if inner.is::<Gone>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_comes_first_and_the_order_stays() {
        let begun = Mutex::new(Vec::new());
        let one = |number: usize| {
            begun.lock().expect("whole").push(number);
            Ok::<_, ()>(number * 10)
        };
        assert_eq!(in_parallel(&[1, 3, 2], 1, one), Ok(vec![0, 10, 20]));
        assert_eq!(*begun.lock().expect("whole"), [0, 1, 2], "one thread keeps the order");
        let order = Mutex::new(Vec::new());
        let one = |number: usize| {
            let mut order = order.lock().expect("whole");
            order.push(number);
            Ok::<_, ()>(number)
        };
        assert_eq!(in_parallel(&[1, 3, 2, 9], 2, one), Ok(vec![0, 1, 2, 3]));
        let first = order.lock().expect("whole")[0];
        assert!([1, 3].contains(&first), "{first} is not among the heaviest two");
    }

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let bytes: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let read = std::thread::scope(|scope| {
            let (mut outlet, thread) = ahead(scope, &bytes[..]);
            let mut read = Vec::new();
            outlet.read_to_end(&mut read).expect("read");
            assert!(thread.join().expect("ended").is_empty());
            read
        });
        assert!(read == bytes);
        let written = std::thread::scope(|scope| {
            let (mut inlet, thread) = behind(scope, Vec::new());
            bytes.chunks(777).for_each(|piece| inlet.write_all(piece).expect("written"));
            inlet.end();
            thread.join().expect("ended").expect("written")
        });
        assert!(written == bytes);
    }

    #[test]
    fn an_end_that_breaks_is_no_end() {
        std::thread::scope(|scope| {
            let (mut inlet, thread) = behind(scope, Vec::new());
            inlet.write_all(b"some").expect("written");
            drop(inlet);
            assert!(thread.join().expect("ended").is_err());
        });
        let (mut inlet, outlet) = pipe();
        drop(outlet);
        assert!(inlet.write_all(&vec![0; 3 * PIECE]).is_err());
    }
}
