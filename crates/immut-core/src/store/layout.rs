//! An OCI image layout in a folder: a store, and the stage on which images are made.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::listing::Listing;
use super::{
    BLOBS, Error, Listed, MAX_DOCUMENT, Sink, Source, Verifying, cosign, fallback_tag, io_error,
    pour, unfinished,
};
use crate::image::{Descriptor, RawManifest};
use crate::name::{Digest, Location};

/// An OCI image layout (image specification 1.1, "Image Layout").
///
/// Blobs appear by rename when they are complete and verified; `index.json` is replaced by rename,
/// so a reader never sees half of anything.
#[derive(Debug)]
pub struct Layout {
    folder: PathBuf,
    /// Held as long as this process may write here, so that others know whose partial files are
    /// whose; none for a layout that is only read.
    _writing: Option<File>,
    /// Whether blobs are on the disk before they appear.
    lasting: bool,
}

impl Layout {
    /// Opens a layout that is there.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let marker = folder.join(MARKER);
        if !marker.is_file() {
            let reason = match fs::metadata(folder) {
                Err(_) => "it is not there",
                Ok(found) if found.is_file() => {
                    "it is a file; an archive is named oci-archive:FILE"
                }
                Ok(_) => "it has no file oci-layout",
            };
            return Err(Error::NoLayout { path: folder.display().to_string(), reason });
        }
        Ok(Self { folder: folder.to_owned(), _writing: None, lasting: true })
    }

    /// Opens a layout, or makes one where there is nothing or an empty folder.
    pub fn create(folder: &Path) -> Result<Self, Error> {
        if is_taken(folder) {
            let reason = "the folder is not empty";
            return Err(Error::NoLayout { path: folder.display().to_string(), reason });
        }
        let blobs = folder.join(BLOBS);
        unfinished::create_folders(&blobs).map_err(io_error("create", &blobs))?;
        let leftovers = [(blobs.as_path(), PARTIAL), (folder, REPLACING)];
        let writing = unfinished::enter(&blobs, &leftovers);
        let layout = Self { folder: folder.to_owned(), _writing: writing, lasting: true };
        for (name, content) in
            [(INDEX, &Listing::empty().to_bytes()[..]), (MARKER, super::LAYOUT_VERSION)]
        {
            layout.write(&folder.join(name), content, Written::IfAbsent)?;
        }
        Ok(layout)
    }

    /// Like [`Layout::create`], for a stage that goes when the run ends: its blobs need not outlive
    /// a power failure, so nothing waits for the disk.
    pub fn temporary(folder: &Path) -> Result<Self, Error> {
        Ok(Self { lasting: false, ..Self::create(folder)? })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file for content whose digest is not known yet; see [`Layout::keep`].
    pub fn scratch(&self) -> Result<NamedTempFile, Error> {
        let folder = self.folder.join(BLOBS);
        tempfile::Builder::new()
            .prefix(PARTIAL)
            .tempfile_in(&folder)
            .map_err(io_error("create", &folder))
    }

    /// Makes a finished scratch file the blob with that digest.
    pub fn keep(&self, scratch: NamedTempFile, digest: &Digest) -> Result<(), Error> {
        let path = self.blob_path(digest);
        if self.lasting {
            scratch.as_file().sync_data().map_err(io_error("write", &path))?;
        }
        // Temporary files are private; blobs are as readable as the umask would have made them.
        readable(scratch.as_file()).map_err(io_error("write", &path))?;
        scratch.persist(&path).map_err(|error| io_error("rename to", &path)(error.error))?;
        Ok(())
    }

    /// Writes small content as a blob and returns its descriptor.
    pub fn add(&self, media_type: &str, content: &[u8]) -> Result<Descriptor, Error> {
        let blob = Descriptor::of(media_type, content);
        if !self.has(&blob)? {
            self.put(&blob, &mut &content[..])?;
        }
        Ok(blob)
    }

    /// The names (`org.opencontainers.image.ref.name`) and what they name.
    pub fn names(&self) -> Result<Vec<(String, Descriptor)>, Error> {
        Ok(self.listing()?.names())
    }

    /// Whether a folder may become a layout, or be added to: it is one, empty, or not there.
    pub fn fits(folder: &Path) -> bool {
        !is_taken(folder)
    }

    fn not_found(&self, digest: &Digest) -> Error {
        Error::NotFound { what: digest.to_string(), place: self.location() }
    }

    pub(super) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(BLOBS).join(digest.hex())
    }

    /// A file of this layout. Links are followed as long as they stay inside: what is published as a
    /// layout must not be able to name other files of this machine.
    fn open_file(&self, path: &Path) -> Result<File, Error> {
        let real = fs::canonicalize(path).map_err(io_error("read", path))?;
        let root = fs::canonicalize(&self.folder).map_err(io_error("read", &self.folder))?;
        if !real.starts_with(&root) {
            let reason = "it is a link that leads out of the layout".to_owned();
            return Err(Error::Layout { path: path.display().to_string(), reason });
        }
        // A pipe would be waited for, so it is not even opened.
        if fs::metadata(&real).is_ok_and(|found| found.is_file()) {
            return File::open(&real).map_err(io_error("read", path));
        }
        let reason = "it is no file".to_owned();
        Err(Error::Layout { path: path.display().to_string(), reason })
    }

    pub(super) fn listing(&self) -> Result<Listing, Error> {
        let path = self.folder.join(INDEX);
        let bytes = read_limited(self.open_file(&path)?, &path)?;
        Listing::parse(&bytes, &path.display().to_string())
    }

    /// Changes `index.json`; one writer at a time, in this process and others.
    pub(super) fn edit(
        &self,
        change: impl FnOnce(&mut Listing) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let marker = self.folder.join(MARKER);
        let _lock = unfinished::lock(&marker).map_err(io_error("lock", &marker))?;
        let mut listing = self.listing()?;
        if !change(&mut listing)? {
            return Ok(());
        }
        self.write(&self.folder.join(INDEX), &listing.to_bytes(), Written::Anyway)
    }

    /// Writes a small file as a whole.
    fn write(&self, path: &Path, content: &[u8], written: Written) -> Result<(), Error> {
        let failed = || io_error("write", path);
        let mut file = tempfile::Builder::new();
        let mut file = file.prefix(REPLACING).tempfile_in(&self.folder).map_err(failed())?;
        file.write_all(content).map_err(failed())?;
        file.as_file().sync_data().map_err(failed())?;
        readable(file.as_file()).map_err(failed())?;
        // Two processes may make the same layout: the file that others lock must stay the same one.
        let done = match written {
            Written::IfAbsent => file.persist_noclobber(path),
            Written::Anyway => file.persist(path),
        };
        match done {
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            done => done.map(drop).map_err(|error| failed()(error.error)),
        }
    }

    /// The referrers that `cosign save` wrote: it lists them nowhere.
    fn unlisted(&self, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
        if !cosign::is_marked(self.listing()?.lines(), digest) {
            return Ok(Vec::new());
        }
        let folder = self.folder.join(BLOBS);
        cosign::unlisted(&folder, digest).map_err(io_error("read", &folder))
    }

    /// Adds a referrer to the fallback index of its subject.
    fn list_referrer(&self, manifest: &RawManifest, subject: &Digest) -> Result<(), Error> {
        let tag = fallback_tag(subject);
        self.edit(|listing| {
            let old = listing.named(&tag).map(|old| self.manifest(&old.digest)).transpose()?;
            let Some(merged) = super::referrers::merge(old.as_ref(), manifest)? else {
                return Ok(false);
            };
            self.add(&merged.media_type, &merged.bytes)?;
            Ok(listing.put(&merged.descriptor(), Some(&tag)))
        })
    }
}

impl Source for Layout {
    fn location(&self) -> Location {
        Location::Layout(self.folder.clone())
    }

    fn images(&self) -> Result<Vec<Listed>, Error> {
        Ok(self.listing()?.images())
    }

    fn tagged(&self, tag: &str) -> Result<Option<RawManifest>, Error> {
        let Some(descriptor) = self.listing()?.named(tag) else { return Ok(None) };
        let bytes = super::read_small(self, &descriptor)?;
        Ok(Some(RawManifest { media_type: descriptor.media_type, bytes }))
    }

    fn manifest(&self, digest: &Digest) -> Result<RawManifest, Error> {
        let path = self.blob_path(digest);
        let Ok(found) = fs::metadata(&path) else { return Err(self.not_found(digest)) };
        let size = found.len();
        let blob = Descriptor { media_type: String::new(), digest: *digest, size };
        let bytes = super::read_small(self, &blob)?;
        // Its own word makes the list unnecessary, which may be long.
        match super::referrers::media_type(&bytes) {
            Some(media_type) => Ok(RawManifest { media_type, bytes }),
            None => Ok(RawManifest::listed(bytes, self.listing()?.media_type(digest))),
        }
    }

    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>, Error> {
        let path = self.blob_path(&blob.digest);
        if !path.exists() {
            return Err(self.not_found(&blob.digest));
        }
        let file = self.open_file(&path)?;
        Ok(Box::new(Verifying::new(file, blob, self.location().to_string())))
    }

    fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
        let mut found = match self.tagged(&fallback_tag(digest))? {
            Some(index) => super::referrers::listed(&index)?,
            None => Vec::new(),
        };
        let unlisted = self.unlisted(digest)?;
        let new = |blob: &Descriptor| !found.iter().any(|listed| listed.digest == blob.digest);
        let unlisted: Vec<_> = unlisted.into_iter().filter(new).collect();
        found.extend(unlisted);
        Ok(found)
    }
}

impl Sink for Layout {
    fn has(&self, blob: &Descriptor) -> Result<bool, Error> {
        let found = fs::metadata(self.blob_path(&blob.digest));
        Ok(found.is_ok_and(|file| file.is_file() && file.len() == blob.size))
    }

    fn put(&self, blob: &Descriptor, content: &mut dyn Read) -> Result<(), Error> {
        let mut scratch = self.scratch()?;
        let path = self.blob_path(&blob.digest);
        let mut content = Verifying::new(content, blob, "the content to be written");
        let unread = |source| Error::Read { what: blob.digest.to_string(), source };
        pour(&mut content, unread, |piece| {
            scratch.as_file_mut().write_all(piece).map_err(io_error("write", &path))
        })?;
        self.keep(scratch, &blob.digest)
    }

    fn put_manifest(&self, manifest: &RawManifest) -> Result<(), Error> {
        self.add(&manifest.media_type, &manifest.bytes)?;
        match super::referrers::subject(manifest) {
            Some(subject) => self.list_referrer(manifest, &subject),
            None => Ok(()),
        }
    }

    fn tag(&self, tag: &str, manifest: &RawManifest) -> Result<(), Error> {
        self.add(&manifest.media_type, &manifest.bytes)?;
        self.edit(|listing| Ok(listing.put(&manifest.descriptor(), Some(tag))))
    }

    /// Every line was written at once.
    fn finish(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn read_limited(file: File, path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(io_error("read", path))?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        let (what, size) = (path.display().to_string(), bytes.len() as u64);
        return Err(Error::TooLarge { what, size, limit: MAX_DOCUMENT });
    }
    Ok(bytes)
}

/// Whether a folder holds anything that is no part of a layout, finished or not.
fn is_taken(folder: &Path) -> bool {
    let ours = |name: &str| {
        [MARKER, INDEX, "blobs"].contains(&name) || name.starts_with(unfinished::PREFIX)
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    !folder.join(MARKER).is_file()
        && entries.into_iter().any(|entry| !entry.file_name().to_str().is_some_and(ours))
}

fn readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

/// What becomes of a file that is there already.
#[derive(Clone, Copy)]
enum Written {
    IfAbsent,
    Anyway,
}

const MARKER: &str = "oci-layout";
const INDEX: &str = "index.json";
/// How files begin that will replace a document.
const REPLACING: &str = ".immut-json-";
/// How files begin that will be blobs when they are complete.
const PARTIAL: &str = ".partial-";
