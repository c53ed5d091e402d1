//! Which manifests of an image are signed.

use std::collections::HashSet;
use std::fmt;

use super::Error;
use crate::image::{self, Image, Index, IndexEntry, Platform, RawManifest, media_type};
use crate::name::Digest;
use crate::store::{self, DEEPEST, Source};

/// A manifest that an index names and that is not there; shown as `linux/arm64 (sha256:...)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Its digest.
    pub digest: Digest,
    /// What it is for, if the index says so.
    pub platform: Option<Platform>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.platform {
            Some(platform) => write!(f, "{platform} ({})", self.digest),
            None => write!(f, "{}", self.digest),
        }
    }
}

/// What is signed of an image, and what would be if it were there.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// Each once, and before the index that names it.
    pub(super) images: Vec<RawManifest>,
    pub(super) missing: Vec<Missing>,
}

impl Targets {
    /// An image, or an index with the images that it names.
    pub(super) fn of(raw: RawManifest, from: &dyn Source) -> Result<Self, Error> {
        let mut search = Search { from, seen: HashSet::new(), targets: Self::default() };
        if let Image::Index(index) = Image::parse(raw.clone())? {
            search.index(&index, 0)?;
        }
        search.targets.images.push(raw);
        Ok(search.targets)
    }
}

struct Search<'a> {
    from: &'a dyn Source,
    seen: HashSet<Digest>,
    targets: Targets,
}

impl Search<'_> {
    fn index(&mut self, index: &Index, depth: usize) -> Result<(), Error> {
        if depth > DEEPEST {
            let reason = format!("more than {DEEPEST} indexes are nested");
            return Err(image::Error::Malformed { what: "the index", reason }.into());
        }
        let mut entries = index.entries().iter().filter(|entry| !is_attestation(entry));
        entries.try_for_each(|entry| self.entry(entry, depth))
    }

    fn entry(&mut self, entry: &IndexEntry, depth: usize) -> Result<(), Error> {
        let digest = entry.descriptor.digest;
        if !self.seen.insert(digest) {
            return Ok(());
        }
        let raw = match self.from.manifest(&digest) {
            Ok(raw) => raw,
            Err(store::Error::NotFound { .. }) => {
                let platform = entry.platform.clone().filter(Platform::is_known);
                self.targets.missing.push(Missing { digest, platform });
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        match Image::parse(raw.clone()) {
            Ok(Image::Manifest(_)) => {}
            Ok(Image::Index(inner)) => self.index(&inner, depth + 1)?,
            Err(error) => return no_image(error, entry),
        }
        self.targets.images.push(raw);
        Ok(())
    }
}

fn is_attestation(entry: &IndexEntry) -> bool {
    entry.attests.is_some() || entry.platform.as_ref().is_some_and(Platform::is_unknown)
}

/// Artifacts and what an unknown media type names are passed over; a broken image is not.
fn no_image(error: image::Error, entry: &IndexEntry) -> Result<(), Error> {
    let media_type = entry.descriptor.media_type.as_str();
    match error {
        image::Error::Artifact(_) | image::Error::ManifestType(_) => Ok(()),
        _ if !media_type::DOCUMENTS.contains(&media_type) => Ok(()),
        broken => Err(broken.into()),
    }
}
