//! `copy`: Source -> Sink, by digest and byte for byte.

mod referrers;

use crate::error::Error;
use crate::image::{self, Image, Platform, RawManifest};
use crate::name::{Digest, PinnedRef};
use crate::progress::{Progress, Task};
use crate::select::find;
use crate::store::{self, Kind, Sink, Source, Transfer, Tree};

/// Where an image is copied to, and how.
#[derive(Clone, Copy)]
pub struct Copying<'a> {
    /// Where to.
    pub to: &'a dyn Sink,
    /// The tags that will name it.
    pub tags: &'a [String],
    /// The platform of an index whose manifest is copied alone; none: the whole index.
    pub platform: Option<&'a Platform>,
    /// Whether what is about the image goes along: everything whose `subject` it is, or one of its
    /// manifests, and what cosign keeps under tags.
    pub all_referrers: bool,
    /// Blobs that are copied at the same time; at least 1.
    pub jobs: usize,
    /// Who is told.
    pub progress: &'a dyn Progress,
}

impl std::fmt::Debug for Copying<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Copying")
            .field("to", &self.to.location())
            .field("tags", &self.tags)
            .field("platform", &self.platform)
            .field("all_referrers", &self.all_referrers)
            .field("jobs", &self.jobs)
            .finish_non_exhaustive()
    }
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The copy's name by digest.
    pub reference: PinnedRef,
    /// Its tags, and what had to be done about them.
    pub tags: Vec<(String, Tagging)>,
    /// What is about the image.
    pub referrers: Referrers,
    /// Layers whose bytes are in no registry; they stay where the manifest's `urls` say.
    pub foreign: usize,
}

/// Whether a tag had to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tagging {
    /// It is new.
    New,
    /// It named another digest.
    Moved(Digest),
    /// It named the image already; nothing was written.
    Same,
}

/// What became of the signatures, attestations and other things about an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Referrers {
    /// So many were copied, or were there.
    Copied(usize),
    /// So many are about the image (its platforms are not asked for) and stay behind.
    Left(usize),
}

/// Copies an image, or an index with all that it names. Blobs that are there are not sent again,
/// manifests keep their bytes, and tags are written when everything else is in place.
///
/// Copying twice is copying once: the second time nothing is written.
///
/// ```
/// # use immut_testkit::Recipe;
/// use immut_core::{Copying, Tagging, copy, progress::Silent, store::Layout};
/// # let folder = tempfile::tempdir()?;
/// # let at = |name: &str| folder.path().join(name);
/// # let image = Recipe::new().layer(|l| l.file("/app", 0o755, b"program")).write(&at("image"));
/// let (from, to) = (Layout::open(&at("image"))?, Layout::create(&at("out"))?);
/// let tags = ["v1".to_owned()];
/// let how = Copying {
///     to: &to, tags: &tags, platform: None, all_referrers: true, jobs: 2, progress: &Silent,
/// };
/// let copied = copy(&image.digest.parse()?, &from, &how)?;
/// assert_eq!(copied.reference.digest.to_string(), image.digest);
/// assert_eq!(copied.tags, [("v1".to_owned(), Tagging::New)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn copy(digest: &Digest, from: &dyn Source, how: &Copying<'_>) -> Result<Copied, Error> {
    let image = chosen(from.manifest(digest).map_err(Error::Copy)?, from, how.platform)?;
    let mut tree = Tree::default();
    tree.add(image.clone(), from, Kind::Image).map_err(Error::Copy)?;
    let digest = image.descriptor().digest;
    let about = how.all_referrers.then(|| referrers::add(&mut tree, from)).transpose();
    let about = about.map_err(Error::Copy)?;
    let Copying { to, jobs, progress, .. } = *how;
    Transfer::new(from, to, Task::Copy, jobs, progress).tree(&tree).map_err(Error::Copy)?;
    let referrers = match about {
        Some(about) => Referrers::Copied(about.tag(to)?),
        None => Referrers::Left(referrers::count(&digest, from)),
    };
    let tag = |name: &String| Ok((name.clone(), tag(name, &image, to)?));
    let tags = how.tags.iter().map(tag).collect::<Result<_, _>>().map_err(Error::Copy)?;
    to.finish().map_err(Error::Copy)?;
    let reference = PinnedRef { location: to.location(), tag: None, digest: to.known_as(&image) };
    Ok(Copied { reference, tags, referrers, foreign: tree.foreign() })
}

/// The manifest or index that is copied.
fn chosen(
    raw: RawManifest,
    from: &dyn Source,
    asked: Option<&Platform>,
) -> Result<RawManifest, Error> {
    let Some(asked) = asked else { return Ok(raw) };
    let refused = |reason| Error::Platform { asked: asked.clone(), reason };
    let image = Image::parse(raw).map_err(|error| match error {
        image::Error::Artifact(_) => refused("is asked of an artifact, which has none".to_owned()),
        error => Error::Copy(error.into()),
    })?;
    let found = find(&image, asked, from)?;
    if let [(_, only)] = found.as_slice() {
        return Ok(only.clone());
    }
    let line = |(platform, raw): &(Platform, RawManifest)| {
        format!("{platform} ({})", raw.descriptor().digest)
    };
    let several = found.iter().map(line).collect::<Vec<_>>().join(", ");
    Err(refused(format!("is more than one manifest; copy one by its digest: {several}")))
}

/// Makes a tag name the image, unless it does.
pub(crate) fn tag(name: &str, image: &RawManifest, to: &dyn Sink) -> Result<Tagging, store::Error> {
    let tagging = match to.tagged(name)?.map(|there| there.descriptor().digest) {
        None => Tagging::New,
        Some(there) if there == image.descriptor().digest => return Ok(Tagging::Same),
        Some(there) => Tagging::Moved(there),
    };
    to.tag(name, image)?;
    Ok(tagging)
}
