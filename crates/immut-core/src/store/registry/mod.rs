//! Repositories of registries (OCI distribution specification 1.1): the one asynchronous room.
//!
//! A [`Registry`] is one repository. Its methods block; its own threads do the talking, so it can be
//! used from plain threads and from inside any tokio runtime alike. What it keeps to:
//!
//! - **Credentials** are those of docker and podman, for the registry itself only: a `Location` or a
//!   redirect to another host gets none, and no message holds any.
//! - **TLS** with the system's certificates, and those of [`RegistryOptions::ca`] besides. Plain HTTP
//!   is for this machine (`localhost`, `127.0.0.0/8`, `[::1]`; but not when a CA is given, for then
//!   TLS is meant) and for the hosts in [`RegistryOptions::insecure`], never a way out when TLS fails.
//! - **Proxies** as `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` say; this machine is never asked for
//!   through a proxy.
//! - **Retries** are few, with growing pauses, and `Retry-After` is honoured. A download that breaks
//!   goes on where it broke. So does an upload, if the registry says how far it is and that lies in
//!   the last 8 MiB that were sent; else it begins again, in smaller requests, while its beginning is
//!   still held. A reader cannot be rewound, so after that it is [`Error::Interrupted`]; whoever copies
//!   an image opens the content again.
//!   A blob that is sent while it is made ([`Sink::begin`]) has one attempt.
//! - **Nothing a server sends is believed**: digests are checked, documents have a limit, and a
//!   broken answer is an error and no panic.

mod auth;
mod blocking;
mod client;
mod credentials;
mod download;
mod error;
mod feed;
mod growing;
mod manifests;
mod referrers;
mod retry;
mod session;
mod token;
mod transport;
mod upload;

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use credentials::{Environment, Error as CredentialsError};
pub use error::{Account, Cause, Error};

use super::{Growing, Sink, Source, Verifying};
use crate::image::{Descriptor, RawManifest};
use crate::name::{Digest, Location, Repository};
use crate::store;
use blocking::Runtime;
use client::Client;
use download::Download;
use feed::Feed;
use growing::Upload;
use session::{Mount, Session};

/// A repository of a registry, as a source and a sink of images.
///
/// ```
/// # let there = immut_testkit::registry::Registry::start();
/// use immut_core::image::Descriptor;
/// use immut_core::name::Repository;
/// use immut_core::store::{Registry, RegistryOptions, Sink, read_small};
///
/// let repository = Repository { host: there.host(), path: "demo/app".to_owned() };
/// let registry = Registry::connect(&repository, &RegistryOptions::default())?;
/// let blob = Descriptor::of("text/plain", b"content");
/// assert!(!registry.has(&blob)?);
/// registry.put(&blob, &mut &b"content"[..])?;
/// assert_eq!(read_small(&registry, &blob)?, b"content");
/// # Ok::<(), immut_core::store::Error>(())
/// ```
#[derive(Debug)]
pub struct Registry {
    client: Arc<Client>,
    runtime: Runtime,
    /// Repositories of the same registry to mount blobs from.
    mounts: Vec<Repository>,
    /// Upload sessions that were opened where a mount was asked for.
    sessions: Mutex<HashMap<Digest, Session>>,
}

/// How to talk to a registry.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// Hosts, with or without their port, that may be spoken to in plain HTTP.
    pub insecure: Vec<String>,
    /// Certificates in PEM that are trusted besides the system's.
    pub ca: Option<Vec<u8>>,
    /// Where credentials and their helpers are found.
    pub environment: Environment,
    /// The first pause before something is tried again; it doubles each time.
    pub backoff: Duration,
    /// How long a registry may be silent; five times as long where it stores a blob.
    pub patience: Duration,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            insecure: Vec::new(),
            ca: None,
            environment: Environment::of_process(),
            backoff: Duration::from_millis(500),
            patience: Duration::from_mins(1),
        }
    }
}

impl Registry {
    /// Makes ready for a repository; nothing is sent yet.
    pub fn connect(
        repository: &Repository,
        options: &RegistryOptions,
    ) -> Result<Self, store::Error> {
        let client = Arc::new(Client::new(repository, options)?);
        let runtime = Runtime::new().map_err(|error| Error::Setup {
            registry: repository.host.clone(),
            reason: error.to_string(),
        })?;
        Ok(Self { client, runtime, mounts: Vec::new(), sessions: Mutex::default() })
    }

    /// Adds a repository from which [`Sink::mount`] takes blobs.
    ///
    /// Blobs can be mounted within one registry only: a repository of another host is ignored.
    #[must_use]
    pub fn mounting_from(mut self, repository: Repository) -> Self {
        let own = &self.client.repository;
        if repository.host == own.host && repository.path != own.path {
            self.mounts.push(repository);
        }
        self
    }

    /// Runs something of the client's on its own threads.
    fn run<T: Send + 'static, E: Into<store::Error> + Send + 'static>(
        &self,
        future: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, store::Error> {
        let done = self.runtime.run(future);
        done.ok_or_else(|| self.stopped())?.map_err(Into::into)
    }

    fn stopped(&self) -> store::Error {
        let transport = &self.client.transport;
        let reason = "the task that talks to it stopped; this is a bug of immut".to_owned();
        transport.no_answer("talk to the registry", reason, Cause::Internal).into()
    }

    fn not_found(&self, what: String) -> store::Error {
        store::Error::NotFound { what, place: self.location() }
    }

    /// Keeps a session for [`Sink::put`]; an older one is given back.
    fn keep_session(&self, digest: Digest, session: Session) -> Result<(), store::Error> {
        let Some(older) = self.sessions().insert(digest, session) else { return Ok(()) };
        self.abandon(older)
    }

    fn abandon(&self, session: Session) -> Result<(), store::Error> {
        let client = self.client.clone();
        self.runtime.run(async move { client.abandon(session).await }).ok_or_else(|| self.stopped())
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<Digest, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the sessions back that were opened for blobs which nobody put.
impl Drop for Registry {
    fn drop(&mut self) {
        let left = std::mem::take(&mut *self.sessions());
        if left.is_empty() {
            return;
        }
        let client = self.client.clone();
        let give = async move {
            for session in left.into_values() {
                client.abandon(session).await;
            }
        };
        self.runtime.run(async { drop(tokio::time::timeout(LONGEST_FAREWELL, give).await) });
    }
}

impl Source for Registry {
    fn location(&self) -> Location {
        Location::Registry(self.client.repository.clone())
    }

    fn tagged(&self, tag: &str) -> Result<Option<RawManifest>, store::Error> {
        let (client, tag) = (self.client.clone(), tag.to_owned());
        self.run(async move { client.manifest(&tag).await })
    }

    fn manifest(&self, digest: &Digest) -> Result<RawManifest, store::Error> {
        let found = self.tagged(&digest.to_string())?;
        found.ok_or_else(|| self.not_found(digest.to_string()))
    }

    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>, store::Error> {
        let (client, asked) = (self.client.clone(), blob.clone());
        let response = self.run(async move { client.blob(&asked, 0).await })?;
        let response = response.ok_or_else(|| self.not_found(blob.digest.to_string()))?;
        let (download, pump) = Download::new(self.client.clone(), blob.clone(), response);
        self.runtime.spawn(pump).ok_or_else(|| self.stopped())?;
        Ok(Box::new(Verifying::new(download, blob, self.location().to_string())))
    }

    fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, store::Error> {
        let (client, digest) = (self.client.clone(), *digest);
        self.run(async move { client.referrers(&digest).await })
    }
}

impl Sink for Registry {
    fn has(&self, blob: &Descriptor) -> Result<bool, store::Error> {
        let (client, digest) = (self.client.clone(), blob.digest);
        let step = format!("look for blob {digest}");
        let there = async move { client.has(&step, client.blob_url(&digest)).await };
        self.run(there)
    }

    fn mount(&self, blob: &Descriptor) -> Result<Option<Repository>, store::Error> {
        for repository in &self.mounts {
            let (client, digest) = (self.client.clone(), blob.digest);
            let from = repository.path.clone();
            match self.run(async move { client.mount(&digest, &from).await })? {
                Mount::Done => return Ok(Some(repository.clone())),
                Mount::Session(session) => self.keep_session(digest, session)?,
                Mount::Refused => {}
            }
        }
        Ok(None)
    }

    fn put(&self, blob: &Descriptor, content: &mut dyn Read) -> Result<(), store::Error> {
        let session = self.sessions().remove(&blob.digest);
        let (to, feed) = Feed::new();
        let (client, asked) = (self.client.clone(), blob.clone());
        let filling = async move { client.fill(asked, session, feed).await };
        let filling = self.runtime.spawn(filling).ok_or_else(|| self.stopped())?;
        let mut content = Verifying::new(content, blob, "the content to be pushed");
        let (read, filled) = upload::supply(&mut content, blob.size, to, filling);
        let filled = filled.map_err(|_| self.stopped())?;
        if let Err(source) = read {
            if let Ok(Some(session)) = filled {
                self.abandon(session)?;
            }
            return Err(store::Error::Read { what: blob.digest.to_string(), source });
        }
        let Some(session) = filled? else { return Ok(()) };
        let (client, asked) = (self.client.clone(), blob.clone());
        self.run(async move { client.complete(&asked, &session).await })
    }

    fn begin(&self) -> Result<Option<Box<dyn Growing + '_>>, store::Error> {
        Ok(Upload::begin(self)?.map(|upload| Box::new(upload) as Box<dyn Growing>))
    }

    fn put_manifest(&self, manifest: &RawManifest) -> Result<(), store::Error> {
        let (client, manifest) = (self.client.clone(), manifest.clone());
        self.run(async move {
            let digest = Digest::of(&manifest.bytes).to_string();
            let native = client.put_manifest(&digest, &manifest).await?;
            match store::referrers::subject(&manifest) {
                Some(subject) if !native => client.list_referrer(&manifest, &subject).await,
                _ => Ok(()),
            }
        })
    }

    fn tag(&self, tag: &str, manifest: &RawManifest) -> Result<(), store::Error> {
        let (client, tag, manifest) = (self.client.clone(), tag.to_owned(), manifest.clone());
        self.run(async move { client.put_manifest(&tag, &manifest).await.map(drop) })
    }

    fn finish(&self) -> Result<(), store::Error> {
        Ok(())
    }
}

const LONGEST_FAREWELL: Duration = Duration::from_secs(5);
