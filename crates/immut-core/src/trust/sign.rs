//! `sign = digest -> signatures beside it`: written once, kept beside those of others.

use std::collections::BTreeSet;
use std::fmt;
use std::thread;
use std::time::{Duration, SystemTime};

use super::legacy::Signature;
use super::targets::{Missing, Targets};
use super::verify::Survey;
use super::{Error, Signer, bundle, legacy};
use crate::image::RawManifest;
use crate::name::{Digest, Repository};
use crate::store::{self, Sink};

/// In which form a signature is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Format {
    /// A Sigstore bundle v0.3 that refers to the image; what cosign 3 writes.
    Bundle,
    /// A layer under the tag `sha256-HEX.sig`; what cosign 2 reads.
    Legacy,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bundle => "bundle",
            Self::Legacy => "legacy",
        })
    }
}

/// How signatures are made.
#[derive(Debug, Clone)]
pub struct Options {
    /// The formats to write; both, unless there is a reason.
    pub formats: BTreeSet<Format>,
    /// The repository that legacy signatures name, if it is not that of the store: a layout has
    /// none, and its signatures name an empty one.
    pub identity: Option<Repository>,
    /// The time that the bundle's manifest carries. It is not signed and proves nothing.
    pub created: SystemTime,
}

impl Default for Options {
    fn default() -> Self {
        let formats = BTreeSet::from([Format::Bundle, Format::Legacy]);
        Self { formats, identity: None, created: SystemTime::now() }
    }
}

impl Options {
    /// The defaults, with the time from `SOURCE_DATE_EPOCH` if that is set.
    pub fn from_environment() -> Result<Self, Error> {
        match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(seconds) => Ok(Self { created: epoch(&seconds)?, ..Self::default() }),
            Err(_) => Ok(Self::default()),
        }
    }
}

/// What became of the signatures of one digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The signed digest.
    pub digest: Digest,
    /// Each format with what was done.
    pub outcomes: Vec<(Format, Outcome)>,
}

/// Whether a signature had to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was made and written.
    Made,
    /// One by the same key was there and verifies; nothing was written.
    AlreadyThere,
}

/// Signs the manifest or index `digest`, which must be in `to`.
///
/// A signature by this key over this digest that verifies is not made again, so that signing
/// twice is signing once. Signatures of others stay. After each write the store is read back:
/// two writers can race for the same tag, and the loser writes again.
///
/// ```
/// # use immut_testkit::Recipe;
/// use immut_core::store::Layout;
/// use immut_core::trust::{self, KeyPair, KeySource, Options, Password, Signer};
/// # let folder = tempfile::tempdir()?;
/// # let image = Recipe::new().layer(|l| l.file("/app", 0o755, b"x")).write(&folder.path().join("image"));
/// let (private, _) = KeyPair::generate(&Password::new("pw"))?.write(&folder.path().join("release"))?;
/// let key = KeySource::File(private).read()?.private_key(Some(&Password::new("pw")))?;
/// let (layout, digest) = (Layout::open(&folder.path().join("image"))?, image.digest.parse()?);
/// trust::sign(&digest, &layout, &key, &Options::from_environment()?)?;
/// assert!(trust::verify(&layout, &digest, key.public_key()).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sign(
    digest: &Digest,
    to: &dyn Sink,
    signer: &dyn Signer,
    options: &Options,
) -> Result<Signed, Error> {
    sign_manifest(&to.manifest(digest)?, to, signer, options)
}

fn sign_manifest(
    image: &RawManifest,
    to: &dyn Sink,
    signer: &dyn Signer,
    options: &Options,
) -> Result<Signed, Error> {
    let digest = image.descriptor().digest;
    let mut outcomes = Vec::new();
    for format in &options.formats {
        let outcome = match format {
            Format::Bundle => sign_bundle(image, to, signer, options)?,
            Format::Legacy => sign_legacy(&digest, to, signer, options)?,
        };
        outcomes.push((*format, outcome));
    }
    Ok(Signed { digest, outcomes })
}

/// What became of the signatures of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signatures {
    /// Each manifest, before the index that names it.
    pub signed: Vec<Signed>,
    /// What an index names and a partial copy of it lacks; it is not signed.
    pub missing: Vec<Missing>,
}

/// Signs an image; of an index, each platform's manifest first and the index itself last.
///
/// Attestations, artifacts such as SBOMs, and what has an unknown media type are not signed.
pub fn sign_all(
    digest: &Digest,
    to: &dyn Sink,
    signer: &dyn Signer,
    options: &Options,
) -> Result<Signatures, Error> {
    let Targets { images, missing } = Targets::of(to.manifest(digest)?, to)?;
    let sign = |image: &RawManifest| sign_manifest(image, to, signer, options);
    Ok(Signatures { signed: images.iter().map(sign).collect::<Result<_, _>>()?, missing })
}

fn sign_bundle(
    image: &RawManifest,
    to: &dyn Sink,
    signer: &dyn Signer,
    options: &Options,
) -> Result<Outcome, Error> {
    let digest = image.descriptor().digest;
    let survey = || bundle::survey(to, &digest, signer.public_key());
    if survey().holds()? {
        return Ok(Outcome::AlreadyThere);
    }
    let made = bundle::make(&digest, signer)?;
    until_there(&digest, survey, || Ok(bundle::attach(&made, image, options.created, to)?))
}

fn sign_legacy(
    digest: &Digest,
    to: &dyn Sink,
    signer: &dyn Signer,
    options: &Options,
) -> Result<Outcome, Error> {
    let survey = || legacy::survey(to, digest, signer.public_key());
    if survey().holds()? {
        return Ok(Outcome::AlreadyThere);
    }
    let location = to.location();
    let identity = options.identity.as_ref().or(store::repository(&location));
    let made = Signature::make(digest, identity, signer)?;
    until_there(digest, survey, || made.append(digest, to))
}

/// Writes until the signature is found when read back.
fn until_there(
    digest: &Digest,
    survey: impl Fn() -> Survey,
    write: impl Fn() -> Result<(), Error>,
) -> Result<Outcome, Error> {
    for attempt in 1..=ATTEMPTS {
        write()?;
        if survey().holds()? {
            return Ok(Outcome::Made);
        }
        thread::sleep(PAUSE * attempt);
    }
    Err(Error::Lost { digest: *digest })
}

fn epoch(seconds: &str) -> Result<SystemTime, Error> {
    let bad = || Error::Epoch(seconds.to_owned());
    let seconds = seconds.trim().parse().map_err(|_| bad())?;
    let limit = 253_402_300_799; // the last second of the year 9999
    if seconds > limit {
        return Err(bad());
    }
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// How often a write that another writer undid is tried.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(150);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_is_seconds_and_nothing_else() {
        let time = epoch("1795324175\n").expect("a time");
        assert_eq!(time, SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_324_175));
        for bad in ["", "-1", "1.5", "2026-11-22", "999999999999"] {
            assert!(matches!(epoch(bad), Err(Error::Epoch(_))), "{bad:?}");
        }
    }
}
