//! Who we are for the registry: challenges, tokens, and how long they hold.
//!
//! Protocol: RFC 9110 "WWW-Authenticate", and the token and `OAuth2` pages of the distribution
//! project's documentation.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};

use super::Error;
use super::credentials::{self, Credential, Environment};
use super::error::Account;
use super::token::{Ask, Token, basic};
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
    /// Looked up when it is first needed, and again when it was refused: a helper may ask its user.
    credential: Lookup,
    /// The credential itself was sent and not accepted.
    refused: bool,
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
        match challenge {
            None => Ok(None),
            Some(Challenge::Basic) => self.basic(transport, step).await,
            Some(Challenge::Bearer { realm, service, scope }) => {
                let asked = with_challenged(scopes, scope.as_deref());
                let ask = Ask { realm, service, scopes: asked };
                let token = self.token(transport, step, &ask).await?;
                let header = token.header.clone();
                self.state().tokens.insert(scopes.clone(), token);
                Ok(Some(header))
            }
        }
    }

    async fn basic(&self, transport: &Transport, step: &str) -> Result<Option<HeaderValue>, Error> {
        let refused = std::mem::take(&mut self.state().refused);
        let credential = if refused {
            self.another(transport, step).await?
        } else {
            self.credential(transport, step).await?
        };
        let Some(Credential::Password { user, password }) = credential else { return Ok(None) };
        let header = basic(&user, &password)
            .ok_or_else(|| transport.protocol(step, "it was given a password that cannot be sent"));
        header.map(Some)
    }

    /// A token; when the token server does not accept a credential that was known before, from
    /// another one if there is.
    async fn token(&self, transport: &Transport, step: &str, ask: &Ask) -> Result<Token, Error> {
        let known = matches!(self.state().credential, Lookup::Done(Some(_)));
        let credential = self.credential(transport, step).await?;
        let refused = match ask.token(transport, step, credential.as_ref()).await {
            Err(error) if known && error.status() == Some(401) => error,
            done => return done,
        };
        match self.another(transport, step).await? {
            None => Err(refused),
            another => ask.token(transport, step, another.as_ref()).await,
        }
    }

    /// Takes note of a refusal with 401 of a request that had the header `sent`.
    pub(super) fn challenged(
        &self,
        transport: &Transport,
        step: &str,
        headers: &HeaderMap,
        scopes: &Scopes,
        sent: Option<&HeaderValue>,
    ) -> Result<(), Error> {
        self.state().tokens.remove(scopes);
        let Some(challenge) = strongest(headers) else { return Ok(()) };
        if let Challenge::Bearer { realm, .. } = &challenge
            && transport.base.scheme() == "https"
            && realm.scheme() != "https"
        {
            return Err(transport.protocol(step, "its token server is not on HTTPS"));
        }
        let mut state = self.state();
        state.refused = challenge == Challenge::Basic && sent.is_some();
        state.challenge = Some(challenge);
        Ok(())
    }

    /// Who we are, as far as it is known.
    pub(super) fn account(&self) -> Account {
        match self.state().credential {
            Lookup::Pending => Account::Unasked,
            Lookup::Done(None) => Account::Nobody,
            Lookup::Done(Some(_)) => Account::Known,
        }
    }

    async fn credential(
        &self,
        transport: &Transport,
        step: &str,
    ) -> Result<Option<Credential>, Error> {
        if let Lookup::Done(known) = &self.state().credential {
            return Ok(known.clone());
        }
        self.look_up(transport, step).await
    }

    /// Looks for the credential once more: that of a helper may have expired. None if it is the same.
    async fn another(
        &self,
        transport: &Transport,
        step: &str,
    ) -> Result<Option<Credential>, Error> {
        let known = self.credential(transport, step).await?;
        let found = self.look_up(transport, step).await?;
        Ok(found.filter(|found| Some(found) != known.as_ref()))
    }

    async fn look_up(
        &self,
        transport: &Transport,
        step: &str,
    ) -> Result<Option<Credential>, Error> {
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
        let (_, service, scope) =
            bearer("Bearer realm=\"https://a/b\",service=gcr.io").expect("one");
        assert_eq!((service.as_deref(), scope), (Some("gcr.io"), None));
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
    fn the_registrys_own_scope_is_added_for_other_things_only() {
        let own = vec!["repository:a:pull,push".to_owned()];
        assert_eq!(with_challenged(&own, Some("repository:a:pull")), own);
        let added = with_challenged(&own, Some("repository:a:pull repository:proxy/a:pull"));
        assert_eq!(added, ["repository:a:pull,push", "repository:proxy/a:pull"]);
    }
}
