//! `verify = digest, public key -> Verified`, or one of three refusals.

use std::fmt;

use super::{Error, Format, PublicKey, bundle, legacy};
use crate::name::{Digest, PinnedRef};
use crate::store::{self, Source};

/// A value that a signature vouches for. Only [`verify`] makes it.
///
/// ```compile_fail
/// use immut_core::trust::Verified;
/// let forged = Verified { value: 1, found: vec![], rejected: vec![] };
/// ```
#[derive(Debug, Clone)]
pub struct Verified<T> {
    value: T,
    found: Vec<Found>,
    rejected: Vec<Rejected>,
}

impl<T> Verified<T> {
    /// What was verified.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The signatures that hold; there is at least one.
    pub fn found(&self) -> &[Found] {
        &self.found
    }

    /// What was there besides and does not verify with this key.
    pub fn rejected(&self) -> &[Rejected] {
        &self.rejected
    }
}

/// A signature that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// How it is stored.
    pub format: Format,
    /// The referrer's digest, or the tag and the layer.
    pub place: String,
}

/// Something that looked like a signature and does not verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// How it is stored.
    pub format: Format,
    /// The referrer's digest, or the tag and the layer.
    pub place: String,
    /// Why it does not count.
    pub reason: Reason,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.format, self.place, self.reason)
    }
}

/// Why something is no signature of this image by this key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Another key made it, as far as one can tell; with the key's hint if it has one.
    #[error("it does not verify with this key{}", by(.0.as_ref()))]
    OtherKey(Option<String>),
    /// It was made with a certificate (keyless), which a key does not verify.
    #[error("it was made with a certificate, not with a key")]
    Certificate,
    /// It names this key, and does not verify.
    #[error("it names this key and does not verify: it was changed since it was made")]
    Changed,
    /// It is good, and about another image.
    #[error("it is about another image, {0:?}")]
    OtherImage(String),
    /// It attests something about an image; that is no signature.
    #[error("it is an attestation of type {0:?}, no signature")]
    Attestation(String),
    /// The signed payload is of another type.
    #[error("its payload is of type {0:?}")]
    PayloadType(String),
    /// An envelope with none or several signatures.
    #[error("it has {0} signatures instead of one")]
    SignatureCount(usize),
    /// It is not what its media type promises.
    #[error("{0}")]
    Malformed(String),
    /// Its bytes are not to be had.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// There are more than are looked at.
    #[error("there are {0}, and only the first {MAX_SIGNATURES} are looked at")]
    TooMany(usize),
}

impl Reason {
    fn is_other_key(&self) -> bool {
        matches!(self, Self::OtherKey(_) | Self::Certificate)
    }

    fn is_attestation(&self) -> bool {
        matches!(self, Self::Attestation(_))
    }
}

/// Checks that `key` signed `digest`: one signature that holds is enough, in either [`Format`].
///
/// What else lies there and does not verify is reported, not fatal: anyone who may write to the
/// repository can put more beside the image. No transparency log is looked at, and neither is the
/// repository that a legacy signature names, nor annotations.
///
/// Fails with [`Error::Unsigned`], [`Error::OtherKeys`] or [`Error::Broken`], or with
/// [`Error::Store`] if the store could not be read: then nothing can be said.
pub fn verify(
    source: &dyn Source,
    digest: &Digest,
    key: &PublicKey,
) -> Result<Verified<PinnedRef>, Error> {
    let surveys = [bundle::survey(source, digest, key), legacy::survey(source, digest, key)];
    let mut trouble = None;
    let (mut found, mut rejected) = (Vec::new(), Vec::new());
    for survey in surveys {
        found.extend(survey.found);
        rejected.extend(survey.rejected);
        trouble = trouble.or(survey.trouble);
    }
    if !found.is_empty() {
        let value = PinnedRef { location: source.location(), tag: None, digest: *digest };
        return Ok(Verified { value, found, rejected });
    }
    match trouble {
        Some(error) => Err(error.into()),
        None => Err(refusal(*digest, rejected)),
    }
}

fn refusal(digest: Digest, rejected: Vec<Rejected>) -> Error {
    let mut signatures =
        rejected.iter().map(|r| &r.reason).filter(|r| !r.is_attestation()).peekable();
    if signatures.peek().is_none() {
        return Error::Unsigned { digest, rejected };
    }
    if signatures.all(Reason::is_other_key) {
        return Error::OtherKeys { digest, rejected };
    }
    Error::Broken { digest, rejected }
}

/// What was found of one format.
#[derive(Debug)]
pub(super) struct Survey {
    format: Format,
    found: Vec<Found>,
    rejected: Vec<Rejected>,
    /// The first failure of the store itself, because of which something may have been missed.
    trouble: Option<store::Error>,
}

impl Survey {
    pub(super) fn new(format: Format) -> Self {
        Self { format, found: Vec::new(), rejected: Vec::new(), trouble: None }
    }

    /// Whether a signature holds; an error if none was found and the store failed.
    pub(super) fn holds(self) -> Result<bool, Error> {
        match self.trouble {
            Some(error) if self.found.is_empty() => Err(error.into()),
            _ => Ok(!self.found.is_empty()),
        }
    }

    pub(super) fn note(&mut self, place: String, checked: Result<(), Reason>) {
        let format = self.format;
        match checked {
            Ok(()) => self.found.push(Found { format, place }),
            Err(reason) => self.rejected.push(Rejected { format, place, reason }),
        }
    }

    /// Content that is missing or wrong is rejected; other failures leave the question open.
    pub(super) fn failed(mut self, place: &str, error: store::Error) -> Self {
        if is_about_content(&error) {
            self.note(place.to_owned(), Err(Reason::Unreadable(error.to_string())));
        } else {
            self.trouble.get_or_insert(error);
        }
        self
    }

    pub(super) fn cap(&mut self, place: &str, count: usize) {
        if count > MAX_SIGNATURES {
            self.note(place.to_owned(), Err(Reason::TooMany(count)));
        }
    }
}

fn is_about_content(error: &store::Error) -> bool {
    use store::Error::{Corrupt, Image, NotFound, Read, TooLarge};
    match error {
        NotFound { .. } | Corrupt { .. } | TooLarge { .. } | Image(_) => true,
        Read { source, .. } => source
            .get_ref()
            .is_some_and(|inner| matches!(inner.downcast_ref(), Some(Corrupt { .. }))),
        _ => false,
    }
}

fn by(hint: Option<&String>) -> String {
    hint.map(|hint| format!(", but names the key {hint}")).unwrap_or_default()
}

/// How many referrers or layers are looked at.
pub(super) const MAX_SIGNATURES: usize = 1000;
