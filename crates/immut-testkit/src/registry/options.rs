//! What kind of registry it is, and what may go wrong with a request.

use std::time::Duration;

/// What kind of registry it is; one that behaves well if nothing else is said.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a habit of its own")]
pub struct Options {
    /// Who may do what.
    pub auth: Auth,
    /// How tokens are given.
    pub tokens: TokenService,
    /// How blobs are taken.
    pub uploads: Uploads,
    /// What it says of referrers.
    pub referrers: Referrers,
    /// Lines on one page of referrers; all if none.
    pub page: Option<usize>,
    /// How a tag that exists is defended, by its own digest too.
    pub immutable: Option<Rule>,
    /// Whether repositories have to be made before something is pushed.
    pub made_first: bool,
    /// Whether PUT answers without `Location` and `Docker-Content-Digest`.
    pub no_location: bool,
    /// Whether requests with `Range` get everything.
    pub no_ranges: bool,
    /// The host that blobs are redirected to, if not this one.
    pub blobs_at: Option<String>,
    /// Whether such redirects, and this host if it is the one redirected to, know addresses that
    /// are good for one request.
    pub signed: bool,
}

/// Who may do what.
#[derive(Debug, Clone, Default)]
pub enum Auth {
    /// Everybody everything.
    #[default]
    Open,
    /// The user, by Basic authentication.
    Basic,
    /// Who has a token from the token service.
    Bearer {
        /// Whether anybody gets tokens for pulling.
        anonymous_pull: bool,
        /// After how many requests a token is no longer valid.
        uses: Option<usize>,
    },
}

/// How tokens are given.
#[derive(Debug, Clone)]
pub struct TokenService {
    /// Where it is.
    pub path: &'static str,
    /// What the token is called in the answer; if none, `token` by GET and `access_token` by POST.
    pub field: Option<&'static str>,
    /// What the answer says of the token's life, in seconds.
    pub expires_in: Option<i64>,
    /// Whether tokens are good for pulling only, whatever was asked for.
    pub pull_only: bool,
    /// Whether the challenge names only where it is, not for what.
    pub bare: bool,
}

impl Default for TokenService {
    fn default() -> Self {
        Self { path: "/token", field: None, expires_in: Some(300), pull_only: false, bare: false }
    }
}

/// How blobs are taken.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a habit of its own")]
pub struct Uploads {
    /// Where sessions lie.
    pub sessions: Sessions,
    /// The largest chunk (a PATCH with `Content-Range`) in bytes; more is refused with 416.
    pub largest_chunk: Option<usize>,
    /// The largest body of any request in bytes; more is refused with 413.
    pub largest_body: Option<usize>,
    /// The least bytes of a chunk but the last, announced and enforced with 416.
    pub least_chunk: Option<usize>,
    /// Whether there is no PATCH: the bytes come with the PUT.
    pub only_put: bool,
    /// Whether a session does not say how far it is.
    pub no_status: bool,
    /// Whether what came of a request that broke is lost.
    pub loses_what_breaks: bool,
    /// Whether a session goes on saying what it said after its first chunk.
    pub stale_range: bool,
}

/// Where upload sessions lie.
#[derive(Debug, Clone, Default)]
pub enum Sessions {
    /// At a path of this host, named without the host.
    #[default]
    Relative,
    /// At a path of this host, named with it.
    Absolute,
    /// At a path of this host that is not beneath `/v2/`.
    OtherPath,
    /// On another host.
    At(String),
}

/// What a registry says of referrers.
#[derive(Debug, Clone, Default)]
pub enum Referrers {
    /// 404: it has no such API.
    #[default]
    Absent,
    /// Another status.
    Status(u16),
    /// A page for people, with 200.
    Html,
    /// It leads to another host.
    LeadsTo(String),
    /// Their list, and `OCI-Subject` when one is pushed.
    Native,
    /// Their list, but nothing when one is pushed.
    Silent,
}

/// A refusal by a rule of the repository.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The status.
    pub status: u16,
    /// The code.
    pub code: &'static str,
    /// The message.
    pub message: &'static str,
}

/// How a request goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It is not done but answered with this status and these headers.
    Status(u16, Vec<(&'static str, String)>),
    /// It is answered with this status before its body was read, and the connection closed.
    Hasty(u16),
    /// So many bytes of its body are read, then the connection breaks.
    Break(usize),
    /// All of the answer's body is announced, this many bytes are sent, then the connection breaks.
    Cut(usize),
    /// The answer's body comes in pieces of so many bytes, with pauses.
    Drip(usize, Duration),
    /// It is answered with success and this body.
    Body(Vec<u8>),
    /// A header is sent instead of the honest one.
    Header(&'static str, String),
    /// It is answered as if it had been done.
    Lose,
    /// It is answered; from then on this tag names this digest in every repository.
    Retag(&'static str, String),
}
