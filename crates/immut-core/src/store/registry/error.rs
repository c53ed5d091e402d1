//! What goes wrong between us and a registry, and the hint that helps.

use std::fmt::Write as _;
use std::time::Duration;

use super::credentials;
use crate::name::Digest;

/// What went wrong with a registry: which one, at which step, and its own words.
///
/// Addresses, tokens and passwords are in no message; what a server says is cut to one short line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The registry could not be reached, or the connection broke.
    #[error("{step}: no answer from {registry}: {reason}{}{}", tried(*tries), cause.hint(registry))]
    Unreachable {
        /// The registry's host, as references have it.
        registry: String,
        /// What was being done.
        step: String,
        /// The cause, in the words of the network or of TLS.
        reason: String,
        /// Which kind of cause.
        cause: Cause,
        /// How often it was tried.
        tries: u32,
    },
    /// The registry answered, and not with success.
    #[error("{step}: {registry} answered {status}{said}{}{}", tried(*tries), advice(*status, *account, registry, *retry_after))]
    Refused {
        /// The registry's host, as references have it.
        registry: String,
        /// What was being done.
        step: String,
        /// The HTTP status.
        status: u16,
        /// The registry's own code and message, if it gave one.
        said: String,
        /// How long the registry asks to wait.
        retry_after: Option<Duration>,
        /// Who asked.
        account: Account,
        /// How often it was tried.
        tries: u32,
    },
    /// An upload broke, and what was sent is lost: the content has to be sent from its beginning.
    #[error("{cause}; the upload could not go on where it broke")]
    Interrupted {
        /// How it broke.
        cause: Box<Error>,
        /// How long to wait before it is started again.
        pause: Duration,
    },
    /// A tag names another image already, and the registry does not let it be moved.
    #[error(
        "tag {tag}: {registry} answered {status}{said}: it names {now} and cannot be moved; {}",
        keep(tag)
    )]
    Immutable {
        /// The registry's host, as references have it.
        registry: String,
        /// The tag.
        tag: String,
        /// What it names.
        now: Digest,
        /// The HTTP status.
        status: u16,
        /// The registry's own code and message, if it gave one.
        said: String,
    },
    /// The registry's answer makes no sense.
    #[error("{step}: {registry} does not keep to the protocol: {reason}")]
    Protocol {
        /// The registry's host, as references have it.
        registry: String,
        /// What was being done.
        step: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The credentials that are configured could not be read.
    #[error(transparent)]
    Credentials(#[from] credentials::Error),
    /// The client could not be set up.
    #[error("set up the connection to {registry}: {reason}")]
    Setup {
        /// The registry's host, as references have it.
        registry: String,
        /// What is wrong.
        reason: String,
    },
}

/// Why a registry could not be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// There is nobody: the name is unknown or the connection refused.
    Absent,
    /// Its certificate is not trusted.
    Certificate,
    /// It speaks plain HTTP where TLS was expected.
    PlainHttp,
    /// No answer in time, or the connection broke.
    Broken,
    /// The task that talks to the registry died.
    Internal,
}

impl Cause {
    fn hint(self, registry: &str) -> String {
        match self {
            Self::Certificate => {
                "; if its certificate is signed by an authority of your own, pass --ca FILE".into()
            }
            Self::PlainHttp => {
                format!("; if it is meant to speak plain HTTP, pass --insecure-registry {registry}")
            }
            Self::Absent | Self::Broken | Self::Internal => String::new(),
        }
    }
}

/// Who asked, as far as the registry wanted to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Account {
    /// The registry has not asked who we are.
    Unasked,
    /// No credentials are configured.
    Nobody,
    /// Whom the credentials name.
    Known,
    /// It is another host that answered, which never gets credentials.
    Elsewhere,
}

/// What to do about a refusal.
fn advice(status: u16, account: Account, registry: &str, wait: Option<Duration>) -> String {
    let login = format!("`docker login {registry}` or `podman login {registry}`");
    match (status, account) {
        (401 | 403, Account::Elsewhere) => "; its address may have expired: try again".to_owned(),
        (401, Account::Known) => format!(
            "; the credentials for it were not accepted: they may have expired, or not be for this repository; log in again with {login}, and check the repository's name"
        ),
        (401, Account::Unasked) => "; it does not say how to log in".to_owned(),
        (401 | 403, Account::Nobody) => {
            format!("; nobody is logged in: log in with {login}, and check the repository's name")
        }
        (403, _) => "; the account that is logged in may not do this".to_owned(),
        (404, _) => {
            "; check the name, and whether this registry wants repositories to be made first"
                .to_owned()
        }
        (405, _) => "; it may be read-only, such as a mirror or a cache".to_owned(),
        (409 | 412, _) => "; a rule of this repository forbids it".to_owned(),
        (413, _) => {
            "; it, or a proxy before it, limits the size of requests (nginx: client_max_body_size)"
                .to_owned()
        }
        (429, _) => format!("; it limits how often it is asked{}", limits(account, &login, wait)),
        (500.., _) => "; it has a problem of its own: try again later".to_owned(),
        _ => String::new(),
    }
}

fn limits(account: Account, login: &str, wait: Option<Duration>) -> String {
    let wait = wait
        .map_or_else(String::new, |wait| format!(", and asks to wait {} seconds", wait.as_secs()));
    match account {
        Account::Nobody => format!("{wait}; who is logged in may often ask more: {login}"),
        _ => wait,
    }
}

/// What to do about a tag that does not move.
fn keep(tag: &str) -> &'static str {
    if tag.starts_with("sha256-") {
        "it lists signatures, so except tags that begin with `sha256-` from the rule"
    } else {
        "choose another tag"
    }
}

fn tried(tries: u32) -> String {
    if tries > 1 { format!(", tried {tries} times") } else { String::new() }
}

impl Error {
    /// How long to wait before content that could not be put is worth sending from its beginning;
    /// none if that would not help.
    pub(crate) fn resend_after(&self) -> Option<Duration> {
        match self {
            Self::Interrupted { pause, .. } => Some(*pause),
            _ => None,
        }
    }

    /// Whether the same request may well succeed a little later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            // An address on a storage host holds for a while: the registry gives another one.
            Self::Refused { status: 401 | 403, account: Account::Elsewhere, .. } => true,
            Self::Refused { status, .. } => is_transient(*status),
            _ => self.is_break(),
        }
    }

    /// Whether the connection broke, or the other side fell silent.
    pub(super) fn is_break(&self) -> bool {
        matches!(self, Self::Unreachable { cause: Cause::Broken, .. })
    }

    /// The same after so many tries.
    pub(super) fn after_tries(mut self, count: u32) -> Self {
        if let Self::Unreachable { tries, .. } | Self::Refused { tries, .. } = &mut self {
            *tries = count.max(*tries);
        }
        self
    }

    /// How long the registry asks to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The HTTP status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } | Self::Immutable { status, .. } => Some(*status),
            Self::Interrupted { cause, .. } => cause.status(),
            _ => None,
        }
    }
}

/// Whether a status speaks of a passing condition; those above 511 are proxies'.
pub(super) fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502..=504 | 520..=524)
}

/// Whether a refusal's words are about tags that do not move, and not about the account.
pub(super) fn speaks_of_a_rule(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    ["immutab", "overwrit", "already exists"].iter().any(|word| said.contains(word))
}

/// The registry's own error codes and messages, on one short line (distribution specification,
/// "Error Codes").
pub(super) fn said(body: &[u8]) -> String {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let mut said = String::new();
    for error in json["errors"].as_array().into_iter().flatten().take(3) {
        let [code, message] = ["code", "message"].map(|field| error[field].as_str());
        let words: Vec<_> = [code, message].into_iter().flatten().collect();
        if !words.is_empty() {
            let separator = if said.is_empty() { " (" } else { "; " };
            let _ = write!(said, "{separator}{}", plain(&words.join(": ")));
        }
    }
    if !said.is_empty() {
        said.push(')');
    }
    said
}

/// Foreign text without control characters, on one line of bounded length.
pub(super) fn plain(text: &str) -> String {
    let mut line: String = text
        .chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .filter(|char| !matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
        .take(LONGEST)
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        line.push('…');
    }
    line
}

const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_one_short_line() {
        let body = br#"{"errors":[{"code":"DENIED","message":"no\u001b[2J\nway"},{"detail":1}]}"#;
        assert_eq!(said(body), " (DENIED: no [2J way)");
        assert_eq!(said(b"<html>"), "");
        assert_eq!(plain(&"x".repeat(9999)).chars().count(), LONGEST + 1);
    }
}
