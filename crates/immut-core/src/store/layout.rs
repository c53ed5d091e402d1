//! An OCI image layout in a folder: a store, and the stage on which images are made.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::{Error, MAX_DOCUMENT, Sink, Source, Verified, cosign, fallback_tag};
use crate::image::{Descriptor, RawManifest, media_type};
use crate::name::{Digest, Location};

/// An OCI image layout (image specification 1.1, "Image Layout").
///
/// Blobs appear by rename when they are complete and verified; `index.json` is replaced by rename,
/// so a reader never sees half of anything.
#[derive(Debug)]
pub struct Layout {
    folder: PathBuf,
    /// One writer of `index.json` at a time in this process.
    index: Mutex<()>,
}

/// The annotation that names a line of `index.json`.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";

impl Layout {
    /// Opens a layout that is there.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let marker = folder.join("oci-layout");
        if !marker.is_file() {
            let reason = "it has no file oci-layout".to_owned();
            return Err(Error::Layout { path: folder.display().to_string(), reason });
        }
        Ok(Self { folder: folder.to_owned(), index: Mutex::new(()) })
    }

    /// Opens a layout, or makes one where there is nothing or an empty folder.
    pub fn create(folder: &Path) -> Result<Self, Error> {
        if folder.join("oci-layout").is_file() {
            return Self::open(folder);
        }
        let taken = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
        if taken {
            let reason = "the folder is not empty and no layout".to_owned();
            return Err(Error::Layout { path: folder.display().to_string(), reason });
        }
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(io_error("create", &blobs))?;
        let layout = Self { folder: folder.to_owned(), index: Mutex::new(()) };
        if !folder.join("index.json").is_file() {
            layout.write_index(&json!({
                "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": []
            }))?;
        }
        let marker = folder.join("oci-layout");
        layout.replace(&marker, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Ok(layout)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file for content whose digest is not known yet; see [`Layout::keep`].
    pub fn scratch(&self) -> Result<NamedTempFile, Error> {
        let folder = self.folder.join("blobs/sha256");
        fs::create_dir_all(&folder).map_err(io_error("create", &folder))?;
        tempfile::Builder::new()
            .prefix(".partial-")
            .tempfile_in(&folder)
            .map_err(io_error("create", &folder))
    }

    /// Makes a finished scratch file the blob with that digest.
    pub fn keep(&self, scratch: NamedTempFile, digest: &Digest) -> Result<(), Error> {
        let path = self.blob_path(digest);
        scratch.as_file().sync_data().map_err(io_error("write", &path))?;
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
        let index = self.read_index()?;
        let lines = index["manifests"].as_array().map_or(&[][..], Vec::as_slice);
        let named = lines.iter().filter_map(|line| {
            let descriptor = serde::Deserialize::deserialize(line).ok()?;
            Some((line["annotations"][REF_NAME].as_str()?.to_owned(), descriptor))
        });
        Ok(named.collect())
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.folder.join("blobs/sha256").join(digest.hex())
    }

    fn read_index(&self) -> Result<Value, Error> {
        let path = self.folder.join("index.json");
        let bytes = read_limited(&path)?;
        let index: Value = serde_json::from_slice(&bytes).map_err(|error| Error::Layout {
            path: path.display().to_string(),
            reason: error.to_string(),
        })?;
        if index["manifests"].is_array() {
            return Ok(index);
        }
        let reason = "it has no list of manifests".to_owned();
        Err(Error::Layout { path: path.display().to_string(), reason })
    }

    fn write_index(&self, index: &Value) -> Result<(), Error> {
        self.replace(&self.folder.join("index.json"), index.to_string().as_bytes())
    }

    /// Replaces a small file by rename.
    fn replace(&self, path: &Path, content: &[u8]) -> Result<(), Error> {
        let failed = || io_error("write", path);
        let mut file = NamedTempFile::new_in(&self.folder).map_err(failed())?;
        file.write_all(content).map_err(failed())?;
        file.as_file().sync_data().map_err(failed())?;
        readable(file.as_file()).map_err(failed())?;
        file.persist(path).map_err(|error| failed()(error.error))?;
        Ok(())
    }

    /// Puts a line into `index.json`; one with the same name is replaced.
    fn list(&self, manifest: &RawManifest, name: Option<&str>) -> Result<(), Error> {
        let _one_writer = self.index.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut index = self.read_index()?;
        let descriptor = manifest.descriptor();
        let mut line = json!(descriptor);
        if let Some(name) = name {
            line["annotations"] = json!({ REF_NAME: name });
        }
        let Some(lines) = index["manifests"].as_array_mut() else { return Ok(()) };
        let same = |old: &Value| old["digest"] == line["digest"];
        match name {
            Some(name) => lines.retain(|old| {
                let unnamed = old["annotations"][REF_NAME].is_null();
                old["annotations"][REF_NAME] != name && !(same(old) && unnamed)
            }),
            None if lines.iter().any(same) => return Ok(()),
            None => {}
        }
        lines.push(line);
        cosign::arrange(lines, &cosign::subject(name).unwrap_or(descriptor.digest));
        self.write_index(&index)
    }

    /// What `cosign save` wrote for a tag: it gives its lines no names.
    fn saved_by_cosign(&self, tag: &str) -> Result<Option<Descriptor>, Error> {
        let index = self.read_index()?;
        let lines = index["manifests"].as_array().map_or(&[][..], Vec::as_slice);
        Ok(cosign::saved(lines, tag))
    }

    /// The referrers that `cosign save` wrote: it lists them nowhere.
    fn unlisted(&self, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
        let index = self.read_index()?;
        let lines = index["manifests"].as_array().map_or(&[][..], Vec::as_slice);
        if !cosign::is_marked(lines, digest) {
            return Ok(Vec::new());
        }
        let folder = self.folder.join("blobs/sha256");
        cosign::referrers(&folder, digest).map_err(io_error("read", &folder))
    }

    /// Adds a referrer to the fallback index of its subject.
    fn list_referrer(&self, manifest: &RawManifest, subject: &Digest) -> Result<(), Error> {
        let tag = fallback_tag(subject);
        let old = self.tagged(&tag)?;
        if let Some(merged) = super::referrers::merge(old.as_ref(), manifest)? {
            self.add(&merged.media_type, &merged.bytes)?;
            self.list(&merged, Some(&tag))?;
        }
        Ok(())
    }
}

impl Source for Layout {
    fn location(&self) -> Location {
        Location::Layout(self.folder.clone())
    }

    fn tagged(&self, tag: &str) -> Result<Option<RawManifest>, Error> {
        let named = self.names()?.into_iter().rev().find(|(name, _)| name == tag);
        let Some(descriptor) = named.map(|(_, found)| found).or(self.saved_by_cosign(tag)?) else {
            return Ok(None);
        };
        let bytes = super::read_small(self, &descriptor)?;
        Ok(Some(RawManifest { media_type: descriptor.media_type, bytes }))
    }

    fn manifest(&self, digest: &Digest) -> Result<RawManifest, Error> {
        let path = self.blob_path(digest);
        let size = fs::metadata(&path).map_err(|error| self.missing(digest, &path, error))?.len();
        let blob = Descriptor { media_type: String::new(), digest: *digest, size };
        let bytes = super::read_small(self, &blob)?;
        let listed = self.read_index()?["manifests"]
            .as_array()
            .and_then(|lines| lines.iter().find(|line| line["digest"] == digest.to_string()))
            .and_then(|line| line["mediaType"].as_str().map(str::to_owned));
        let own = serde_json::from_slice::<Value>(&bytes)
            .ok()
            .and_then(|json| json["mediaType"].as_str().map(str::to_owned));
        let media_type = own.or(listed).unwrap_or_else(|| media_type::OCI_MANIFEST.to_owned());
        Ok(RawManifest { media_type, bytes })
    }

    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>, Error> {
        let path = self.blob_path(&blob.digest);
        let file = File::open(&path).map_err(|error| self.missing(&blob.digest, &path, error))?;
        Ok(Box::new(Verified::new(file, blob, self.location().to_string())))
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
        let mut content = Verified::new(content, blob, "the content to be written");
        copy_content(&mut content, scratch.as_file_mut(), blob, &path)?;
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
        self.list(manifest, Some(tag))
    }
}

impl Layout {
    fn missing(&self, digest: &Digest, path: &Path, error: io::Error) -> Error {
        if error.kind() == io::ErrorKind::NotFound {
            return Error::NotFound {
                what: digest.to_string(),
                place: self.location().to_string(),
            };
        }
        io_error("read", path)(error)
    }
}

/// Copies verified content; an error of the reader and one of the disk are told apart.
fn copy_content(
    from: &mut dyn Read,
    to: &mut File,
    blob: &Descriptor,
    path: &Path,
) -> Result<(), Error> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = from
            .read(&mut buffer)
            .map_err(|source| Error::Read { what: blob.digest.to_string(), source })?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..count]).map_err(io_error("write", path))?;
    }
}

fn read_limited(path: &Path) -> Result<Vec<u8>, Error> {
    let file = File::open(path).map_err(io_error("read", path))?;
    let mut bytes = Vec::new();
    file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(io_error("read", path))?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        let (what, size) = (path.display().to_string(), bytes.len() as u64);
        return Err(Error::TooLarge { what, size, limit: MAX_DOCUMENT });
    }
    Ok(bytes)
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.display().to_string();
    move |source| Error::Io { action, path, source }
}

fn readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}
