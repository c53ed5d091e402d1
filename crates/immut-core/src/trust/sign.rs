//! `sign = digest -> signatures beside it`: written once, kept beside those of others.

use std::collections::BTreeSet;
use std::fmt;
use std::thread;
use std::time::{Duration, SystemTime};

use super::legacy::Signature;
use super::verify::Survey;
use super::{Error, Signer, bundle, legacy};
use crate::image::{Image, Index, IndexEntry, Platform, RawManifest, media_type};
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
    let image = to.manifest(digest)?;
    let mut outcomes = Vec::new();
    for format in &options.formats {
        let outcome = match format {
            Format::Bundle => sign_bundle(&image, to, signer, options)?,
            Format::Legacy => sign_legacy(digest, to, signer, options)?,
        };
        outcomes.push((*format, outcome));
    }
    Ok(Signed { digest: *digest, outcomes })
}

/// Signs an image; of an index, each platform's manifest first and the index itself last.
///
/// Attestation manifests and what has an unknown media type are left out.
pub fn sign_all(
    digest: &Digest,
    to: &dyn Sink,
    signer: &dyn Signer,
    options: &Options,
) -> Result<Vec<Signed>, Error> {
    let mut targets = Vec::new();
    if let Image::Index(index) = Image::parse(to.manifest(digest)?)? {
        platforms(&index, to, 0, &mut targets)?;
    }
    targets.retain(|target| target != digest);
    targets.push(*digest);
    targets.iter().map(|target| sign(target, to, signer, options)).collect()
}

/// The manifests of an index that can be run, those of indexes within it too.
fn platforms(
    index: &Index,
    to: &dyn Sink,
    depth: usize,
    into: &mut Vec<Digest>,
) -> Result<(), Error> {
    for entry in index.entries().iter().filter(|entry| is_platform(entry)) {
        let digest = entry.descriptor.digest;
        if INDEXES.contains(&entry.descriptor.media_type.as_str())
            && depth < MAX_DEPTH
            && let Image::Index(inner) = Image::parse(to.manifest(&digest)?)?
        {
            platforms(&inner, to, depth + 1, into)?;
        }
        if !into.contains(&digest) {
            into.push(digest);
        }
    }
    Ok(())
}

fn is_platform(entry: &IndexEntry) -> bool {
    let kind = entry.descriptor.media_type.as_str();
    let unknown = entry.platform.as_ref().is_some_and(Platform::is_unknown);
    entry.attests.is_none() && !unknown && (MANIFESTS.contains(&kind) || INDEXES.contains(&kind))
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
/// Indexes within indexes are rare, and never deep.
const MAX_DEPTH: usize = 4;
const MANIFESTS: [&str; 2] = [media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST];
const INDEXES: [&str; 2] = [media_type::OCI_INDEX, media_type::DOCKER_LIST];

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
