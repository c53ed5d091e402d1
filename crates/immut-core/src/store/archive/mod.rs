//! Images in one file: what `docker save` writes, and layouts in a tar archive.

mod draft;
mod packed;
mod saved;

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::sync::OnceLock;

pub use draft::ArchiveDraft;
pub use packed::Spool;

use super::listing::Listing;
use super::referrers::MAX_REFERRER;
use super::{BLOBS, Error, Listed, Source, Verifying, fallback_tag, read_small, referrers};
use crate::image::{Descriptor, RawManifest};
use crate::name::{Digest, Location};
use packed::{Packed, Piece};
use saved::Saved;

/// An archive of images, `docker-archive:FILE` or `oci-archive:FILE`, as a source.
///
/// It may be compressed (gzip, xz, zstd), or come through a pipe; then it is unpacked into a
/// [`Spool`] first. Images in a docker archive have no manifests: they are known by the digest of
/// their config, and a manifest is made for them, always the same.
///
/// ```
/// # use immut_testkit::Recipe;
/// use immut_core::name::Location;
/// use immut_core::store::{Archive, ArchiveDraft, Layout, Sink, Source, Spool, copy};
/// # let folder = tempfile::tempdir()?;
/// # let image = Recipe::new().layer(|l| l.file("/app", 0o755, b"program")).write(&folder.path().join("image"));
/// # let from = Layout::open(&folder.path().join("image"))?;
/// let place = Location::DockerArchive(folder.path().join("saved.tar"));
/// let to = ArchiveDraft::new(&place)?;
/// let manifest = copy(&image.digest.parse()?, &from, &to)?;
/// to.tag("app:v1", &manifest)?;
/// to.finish()?;
/// let saved = Archive::open(&place, &Spool::default())?;
/// assert_eq!(saved.images()?[0].name.as_deref(), Some("app:v1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Archive {
    place: Location,
    packed: Packed,
    blobs: BTreeMap<Digest, Piece>,
    images: Images,
    /// The manifests among the blobs that are about others, by their subject; found when first asked.
    subjects: OnceLock<Subjects>,
}

#[derive(Debug)]
enum Images {
    Named(Listing),
    Saved(Saved),
}

impl Archive {
    /// Opens an archive; of a stream, or a compressed one, all is read.
    pub fn open(place: &Location, spool: &Spool) -> Result<Self, Error> {
        let Some(file) = place.archive() else {
            let reason = "it is no archive".to_owned();
            return Err(Error::Archive { path: place.to_string(), reason });
        };
        let packed = Packed::open(file, spool)?;
        let (images, blobs) = if matches!(place, Location::DockerArchive(_)) {
            let mut saved = Saved::read(&packed)?;
            let blobs = std::mem::take(&mut saved.blobs);
            (Images::Saved(saved), blobs)
        } else {
            (Images::Named(listing(&packed)?), blobs(&packed))
        };
        let subjects = OnceLock::new();
        Ok(Self { place: place.clone(), packed, blobs, images, subjects })
    }

    fn document(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let size = self.blob(digest)?.size;
        read_small(self, &Descriptor { media_type: String::new(), digest: *digest, size })
    }

    fn blob(&self, digest: &Digest) -> Result<Piece, Error> {
        self.blobs.get(digest).copied().ok_or_else(|| self.not_found(digest))
    }

    fn not_found(&self, digest: &Digest) -> Error {
        Error::NotFound { what: digest.to_string(), place: self.place.clone() }
    }

    /// The manifest whose config has that digest, as docker names images.
    fn of_config(&self, listing: &Listing, config: &Digest) -> Result<Option<RawManifest>, Error> {
        let mut images = listing.images();
        images.sort_by_key(|image| image.digest);
        images.dedup_by_key(|image| image.digest);
        for image in images {
            let manifest = self.listed(listing, &image.digest)?;
            if known_by_config(&manifest) == Some(*config) {
                return Ok(Some(manifest));
            }
        }
        Ok(None)
    }

    fn listed(&self, listing: &Listing, digest: &Digest) -> Result<RawManifest, Error> {
        Ok(RawManifest::listed(self.document(digest)?, listing.media_type(digest)))
    }
}

impl Source for Archive {
    fn location(&self) -> Location {
        self.place.clone()
    }

    fn images(&self) -> Result<Vec<Listed>, Error> {
        let Images::Saved(saved) = &self.images else {
            let Images::Named(listing) = &self.images else { return Ok(Vec::new()) };
            return Ok(listing.images());
        };
        let named = |image: &saved::SavedImage| {
            let names = image.names.iter().cloned().map(Some);
            let names: Vec<_> = if image.names.is_empty() { vec![None] } else { names.collect() };
            let digest = image.id;
            names.into_iter().map(move |name| Listed { name, digest })
        };
        Ok(saved.images.iter().flat_map(named).collect())
    }

    fn known_as(&self, manifest: &RawManifest) -> Digest {
        match &self.images {
            Images::Saved(_) => known_by_config(manifest),
            Images::Named(_) => None,
        }
        .unwrap_or_else(|| Digest::of(&manifest.bytes))
    }

    fn tagged(&self, tag: &str) -> Result<Option<RawManifest>, Error> {
        match &self.images {
            Images::Saved(saved) => Ok(saved.named(tag).map(|image| image.manifest.clone())),
            Images::Named(listing) => {
                listing.named(tag).map(|found| self.listed(listing, &found.digest)).transpose()
            }
        }
    }

    fn manifest(&self, digest: &Digest) -> Result<RawManifest, Error> {
        match &self.images {
            Images::Saved(saved) => {
                let meant = |image: &&saved::SavedImage| {
                    image.id == *digest || Digest::of(&image.manifest.bytes) == *digest
                };
                let found = saved.images.iter().find(meant).map(|image| image.manifest.clone());
                found.ok_or_else(|| self.not_found(digest))
            }
            Images::Named(listing) => match self.listed(listing, digest) {
                // A config's digest names its image.
                Ok(found) if known_by_config(&found).is_none() => {
                    Ok(self.of_config(listing, digest)?.unwrap_or(found))
                }
                found => found,
            },
        }
    }

    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>, Error> {
        let section = self.packed.section(self.blob(&blob.digest)?)?;
        Ok(Box::new(Verifying::new(section, blob, self.place.to_string())))
    }

    fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
        if let Some(known) = self.subjects.get() {
            return referrers_of(digest, self, known);
        }
        let found = subjects(self, &self.blobs)?;
        referrers_of(digest, self, self.subjects.get_or_init(|| found))
    }
}

/// The manifests about others among an archive's blobs, by their subject. Ours are in no list, since
/// podman loads no archive that lists more than its image.
type Subjects = HashMap<Digest, Vec<Descriptor>>;

fn subjects(archive: &dyn Source, blobs: &BTreeMap<Digest, Piece>) -> Result<Subjects, Error> {
    let mut all = Subjects::new();
    for (digest, piece) in blobs.iter().filter(|(_, piece)| piece.size <= MAX_REFERRER) {
        let blob = Descriptor { media_type: String::new(), digest: *digest, size: piece.size };
        if let Some((subject, referrer)) = referrers::about(&read_small(archive, &blob)?) {
            all.entry(subject).or_default().push(referrer);
        }
    }
    Ok(all)
}

/// The referrers of `subject`: those of the fallback index, if there is one, and those that say so
/// themselves.
fn referrers_of(
    subject: &Digest,
    archive: &dyn Source,
    subjects: &Subjects,
) -> Result<Vec<Descriptor>, Error> {
    let mut found = match archive.tagged(&fallback_tag(subject))? {
        Some(index) => referrers::listed(&index)?,
        None => Vec::new(),
    };
    for one in subjects.get(subject).into_iter().flatten() {
        if found.iter().all(|known| known.digest != one.digest) {
            found.push(one.clone());
        }
    }
    Ok(found)
}

/// The digest of a manifest's config.
fn known_by_config(manifest: &RawManifest) -> Option<Digest> {
    let json: serde_json::Value = serde_json::from_slice(&manifest.bytes).ok()?;
    json["config"]["digest"].as_str()?.parse().ok()
}

fn listing(packed: &Packed) -> Result<Listing, Error> {
    if packed.document("oci-layout")?.is_none() {
        let saved = packed.document("manifest.json")?.is_some();
        return Err(packed.broken(if saved {
            "it has manifest.json and no file oci-layout: docker saved it, so it is named docker-archive:FILE"
        } else {
            "it has no file oci-layout, so it is no OCI archive (a root file system is no image)"
        }));
    }
    let Some(index) = packed.document("index.json")? else {
        return Err(packed.broken("it has no file index.json"));
    };
    let listing =
        Listing::parse(&index, "index.json").map_err(|error| packed.broken(error.to_string()))?;
    if listing.images().is_empty() && packed.document("manifest.json")?.is_some() {
        return Err(packed.broken(
            "its index.json lists no images, but docker saved it: name it docker-archive:FILE",
        ));
    }
    match packed.document(COMPANIONS)? {
        None => Ok(listing),
        Some(more) => {
            let more = Listing::parse(&more, COMPANIONS);
            let more = more.map_err(|error| packed.broken(error.to_string()))?;
            Ok(listing.with_companions_of(&more))
        }
    }
}

/// The lines of signatures and the like in an archive of ours. They are not in `index.json`: podman
/// loads no archive that lists more than its image.
const COMPANIONS: &str = "index.companions.json";

/// What lies below `blobs/sha256`.
fn blobs(packed: &Packed) -> BTreeMap<Digest, Piece> {
    let digest = |name: &str| {
        let hex = name.strip_prefix(BLOBS)?.strip_prefix('/')?;
        format!("sha256:{hex}").parse().ok()
    };
    let all = packed.names().filter_map(|path| {
        let digest = digest(std::str::from_utf8(path.as_bytes()).ok()?)?;
        Some((digest, packed.piece(path)?))
    });
    all.collect()
}
