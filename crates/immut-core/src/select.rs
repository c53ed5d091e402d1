//! Which manifests of an image are worked on.

use crate::error::{Error, LeftOut};
use crate::image::{self, Image, Index, IndexEntry, Manifest, Platform, RuntimeConfig};
use crate::store::{self, Source};

/// A manifest that is worked on.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    pub(crate) platform: Platform,
    pub(crate) manifest: Manifest,
    pub(crate) config: RuntimeConfig,
}

/// What is worked on, and what is not.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    pub(crate) chosen: Vec<Chosen>,
    pub(crate) left_out: Vec<LeftOut>,
}

/// Every platform that can be hardened, or those that were asked for.
pub(crate) fn select(
    image: &Image,
    asked: &[Platform],
    source: &dyn Source,
) -> Result<Selection, Error> {
    let mut selection = Selection::default();
    match image {
        Image::Manifest(manifest) => selection.take(manifest.clone(), None, source)?,
        Image::Index(index) => selection.take_index(index, asked, source)?,
    }
    for asked in asked {
        if selection.chosen.iter().any(|one| one.platform.matches(asked)) {
            continue;
        }
        let left = selection.left_out.iter().find(|one| one.what == asked.to_string());
        let reason =
            left.map_or_else(|| "is not in this image".to_owned(), |one| one.reason.clone());
        return Err(Error::Platform { asked: asked.clone(), reason });
    }
    if selection.chosen.is_empty() {
        return Err(Error::NoPlatform { left_out: selection.left_out });
    }
    Ok(selection)
}

impl Selection {
    fn take_index(
        &mut self,
        index: &Index,
        asked: &[Platform],
        source: &dyn Source,
    ) -> Result<(), Error> {
        for entry in index.entries().iter().filter(|entry| entry.attests.is_none()) {
            let wanted = asked.is_empty()
                || entry
                    .platform
                    .as_ref()
                    .is_none_or(|there| asked.iter().any(|one| there.matches(one)));
            if wanted {
                self.take_entry(entry, source)?;
            }
        }
        Ok(())
    }

    fn take_entry(&mut self, entry: &IndexEntry, source: &dyn Source) -> Result<(), Error> {
        let digest = &entry.descriptor.digest;
        if let Some(reason) = entry.platform.as_ref().and_then(not_ours) {
            let what = entry.platform.as_ref().map(Platform::to_string).unwrap_or_default();
            self.left_out.push(LeftOut { what, reason });
            return Ok(());
        }
        match Image::parse(source.manifest(digest)?) {
            Ok(Image::Manifest(manifest)) => self.take(manifest, entry.platform.as_ref(), source),
            Ok(Image::Index(_)) => {
                self.leave(
                    digest.to_string(),
                    "is an index inside the index, which is not followed",
                );
                Ok(())
            }
            Err(image::Error::Artifact(kind)) => {
                self.leave(digest.to_string(), &format!("is an artifact of type {kind:?}"));
                Ok(())
            }
            Err(error) => Err(store::Error::Image(error).into()),
        }
    }

    fn take(
        &mut self,
        manifest: Manifest,
        platform: Option<&Platform>,
        source: &dyn Source,
    ) -> Result<(), Error> {
        let bytes = store::read_small(source, manifest.config())?;
        let config = RuntimeConfig::parse(&bytes).map_err(store::Error::Image)?;
        let platform = platform.cloned().unwrap_or_else(|| config.platform());
        if let Some(reason) = not_ours(&platform) {
            self.left_out.push(LeftOut { what: platform.to_string(), reason });
        } else {
            self.chosen.push(Chosen { platform, manifest, config });
        }
        Ok(())
    }

    fn leave(&mut self, what: String, reason: &str) {
        self.left_out.push(LeftOut { what, reason: reason.to_owned() });
    }
}

/// Why images of a platform are not worked on. An empty name is what some tools leave out.
fn not_ours(platform: &Platform) -> Option<String> {
    match platform.os.as_str() {
        "linux" | "" => None,
        "windows" => Some("is a Windows image, whose layers are not Linux file systems".to_owned()),
        other => Some(format!("is for {other:?}, and only Linux images are hardened")),
    }
}
