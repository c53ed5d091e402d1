//! HTTP to one registry: addresses, TLS, proxies, patience, and errors without secrets.

use std::future::Future;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Certificate, ClientBuilder, Method, RequestBuilder, Response, Url, redirect};
use time::OffsetDateTime;

use super::error::{Account, Cause, said};
use super::{Error, RegistryOptions, retry};

/// The clients for one registry.
#[derive(Debug)]
pub(super) struct Transport {
    /// The host as references have it, for messages.
    pub(super) registry: String,
    /// Scheme, host and port; everything with this origin is the registry itself.
    pub(super) base: Url,
    /// For addresses of this machine, which no proxy can reach.
    near: reqwest::Client,
    far: reqwest::Client,
    /// How long a server may be silent.
    patience: Duration,
    /// Whether it ever answered: then it is somewhere, and may come back.
    answered: AtomicBool,
}

impl Transport {
    pub(super) fn new(host: &str, options: &RegistryOptions) -> Result<Self, Error> {
        let failed = |reason: String| Error::Setup { registry: host.to_owned(), reason };
        let base = base(host, options).ok_or_else(|| failed("this is no host name".into()))?;
        let certificates = certificates(options).map_err(failed)?;
        let build = |set: fn(ClientBuilder) -> ClientBuilder| {
            let merged = set(client()).tls_certs_merge(certificates.iter().cloned()).build();
            // Where there are no system certificates (an image without them, say), those that were
            // given are enough, and for plain HTTP none are needed.
            if merged.is_err() && (base.scheme() == "http" || !certificates.is_empty()) {
                return set(client()).tls_certs_only(certificates.iter().cloned()).build();
            }
            merged
        };
        let near = build(ClientBuilder::no_proxy).map_err(|error| failed(cause(&error)))?;
        let far = build(|builder| builder).map_err(|error| failed(cause(&error)))?;
        let (registry, patience) = (host.to_owned(), options.patience);
        Ok(Self { registry, base, near, far, patience, answered: AtomicBool::new(false) })
    }

    /// Whether an address is the registry's own: only such an address gets credentials.
    pub(super) fn owns(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Where a `Location` leads, seen from the address that was asked.
    ///
    /// A registry behind a proxy that ends TLS often names itself with plain HTTP: that is mended.
    /// Any other way from HTTPS to plain HTTP is refused.
    pub(super) fn target(&self, step: &str, from: &Url, location: &str) -> Result<Url, Error> {
        let url = from.join(location).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let Some(url) = url else {
            return Err(self.protocol(step, "it names an address that is none"));
        };
        if from.scheme() == "http" || url.scheme() == "https" {
            return Ok(url);
        }
        let mended = url.host() == self.base.host()
            && (url.port().is_none() || url.port() == self.base.port());
        if !mended {
            return Err(self.protocol(step, "it leads from HTTPS to plain HTTP"));
        }
        let mut own = self.base.clone();
        own.set_path(url.path());
        own.set_query(url.query());
        Ok(own)
    }

    pub(super) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let near = url.host_str().is_some_and(is_loopback);
        let client = if near { &self.near } else { &self.far };
        client.request(method, url)
    }

    /// Sends a request whose answer is due within our patience.
    pub(super) async fn send(
        &self,
        step: &str,
        request: RequestBuilder,
    ) -> Result<Response, Error> {
        self.patiently(step, self.patience, request.send()).await
    }

    /// Sends a request that a server may ponder over: it moves or hashes a whole blob.
    ///
    /// `progress` counts what was taken from the body; the time starts anew whenever it moves.
    pub(super) async fn send_long(
        &self,
        step: &str,
        request: RequestBuilder,
        progress: impl Fn() -> u64,
    ) -> Result<Response, Error> {
        let mut sending = std::pin::pin!(request.send());
        loop {
            let before = progress();
            match tokio::time::timeout(self.patience * PONDERING, &mut sending).await {
                Ok(answer) => return self.heard(step, answer),
                Err(_) if progress() != before => {}
                Err(_) => return Err(self.silent(step)),
            }
        }
    }

    /// The next piece of a body.
    pub(super) async fn chunk(
        &self,
        step: &str,
        response: &mut Response,
    ) -> Result<Option<Bytes>, Error> {
        self.patiently(step, self.patience, response.chunk()).await
    }

    /// A whole body of at most `limit` bytes.
    pub(super) async fn body(
        &self,
        step: &str,
        mut response: Response,
        limit: u64,
    ) -> Result<Vec<u8>, Error> {
        let read = async {
            let mut body = Vec::new();
            while let Some(chunk) = self.chunk(step, &mut response).await? {
                if (body.len() + chunk.len()) as u64 > limit {
                    let reason = format!("its answer is longer than {limit} bytes");
                    return Err(self.protocol(step, &reason));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(body)
        };
        // A server that sends a byte now and then would never be silent for long.
        let read = tokio::time::timeout(self.patience * PONDERING, read).await;
        read.unwrap_or_else(|_| Err(self.silent(step)))
    }

    /// The error that an answer other than success to `account` stands for.
    pub(super) async fn refused(&self, step: &str, response: Response, account: Account) -> Error {
        let status = response.status().as_u16();
        let retry_after = retry::retry_after(response.headers(), OffsetDateTime::now_utc());
        let body = self.body(step, response, LONGEST_ERROR).await.unwrap_or_default();
        let (registry, step) = (self.registry.clone(), step.to_owned());
        Error::Refused { registry, step, status, said: said(&body), retry_after, account, tries: 1 }
    }

    pub(super) fn protocol(&self, step: &str, reason: &str) -> Error {
        let (registry, step) = (self.registry.clone(), step.to_owned());
        Error::Protocol { registry, step, reason: reason.to_owned() }
    }

    async fn patiently<T>(
        &self,
        step: &str,
        patience: Duration,
        future: impl Future<Output = reqwest::Result<T>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(patience, future).await {
            Ok(done) => self.heard(step, done),
            Err(_) => Err(self.silent(step)),
        }
    }

    fn heard<T>(&self, step: &str, answer: reqwest::Result<T>) -> Result<T, Error> {
        self.answered.fetch_or(answer.is_ok(), Ordering::Relaxed);
        answer.map_err(|error| self.unreachable(step, error))
    }

    fn silent(&self, step: &str) -> Error {
        let reason = "it was silent for too long".to_owned();
        self.no_answer(step, reason, Cause::Broken)
    }

    /// The error that a body stands for which ended before it should.
    pub(super) fn ended_early(&self, step: &str) -> Error {
        self.no_answer(step, "it sent less than it should".to_owned(), Cause::Broken)
    }

    pub(super) fn no_answer(&self, step: &str, reason: String, cause: Cause) -> Error {
        let (registry, step) = (self.registry.clone(), step.to_owned());
        Error::Unreachable { registry, step, reason, cause, tries: 1 }
    }

    fn unreachable(&self, step: &str, error: reqwest::Error) -> Error {
        let error = error.without_url();
        let reason = cause(&error);
        let cause = if reason.contains("certificate") {
            Cause::Certificate
        } else if reason.contains("InvalidContentType") || reason.contains("tls handshake eof") {
            Cause::PlainHttp
        } else if error.is_builder()
            || (error.is_connect() && !error.is_timeout() && !self.answered.load(Ordering::Relaxed))
        {
            Cause::Absent
        } else {
            Cause::Broken
        };
        self.no_answer(step, reason, cause)
    }
}

/// The last cause of an error, without the address: that of a storage host carries a signature.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    super::error::plain(&cause.to_string())
}

fn client() -> ClientBuilder {
    // Redirects are followed by hand, with credentials for our own host only.
    reqwest::Client::builder()
        .user_agent(concat!("immut/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
}

fn certificates(options: &RegistryOptions) -> Result<Vec<Certificate>, String> {
    let Some(pem) = &options.ca else { return Ok(Vec::new()) };
    let read = Certificate::from_pem_bundle(pem);
    read.ok()
        .filter(|all| !all.is_empty())
        .ok_or_else(|| "the CA file holds no certificate in PEM".into())
}

/// `docker.io` is the one host whose API lies elsewhere than its name says.
fn base(host: &str, options: &RegistryOptions) -> Option<Url> {
    let name = host_name(host);
    let listed = options.insecure.iter().any(|own| own == host || own == name);
    let plain = listed || (is_loopback(name) && options.ca.is_none());
    let scheme = if plain { "http" } else { "https" };
    let api = if host == "docker.io" { "registry-1.docker.io" } else { host };
    let url = Url::parse(&format!("{scheme}://{api}/")).ok()?;
    let bare = url.path() == "/" && url.query().is_none() && url.username().is_empty();
    (bare && url.password().is_none() && url.fragment().is_none()).then_some(url)
}

/// A host without its port.
fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_loopback(name: &str) -> bool {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The value of a header, if it is text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How many times longer than silence in general a server may take to store a blob.
const PONDERING: u32 = 5;
const LONGEST_ERROR: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, insecure: &[&str], ca: bool) -> Option<String> {
        let insecure = insecure.iter().map(|&host| host.to_owned()).collect();
        let ca = ca.then(Vec::new);
        let options = RegistryOptions { insecure, ca, ..RegistryOptions::default() };
        base(host, &options).map(String::from)
    }

    #[test]
    fn https_unless_the_host_is_this_machine_or_listed() {
        for (host, insecure, ca, url) in [
            ("docker.io", &[][..], false, Some("https://registry-1.docker.io/")),
            ("r.example:5000", &[], false, Some("https://r.example:5000/")),
            ("r.example:5000", &["r.example:5000"], true, Some("http://r.example:5000/")),
            ("r.example:5000", &["r.example"], false, Some("http://r.example:5000/")),
            ("r.example:5000", &["r.example:1"], false, Some("https://r.example:5000/")),
            ("localhost:1", &[], false, Some("http://localhost:1/")),
            ("127.8.0.1", &[], false, Some("http://127.8.0.1/")),
            ("[::1]:9", &[], false, Some("http://[::1]:9/")),
            ("localhost:1", &[], true, Some("https://localhost:1/")),
            ("localhost.example", &[], false, Some("https://localhost.example/")),
            ("a/b", &[], false, None),
            ("me:secret@r.example", &[], false, None),
            ("", &[], false, None),
        ] {
            assert_eq!(at(host, insecure, ca).as_deref(), url, "{host}");
        }
    }

    #[test]
    fn no_location_leads_to_plain_http() {
        let options = RegistryOptions::default();
        let transport = Transport::new("r.example:8443", &options).expect("a client");
        let from = transport.base.join("v2/app/blobs/uploads/").expect("an address");
        for (location, target) in [
            ("/v2/x?_state=a%2Fb", Some("https://r.example:8443/v2/x?_state=a%2Fb")),
            ("up", Some("https://r.example:8443/v2/app/blobs/uploads/up")),
            ("http://r.example/v2/x?a=b", Some("https://r.example:8443/v2/x?a=b")),
            ("http://r.example:8443/v2/x", Some("https://r.example:8443/v2/x")),
            ("https://storage.example/x", Some("https://storage.example/x")),
            ("http://r.example:81/v2/x", None),
            ("http://storage.example/x", None),
            ("file:///etc/passwd", None),
            ("https://", None),
        ] {
            let found = transport.target("test", &from, location).ok().map(String::from);
            assert_eq!(found.as_deref(), target, "{location}");
        }
        assert!(!transport.owns(&Url::parse("https://r.example/").expect("an address")));
    }
}
