//! Tokens: how a token server is asked, and how long its answer holds.
//!
//! Protocol: the token and `OAuth2` pages of the distribution project's documentation.

use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder, Url};
use serde_json::Value;

use super::Error;
use super::auth::Scopes;
use super::credentials::Credential;
use super::error::Account;
use super::transport::Transport;

/// What a token server gave.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) header: HeaderValue,
    pub(super) until: Instant,
}

/// A question for a token server.
pub(super) struct Ask {
    pub(super) realm: Url,
    pub(super) service: Option<String>,
    pub(super) scopes: Scopes,
}

impl Ask {
    pub(super) async fn token(
        &self,
        transport: &Transport,
        step: &str,
        credential: Option<&Credential>,
    ) -> Result<Token, Error> {
        let server = self.realm.host_str().unwrap_or_default().to_owned();
        let step = format!("{step}: get a token from {server}");
        let asked = Instant::now();
        let Some(request) = self.request(transport, credential) else {
            return Err(transport.protocol(&step, "its credentials cannot be sent"));
        };
        let response = transport.send(&step, request).await?;
        if !response.status().is_success() {
            let account = credential.map_or(Account::Nobody, |_| Account::Known);
            return Err(transport.refused(&step, response, account).await);
        }
        let body = transport.body(&step, response, LARGEST_ANSWER).await?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        Token::parse(&answer, asked).ok_or_else(|| {
            transport.protocol(&step, "its token server's answer holds no usable token")
        })
    }

    fn request(
        &self,
        transport: &Transport,
        credential: Option<&Credential>,
    ) -> Option<RequestBuilder> {
        let mut fields: Vec<(&str, &str)> = Vec::new();
        fields.extend(self.service.iter().map(|service| ("service", service.as_str())));
        if let Some(Credential::IdentityToken(token)) = credential {
            let scope = self.scopes.join(" ");
            fields.extend([("grant_type", "refresh_token"), ("client_id", "immut")]);
            fields.extend([("refresh_token", token.as_str()), ("scope", scope.as_str())]);
            let form = with_query(&Url::parse("http://form/").ok()?, &fields);
            let request = transport.request(Method::POST, self.realm.clone());
            let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            return Some(request.body(form.query().unwrap_or_default().to_owned()));
        }
        fields.extend(self.scopes.iter().map(|scope| ("scope", scope.as_str())));
        let request = transport.request(Method::GET, with_query(&self.realm, &fields));
        match credential {
            Some(Credential::Password { user, password }) => {
                Some(request.header(AUTHORIZATION, basic(user, password)?))
            }
            _ => Some(request),
        }
    }
}

impl Token {
    /// None if there is no token, or one that is no header's value.
    fn parse(answer: &Value, asked: Instant) -> Option<Self> {
        let fields = ["token", "access_token"].map(|name| answer[name].as_str());
        let token = fields.into_iter().flatten().find(|token| !token.is_empty())?;
        let seconds = answer["expires_in"].as_u64().filter(|seconds| *seconds > 0).unwrap_or(60);
        let life = Duration::from_secs(seconds.min(LONGEST_LIFE));
        let header = secret(&format!("Bearer {token}"))?;
        // Let it not die on the way.
        let until = asked + life.saturating_sub(MARGIN.min(life / 4));
        Some(Self { header, until })
    }
}

/// The header of Basic authentication; none if it cannot be one.
pub(super) fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    secret(&format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn with_query(url: &Url, fields: &[(&str, &str)]) -> Url {
    let mut url = url.clone();
    url.query_pairs_mut().extend_pairs(fields);
    url
}

const LARGEST_ANSWER: u64 = 1 << 20;
const MARGIN: Duration = Duration::from_secs(10);
const LONGEST_LIFE: u64 = 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_are_no_header_are_none() {
        let now = Instant::now();
        let parse = |text: &str| Token::parse(&serde_json::from_str(text).expect("JSON"), now);
        for text in [r#"{"token":"a\r\nX: y"}"#, r#"{"token":7}"#, "[]", r#"{"token":""}"#] {
            assert!(parse(text).is_none(), "{text}");
        }
        let long = parse(r#"{"access_token":"a","expires_in":18446744073709551615}"#);
        assert!(long.is_some_and(|token| token.until > now));
        let short = parse(r#"{"token":"a","expires_in":4}"#).expect("a token");
        assert_eq!(short.until, now + Duration::from_secs(3));
    }
}
