//! Credentials as docker and podman keep them.
//!
//! Formats: docker's `config.json` and podman's `auth.json` (containers-auth.json(5)), and the
//! credential helper protocol: `docker-credential-NAME get`, the address on stdin, JSON on stdout.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::error::plain;
use crate::name::Repository;

/// The environment variables that say where credentials lie and where helpers are found.
///
/// It is a value, so that a caller can give another one than the process has.
///
/// ```
/// use immut_core::store::registry::Environment;
/// let environment: Environment = [("HOME", "/nonexistent")].into_iter().collect();
/// assert!(!format!("{environment:?}").contains("nonexistent"));
/// ```
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// The variables of this process.
    pub fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        let value = self.0.get(&OsString::from(name))?;
        (!value.is_empty()).then(|| PathBuf::from(value))
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Values of environment variables are often secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Who we are for a registry.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credential {
    Password {
        user: String,
        password: String,
    },
    /// An `OAuth2` refresh token.
    IdentityToken(String),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password",
            Self::IdentityToken(_) => "IdentityToken",
        })
    }
}

/// Why configured credentials could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of credentials cannot be read.
    #[error("read credentials from {path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// The system's word.
        source: io::Error,
    },
    /// A file of credentials is not what docker or podman write.
    #[error("read credentials from {path}: {reason}")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A credential helper did not answer.
    #[error("ask {helper}, which {path} names for {registry}: {reason}")]
    Helper {
        /// The helper's program.
        helper: String,
        /// The file that names it.
        path: String,
        /// The registry it was asked for.
        registry: String,
        /// What went wrong.
        reason: String,
    },
}

/// The credential for a repository, from the first file that has one.
///
/// Blocking: a helper may ask its user.
pub(super) fn find(
    environment: &Environment,
    repository: &Repository,
) -> Result<Option<Credential>, Error> {
    for path in files(environment) {
        let Some(file) = File::read(&path, environment)? else { continue };
        if let Some(credential) = file.credential(environment, repository)? {
            return Ok(Some(credential));
        }
    }
    Ok(None)
}

/// Where credentials may lie; what was named outright comes first.
fn files(environment: &Environment) -> Vec<PathBuf> {
    let home = environment.path("HOME");
    let in_home = |folder: &str| home.as_ref().map(|home| home.join(folder));
    let docker = environment.path("DOCKER_CONFIG").or_else(|| in_home(".docker"));
    let settings = environment.path("XDG_CONFIG_HOME").or_else(|| in_home(".config"));
    let podman = |folder: PathBuf| folder.join("containers/auth.json");
    let all = [
        environment.path("REGISTRY_AUTH_FILE"),
        docker.map(|folder| folder.join("config.json")),
        environment.path("XDG_RUNTIME_DIR").map(podman),
        settings.map(podman),
    ];
    all.into_iter().flatten().collect()
}

/// A file of credentials.
struct File {
    path: PathBuf,
    content: Content,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

impl File {
    /// None if there is no such file, unless the user named that very file.
    fn read(path: &Path, environment: &Environment) -> Result<Option<Self>, Error> {
        let named = environment.path("REGISTRY_AUTH_FILE").is_some_and(|named| named == path);
        let shown = || path.display().to_string();
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !named => return Ok(None),
            Err(source) => return Err(Error::Unreadable { path: shown(), source }),
        };
        // serde's message may quote the value it stumbled over: only the place is told.
        let content = serde_json::from_slice(&bytes).map_err(|error| Error::Malformed {
            path: shown(),
            reason: format!("not as docker or podman write it, line {}", error.line()),
        })?;
        Ok(Some(Self { path: path.to_owned(), content }))
    }

    /// A helper for this very registry, then what is written in the file, then the general helper.
    fn credential(
        &self,
        environment: &Environment,
        repository: &Repository,
    ) -> Result<Option<Credential>, Error> {
        let host = same_host(&repository.host);
        let helpers = &self.content.cred_helpers;
        let own = helpers.iter().find(|(key, name)| same_key(key) == host && !name.is_empty());
        if let Some((_, name)) = own {
            return self.ask(name, environment, repository);
        }
        if let Some(credential) = self.written(repository)? {
            return Ok(Some(credential));
        }
        match self.content.creds_store.as_str() {
            "" => Ok(None),
            name => self.ask(name, environment, repository),
        }
    }

    /// The entry of `auths` with the longest key that is the repository or a parent of it.
    fn written(&self, repository: &Repository) -> Result<Option<Credential>, Error> {
        let name = format!("{}/{}", same_host(&repository.host), repository.path);
        let covers = |key: &str| {
            name.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let keyed = self.content.auths.iter().map(|(key, entry)| (same_key(key), entry));
        let mut found: Vec<_> = keyed.filter(|(key, _)| covers(key)).collect();
        found.sort_by_key(|(key, _)| std::cmp::Reverse(key.len()));
        for (key, entry) in found {
            let credential = entry.credential().map_err(|reason| Error::Malformed {
                path: self.path.display().to_string(),
                reason: format!("the entry of {key} {reason}"),
            })?;
            if credential.is_some() {
                return Ok(credential);
            }
        }
        Ok(None)
    }

    fn ask(
        &self,
        name: &str,
        environment: &Environment,
        repository: &Repository,
    ) -> Result<Option<Credential>, Error> {
        let helper = format!("docker-credential-{name}");
        let address = match same_host(&repository.host).as_str() {
            "docker.io" => "https://index.docker.io/v1/".to_owned(),
            host => host.to_owned(),
        };
        let failed = |reason: String| Error::Helper {
            helper: helper.clone(),
            path: self.path.display().to_string(),
            registry: repository.host.clone(),
            reason,
        };
        if name.contains('/') {
            return Err(failed("a helper's name has no slashes".into()));
        }
        let output =
            run(&helper, environment, &address).map_err(|error| failed(error.to_string()))?;
        helper_answer(&output).map_err(failed)
    }
}

impl Entry {
    /// None for the empty entries that docker writes when a helper has the secret.
    fn credential(&self) -> Result<Option<Credential>, &'static str> {
        if !self.identitytoken.is_empty() {
            return Ok(Some(Credential::IdentityToken(self.identitytoken.clone())));
        }
        if !self.auth.is_empty() {
            return decode(&self.auth).map(Some);
        }
        let (user, password) = (self.username.clone(), self.password.clone());
        Ok((!user.is_empty()).then_some(Credential::Password { user, password }))
    }
}

fn decode(auth: &str) -> Result<Credential, &'static str> {
    let forgiving =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes = GeneralPurpose::new(&alphabet::STANDARD, forgiving)
        .decode(auth.trim())
        .map_err(|_| "is not base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8")?;
    let (user, password) = text.split_once(':').ok_or("is not USER:PASSWORD")?;
    // docker pads with NULs.
    let password = password.trim_end_matches('\0');
    Ok(Credential::Password { user: user.to_owned(), password: password.to_owned() })
}

fn run(helper: &str, environment: &Environment, address: &str) -> io::Result<Output> {
    let mut child = Command::new(helper)
        .arg("get")
        .env_clear()
        .envs(&environment.0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read is judged by its answer.
        let _ = stdin.write_all(address.as_bytes());
    }
    child.wait_with_output()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

fn helper_answer(output: &Output) -> Result<Option<Credential>, String> {
    let answer = serde_json::from_slice::<HelperAnswer>(&output.stdout);
    match (output.status.success(), answer) {
        (true, Ok(answer)) if answer.username == "<token>" => {
            Ok(Some(Credential::IdentityToken(answer.secret)))
        }
        (true, Ok(HelperAnswer { username: user, secret: password })) => {
            Ok(Some(Credential::Password { user, password }))
        }
        (true, Err(_)) => Err("its answer is not the JSON that helpers give".into()),
        (false, _) => {
            let [said, also] =
                [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
            if said.contains("credentials not found") {
                return Ok(None);
            }
            let words = if said.trim().is_empty() { also } else { said };
            Err(format!("it ended with {}: {}", output.status, plain(words.trim())))
        }
    }
}

/// A key of `auths` as `host` or `host/path`.
fn same_key(key: &str) -> String {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let (host, path) = match bare {
        // docker's own keys are addresses: only the host counts.
        Some(address) => (address.split('/').next().unwrap_or_default(), ""),
        None => key.split_once('/').unwrap_or((key, "")),
    };
    match path.trim_end_matches('/') {
        "" | "v1" | "v2" => same_host(host),
        path => format!("{}/{path}", same_host(host)),
    }
}

fn same_host(host: &str) -> String {
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
#[path = "credentials/tests.rs"]
mod tests;
