//! Which manifests of an image are worked on, and which is the one of a platform.

use std::collections::{BTreeMap, HashSet};

use crate::error::{Error, LeftOut};
use crate::image::{
    self, Artifact, Image, Index, IndexEntry, Manifest, Platform, RawManifest, RuntimeConfig,
};
use crate::name::Digest;
use crate::store::{self, DEEPEST, Source};

/// A manifest that is worked on.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    pub(crate) platform: Platform,
    pub(crate) manifest: Manifest,
    pub(crate) config: RuntimeConfig,
}

/// What is worked on, and what lies beside it.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    pub(crate) chosen: Vec<Chosen>,
    pub(crate) beside: Beside,
}

/// What an index holds beside the manifests that are worked on.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    pub(crate) left_out: Vec<LeftOut>,
    /// Attestations, SBOMs and the like, which go with the manifest that they are about.
    pub(crate) companions: Vec<Companion>,
    /// Indexes inside the index.
    pub(crate) nested: BTreeMap<Digest, Index>,
}

/// A manifest about another one.
#[derive(Debug, Clone)]
pub(crate) struct Companion {
    pub(crate) digest: Digest,
    /// What it is, as a noun.
    pub(crate) what: String,
    /// The manifest that it is about.
    pub(crate) about: Digest,
}

/// The image or the index of a digest.
pub(crate) fn read(digest: &Digest, source: &dyn Source) -> Result<Image, Error> {
    Ok(Image::parse(source.manifest(digest)?).map_err(store::Error::Image)?)
}

/// Every platform that can be hardened, or those that were asked for.
pub(crate) fn select(
    image: &Image,
    asked: &[Platform],
    source: &dyn Source,
) -> Result<Selection, Error> {
    Selecting::through(image, Purpose::Hardening, asked, source)?.finish()
}

/// The manifests of one platform, each once and with the platform that it is for; at least one.
pub(crate) fn find(
    image: &Image,
    asked: &Platform,
    source: &dyn Source,
) -> Result<Vec<(Platform, RawManifest)>, Error> {
    let asked = std::slice::from_ref(asked);
    let mut found = Selecting::through(image, Purpose::Copying, asked, source)?.served;
    let mut seen = HashSet::new();
    found.retain(|(_, raw)| seen.insert(raw.descriptor().digest));
    Ok(found)
}

/// What manifests are looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Images for Linux whose layers can be read.
    Hardening,
    /// Whatever is for the platform: its bytes are taken as they are.
    Copying,
}

struct Selecting<'a> {
    purpose: Purpose,
    asked: &'a [Platform],
    source: &'a dyn Source,
    selection: Selection,
    /// What was read already: the same manifest may be named twice.
    read: HashSet<Digest>,
    /// Lines for platforms that were not asked for.
    unasked: HashSet<Digest>,
    /// Platforms that the image has, whether they were asked for or not.
    there: Vec<Platform>,
    /// Platforms that cannot be worked on, and why.
    refused: Vec<(Platform, String)>,
    /// Platforms that are worked on, and the manifest of each; one may serve several.
    served: Vec<(Platform, RawManifest)>,
}

impl<'a> Selecting<'a> {
    /// Goes through an image; every platform that was asked for is served then.
    fn through(
        image: &Image,
        purpose: Purpose,
        asked: &'a [Platform],
        source: &'a dyn Source,
    ) -> Result<Self, Error> {
        let mut selecting = Self {
            purpose,
            asked,
            source,
            selection: Selection::default(),
            read: HashSet::new(),
            unasked: HashSet::new(),
            there: Vec::new(),
            refused: Vec::new(),
            served: Vec::new(),
        };
        match image {
            Image::Manifest(manifest) => selecting.manifest(manifest.clone(), None)?,
            Image::Index(index) => selecting.index(index, 0)?,
        }
        let unserved = |asked: &&Platform| !selecting.serves(asked);
        match asked.iter().find(unserved) {
            None => Ok(selecting),
            Some(asked) => {
                Err(Error::Platform { asked: asked.clone(), reason: selecting.why_not(asked) })
            }
        }
    }

    fn serves(&self, asked: &Platform) -> bool {
        self.served.iter().any(|(platform, _)| platform.matches(asked))
    }

    fn why_not(&self, asked: &Platform) -> String {
        let known = self.refused.iter().find(|(platform, _)| platform.matches(asked));
        known.map_or_else(|| not_there(&self.there), |(_, reason)| reason.clone())
    }

    fn finish(mut self) -> Result<Selection, Error> {
        self.leave_companions();
        if self.selection.chosen.is_empty() {
            return Err(Error::NoPlatform { left_out: self.selection.beside.left_out });
        }
        Ok(self.selection)
    }

    /// Companions of what is not worked on are left out with it; those of platforms that were not
    /// asked for without a word.
    fn leave_companions(&mut self) {
        let Selection { chosen, beside } = &mut self.selection;
        let worked_on: HashSet<Digest> = chosen.iter().map(|one| one.manifest.digest()).collect();
        let stays = |about: &Digest| worked_on.contains(about) || beside.nested.contains_key(about);
        let (stay, go) = std::mem::take(&mut beside.companions)
            .into_iter()
            .partition::<Vec<_>, _>(|companion| stays(&companion.about));
        beside.companions = stay;
        for Companion { digest, what, about } in go {
            if !self.unasked.contains(&about) {
                let reason = format!("is {what} about {about}, which is not worked on");
                beside.left_out.push(LeftOut { what: digest.to_string(), reason });
            }
        }
    }

    fn index(&mut self, index: &Index, depth: usize) -> Result<(), Error> {
        if depth > DEEPEST {
            let reason = format!("more than {DEEPEST} indexes are nested");
            return Err(malformed(reason));
        }
        index.entries().iter().try_for_each(|entry| self.entry(entry, depth))
    }

    fn entry(&mut self, entry: &IndexEntry, depth: usize) -> Result<(), Error> {
        let digest = entry.descriptor.digest;
        if let Some(about) = entry.attests {
            let what = "an attestation".to_owned();
            self.selection.beside.companions.push(Companion { digest, what, about });
            return Ok(());
        }
        let platform = entry.platform.as_ref().filter(|platform| platform.is_known());
        if let Some(platform) = platform
            && !self.wants(platform)
        {
            self.unasked.insert(digest);
            return Ok(());
        }
        if !self.read.insert(digest) {
            let mut served = self.served.iter();
            let again = served.find(|(_, raw)| raw.descriptor().digest == digest).cloned();
            self.served.extend(platform.cloned().zip(again.map(|(_, raw)| raw)));
            return Ok(());
        }
        if let Some(reason) = platform.and_then(|platform| self.not_ours(platform)) {
            self.refuse(platform, &digest, reason);
            return Ok(());
        }
        match self.document(entry, platform, depth) {
            Ok(()) => Ok(()),
            Err(error) => {
                let reason = unreadable(error, entry)?;
                self.refuse(platform, &digest, reason);
                Ok(())
            }
        }
    }

    /// Reads what a line names.
    fn document(
        &mut self,
        entry: &IndexEntry,
        platform: Option<&Platform>,
        depth: usize,
    ) -> Result<(), Error> {
        let digest = entry.descriptor.digest;
        let raw = self.source.manifest(&digest)?;
        match Image::parse(raw.clone()) {
            Ok(Image::Manifest(manifest)) => self.manifest(manifest, platform),
            Ok(Image::Index(inner)) => {
                self.index(&inner, depth + 1)?;
                self.selection.beside.nested.insert(digest, inner);
                Ok(())
            }
            Err(image::Error::Artifact(artifact)) => {
                self.artifact(raw, &artifact, platform);
                Ok(())
            }
            Err(error) => Err(store::Error::Image(error).into()),
        }
    }

    /// An artifact about a manifest goes with it; another one is left out. What is copied may be an
    /// artifact as well, if its line says for which platform.
    fn artifact(&mut self, raw: RawManifest, artifact: &Artifact, platform: Option<&Platform>) {
        let digest = raw.descriptor().digest;
        let beside = &mut self.selection.beside;
        if let Some(about) = store::subject(&raw) {
            let what = artifact.to_string();
            beside.companions.push(Companion { digest, what, about });
        } else {
            let reason = format!("is {artifact}, no container image");
            self.refused.extend(platform.map(|platform| (platform.clone(), reason.clone())));
            beside.left_out.push(LeftOut { what: digest.to_string(), reason });
        }
        if self.purpose == Purpose::Copying {
            self.served.extend(platform.map(|platform| (platform.clone(), raw)));
        }
    }

    /// Takes an image, for the platform that its line or else its config says.
    fn manifest(&mut self, manifest: Manifest, platform: Option<&Platform>) -> Result<(), Error> {
        if let (Purpose::Copying, Some(platform)) = (self.purpose, platform) {
            self.served.push((platform.clone(), manifest.raw().clone()));
            return Ok(());
        }
        let bytes = store::read_small(self.source, manifest.config())?;
        let config = RuntimeConfig::parse(&bytes).map_err(store::Error::Image)?;
        let own = config.platform();
        let platform = platform.cloned().unwrap_or(own);
        if !self.wants(&platform) {
            self.unasked.insert(manifest.digest());
            return Ok(());
        }
        if let Some(reason) = self.not_ours(&platform) {
            self.refuse(Some(&platform), &manifest.digest(), reason);
            return Ok(());
        }
        if self.purpose == Purpose::Hardening {
            manifest.check_layers().map_err(store::Error::Image)?;
        }
        self.served.push((platform.clone(), manifest.raw().clone()));
        self.selection.chosen.push(Chosen { platform, manifest, config });
        Ok(())
    }

    /// Whether a platform of the image was asked for.
    fn wants(&mut self, platform: &Platform) -> bool {
        if !self.there.contains(platform) {
            self.there.push(platform.clone());
        }
        self.asked.is_empty() || self.asked.iter().any(|asked| platform.matches(asked))
    }

    /// Why images of a platform are not looked into.
    fn not_ours(&self, platform: &Platform) -> Option<String> {
        match self.purpose {
            Purpose::Hardening => not_linux(platform),
            Purpose::Copying => None,
        }
    }

    fn refuse(&mut self, platform: Option<&Platform>, digest: &Digest, reason: String) {
        let what = platform.map_or_else(|| digest.to_string(), Platform::to_string);
        self.refused.extend(platform.map(|platform| (platform.clone(), reason.clone())));
        self.selection.beside.left_out.push(LeftOut { what, reason });
    }
}

/// Why a line's document is left out rather than the whole image refused: a partial copy of an index
/// lacks some, layers may be encrypted, and what an unknown media type means is not ours to say.
fn unreadable(error: Error, entry: &IndexEntry) -> Result<String, Error> {
    let Error::Pull(pulled) = error else { return Err(error) };
    let media_type = &entry.descriptor.media_type;
    match pulled {
        store::Error::NotFound { what, place } => {
            let part =
                if what == entry.descriptor.digest.to_string() { "manifest" } else { "config" };
            Ok(format!("is named by the index, but its {part} is not in {place} (a partial copy)"))
        }
        store::Error::Image(error @ image::Error::Layer { .. }) => {
            Ok(format!("cannot be read: {error}"))
        }
        store::Error::Image(image::Error::ManifestType(kind)) => {
            Ok(format!("is of media type {kind:?}, which is no image that is read here"))
        }
        store::Error::Image(image::Error::Malformed { .. }) | store::Error::TooLarge { .. }
            if !image::media_type::DOCUMENTS.contains(&media_type.as_str()) =>
        {
            Ok(format!("is of media type {media_type:?}, which is no image that is read here"))
        }
        other => Err(other.into()),
    }
}

/// Why images of a platform are not hardened. An empty name is what some tools leave out.
fn not_linux(platform: &Platform) -> Option<String> {
    match platform.os.as_str() {
        "linux" | "" => None,
        "windows" => Some("is a Windows image, whose layers are not Linux file systems".to_owned()),
        os if os.starts_with("wasi") || platform.architecture.starts_with("wasm") => {
            Some("is a WebAssembly image, and only Linux images are hardened".to_owned())
        }
        other => Some(format!("is for {other:?}, and only Linux images are hardened")),
    }
}

fn not_there(there: &[Platform]) -> String {
    let there: Vec<String> = there.iter().map(Platform::to_string).collect();
    if there.is_empty() {
        return "is not in this image, which has no platforms".to_owned();
    }
    format!("is not in this image; it has {}", there.join(", "))
}

fn malformed(reason: String) -> Error {
    store::Error::Image(image::Error::Malformed { what: "the index", reason }).into()
}
