//! An archive as a destination: its file gets its name when it is complete.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::json;

use super::packed::{Piece, Section};
use super::{COMPANIONS, known_by_config};
use crate::archive::padding;
use crate::image::{Descriptor, Image, RawManifest};
use crate::name::{Digest, Location};
use crate::store::listing::Listing;
use crate::store::unfinished::Unfinished;
use crate::store::{
    BLOBS, Error, LAYOUT_VERSION, Listed, Sink, Source, Verifying, io_error, parent_of, pour,
    read_small,
};

/// What will be an archive when it is finished.
///
/// Blobs go into the archive as they come. A file that is there already is replaced as a whole, by
/// rename. A docker archive holds images of one platform, by name, and no signatures.
#[derive(Debug)]
pub struct ArchiveDraft {
    place: Location,
    path: PathBuf,
    unfinished: Unfinished,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Where the next member goes, in bytes from the start.
    end: u64,
    blobs: BTreeMap<Digest, Piece>,
    listing: Listing,
    /// The images of a docker archive, with their names.
    images: Vec<(RawManifest, Vec<String>)>,
}

impl ArchiveDraft {
    /// Begins an archive for a place: `docker-archive:FILE` or `oci-archive:FILE`.
    pub fn new(place: &Location) -> Result<Self, Error> {
        let unfit = |reason| Error::Unfit { place: place.to_string(), reason };
        let path = place.archive().ok_or_else(|| unfit("it is no archive"))?;
        if path == Path::new("-") {
            return Err(unfit("the standard output is for the digest; name a file"));
        }
        // A link stays, what it leads to is replaced.
        let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
        match path.metadata() {
            Ok(found) if found.is_dir() => {
                return Err(unfit("it is a folder; a layout in a folder is named oci:DIR"));
            }
            Ok(found) if !found.is_file() => return Err(unfit("it is no plain file")),
            _ => {}
        }
        if !may_be_replaced(path) {
            return Err(unfit(
                "there is a file that is no archive; choose another name or remove it",
            ));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let parent = parent_of(path)?;
        let unfinished = Unfinished::file(parent, &name).map_err(io_error("write to", parent))?;
        let state =
            State { end: 0, blobs: BTreeMap::new(), listing: Listing::empty(), images: Vec::new() };
        let draft = Self {
            place: place.clone(),
            path: path.to_owned(),
            unfinished,
            state: Mutex::new(state),
        };
        for folder in ["blobs/", &format!("{BLOBS}/")] {
            draft.member(&mut draft.state(), folder, 0, &mut io::empty())?;
        }
        Ok(draft)
    }

    /// Appends a member of that many bytes. After a failure the next one takes its place.
    fn member(
        &self,
        state: &mut State,
        name: &str,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<Piece, Error> {
        let file = self.unfinished.handle();
        let failed = || io_error("write", &self.path);
        file.write_all_at(&header(name, size), state.end).map_err(failed())?;
        let offset = state.end + BLOCK;
        let unread = |source| Error::Read { what: name.to_owned(), source };
        let mut at = offset;
        let done = pour(content, unread, |piece| {
            file.write_all_at(piece, at).map_err(failed())?;
            at += piece.len() as u64;
            Ok(())
        })?;
        let padding = vec![0; padding(done)];
        file.write_all_at(&padding, offset + done).map_err(failed())?;
        state.end = offset + done + padding.len() as u64;
        Ok(Piece { offset, size: done })
    }

    fn add(&self, blob: &Descriptor, content: &mut dyn Read) -> Result<(), Error> {
        let mut state = self.state();
        if state.blobs.contains_key(&blob.digest) {
            return Ok(());
        }
        let mut content = Verifying::new(content, blob, "the content to be written");
        let name = format!("{BLOBS}/{}", blob.digest.hex());
        let piece = self.member(&mut state, &name, blob.size, &mut content)?;
        state.blobs.insert(blob.digest, piece);
        Ok(())
    }

    fn add_manifest(&self, manifest: &RawManifest) -> Result<(), Error> {
        self.add(&manifest.descriptor(), &mut &manifest.bytes[..])
    }

    /// A docker archive takes images only, and needs no manifests of theirs.
    fn add_image(&self, manifest: &RawManifest) -> Result<(), Error> {
        let unfit = |reason| Error::Unfit { place: self.place.to_string(), reason };
        match Image::parse(manifest.clone()) {
            Ok(Image::Manifest(_)) => {}
            Ok(Image::Index(_)) => {
                return Err(unfit(
                    "a docker archive holds images of one platform; name one with --platform, or write an oci-archive",
                ));
            }
            Err(_) => {
                return Err(unfit(
                    "a docker archive holds images only, no signatures and other artifacts; write an oci-archive",
                ));
            }
        }
        let mut state = self.state();
        if state.images.iter().all(|(known, _)| known != manifest) {
            state.images.push((manifest.clone(), Vec::new()));
        }
        Ok(())
    }

    fn is_docker(&self) -> bool {
        matches!(self.place, Location::DockerArchive(_))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn not_found(&self, digest: &Digest) -> Error {
        Error::NotFound { what: digest.to_string(), place: self.place.clone() }
    }

    fn read(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let piece = self.state().blobs.get(digest).copied();
        let size = piece.ok_or_else(|| self.not_found(digest))?.size;
        read_small(self, &Descriptor { media_type: String::new(), digest: *digest, size })
    }
}

impl State {
    /// The document `manifest.json`.
    fn images_document(&self) -> Result<Vec<u8>, Error> {
        let path = |digest: &Digest| format!("{BLOBS}/{}", digest.hex());
        let mut lines = Vec::new();
        for (raw, names) in &self.images {
            let Image::Manifest(manifest) = Image::parse(raw.clone())? else { continue };
            let layers: Vec<_> =
                manifest.layers().iter().map(|layer| path(&layer.digest)).collect();
            let names = (!names.is_empty()).then_some(names);
            let config = path(&manifest.config().digest);
            lines.push(json!({ "Config": config, "RepoTags": names, "Layers": layers }));
        }
        Ok(json!(lines).to_string().into_bytes())
    }
}

impl Source for ArchiveDraft {
    fn location(&self) -> Location {
        self.place.clone()
    }

    fn images(&self) -> Result<Vec<Listed>, Error> {
        Ok(self.state().listing.images())
    }

    fn known_as(&self, manifest: &RawManifest) -> Digest {
        let config = self.is_docker().then(|| known_by_config(manifest)).flatten();
        config.unwrap_or_else(|| Digest::of(&manifest.bytes))
    }

    fn tagged(&self, tag: &str) -> Result<Option<RawManifest>, Error> {
        let found = self.state().listing.named(tag);
        found.map(|found| self.manifest(&found.digest)).transpose()
    }

    fn manifest(&self, digest: &Digest) -> Result<RawManifest, Error> {
        Ok(RawManifest::listed(self.read(digest)?, None))
    }

    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>, Error> {
        let piece = self.state().blobs.get(&blob.digest).copied();
        let piece = piece.ok_or_else(|| self.not_found(&blob.digest))?;
        let file: File =
            self.unfinished.handle().try_clone().map_err(io_error("read", &self.path))?;
        let section = Section::new(file, piece);
        Ok(Box::new(Verifying::new(section, blob, self.place.to_string())))
    }

    fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
        let blobs = self.state().blobs.clone();
        super::referrers_of(digest, self, &super::subjects(self, &blobs)?)
    }
}

impl Sink for ArchiveDraft {
    fn has(&self, blob: &Descriptor) -> Result<bool, Error> {
        Ok(self.state().blobs.contains_key(&blob.digest))
    }

    fn put(&self, blob: &Descriptor, content: &mut dyn Read) -> Result<(), Error> {
        self.add(blob, content)
    }

    fn put_manifest(&self, manifest: &RawManifest) -> Result<(), Error> {
        if self.is_docker() {
            return self.add_image(manifest);
        }
        // One with a subject is a referrer by that alone.
        self.add_manifest(manifest)
    }

    fn tag(&self, tag: &str, manifest: &RawManifest) -> Result<(), Error> {
        if !self.is_docker() {
            self.add_manifest(manifest)?;
            self.state().listing.put(&manifest.descriptor(), Some(tag));
            return Ok(());
        }
        self.add_image(manifest)?;
        // docker wants each name with its tag.
        let last = tag.rsplit('/').next().unwrap_or(tag);
        let name = if last.contains(':') { tag.to_owned() } else { format!("{tag}:latest") };
        let mut state = self.state();
        for (_, names) in &mut state.images {
            names.retain(|known| *known != name);
        }
        let found = state.images.iter_mut().find(|(known, _)| known == manifest);
        if let Some((_, names)) = found {
            names.push(name);
        }
        Ok(())
    }

    fn finish(&self) -> Result<(), Error> {
        let mut state = self.state();
        let documents = if self.is_docker() {
            vec![("manifest.json", state.images_document()?)]
        } else {
            let [images, companions] = state.listing.split();
            let companions = Some(companions).filter(|list| !list.lines().is_empty());
            let companions = companions.map(|list| (COMPANIONS, list.to_bytes()));
            let all = [("index.json", images.to_bytes()), ("oci-layout", LAYOUT_VERSION.to_vec())];
            all.into_iter().chain(companions).collect()
        };
        for (name, bytes) in documents {
            self.member(&mut state, name, bytes.len() as u64, &mut &bytes[..])?;
        }
        let (file, failed) = (self.unfinished.handle(), || io_error("write", &self.path));
        // What a blob that broke off left behind the end goes, and two empty blocks come.
        file.set_len(state.end).map_err(failed())?;
        file.set_len(state.end + 2 * BLOCK).map_err(failed())?;
        file.sync_data().map_err(failed())?;
        self.unfinished.claim().map_err(failed())?;
        self.unfinished.place_at(&self.path).map_err(io_error("rename to", &self.path))
    }
}

/// Whether what is at a place is nothing, an empty file, or a tar archive.
fn may_be_replaced(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(512).read_to_end(&mut head));
    read.is_err() || head.is_empty() || head.get(257..262) == Some(b"ustar")
}

/// A header as GNU tar writes it, the same for the same content.
fn header(name: &str, size: u64) -> [u8; 512] {
    let mut header = tar::Header::new_gnu();
    let folder = name.ends_with('/');
    // Our names are short.
    header.set_path(name).ok();
    header.set_entry_type(if folder { tar::EntryType::Directory } else { tar::EntryType::Regular });
    header.set_mode(if folder { 0o755 } else { 0o644 });
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    *header.as_bytes()
}

const BLOCK: u64 = crate::archive::BLOCK as u64;
