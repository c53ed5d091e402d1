//! A slow way to a server: what goes through is no faster than it is told.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A port of 127.0.0.1 behind which another server is; it closes when it is dropped.
///
/// ```
/// use immut_testkit::{registry::Registry, slow::Slow};
/// let registry = Registry::start();
/// let slow = Slow::start(&registry.host(), 1_000_000);
/// assert_ne!(slow.host(), registry.host());
/// ```
#[derive(Debug)]
pub struct Slow {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Slow {
    /// Passes on what is sent to a free port, each way of each connection at that rate in bytes a
    /// second.
    pub fn start(host: &str, rate: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let stopped = Arc::new(AtomicBool::new(false));
        let (host, stop) = (host.to_owned(), stopped.clone());
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let host = host.clone();
                // A connection that breaks is its clients' business.
                thread::spawn(move || stream.and_then(|near| pass(&near, &host, rate)));
            }
        });
        Self { address, stopped, accepting: Some(accepting) }
    }

    /// Host and port, as references have them.
    pub fn host(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // The thread waits for a connection: here it is.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

fn pass(near: &TcpStream, host: &str, rate: usize) -> io::Result<()> {
    let far = TcpStream::connect(host)?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    thread::scope(|scope| {
        scope.spawn(|| trickle(near, &far, rate));
        trickle(&far, near, rate)
    })
}

fn trickle(mut from: &TcpStream, mut to: &TcpStream, rate: usize) -> io::Result<()> {
    let mut buffer = vec![0; (rate / PARTS).max(1)];
    let passed = loop {
        let begun = Instant::now();
        match from.read(&mut buffer) {
            Ok(0) => break Ok(()),
            Ok(count) => {
                if let Err(error) = to.write_all(&buffer[..count]) {
                    break Err(error);
                }
                let took = Duration::from_micros((count * 1_000_000 / rate) as u64);
                thread::sleep(took.saturating_sub(begun.elapsed()));
            }
            Err(error) => break Err(error),
        }
    };
    // An end that is gone already needs no farewell.
    to.shutdown(Shutdown::Write).ok();
    passed
}

/// Pieces a second.
const PARTS: usize = 20;
