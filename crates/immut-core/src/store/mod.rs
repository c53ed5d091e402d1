//! Where images are read from and written to: [`Source`], [`Sink`] and [`copy`].
//!
//! Every byte that a source hands out is checked against its digest before its reader says that it
//! is done: [`Source::open`] gives a reader which fails at its end unless size and digest match.

mod cosign;
mod layout;
mod referrers;
pub mod registry;
mod verify;

use std::io::{self, Read};
use std::sync::Arc;

use serde::Deserialize;

pub use layout::Layout;
pub(crate) use referrers::subject;
pub use registry::{Registry, RegistryOptions};
pub use verify::Verified;

use crate::image::{self, Descriptor, RawManifest};
use crate::name::{Digest, Location, Reference, Repository};

/// Where images are read from.
pub trait Source: Send + Sync {
    /// What this source is, as a reference's location.
    fn location(&self) -> Location;

    /// The manifest or index that `tag` names now; none if there is no such tag.
    fn tagged(&self, tag: &str) -> Result<Option<RawManifest>, Error>;

    /// The manifest or index with that digest, verified.
    fn manifest(&self, digest: &Digest) -> Result<RawManifest, Error>;

    /// Opens a blob. The reader fails at its end unless size and digest match `blob`.
    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>, Error>;

    /// The manifests whose `subject` is `digest`, from the referrers API or the fallback tag
    /// (OCI distribution specification 1.1, "Listing referrers").
    fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, Error>;
}

/// Where images are written to.
pub trait Sink: Source {
    /// Whether the blob is there, or could be made to be there without sending its bytes
    /// (a registry mounts it from another of its repositories).
    fn has(&self, blob: &Descriptor) -> Result<bool, Error>;

    /// Writes a blob; the content must match `blob` or nothing is written.
    fn put(&self, blob: &Descriptor, content: &mut dyn Read) -> Result<(), Error>;

    /// Writes a manifest or index by its digest. A manifest with a `subject` becomes a referrer of
    /// it; where there is no referrers API the fallback index is merged, never overwritten.
    fn put_manifest(&self, manifest: &RawManifest) -> Result<(), Error>;

    /// Makes `tag` name a manifest or index that is already there.
    fn tag(&self, tag: &str, manifest: &RawManifest) -> Result<(), Error>;
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
        place: String,
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
    /// The folder is no layout, or its documents are broken.
    #[error("{path} is not usable as an OCI layout: {reason}")]
    Layout {
        /// The folder or file.
        path: String,
        /// What is wrong with it.
        reason: String,
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

/// The digest that a reference means: its own, or the one its tag (or `latest`) names now.
pub fn resolve(source: &dyn Source, reference: &Reference) -> Result<Digest, Error> {
    if let Some(digest) = reference.digest {
        return Ok(digest);
    }
    let tag = reference.tag.as_deref().unwrap_or("latest");
    let found = source.tagged(tag)?.ok_or_else(|| Error::NotFound {
        what: format!("tag {tag}"),
        place: source.location().to_string(),
    })?;
    Ok(found.descriptor().digest)
}

/// Copies an image, or an index with all that it names, by digest. What is there is not sent again.
///
/// No tag is written: [`Sink::tag`] comes when everything else is in place.
///
/// ```
/// # use immut_testkit::Recipe;
/// use immut_core::store::{Layout, copy};
/// let folder = tempfile::tempdir()?;
/// let image = Recipe::new().layer(|l| l.file("/app", 0o755, b"#!")).write(&folder.path().join("a"));
/// let from = Layout::open(&folder.path().join("a"))?;
/// let to = Layout::create(&folder.path().join("b"))?;
/// copy(&image.digest.parse()?, &from, &to)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn copy(digest: &Digest, from: &dyn Source, to: &dyn Sink) -> Result<RawManifest, Error> {
    copy_nested(digest, from, to, 0)
}

/// An index in an index is honest; a tower of them is not.
pub(crate) const DEEPEST: usize = 4;

fn copy_nested(
    digest: &Digest,
    from: &dyn Source,
    to: &dyn Sink,
    depth: usize,
) -> Result<RawManifest, Error> {
    if depth > DEEPEST {
        let reason = format!("more than {DEEPEST} indexes are nested");
        return Err(Error::Image(image::Error::Malformed { what: "the index", reason }));
    }
    let raw = from.manifest(digest)?;
    let named = Named::by(&raw)?;
    for blob in &named.blobs {
        copy_blob(blob, from, to)?;
    }
    for manifest in &named.manifests {
        copy_nested(&manifest.digest, from, to, depth + 1)?;
    }
    to.put_manifest(&raw)?;
    Ok(raw)
}

/// What a manifest or index names, whatever it is a manifest of: artifacts are copied too.
struct Named {
    blobs: Vec<Descriptor>,
    manifests: Vec<Descriptor>,
}

impl Named {
    fn by(raw: &RawManifest) -> Result<Self, Error> {
        let malformed = |error: serde_json::Error| {
            Error::Image(image::Error::Malformed {
                what: "the manifest",
                reason: error.to_string(),
            })
        };
        let json: serde_json::Value = serde_json::from_slice(&raw.bytes).map_err(malformed)?;
        let list = |field: &str| match &json[field] {
            serde_json::Value::Null => Ok(Vec::new()),
            list => Vec::<Descriptor>::deserialize(list).map_err(malformed),
        };
        let mut blobs = list("layers")?;
        if !json["config"].is_null() {
            blobs.push(Descriptor::deserialize(&json["config"]).map_err(malformed)?);
        }
        Ok(Self { blobs, manifests: list("manifests")? })
    }
}

/// Copies one blob unless it is there.
pub fn copy_blob(blob: &Descriptor, from: &dyn Source, to: &dyn Sink) -> Result<(), Error> {
    if to.has(blob)? {
        return Ok(());
    }
    to.put(blob, &mut from.open(blob)?)
}

/// Sources and sinks are often shared between threads.
impl<S: Source + ?Sized> Source for Arc<S> {
    fn location(&self) -> Location {
        (**self).location()
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
        Location::Layout(_) => None,
    }
}
