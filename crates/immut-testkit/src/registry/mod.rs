//! An OCI registry inside the test's own process, on a free port of 127.0.0.1.
//!
//! It behaves well unless it is told not to: [`Options`] say what kind of registry it is,
//! [`Registry::fail`] arms a [`Fault`] for the next requests.
//!
//! ```
//! use immut_testkit::registry::Registry;
//! let registry = Registry::start();
//! let digest = registry.add_blob("demo/app", b"content");
//! assert_eq!(registry.blobs("demo/app"), [digest]);
//! assert!(registry.log().is_empty());
//! ```

mod auth;
pub mod habits;
mod http;
mod options;
mod routes;
mod uploads;

use std::collections::BTreeMap;
use std::io::{self, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use auth::Tokens;
use http::{Request, Response};
pub use options::{Auth, Fault, Options, Referrers, Rule, Sessions, TokenService, Uploads};
use routes::Storage;

use crate::recipe::digest_of;

/// The one user that registries with [`Auth`] know.
pub const USER: &str = "me";
/// The user's password.
pub const PASSWORD: &str = "secret";
/// The user's identity token, for `grant_type=refresh_token`.
pub const IDENTITY_TOKEN: &str = "identity-secret";

/// A request that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub target: String,
    /// The header `Authorization`, if it had one.
    pub authorization: Option<String>,
    /// How many bytes its body had.
    pub size: usize,
    /// The answer's status; 0 if the connection was broken instead.
    pub status: u16,
}

/// A running registry; it stops when it is dropped.
#[derive(Debug)]
pub struct Registry {
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    options: Options,
    storage: Arc<Mutex<Storage>>,
    tokens: Mutex<Tokens>,
    faults: Mutex<Vec<Armed>>,
    /// Method and target of what came, before its body was read.
    arrived: Mutex<Vec<(String, String)>>,
    log: Mutex<Vec<Logged>>,
    stopped: AtomicBool,
}

#[derive(Debug)]
struct Armed {
    method: String,
    part: String,
    times: usize,
    fault: Fault,
}

impl Registry {
    /// Starts a registry that is open to everybody and has no referrers API.
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    /// Starts a registry of that kind.
    pub fn with(options: Options) -> Self {
        Self::over(Arc::default(), options)
    }

    /// Starts a second host over the same storage.
    pub fn beside(other: &Self, options: Options) -> Self {
        Self::over(other.shared.storage.clone(), options)
    }

    fn over(storage: Arc<Mutex<Storage>>, options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let shared = Arc::new(Shared {
            address: listener.local_addr().expect("a bound socket has an address"),
            options,
            storage,
            tokens: Mutex::default(),
            faults: Mutex::default(),
            arrived: Mutex::default(),
            log: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let accepting = Some(thread::spawn({
            let shared = shared.clone();
            move || shared.accept(&listener)
        }));
        Self { shared, accepting }
    }

    /// Host and port, as references have them.
    pub fn host(&self) -> String {
        self.shared.address.to_string()
    }

    /// The requests so far, in the order in which they were answered.
    pub fn log(&self) -> Vec<Logged> {
        lock(&self.shared.log).clone()
    }

    /// How many requests so far had that method and that part in their target.
    pub fn count(&self, method: &str, part: &str) -> usize {
        let log = self.log();
        log.iter().filter(|line| line.method == method && line.target.contains(part)).count()
    }

    /// How many requests with that method and that part in their target have begun, though their
    /// bodies may still be under way.
    pub fn begun(&self, method: &str, part: &str) -> usize {
        let arrived = lock(&self.shared.arrived);
        arrived.iter().filter(|(own, target)| own == method && target.contains(part)).count()
    }

    /// How many upload sessions are neither finished nor given back.
    pub fn open_uploads(&self) -> usize {
        lock(&self.shared.storage).uploads.len()
    }

    /// The tags of a repository and the digests that they name.
    pub fn tags(&self, repository: &str) -> BTreeMap<String, String> {
        let storage = lock(&self.shared.storage);
        storage.repositories.get(repository).map(|r| r.tags.clone()).unwrap_or_default()
    }

    /// The digests of a repository's blobs.
    pub fn blobs(&self, repository: &str) -> Vec<String> {
        let storage = lock(&self.shared.storage);
        let found = storage.repositories.get(repository);
        found.map(|r| r.blobs.keys().cloned().collect()).unwrap_or_default()
    }

    /// A manifest's bytes, by tag or digest.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<Vec<u8>> {
        let storage = lock(&self.shared.storage);
        let repository = storage.repositories.get(repository)?;
        let digest = repository.tags.get(reference).map_or(reference, String::as_str);
        Some(repository.manifests.get(digest)?.1.clone())
    }

    /// Puts a blob in, past the protocol, and returns its digest.
    pub fn add_blob(&self, repository: &str, content: &[u8]) -> String {
        let digest = digest_of(content);
        let mut storage = lock(&self.shared.storage);
        let repository = storage.repositories.entry(repository.to_owned()).or_default();
        repository.blobs.insert(digest.clone(), content.to_vec());
        digest
    }

    /// Puts a manifest and its tag in, past the protocol, and returns its digest.
    pub fn add_manifest(&self, repository: &str, tag: &str, kind: &str, content: &[u8]) -> String {
        let digest = digest_of(content);
        let mut storage = lock(&self.shared.storage);
        let repository = storage.repositories.entry(repository.to_owned()).or_default();
        repository.manifests.insert(digest.clone(), (kind.to_owned(), content.to_vec()));
        repository.tags.insert(tag.to_owned(), digest.clone());
        digest
    }

    /// Lets the next `times` requests with that method and that part in their target go wrong.
    pub fn fail(&self, method: &str, part: &str, times: usize, fault: Fault) {
        let (method, part) = (method.to_owned(), part.to_owned());
        lock(&self.shared.faults).push(Armed { method, part, times, fault });
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // The thread waits for a connection: here it is.
        drop(TcpStream::connect(self.shared.address));
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.stopped.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            let shared = self.clone();
            thread::spawn(move || shared.serve(&stream));
        }
    }

    /// Answers the requests of one connection; an error is its end.
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        let mut writer = stream;
        loop {
            let request = match Request::head(&mut reader) {
                // TLS, say: real servers answer that too.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Response::new(400).write(&mut writer, false);
                }
                read => read?,
            };
            let Some(mut request) = request else { return Ok(()) };
            if self.stopped.load(Ordering::SeqCst) {
                return Ok(());
            }
            lock(&self.arrived).push((request.method.clone(), request.target.clone()));
            let fault = self.armed(&request);
            // What lies unread when a connection is closed makes the client's end break.
            if let Some(Fault::Break(count)) = fault {
                request.body = request.read_part(&mut reader, count)?;
                if !self.options.uploads.loses_what_breaks {
                    self.honest(&request);
                }
                self.note(&request, 0);
                return Ok(());
            }
            if let Some(Fault::Hasty(status)) = fault {
                self.note(&request, status);
                return Response::error(status, "TOLD_TO_FAIL").write(&mut writer, false);
            }
            request.body = request.read_body(&mut reader)?;
            let response = self.answer(&request, fault);
            self.note(&request, response.status);
            response.write(&mut writer, request.method == "HEAD")?;
        }
    }

    fn note(&self, request: &Request, status: u16) {
        lock(&self.log).push(Logged {
            method: request.method.clone(),
            target: request.target.clone(),
            authorization: request.header("authorization").map(str::to_owned),
            size: request.body.len(),
            status,
        });
    }

    fn answer(&self, request: &Request, fault: Option<Fault>) -> Response {
        if let Some(Fault::Status(status, headers)) = fault {
            let refused = Response::error(status, "TOLD_TO_FAIL");
            return headers.into_iter().fold(refused, |all, (name, value)| all.with(name, value));
        }
        let mut response = match fault {
            Some(Fault::Lose) => Response::new(201),
            _ => self.honest(request),
        };
        match fault {
            Some(Fault::Cut(count)) => response.cut = Some(count.min(response.body.len())),
            Some(Fault::Body(body)) => (response.status, response.body) = (200, body),
            Some(Fault::Header(name, value)) => {
                response.headers.retain(|(own, _)| own != name);
                response.headers.push((name.to_owned(), value));
            }
            Some(Fault::Drip(size, pause)) => response.drip = Some((size, pause)),
            Some(Fault::Retag(tag, digest)) => {
                for repository in lock(&self.storage).repositories.values_mut() {
                    repository.tags.insert(tag.to_owned(), digest.clone());
                }
            }
            _ => {}
        }
        response
    }

    fn honest(&self, request: &Request) -> Response {
        let mut tokens = lock(&self.tokens);
        if request.path() == self.options.tokens.path {
            return tokens.issue(&self.options, request);
        }
        let host = self.address.to_string();
        auth::refusal(&self.options, &mut tokens, &host, request).unwrap_or_else(|| {
            routes::answer(&mut lock(&self.storage), &self.options, &host, request)
        })
    }

    fn armed(&self, request: &Request) -> Option<Fault> {
        let mut faults = lock(&self.faults);
        let armed = faults.iter_mut().find(|armed| {
            armed.times > 0
                && armed.method == request.method
                && request.target.contains(&armed.part)
        })?;
        armed.times -= 1;
        Some(armed.fault.clone())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
