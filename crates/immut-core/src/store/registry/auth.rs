//! Who we are for the registry: challenges, tokens, and how long they hold.
//!
//! Protocol: RFC 9110 "WWW-Authenticate", and the token and `OAuth2` pages of the distribution
//! project's documentation.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, RequestBuilder, Url};
use serde_json::Value;

use super::Error;
use super::credentials::{self, Credential, Environment};
use super::transport::Transport;
use crate::name::Repository;

/// What a request needs to be allowed, such as `repository:library/redis:pull`.
pub(super) type Scopes = Vec<String>;

/// The state of being logged in to one registry.
#[derive(Debug)]
pub(super) struct Auth {
    repository: Repository,
    environment: Environment,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How the registry wants to be answered; none before it first said so.
    challenge: Option<Challenge>,
    tokens: HashMap<Scopes, Token>,
    /// Looked up once, when it is first needed: a helper may ask its user.
    credential: Lookup,
}

#[derive(Debug, Default)]
enum Lookup {
    #[default]
    Pending,
    Done(Option<Credential>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: Url, service: Option<String>, scope: Option<String> },
}

#[derive(Debug)]
struct Token {
    header: HeaderValue,
    until: Instant,
}

impl Auth {
    pub(super) fn new(repository: &Repository, environment: &Environment) -> Self {
        let (repository, environment) = (repository.clone(), environment.clone());
        Self { repository, environment, state: Mutex::default() }
    }

    /// The header for a request, as far as the registry has said that it wants one.
    pub(super) async fn header(
        &self,
        transport: &Transport,
        step: &str,
        scopes: &Scopes,
    ) -> Result<Option<HeaderValue>, Error> {
        let challenge = {
            let state = self.state();
            let held = state.tokens.get(scopes).filter(|token| Instant::now() < token.until);
            if let Some(token) = held {
                return Ok(Some(token.header.clone()));
            }
            state.challenge.clone()
        };
        let Some(challenge) = challenge else { return Ok(None) };
        let credential = self.credential(transport, step).await?;
        match (challenge, credential) {
            (Challenge::Basic, Some(Credential::Password { user, password })) => {
                basic(&user, &password).map(Some).ok_or_else(|| {
                    transport.protocol(step, "it was given a password that cannot be sent")
                })
            }
            (Challenge::Basic, _) => Ok(None),
            (Challenge::Bearer { realm, service, scope }, credential) => {
                let asked = with_challenged(scopes, scope.as_deref());
                let request = Ask { realm, service, scopes: asked, credential };
                let token = request.token(transport, step).await?;
                let header = token.header.clone();
                self.state().tokens.insert(scopes.clone(), token);
                Ok(Some(header))
            }
        }
    }

    /// Takes note of a refusal with 401; false when the registry does not say how to do better.
    pub(super) fn challenged(
        &self,
        transport: &Transport,
        step: &str,
        headers: &HeaderMap,
        scopes: &Scopes,
    ) -> Result<bool, Error> {
        let Some(challenge) = strongest(headers) else { return Ok(false) };
        if let Challenge::Bearer { realm, .. } = &challenge
            && transport.base.scheme() == "https"
            && realm.scheme() != "https"
        {
            return Err(transport.protocol(step, "its token server is not on HTTPS"));
        }
        let mut state = self.state();
        state.tokens.remove(scopes);
        state.challenge = Some(challenge);
        Ok(true)
    }

    async fn credential(
        &self,
        transport: &Transport,
        step: &str,
    ) -> Result<Option<Credential>, Error> {
        if let Lookup::Done(known) = &self.state().credential {
            return Ok(known.clone());
        }
        let (environment, repository) = (self.environment.clone(), self.repository.clone());
        let find = move || credentials::find(&environment, &repository);
        let found = tokio::task::spawn_blocking(find).await.map_err(|_| {
            let cause = super::error::Cause::Internal;
            transport.no_answer(step, "looking for credentials failed".into(), cause)
        })??;
        self.state().credential = Lookup::Done(found.clone());
        Ok(found)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question for a token server.
struct Ask {
    realm: Url,
    service: Option<String>,
    scopes: Scopes,
    credential: Option<Credential>,
}

impl Ask {
    async fn token(self, transport: &Transport, step: &str) -> Result<Token, Error> {
        let server = self.realm.host_str().unwrap_or_default().to_owned();
        let step = format!("{step}: get a token from {server}");
        let asked = Instant::now();
        let Some(request) = self.request(transport) else {
            return Err(transport.protocol(&step, "its credentials cannot be sent"));
        };
        let response = transport.send(&step, request).await?;
        if !response.status().is_success() {
            return Err(transport.refused(&step, response).await);
        }
        let body = transport.body(&step, response, LARGEST_ANSWER).await?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        Token::parse(&answer, asked).ok_or_else(|| {
            transport.protocol(&step, "its token server's answer holds no usable token")
        })
    }

    fn request(&self, transport: &Transport) -> Option<RequestBuilder> {
        let mut fields: Vec<(&str, &str)> = Vec::new();
        fields.extend(self.service.iter().map(|service| ("service", service.as_str())));
        if let Some(Credential::IdentityToken(token)) = &self.credential {
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
        match &self.credential {
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

/// Bearer before Basic, as the first that makes sense.
fn strongest(headers: &HeaderMap) -> Option<Challenge> {
    let texts = headers.get_all(WWW_AUTHENTICATE).into_iter().filter_map(|v| v.to_str().ok());
    let found: Vec<_> = texts.flat_map(challenges).collect();
    let bearer = found.iter().find(|challenge| **challenge != Challenge::Basic);
    bearer.or(found.first()).cloned()
}

fn challenges(header: &str) -> Vec<Challenge> {
    let parsed = http_auth::parse_challenges(header).unwrap_or_default();
    let known = parsed.iter().filter_map(|challenge| {
        let parameter = |name: &str| {
            let found = challenge.params.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped())
        };
        if challenge.scheme.eq_ignore_ascii_case("basic") {
            return Some(Challenge::Basic);
        }
        let realm = Url::parse(&parameter("realm")?).ok();
        let realm = realm.filter(|realm| matches!(realm.scheme(), "http" | "https"))?;
        let bearer = challenge.scheme.eq_ignore_ascii_case("bearer");
        let (service, scope) = (parameter("service"), parameter("scope"));
        bearer.then_some(Challenge::Bearer { realm, service, scope })
    });
    known.collect()
}

/// Our scopes and those that the registry named for things we did not think of.
fn with_challenged(own: &Scopes, challenged: Option<&str>) -> Scopes {
    let thing = |scope: &str| scope.rsplit_once(':').map(|(thing, _)| thing.to_owned());
    let mut scopes = own.clone();
    for scope in challenged.unwrap_or_default().split_ascii_whitespace().take(4) {
        if !scopes.iter().any(|own| thing(own) == thing(scope)) {
            scopes.push(scope.to_owned());
        }
    }
    scopes
}

fn basic(user: &str, password: &str) -> Option<HeaderValue> {
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
    fn challenges_are_read_and_nonsense_is_not() {
        let bearer = |text: &str| match challenges(text).pop() {
            Some(Challenge::Bearer { realm, service, scope }) => {
                Some((realm.to_string(), service, scope))
            }
            _ => None,
        };
        let hub = r#"Bearer realm="https://auth.example/token",service="r",scope="repository:a/b:pull,push""#;
        let (realm, service, scope) = bearer(hub).expect("a challenge");
        assert_eq!((realm.as_str(), service.as_deref()), ("https://auth.example/token", Some("r")));
        assert_eq!(scope.as_deref(), Some("repository:a/b:pull,push"));
        assert_eq!(challenges("BASIC realm=\"a, b\""), [Challenge::Basic]);
        for text in
            ["Bearer", "Bearer realm=\"nowhere\"", "Bearer realm=\"file:///x\"", "\"", "Negotiate"]
        {
            assert_eq!(bearer(text), None, "{text}");
        }
        let mut both = HeaderMap::new();
        both.append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=x"));
        both.append(WWW_AUTHENTICATE, HeaderValue::from_str(hub).expect("a value"));
        assert!(matches!(strongest(&both), Some(Challenge::Bearer { .. })));
    }

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

    #[test]
    fn the_registrys_own_scope_is_added_for_other_things_only() {
        let own = vec!["repository:a:pull,push".to_owned()];
        assert_eq!(with_challenged(&own, Some("repository:a:pull")), own);
        let added = with_challenged(&own, Some("repository:a:pull repository:proxy/a:pull"));
        assert_eq!(added, ["repository:a:pull,push", "repository:proxy/a:pull"]);
    }
}
