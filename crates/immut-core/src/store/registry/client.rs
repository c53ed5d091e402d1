//! Requests to one repository: logged in, redirected, tried again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Method, Response, StatusCode, Url};

use super::auth::{Auth, Scopes};
use super::error::Account;
use super::feed::Feed;
use super::session::Manner;
use super::transport::{Transport, text};
use super::{Error, RegistryOptions, retry};
use crate::name::Repository;
use crate::store::MAX_DOCUMENT;

/// The protocol's verbs for one repository.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) repository: Repository,
    pub(super) transport: Transport,
    auth: Auth,
    /// The first pause before something is tried again.
    pub(super) backoff: Duration,
    /// How the registry takes blobs, as far as it has refused another way.
    manner: Mutex<Manner>,
}

/// One request, which may be sent several times.
#[derive(Debug)]
pub(super) struct Call {
    /// What it is for, in words.
    pub(super) step: String,
    method: Method,
    url: Url,
    headers: HeaderMap,
    payload: Payload,
    scopes: Scopes,
    /// Whether a redirect to another host is an answer, and not a way.
    stays: bool,
}

#[derive(Debug)]
enum Payload {
    Bytes(Bytes),
    /// Content that comes once: from that byte up to that byte.
    Feed(Feed, u64, u64),
    /// All of a content that comes once and has no size yet.
    Open(Feed),
}

impl Call {
    pub(super) fn new(step: impl Into<String>, method: Method, url: Url, scopes: Scopes) -> Self {
        let payload = Payload::Bytes(Bytes::new());
        let (step, headers) = (step.into(), HeaderMap::new());
        Self { step, method, url, headers, payload, scopes, stays: false }
    }

    /// Does not follow a redirect to another host.
    pub(super) fn staying(mut self) -> Self {
        self.stays = true;
        self
    }

    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        // A value that is no header's is the caller's media type: the registry would refuse it.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    pub(super) fn bytes(mut self, bytes: Bytes) -> Self {
        self.payload = Payload::Bytes(bytes);
        self
    }

    pub(super) fn feed(mut self, feed: &Feed, at: u64, end: u64) -> Self {
        self.payload = Payload::Feed(feed.clone(), at, end);
        self
    }

    pub(super) fn open_feed(mut self, feed: &Feed) -> Self {
        self.payload = Payload::Open(feed.clone());
        self
    }

    fn is_read(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }

    /// Whether it can be sent once more.
    fn repeats(&self) -> bool {
        match &self.payload {
            Payload::Bytes(_) => true,
            Payload::Feed(feed, at, _) => feed.reaches(*at),
            Payload::Open(feed) => feed.reaches(0),
        }
    }
}

/// An answer with its whole body.
pub(super) struct Document {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Vec<u8>,
}

impl Client {
    pub(super) fn new(repository: &Repository, options: &RegistryOptions) -> Result<Self, Error> {
        let transport = Transport::new(&repository.host, options)?;
        let auth = Auth::new(repository, &options.environment);
        let (repository, backoff) = (repository.clone(), options.backoff);
        Ok(Self { repository, transport, auth, backoff, manner: Mutex::new(Manner::Stream) })
    }

    pub(super) fn manner(&self) -> Manner {
        *self.manner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take_as(&self, manner: Manner) {
        *self.manner.lock().unwrap_or_else(PoisonError::into_inner) = manner;
    }

    /// The address of something in this repository, such as `["blobs", "sha256:..."]`.
    pub(super) fn url(&self, parts: &[&str]) -> Url {
        let mut url = self.transport.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("v2").extend(self.repository.path.split('/')).extend(parts);
        }
        url
    }

    pub(super) fn to_pull(&self) -> Scopes {
        vec![format!("repository:{}:pull", self.repository.path)]
    }

    pub(super) fn to_push(&self) -> Scopes {
        vec![format!("repository:{}:pull,push", self.repository.path)]
    }

    /// Whether something is there.
    pub(super) async fn has(&self, step: &str, url: Url) -> Result<bool, Error> {
        let call = Call::new(step, Method::HEAD, url, self.to_push());
        let response = self.send(&call).await?;
        match response.status() {
            status if status.is_success() => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refused(step, response).await),
        }
    }

    /// A small document; none if there is no such thing.
    pub(super) async fn document(&self, call: &Call) -> Result<Option<Document>, Error> {
        let read = || async {
            let response = self.attempt(call).await?;
            match response.status() {
                StatusCode::NOT_FOUND => return Ok(None),
                status if !status.is_success() => {
                    return Err(self.refused(&call.step, response).await);
                }
                _ => {}
            }
            let (url, headers) = (response.url().clone(), response.headers().clone());
            let bytes = self.transport.body(&call.step, response, MAX_DOCUMENT).await?;
            Ok(Some(Document { url, headers, bytes }))
        };
        self.retrying(read).await
    }

    /// Sends a call until it succeeds.
    pub(super) async fn succeed(&self, call: &Call) -> Result<Response, Error> {
        let response = self.send(call).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refused(&call.step, response).await)
    }

    /// Sends a call until its answer is one that will not pass.
    pub(super) async fn send(&self, call: &Call) -> Result<Response, Error> {
        match &call.payload {
            Payload::Bytes(_) => self.retrying(|| self.attempt(call)).await,
            // What is there already would be doubled: the session has to be asked first.
            Payload::Feed(..) | Payload::Open(_) => self.attempt(call).await,
        }
    }

    async fn retrying<T, F: Future<Output = Result<T, Error>>>(
        &self,
        attempt: impl Fn() -> F,
    ) -> Result<T, Error> {
        let mut tried = 0;
        loop {
            let error = match attempt().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let Some(pause) = retry::pause(&error, self.backoff, tried) else {
                return Err(error.after_tries(tried + 1));
            };
            tracing::debug!(%error, ?pause, "try again");
            tokio::time::sleep(pause).await;
            tried += 1;
        }
    }

    /// Sends a call once, and once more with fresh authorization if the registry asks for it.
    pub(super) async fn attempt(&self, call: &Call) -> Result<Response, Error> {
        let own = self.transport.owns(&call.url);
        let authorization = if own {
            self.auth.header(&self.transport, &call.step, &call.scopes).await?
        } else {
            None
        };
        let mut response = self.follow(call, authorization.as_ref()).await?;
        let unauthorized = response.status() == StatusCode::UNAUTHORIZED;
        if unauthorized && own && self.transport.owns(response.url()) {
            let (headers, sent) = (response.headers(), authorization.as_ref());
            self.auth.challenged(&self.transport, &call.step, headers, &call.scopes, sent)?;
            let fresh = self.auth.header(&self.transport, &call.step, &call.scopes).await?;
            if fresh.is_some() && call.repeats() {
                response = self.follow(call, fresh.as_ref()).await?;
            }
        }
        let status = response.status().as_u16();
        let elsewhere = !self.transport.owns(response.url());
        if status == 401 || status == 403 && elsewhere || super::error::is_transient(status) {
            return Err(self.refused(&call.step, response).await);
        }
        Ok(response)
    }

    /// The error that an answer other than success stands for.
    pub(super) async fn refused(&self, step: &str, response: Response) -> Error {
        let elsewhere = Some(response.url()).filter(|url| !self.transport.owns(url));
        let other = elsewhere.and_then(|url| url.host_str().map(str::to_owned));
        let account = if other.is_some() { Account::Elsewhere } else { self.auth.account() };
        let mut error = self.transport.refused(step, response, account).await;
        if let (Error::Refused { registry, .. }, Some(host)) = (&mut error, other) {
            *registry = format!("{host}, where {registry} leads,");
        }
        error
    }

    /// Sends a call and follows where it leads; the authorization goes to the registry only.
    async fn follow(
        &self,
        call: &Call,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, Error> {
        let mut url = call.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let own = authorization.filter(|_| self.transport.owns(&url));
            let response = self.once(call, url, own).await?;
            let leads = match response.status() {
                StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => call.repeats(),
                status => status.is_redirection() && call.is_read(),
            };
            let next = text(response.headers(), "location").filter(|_| leads);
            match next {
                Some(location) => {
                    url = self.transport.target(&call.step, response.url(), location)?;
                    if call.stays && !self.transport.owns(&url) {
                        return Ok(response);
                    }
                }
                None => return Ok(response),
            }
        }
        Err(self.transport.protocol(&call.step, "it redirects without end"))
    }

    async fn once(
        &self,
        call: &Call,
        url: Url,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, Error> {
        let mut request =
            self.transport.request(call.method.clone(), url).headers(call.headers.clone());
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value.clone());
        }
        match &call.payload {
            Payload::Bytes(_) if call.is_read() => self.transport.send(&call.step, request).await,
            Payload::Bytes(bytes) => {
                let request = request.header("content-length", bytes.len()).body(bytes.clone());
                self.transport.send_long(&call.step, request, || 0).await
            }
            Payload::Feed(feed, at, end) => {
                let body = Body::wrap_stream(feed.stream(*at, *end));
                let request = request.header("content-length", end - at).body(body);
                self.transport.send_long(&call.step, request, || feed.taken()).await
            }
            Payload::Open(feed) => {
                let request = request.body(Body::wrap_stream(feed.stream(0, u64::MAX)));
                self.transport.send_long(&call.step, request, || feed.taken()).await
            }
        }
    }
}

const MOST_REDIRECTS: usize = 10;
