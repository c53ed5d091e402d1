//! What goes wrong between us and a registry, and the hint that helps.

use std::fmt::Write as _;
use std::time::Duration;

use super::credentials;

/// What went wrong with a registry: which one, at which step, and its own words.
///
/// Addresses, tokens and passwords are in no message; what a server says is cut to one short line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The registry could not be reached, or the connection broke.
    #[error("{step}: no answer from {registry}: {reason}{}", cause.hint(registry))]
    Unreachable {
        /// The registry's host, as references have it.
        registry: String,
        /// What was being done.
        step: String,
        /// The cause, in the words of the network or of TLS.
        reason: String,
        /// Which kind of cause.
        cause: Cause,
    },
    /// The registry answered, and not with success.
    #[error("{step}: {registry} answered {status}{said}{}", refused_hint(*status, registry))]
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

fn refused_hint(status: u16, registry: &str) -> String {
    match status {
        401 => format!(
            "; log in with `docker login {registry}` or `podman login {registry}`, and check the repository's name"
        ),
        403 => "; the account that is logged in may not do this".into(),
        404 => {
            "; check the name, and whether this registry wants repositories to be made first".into()
        }
        429 => "; the registry limits how often it is asked".into(),
        _ => String::new(),
    }
}

impl Error {
    /// Whether the same request may well succeed a little later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { cause, .. } => *cause == Cause::Broken,
            Self::Refused { status, .. } => is_transient(*status),
            _ => false,
        }
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
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// Whether a status speaks of a passing condition.
pub(super) fn is_transient(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
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
