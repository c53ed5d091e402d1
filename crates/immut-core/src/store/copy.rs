//! From one store to another, byte for byte: blobs, then the manifests that name them.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;
use serde_json::Value;

use super::{Error, Sink, Source};
use crate::image::{self, Descriptor, Platform, RawManifest};
use crate::name::Digest;
use crate::parallel::in_parallel;
use crate::progress::{self, Part, Progress, Reuse, Silent, Task, Told, Work};

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
    let mut tree = Tree::default();
    let raw = from.manifest(digest)?;
    tree.add(raw.clone(), from, Kind::Image)?;
    quiet(from, to).tree(&tree)?;
    Ok(raw)
}

/// Copies one blob unless it is there.
pub fn copy_blob(blob: &Descriptor, from: &dyn Source, to: &dyn Sink) -> Result<(), Error> {
    let by = blob.digest;
    quiet(from, to).blob(&Blob { descriptor: blob.clone(), part: Part::Config, platform: None, by })
}

fn quiet<'a>(from: &'a dyn Source, to: &'a dyn Sink) -> Transfer<'a> {
    Transfer::new(from, to, Task::Copy, 1, &Silent)
}

/// Manifests with all that they name, read before anything is written. What is named comes before
/// what names it.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    seen: HashSet<Digest>,
    bytes: usize,
}

#[derive(Debug)]
struct Node {
    digest: Digest,
    raw: RawManifest,
    blobs: Vec<Blob>,
}

/// A blob and why it is copied.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    pub(super) descriptor: Descriptor,
    pub(super) part: Part,
    pub(super) platform: Option<Platform>,
    /// The manifest that names it.
    pub(super) by: Digest,
}

impl Blob {
    /// The bytes of such layers lie elsewhere, where their `urls` say; no tool pushes them.
    pub(super) fn is_foreign(&self) -> bool {
        let kind = &self.descriptor.media_type;
        kind.contains("nondistributable") || kind.contains(".foreign.")
    }
}

/// What a manifest is to the image that is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The image, or a part of it.
    Image,
    /// Something about it.
    Referrer,
}

impl Tree {
    /// Adds a manifest or index of any kind with the manifests that it names.
    pub(crate) fn add(
        &mut self,
        raw: RawManifest,
        from: &dyn Source,
        kind: Kind,
    ) -> Result<(), Error> {
        let digest = raw.descriptor().digest;
        Reader { tree: self, from, root: digest }.follow(raw, None, kind, 0)
    }

    /// The digests of the manifests, in order.
    pub(crate) fn digests(&self) -> impl ExactSizeIterator<Item = Digest> {
        self.nodes.iter().map(|node| node.digest)
    }

    /// Leaves out the blobs that are there already.
    pub(crate) fn leave_out(&mut self, is_there: impl Fn(&Digest) -> bool) {
        for node in &mut self.nodes {
            node.blobs.retain(|blob| !is_there(&blob.descriptor.digest));
        }
    }

    /// How many layers are not copied, since registries do not have their bytes.
    pub(crate) fn foreign(&self) -> usize {
        self.unique().filter(|blob| blob.is_foreign()).count()
    }

    /// Every blob once.
    fn unique(&self) -> impl Iterator<Item = &Blob> {
        let mut seen = HashSet::new();
        let blobs = self.nodes.iter().flat_map(|node| &node.blobs);
        blobs.filter(move |blob| seen.insert(blob.descriptor.digest))
    }
}

struct Reader<'a> {
    tree: &'a mut Tree,
    from: &'a dyn Source,
    root: Digest,
}

impl Reader<'_> {
    fn follow(
        &mut self,
        raw: RawManifest,
        platform: Option<&Platform>,
        kind: Kind,
        depth: usize,
    ) -> Result<(), Error> {
        let digest = raw.descriptor().digest;
        if !self.tree.seen.insert(digest) {
            return Ok(());
        }
        self.limits(&raw, depth)?;
        let named = Named::by(&raw)?;
        for Line { descriptor, platform } in &named.manifests {
            if self.tree.seen.contains(&descriptor.digest) {
                continue;
            }
            let attests = platform.as_ref().is_some_and(Platform::is_unknown);
            let kind = if attests { Kind::Referrer } else { kind };
            let child = self.child(descriptor, platform.as_ref(), &digest)?;
            self.follow(child, platform.as_ref().filter(|_| !attests), kind, depth + 1)?;
        }
        let blobs = named.blobs(kind, platform, &digest);
        self.tree.nodes.push(Node { digest, raw, blobs });
        Ok(())
    }

    fn limits(&mut self, raw: &RawManifest, depth: usize) -> Result<(), Error> {
        self.tree.bytes += raw.bytes.len();
        let over = |limit: String| Err(Error::TooMany { what: self.root, limit });
        if depth > DEEPEST {
            return over(format!("{DEEPEST} indexes inside each other"));
        }
        if self.tree.seen.len() > MANIFESTS {
            return over(format!("{MANIFESTS} manifests"));
        }
        if self.tree.bytes > BYTES {
            return over(format!("{} MiB of manifests", BYTES >> 20));
        }
        Ok(())
    }

    /// A manifest that an index names; one without a media type of its own has the index's word.
    fn child(
        &self,
        line: &Descriptor,
        platform: Option<&Platform>,
        by: &Digest,
    ) -> Result<RawManifest, Error> {
        let mut raw = self.from.manifest(&line.digest).map_err(|error| {
            let what = format!("manifest {}", line.digest);
            incomplete(error, self.from, platform, what, by)
        })?;
        let json: Value = serde_json::from_slice(&raw.bytes).unwrap_or_default();
        if json["mediaType"].is_null() {
            raw.media_type.clone_from(&line.media_type);
        }
        Ok(raw)
    }
}

/// What a manifest or index names, whatever it is a manifest of: artifacts are copied too.
struct Named {
    config: Option<Descriptor>,
    layers: Vec<Descriptor>,
    manifests: Vec<Line>,
}

/// A line of an index.
struct Line {
    descriptor: Descriptor,
    platform: Option<Platform>,
}

impl Named {
    fn by(raw: &RawManifest) -> Result<Self, Error> {
        let malformed = |error: serde_json::Error| {
            Error::Image(image::Error::Malformed {
                what: "the manifest",
                reason: error.to_string(),
            })
        };
        let json: Value = serde_json::from_slice(&raw.bytes).map_err(malformed)?;
        if json["schemaVersion"] == 1 {
            let kind = "application/vnd.docker.distribution.manifest.v1+json".to_owned();
            return Err(image::Error::ManifestType(kind).into());
        }
        let list = |field: &str| match &json[field] {
            Value::Null => Ok(Vec::new()),
            list => Vec::<Value>::deserialize(list),
        };
        let mut layers = Vec::new();
        // Manifests of artifacts had `blobs` before OCI 1.1.
        for layer in
            list("layers").map_err(malformed)?.iter().chain(&list("blobs").map_err(malformed)?)
        {
            layers.push(Descriptor::deserialize(layer).map_err(malformed)?);
        }
        let mut manifests = Vec::new();
        for line in list("manifests").map_err(malformed)? {
            let descriptor = Descriptor::deserialize(&line).map_err(malformed)?;
            manifests
                .push(Line { descriptor, platform: Platform::deserialize(&line["platform"]).ok() });
        }
        let config = Some(&json["config"]).filter(|config| !config.is_null());
        let config = config.map(Descriptor::deserialize).transpose().map_err(malformed)?;
        Ok(Self { config, layers, manifests })
    }

    fn blobs(self, kind: Kind, platform: Option<&Platform>, by: &Digest) -> Vec<Blob> {
        let of = self.layers.len();
        let layers = self.layers.into_iter().enumerate();
        let layers = layers.map(|(number, blob)| (Part::Layer { number, of }, blob));
        let parts = layers.chain(self.config.map(|blob| (Part::Config, blob)));
        let blob = |(part, descriptor)| {
            let part = if kind == Kind::Referrer { Part::Referrer } else { part };
            Blob { descriptor, part, platform: platform.cloned(), by: *by }
        };
        parts.map(blob).collect()
    }
}

/// From where to where, how, and who is told.
#[derive(Clone, Copy)]
pub(crate) struct Transfer<'a> {
    pub(crate) from: &'a dyn Source,
    pub(crate) to: &'a dyn Sink,
    pub(crate) task: Task,
    pub(crate) jobs: usize,
    pub(crate) progress: &'a dyn Progress,
    /// Set when nobody wants it any more: what is under way ends in an error.
    pub(super) given_up: Option<&'a AtomicBool>,
}

impl<'a> Transfer<'a> {
    pub(crate) fn new(
        from: &'a dyn Source,
        to: &'a dyn Sink,
        task: Task,
        jobs: usize,
        progress: &'a dyn Progress,
    ) -> Self {
        Self { from, to, task, jobs, progress, given_up: None }
    }

    /// Copies all blobs side by side, then the manifests; what is there is not sent again.
    pub(crate) fn tree(&self, tree: &Tree) -> Result<(), Error> {
        let blobs: Vec<&Blob> = tree.unique().filter(|blob| !blob.is_foreign()).collect();
        // An archive takes one after the other, and always in the same order.
        let jobs = if self.to.location().archive().is_some() { 1 } else { self.jobs };
        let sizes: Vec<u64> = blobs.iter().map(|blob| blob.descriptor.size).collect();
        in_parallel(&sizes, jobs, |number| self.blob(blobs[number]))?;
        tree.nodes.iter().try_for_each(|node| self.manifest(&node.raw))
    }

    pub(super) fn blob(&self, blob: &Blob) -> Result<(), Error> {
        let Blob { descriptor, part, platform, by } = blob;
        let (task, digest, total) = (self.task, descriptor.digest, descriptor.size);
        let work = Work { task, platform: platform.as_ref(), part: *part, digest, total };
        if self.to.has(descriptor)? {
            progress::reused(self.progress, work, Reuse::There);
            return Ok(());
        }
        if let Some(repository) = self.to.mount(descriptor)? {
            progress::reused(self.progress, work, Reuse::Mounted(&repository));
            return Ok(());
        }
        for started in 1.. {
            let mut told = Told::start(self.progress, work);
            let content = self.from.open(descriptor).map_err(|error| {
                let what = format!("{} {digest}", word(*part));
                incomplete(error, self.from, platform.as_ref(), what, by)
            })?;
            let content = Wanted { inner: content, given_up: self.given_up };
            let error = match self.to.put(descriptor, &mut told.over(content)) {
                Ok(()) => {
                    told.done();
                    break;
                }
                Err(error) => error,
            };
            let Some(pause) = error.resend_after().filter(|_| started < MOST_STARTS) else {
                return Err(innermost(error));
            };
            std::thread::sleep(pause);
        }
        Ok(())
    }

    /// Writes a manifest unless it is there, and found by what it is about.
    fn manifest(&self, raw: &RawManifest) -> Result<(), Error> {
        let digest = raw.descriptor().digest;
        let there = match self.to.manifest(&digest) {
            Ok(_) => match super::subject(raw) {
                Some(subject) => {
                    self.to.referrers(&subject)?.iter().any(|line| line.digest == digest)
                }
                None => true,
            },
            Err(error) => match error.root() {
                // What is broken there is written again.
                Error::NotFound { .. } | Error::Corrupt { .. } => false,
                _ => return Err(error),
            },
        };
        if there { Ok(()) } else { self.to.put_manifest(raw) }
    }
}

/// A reader that breaks off when nobody wants it any more.
struct Wanted<'a, R> {
    inner: R,
    given_up: Option<&'a AtomicBool>,
}

impl<R: Read> Read for Wanted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given_up.is_some_and(|given_up| given_up.load(Ordering::Relaxed)) {
            return Err(io::Error::other("nobody wants it any more"));
        }
        self.inner.read(buffer)
    }
}

/// When the source failed, the destination's word on it says nothing more.
fn innermost(error: Error) -> Error {
    let Error::Read { what, source } = error else { return error };
    match source.downcast() {
        Ok(inner) => innermost(inner),
        Err(source) => Error::Read { what, source },
    }
}

/// A part that is not found is missing from what is there.
fn incomplete(
    error: Error,
    from: &dyn Source,
    platform: Option<&Platform>,
    what: String,
    by: &Digest,
) -> Error {
    let Error::NotFound { .. } = error else { return error };
    let (place, platform) = (Box::new(from.location()), platform.cloned().map(Box::new));
    Error::Incomplete { place, platform, what, by: *by }
}

fn word(part: Part) -> String {
    match part {
        Part::Layer { number, of } => format!("layer {} of {of}", number + 1),
        Part::Config => "config".to_owned(),
        Part::Referrer => "blob".to_owned(),
    }
}

/// How often a blob is sent from its beginning when its sending breaks.
const MOST_STARTS: u32 = 3;
/// An index in an index is honest; a tower of them is not.
pub(crate) const DEEPEST: usize = 4;
/// Manifests that one copy reads, the image's and those about it.
pub(crate) const MANIFESTS: usize = 1000;
/// Bytes of all these manifests, which are held until they are written.
const BYTES: usize = 64 << 20;
