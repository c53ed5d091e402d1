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
mod http;
mod routes;

use std::collections::BTreeMap;
use std::io::{self, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use auth::Tokens;
use http::{Request, Response};
use routes::Storage;

/// The one user that registries with [`Auth`] know.
pub const USER: &str = "me";
/// The user's password.
pub const PASSWORD: &str = "secret";
/// The user's identity token, for `grant_type=refresh_token`.
pub const IDENTITY_TOKEN: &str = "identity-secret";

/// What kind of registry it is.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Who may do what.
    pub auth: Auth,
    /// Whether it has the referrers API and answers with `OCI-Subject`.
    pub native_referrers: bool,
    /// Lines on one page of referrers; all if none.
    pub page: Option<usize>,
    /// Whether PUT answers without `Location` and `Docker-Content-Digest`.
    pub no_location: bool,
    /// Whether requests with `Range` get everything.
    pub no_ranges: bool,
    /// The host that upload sessions lie on, if not this one.
    pub uploads_at: Option<String>,
    /// The host that blobs are redirected to, if not this one.
    pub blobs_at: Option<String>,
}

/// Who may do what.
#[derive(Debug, Clone, Default)]
pub enum Auth {
    /// Everybody everything.
    #[default]
    Open,
    /// The user, by Basic authentication.
    Basic,
    /// Who has a token from `/token`.
    Bearer {
        /// Whether anybody gets tokens for pulling.
        anonymous_pull: bool,
        /// After how many requests a token is no longer valid.
        uses: Option<usize>,
    },
}

/// How a request goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It is not done but answered with this status and these headers.
    Status(u16, Vec<(&'static str, String)>),
    /// All of the body is announced, this many bytes are sent, then the connection breaks.
    Cut(usize),
    /// It is answered with success and this body.
    Body(Vec<u8>),
    /// A header is sent instead of the honest one.
    Header(&'static str, String),
    /// It is answered as if it had been done.
    Lose,
}

/// A request that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub target: String,
    /// The header `Authorization`, if it had one.
    pub authorization: Option<String>,
    /// The answer's status.
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
        let digest = routes::digest(content);
        let mut storage = lock(&self.shared.storage);
        let repository = storage.repositories.entry(repository.to_owned()).or_default();
        repository.blobs.insert(digest.clone(), content.to_vec());
        digest
    }

    /// Puts a manifest and its tag in, past the protocol, and returns its digest.
    pub fn add_manifest(&self, repository: &str, tag: &str, kind: &str, content: &[u8]) -> String {
        let digest = routes::digest(content);
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
            let request = match Request::read(&mut reader) {
                // TLS, say: real servers answer that too.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Response::new(400).write(&mut writer, false);
                }
                read => read?,
            };
            let Some(request) = request else { return Ok(()) };
            if self.stopped.load(Ordering::SeqCst) {
                return Ok(());
            }
            let response = self.answer(&request);
            lock(&self.log).push(Logged {
                method: request.method.clone(),
                target: request.target.clone(),
                authorization: request.header("authorization").map(str::to_owned),
                status: response.status,
            });
            response.write(&mut writer, request.method == "HEAD")?;
        }
    }

    fn answer(&self, request: &Request) -> Response {
        let fault = self.armed(request);
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
            _ => {}
        }
        response
    }

    fn honest(&self, request: &Request) -> Response {
        let mut tokens = lock(&self.tokens);
        if request.path() == "/token" {
            return tokens.issue(&self.options.auth, request);
        }
        let host = self.address.to_string();
        auth::refusal(&self.options.auth, &mut tokens, &host, request)
            .unwrap_or_else(|| routes::answer(&mut lock(&self.storage), &self.options, request))
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
