//! A layout as a destination: it is as it was until everything is there.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{
    BLOBS, Error, Layout, Listed, Sink, Source, Unfinished, cosign, fallback_tag, io_error,
    parent_of, referrers,
};
use crate::image::{Descriptor, RawManifest};
use crate::name::{Digest, Location};

/// What will be a layout, or be added to one, when it is finished.
///
/// It is written as a layout of its own: beside its place, or inside the folder that is already
/// there, which may be all that this process may write to. [`Sink::finish`] moves it: a new layout
/// by one rename; an existing one gets the blobs by rename, and then, in one step, the new
/// `index.json`. Without that nothing of it stays.
///
/// ```
/// use immut_core::image::Descriptor;
/// use immut_core::store::{Draft, Layout, Sink};
/// let folder = tempfile::tempdir()?;
/// let place = folder.path().join("out");
/// let draft = Draft::new(&place)?;
/// draft.put(&Descriptor::of("text/plain", b"content"), &mut &b"content"[..])?;
/// assert!(!place.exists());
/// draft.finish()?;
/// assert!(Layout::open(&place).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Draft {
    place: PathBuf,
    /// What is at the place already.
    old: Option<Layout>,
    new: Layout,
    /// The new layout's folder.
    unfinished: Unfinished,
}

impl Draft {
    /// Begins a layout for `place`: a layout that is there, an empty folder, or nothing yet.
    pub fn new(place: &Path) -> Result<Self, Error> {
        if !Layout::fits(place) {
            let reason = "the folder is not empty";
            return Err(Error::NoLayout { path: place.display().to_string(), reason });
        }
        let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let parent = if place.is_dir() { place } else { parent_of(place)? };
        let unfinished = Unfinished::folder(parent, &name, 0o755);
        let unfinished = unfinished.map_err(io_error("write to", parent))?;
        let new = Layout::create(unfinished.path())?;
        Ok(Self { place: place.to_owned(), old: Layout::open(place).ok(), new, unfinished })
    }

    /// Adds everything to the layout at the place.
    fn merge(&self) -> Result<(), Error> {
        let to = Layout::create(&self.place)?;
        self.move_blobs(&to)?;
        let listing = self.new.listing()?;
        to.edit(|old| {
            let mut changed = false;
            for (name, manifest) in listing.names() {
                let manifest = match old.named(&name) {
                    Some(old) if is_fallback(&name) => merged(&to, &old, &manifest)?,
                    _ => manifest,
                };
                changed |= old.put(&manifest, Some(&name));
            }
            Ok(changed)
        })
    }

    fn move_blobs(&self, to: &Layout) -> Result<(), Error> {
        let folder = self.new.folder().join(BLOBS);
        for entry in fs::read_dir(&folder).map_err(io_error("read", &folder))? {
            let entry = entry.map_err(io_error("read", &folder))?;
            let digest = format!("sha256:{}", entry.file_name().to_string_lossy()).parse();
            let Ok(digest): Result<Digest, _> = digest else { continue };
            let place = to.blob_path(&digest);
            fs::rename(entry.path(), &place).map_err(io_error("rename to", &place))?;
        }
        Ok(())
    }

    /// The layouts to look into, what is new first.
    fn both(&self) -> impl Iterator<Item = &Layout> {
        std::iter::once(&self.new).chain(&self.old)
    }
}

impl Source for Draft {
    fn location(&self) -> Location {
        Location::Layout(self.place.clone())
    }

    fn images(&self) -> Result<Vec<Listed>, Error> {
        let all: Result<Vec<_>, _> = self.both().map(Source::images).collect();
        Ok(all?.concat())
    }

    fn tagged(&self, tag: &str) -> Result<Option<RawManifest>, Error> {
        self.both().map(|layout| layout.tagged(tag)).find_map(Result::transpose).transpose()
    }

    fn manifest(&self, digest: &Digest) -> Result<RawManifest, Error> {
        match (self.new.manifest(digest), &self.old) {
            (Err(Error::NotFound { .. }), Some(old)) => old.manifest(digest),
            (found, _) => found,
        }
    }

    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>, Error> {
        match (self.new.open(blob), &self.old) {
            (Err(Error::NotFound { .. }), Some(old)) => old.open(blob),
            (found, _) => found,
        }
    }

    fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
        let mut all: Vec<Descriptor> = Vec::new();
        for layout in self.both() {
            for one in layout.referrers(digest)? {
                if all.iter().all(|known| known.digest != one.digest) {
                    all.push(one);
                }
            }
        }
        Ok(all)
    }
}

impl Sink for Draft {
    fn has(&self, blob: &Descriptor) -> Result<bool, Error> {
        // What is there already is read once: a broken blob of the right size would go for a good one.
        let holds = |old: &Layout| old.has(blob).is_ok_and(|there| there) && is_whole(old, blob);
        Ok(self.new.has(blob)? || self.old.as_ref().is_some_and(holds))
    }

    fn put(&self, blob: &Descriptor, content: &mut dyn Read) -> Result<(), Error> {
        self.new.put(blob, content)
    }

    fn put_manifest(&self, manifest: &RawManifest) -> Result<(), Error> {
        self.new.put_manifest(manifest)
    }

    fn tag(&self, tag: &str, manifest: &RawManifest) -> Result<(), Error> {
        self.new.tag(tag, manifest)
    }

    fn finish(&self) -> Result<(), Error> {
        self.unfinished.claim().map_err(io_error("finish", &self.place))?;
        // Fails where there is a layout by now, and where the folder is that of another disk.
        if self.old.is_none() && self.unfinished.place_at(&self.place).is_ok() {
            return Ok(());
        }
        self.merge()?;
        self.unfinished.give_up();
        Ok(())
    }
}

/// Whether a blob can be read to its end, and is what its digest says.
fn is_whole(layout: &Layout, blob: &Descriptor) -> bool {
    layout.open(blob).is_ok_and(|mut content| io::copy(&mut content, &mut io::sink()).is_ok())
}

/// Whether a name stands for the list of a manifest's referrers.
fn is_fallback(name: &str) -> bool {
    cosign::subject(Some(name)).is_some_and(|subject| fallback_tag(&subject) == name)
}

/// Both lists of referrers in one: others may have added theirs meanwhile.
fn merged(to: &Layout, old: &Descriptor, new: &Descriptor) -> Result<Descriptor, Error> {
    let (old, new) = (to.manifest(&old.digest)?, to.manifest(&new.digest)?);
    let both = referrers::union(&old, &new)?;
    to.add(&both.media_type, &both.bytes)
}
