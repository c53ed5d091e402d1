//! Keys and their passwords.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use immut_core::trust::{self, KeyPair, KeySource, LocalKey, Password};

use crate::exit::Failure;
use crate::render::note;

const VARIABLE: &str = "COSIGN_PASSWORD";

/// Loads a private key. The password is that of `COSIGN_PASSWORD`; without it an empty one is tried,
/// and then a terminal is asked.
pub(crate) fn load(source: &KeySource) -> Result<LocalKey, Failure> {
    let text = source.read()?;
    if !text.needs_password() {
        return Ok(text.private_key(None)?);
    }
    if let Some(password) = from_environment() {
        return Ok(text.private_key(Some(&password))?);
    }
    match text.private_key(Some(&Password::new(""))) {
        Err(trust::Error::WrongPassword(_)) if std::io::stdin().is_terminal() => {
            let password = ask(&format!("Password of {source}: "))?;
            Ok(text.private_key(Some(&password))?)
        }
        Err(trust::Error::WrongPassword(_)) => Err(trust::Error::NoPassword(source.clone()).into()),
        other => Ok(other?),
    }
}

/// Makes a key pair where there is none, without a question: for `--generate-key`.
pub(crate) fn generate_if_missing(source: &KeySource) -> Result<(), Failure> {
    let KeySource::File(path) = source else {
        return Err(Failure::Usage("--generate-key makes a file; --key env://NAME is none".into()));
    };
    if path.exists() {
        return Ok(());
    }
    let password = from_environment().unwrap_or_else(empty);
    let (private, public) = KeyPair::generate(&password)?.write(&prefix(path)?)?;
    note(&format!(
        "A NEW KEY PAIR WAS MADE: {} (secret, keep it safe) and {} (public, hand it out)",
        private.display(),
        public.display()
    ));
    Ok(())
}

/// Makes a key pair: for `key generate`.
pub(crate) fn generate(prefix: &Path) -> Result<(PathBuf, PathBuf), Failure> {
    let password = match from_environment() {
        Some(password) => password,
        None if std::io::stdin().is_terminal() => ask_twice()?,
        None => empty(),
    };
    Ok(KeyPair::generate(&password)?.write(prefix)?)
}

/// The public key's file beside a private key's, for the command that verifies.
pub(crate) fn public_file(source: &KeySource) -> PathBuf {
    match source {
        KeySource::File(path) => path.with_extension("pub"),
        _ => PathBuf::from("KEY.pub"),
    }
}

fn prefix(path: &Path) -> Result<PathBuf, Failure> {
    if path.extension().is_some_and(|extension| extension == "key") {
        return Ok(path.with_extension(""));
    }
    Err(Failure::Usage(format!(
        "--generate-key wants a file that ends in .key, not {}",
        path.display()
    )))
}

fn from_environment() -> Option<Password> {
    std::env::var(VARIABLE).ok().map(Password::new)
}

fn empty() -> Password {
    note(&format!(
        "{VARIABLE} is not set: the key's password is empty, so whoever reads the file can sign"
    ));
    Password::new("")
}

fn ask(prompt: &str) -> Result<Password, Failure> {
    let failed = |source| Failure::Local { action: "read", path: "the password".into(), source };
    rpassword::prompt_password(prompt).map(Password::new).map_err(failed)
}

fn ask_twice() -> Result<Password, Failure> {
    let failed = |source| Failure::Local { action: "read", path: "the password".into(), source };
    let first = rpassword::prompt_password("Password for the new key: ").map_err(failed)?;
    let second = rpassword::prompt_password("The same again: ").map_err(failed)?;
    if first == second {
        return Ok(Password::new(first));
    }
    Err(Failure::Usage("the two passwords differ".into()))
}
