//! Where images are read from and written to: [`Source`], [`Sink`] and [`copy`].
//!
//! Every byte that a source hands out is checked against its digest before its reader says that it
//! is done: [`Source::open`] gives a reader which fails at its end unless size and digest match.

mod archive;
mod copy;
mod cosign;
mod draft;
mod early;
mod layout;
mod listing;
mod referrers;
pub mod registry;
mod unfinished;
mod unpacked;
mod verify;

use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use archive::{Archive, ArchiveDraft, Spool};
pub(crate) use copy::{DEEPEST, Kind, MANIFESTS, Transfer, Tree};
pub use copy::{copy, copy_blob};
pub use draft::Draft;
pub(crate) use early::{Early, Sending, Sent};
pub use layout::Layout;
pub(crate) use referrers::subject;
pub use registry::{Registry, RegistryOptions};
pub use unfinished::{Unfinished, discard_unfinished};
pub(crate) use unpacked::{PuttingAside, Reader as UnpackedReader, Unpacked};
pub use verify::Verifying;

use crate::image::{self, Descriptor, Platform, RawManifest};
use crate::name::{Digest, Location, Reference, Repository};
use crate::path::lossy;

/// Where images are read from.
pub trait Source: Send + Sync {
    /// What this source is, as a reference's location.
    fn location(&self) -> Location;

    /// The images that can be named here, where a store can list them: a layout, an archive.
    fn images(&self) -> Result<Vec<Listed>, Error> {
        Ok(Vec::new())
    }

    /// The digest by which users name that manifest here: its own, but in a docker archive, which
    /// has no manifests, that of its config.
    fn known_as(&self, manifest: &RawManifest) -> Digest {
        Digest::of(&manifest.bytes)
    }

    /// The manifest or index that `tag` names now; none if there is no such tag.
    fn tagged(&self, tag: &str) -> Result<Option<RawManifest>, Error>;

    /// The manifest or index with that digest, verified; an archive also takes the digest of an
    /// image's config.
    fn manifest(&self, digest: &Digest) -> Result<RawManifest, Error>;

    /// Opens a blob. The reader fails at its end unless size and digest match `blob`.
    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>, Error>;

    /// The manifests whose `subject` is `digest`, from the referrers API or the fallback tag
    /// (OCI distribution specification 1.1, "Listing referrers").
    fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, Error>;
}

/// Where images are written to.
pub trait Sink: Source {
    /// Whether the blob is there.
    fn has(&self, blob: &Descriptor) -> Result<bool, Error>;

    /// Makes a blob that is not there be there without sending its bytes, and says where it was
    /// taken from: a registry mounts it from another of its repositories.
    fn mount(&self, _blob: &Descriptor) -> Result<Option<Repository>, Error> {
        Ok(None)
    }

    /// Writes a blob; the content must match `blob` or nothing is written.
    fn put(&self, blob: &Descriptor, content: &mut dyn Read) -> Result<(), Error>;

    /// Begins a blob whose digest and size are not known yet; none where that cannot be, or not
    /// before the rest is there.
    fn begin(&self) -> Result<Option<Box<dyn Growing + '_>>, Error> {
        Ok(None)
    }

    /// Writes a manifest or index by its digest. A manifest with a `subject` becomes a referrer of
    /// it; where there is no referrers API the fallback index is merged, never overwritten.
    fn put_manifest(&self, manifest: &RawManifest) -> Result<(), Error>;

    /// Makes `tag` name a manifest or index that is already there.
    fn tag(&self, tag: &str, manifest: &RawManifest) -> Result<(), Error>;

    /// Ends the writing. A layout or an archive is as it was until then, and whole afterwards; with
    /// a registry everything was done at once. Verbs that write end with it.
    fn finish(&self) -> Result<(), Error>;
}

/// A blob that is written while it is made. One that is dropped before [`Growing::finish`] is given up.
pub trait Growing: Send {
    /// Writes the next bytes; it waits while too many are under way. After an error there is nothing
    /// more to be done but to drop it.
    fn write(&mut self, piece: &[u8]) -> Result<(), Error>;

    /// Says what was written: if that is not what was received, the blob is not there.
    fn finish(self: Box<Self>, blob: &Descriptor) -> Result<(), Error>;
}

/// An image that a store lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its digest.
    pub digest: Digest,
}

/// What went wrong with a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such image, manifest or blob.
    #[error("{what} is not in {place}")]
    NotFound {
        /// What was asked for.
        what: String,
        /// Where.
        place: Location,
    },
    /// A layout or an archive has no image of that name.
    #[error("an image named {name} is not in {place}{}", there(place, images))]
    NoSuchName {
        /// What was asked for.
        name: String,
        /// Where.
        place: Location,
        /// What is there.
        images: Vec<Listed>,
    },
    /// The store handed out other bytes than it was asked for.
    #[error("{place} gave wrong content for {digest}: {reason}")]
    Corrupt {
        /// Where.
        place: String,
        /// What was asked for.
        digest: Digest,
        /// How it differs.
        reason: String,
    },
    /// The folder is no layout, and cannot become one.
    #[error("{path} is no OCI layout: {reason}")]
    NoLayout {
        /// The folder.
        path: String,
        /// Why not.
        reason: &'static str,
    },
    /// A file of a layout is broken, or made to deceive.
    #[error("{path} is not usable as a part of an OCI layout: {reason}")]
    Layout {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is no archive of images, or a broken or hostile one.
    #[error("{path} is not usable as an archive of images: {reason}")]
    Archive {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Several images are there, and none of them was named.
    #[error("{place} has {} images, so name one of them{}", images.len(), listed(place, images))]
    Several {
        /// Where.
        place: Location,
        /// What is there.
        images: Vec<Listed>,
    },
    /// Something cannot be written there at all.
    #[error("{place} cannot hold this: {reason}")]
    Unfit {
        /// Where.
        place: String,
        /// Why not, and what helps.
        reason: &'static str,
    },
    /// A file could not be read or written.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was done, such as `write`.
        action: &'static str,
        /// The file.
        path: String,
        /// The system's word.
        source: io::Error,
    },
    /// Content ended in an error while it was read.
    #[error("read {what}: {source}")]
    Read {
        /// What was read.
        what: String,
        /// The reader's word; see [`Error::root`].
        source: io::Error,
    },
    /// A registry could not be reached, or refused.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// What is named is no image that can be worked on.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// A manifest names something that its store does not have.
    #[error(
        "{place} has only a part of this image: {}{what} is missing, which {by} names",
        .platform.as_ref().map(|platform| format!("{platform} ")).unwrap_or_default()
    )]
    Incomplete {
        /// Where.
        place: Box<Location>,
        /// The platform of an index that is not whole.
        platform: Option<Box<Platform>>,
        /// What is missing, with its digest.
        what: String,
        /// The manifest or index that names it.
        by: Digest,
    },
    /// More documents than any honest image has.
    #[error("{what} names more than {limit}, which is all that is followed")]
    TooMany {
        /// Which image.
        what: Digest,
        /// The limit in words.
        limit: String,
    },
    /// A document is larger than any honest one.
    #[error("{what} has {size} bytes, more than the {limit} that are accepted")]
    TooLarge {
        /// Which document.
        what: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
}

impl Error {
    /// The error beneath: when the content of one store could not be read while it was written to
    /// another, that is the first store's.
    pub fn root(&self) -> &Self {
        let Self::Read { source, .. } = self else { return self };
        let inner = source.get_ref().and_then(|inner| inner.downcast_ref::<Self>());
        inner.map_or(self, Self::root)
    }

    /// How long to wait before the content of a blob that could not be put is worth opening and
    /// sending again; none if that would not help.
    pub fn resend_after(&self) -> Option<Duration> {
        match self {
            Self::Registry(error) => error.resend_after(),
            _ => None,
        }
    }
}

/// The largest manifest, index or config that is read, in bytes; registries accept 4 MiB.
pub const MAX_DOCUMENT: u64 = 8 << 20;

/// Reads a whole small blob, such as a config.
pub fn read_small(source: &dyn Source, blob: &Descriptor) -> Result<Vec<u8>, Error> {
    if blob.size > MAX_DOCUMENT {
        let what = format!("{} ({})", blob.digest, blob.media_type);
        return Err(Error::TooLarge { what, size: blob.size, limit: MAX_DOCUMENT });
    }
    let mut bytes = Vec::new();
    let read = source.open(blob)?.read_to_end(&mut bytes);
    read.map_err(|source| Error::Read { what: blob.digest.to_string(), source })?;
    Ok(bytes)
}

/// The digest that a reference means: its own, the one its tag names now, that of `latest`, or of
/// the only image that is there.
pub fn resolve(source: &dyn Source, reference: &Reference) -> Result<Digest, Error> {
    if let Some(digest) = reference.digest {
        return Ok(digest);
    }
    let tag = reference.tag.as_deref().unwrap_or("latest");
    if let Some(found) = source.tagged(tag)? {
        return Ok(source.known_as(&found));
    }
    let (images, place) = (source.images()?, source.location());
    match (images.as_slice(), &reference.tag) {
        ([first, others @ ..], None) => {
            if others.iter().all(|other| other.digest == first.digest) {
                return Ok(first.digest);
            }
            Err(Error::Several { place, images })
        }
        _ if repository(&place).is_some() => {
            Err(Error::NotFound { what: format!("tag {tag}"), place })
        }
        _ => Err(Error::NoSuchName { name: tag.to_owned(), place, images }),
    }
}

/// What a layout or an archive has instead of the name that was asked for.
fn there(place: &Location, images: &[Listed]) -> String {
    match images {
        [] => ", which lists no images".to_owned(),
        images => format!(", which has{}", listed(place, images)),
    }
}

/// The images that are there, as they can be named, each on a line.
fn listed(place: &Location, images: &[Listed]) -> String {
    let mut lines = String::new();
    for image in images.iter().take(MOST_LISTED) {
        let name = image.name.as_ref().map(|name| format!(":{}", lossy(name.as_bytes())));
        let name = name.unwrap_or_default();
        let _ = write!(lines, "\n  {place}{name}@{}", image.digest);
    }
    if images.len() > MOST_LISTED {
        let _ = write!(lines, "\n  and {} more", images.len() - MOST_LISTED);
    }
    lines
}

/// How many images a message names.
const MOST_LISTED: usize = 20;

/// Sources and sinks are often shared between threads.
impl<S: Source + ?Sized> Source for Arc<S> {
    fn location(&self) -> Location {
        (**self).location()
    }
    fn images(&self) -> Result<Vec<Listed>, Error> {
        (**self).images()
    }
    fn known_as(&self, manifest: &RawManifest) -> Digest {
        (**self).known_as(manifest)
    }
    fn tagged(&self, tag: &str) -> Result<Option<RawManifest>, Error> {
        (**self).tagged(tag)
    }
    fn manifest(&self, digest: &Digest) -> Result<RawManifest, Error> {
        (**self).manifest(digest)
    }
    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>, Error> {
        (**self).open(blob)
    }
    fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
        (**self).referrers(digest)
    }
}

/// The tag that stands for the referrers of `digest` where a registry has no API for them.
pub fn fallback_tag(digest: &Digest) -> String {
    digest.to_string().replace(':', "-")
}

/// The repository of a location, if it is one of a registry.
pub fn repository(location: &Location) -> Option<&Repository> {
    match location {
        Location::Registry(repository) => Some(repository),
        _ => None,
    }
}

/// A file's name and the system's word on it, as an error.
fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.display().to_string();
    move |source| Error::Io { action, path, source }
}

/// The folder in which a destination is begun that is not there yet; made if it is missing.
fn parent_of(place: &Path) -> Result<&Path, Error> {
    let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(parent).map_err(io_error("create", parent))?;
    Ok(parent)
}

/// Hands content on piece by piece and counts its bytes. An error of the reader becomes what
/// `failed` makes of it; one of the receiver stays what it is.
fn pour(
    from: &mut dyn Read,
    failed: impl FnOnce(io::Error) -> Error,
    mut to: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<u64, Error> {
    let (mut buffer, mut size) = (vec![0; 1 << 16], 0);
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(size),
            Ok(count) => {
                to(&buffer[..count])?;
                size += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Where blobs lie in a layout (image specification 1.1, "Blobs").
const BLOBS: &str = "blobs/sha256";

/// What stands in the file `oci-layout` (image specification 1.1, "oci-layout file").
const LAYOUT_VERSION: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
