//! Where key text comes from: a file or an environment variable.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Error, LocalKey, PublicKey, key};

/// Where a key is: `FILE`, or `env://NAME` for an environment variable that holds it.
///
/// ```
/// use immut_core::trust::KeySource;
/// assert_eq!("cosign.key".parse::<KeySource>()?, KeySource::File("cosign.key".into()));
/// assert_eq!("env://KEY".parse::<KeySource>()?, KeySource::Env("KEY".into()));
/// assert!("awskms:///alias/key".parse::<KeySource>().is_err());
/// # Ok::<(), immut_core::trust::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeySource {
    /// A file.
    File(PathBuf),
    /// An environment variable, as CI systems hand out secrets.
    Env(String),
}

impl KeySource {
    /// Reads the text; what is in it is looked at by [`KeyText`].
    pub fn read(&self) -> Result<KeyText, Error> {
        let text = match self {
            Self::File(path) => self.read_file(path)?,
            Self::Env(name) => match std::env::var(name) {
                Ok(value) if !value.trim().is_empty() => tidy(&Zeroizing::new(value)),
                _ => return Err(Error::KeyVariable(name.clone())),
            },
        };
        Ok(KeyText { place: self.clone(), text })
    }

    fn read_file(&self, path: &Path) -> Result<Zeroizing<String>, Error> {
        let failed = |source| Error::KeyFile { place: self.clone(), source };
        let mut bytes = Zeroizing::new(Vec::new());
        let file = File::open(path).map_err(failed)?;
        file.take(MAX_KEY + 1).read_to_end(&mut bytes).map_err(failed)?;
        let no_key = |reason| Error::NoKey { place: self.clone(), reason };
        if bytes.len() as u64 > MAX_KEY {
            return Err(no_key("it is larger than any key"));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| no_key("it is no text"))?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

impl FromStr for KeySource {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once("://") {
            Some(("env", name)) => Ok(Self::Env(name.to_owned())),
            Some((scheme, _)) => Err(Error::KeyScheme { scheme: scheme.to_owned() }),
            None => Ok(Self::File(text.into())),
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Env(name) => write!(f, "env://{name}"),
        }
    }
}

/// A key's text, not looked into yet. It is wiped from memory when dropped, and never printed.
pub struct KeyText {
    place: KeySource,
    text: Zeroizing<String>,
}

impl KeyText {
    /// Text that was read elsewhere; `place` names it in messages.
    pub fn new(place: KeySource, text: &str) -> Self {
        Self { place, text: Zeroizing::new(text.to_owned()) }
    }

    /// Whether it is an encrypted private key, so that a password is worth asking for.
    pub fn needs_password(&self) -> bool {
        key::is_encrypted(&self.text)
    }

    /// The private key in it: an encrypted key of cosign 2 or 3, or unencrypted PEM (PKCS #8,
    /// SEC 1 or PKCS #1). A password for a key that needs none is ignored.
    pub fn private_key(&self, password: Option<&Password>) -> Result<LocalKey, Error> {
        key::private(&self.place, &self.text, password)
    }

    /// The public key in it (PEM, `SubjectPublicKeyInfo`).
    pub fn public_key(&self) -> Result<PublicKey, Error> {
        key::public(&self.place, &self.text)
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyText").field("place", &self.place).finish_non_exhaustive()
    }
}

/// A password. It is wiped from memory when dropped, and never printed.
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// Takes the password; an empty one is a password too.
    pub fn new(password: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(password.into()))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// Undoes what CI systems do to the text of a secret: other line ends, `\n` written out, the whole
/// in base64, spaces around it.
fn tidy(value: &str) -> Zeroizing<String> {
    let plain = unescape(value);
    if plain.contains("-----BEGIN") {
        return plain;
    }
    let packed: Zeroizing<String> = Zeroizing::new(plain.split_whitespace().collect());
    let decoded = STANDARD.decode(packed.as_bytes()).ok().map(Zeroizing::new);
    match decoded.as_ref().and_then(|bytes| std::str::from_utf8(bytes).ok()) {
        Some(text) => unescape(text),
        None => plain,
    }
}

fn unescape(text: &str) -> Zeroizing<String> {
    let lines = Zeroizing::new(text.trim().replace("\\r", "").replace("\\n", "\n"));
    Zeroizing::new(lines.replace('\r', ""))
}

/// The largest key file that is read, in bytes; an RSA key of 4096 bits has about 4,000.
const MAX_KEY: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_ci_systems_are_understood() {
        let pem = "-----BEGIN X-----\nYWJj\n-----END X-----";
        let packed = STANDARD.encode(pem);
        let (first, second) = packed.split_at(10);
        for value in [
            pem.to_owned(),
            format!("  {pem}\n\n"),
            pem.replace('\n', "\r\n"),
            pem.replace('\n', "\\n"),
            pem.replace('\n', "\\r\\n"),
            packed.clone(),
            format!("{first}\n{second}\n"),
        ] {
            assert_eq!(tidy(&value).as_str(), pem, "{value:?}");
        }
        assert_eq!(tidy("no key").as_str(), "no key");
    }

    #[test]
    fn a_missing_variable_and_a_missing_file_are_named() {
        let source = KeySource::Env("IMMUT_NO_SUCH_KEY".into());
        assert!(source.read().expect_err("unset").to_string().contains("IMMUT_NO_SUCH_KEY"));
        let source = KeySource::File("/no/such.key".into());
        assert!(source.read().expect_err("missing").to_string().contains("/no/such.key"));
    }

    #[test]
    fn nothing_secret_is_printed() {
        let text = KeyText::new(KeySource::File("k".into()), "SECRET");
        let printed = format!("{text:?} {:?}", Password::new("SECRET"));
        assert!(!printed.contains("SECRET"), "{printed}");
    }
}
