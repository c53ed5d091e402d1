//! What is sent while the image is made.

use super::Settled;
use crate::image::{Family, Image, Manifest};
use crate::inventory::Subject;
use crate::name::Digest;
use crate::options::{Ahead, Options};
use crate::rewrite::{BASE_DIGEST, untouched};
use crate::store::{self, Early, Layout, Source};

/// What can be sent ahead of an image whose plans are settled; none if nobody asked for it.
pub(super) fn early<'a>(
    settled: &[Settled],
    stage: &'a Layout,
    options: &'a Options,
) -> Option<Early<'a>> {
    let ahead = options.ahead.as_ref()?;
    store::repository(&ahead.to.location())?;
    let streams = !may_be_there(settled, ahead);
    let mut early = Early::new(&*ahead.to, stage, &*options.progress, streams);
    for one in settled {
        let Settled { manifest, config, inventory, plan, .. } = one;
        for (blob, part) in untouched(&Subject { manifest, config, inventory }, plan.plan()) {
            early.add(blob, part, &one.platform, one.manifest.digest());
        }
    }
    Some(early)
}

/// Whether an earlier run may have made the same: a tag names what was made of the same source, or
/// there is no tag that could tell. Then the new layers are probably there already, which is not
/// known before they are made.
fn may_be_there(settled: &[Settled], ahead: &Ahead) -> bool {
    let sources: Vec<String> =
        settled.iter().map(|one| one.manifest.digest().to_string()).collect();
    let told = |tag: &String| match named(&*ahead.to, tag) {
        Ok(named) => named.iter().any(|one| is_of(one, &sources)),
        // What cannot be asked should not be sent to either.
        Err(error) => {
            tracing::debug!(%error, tag, "what the tag names is not known");
            true
        }
    };
    ahead.tags.is_empty() || ahead.tags.iter().any(told)
}

/// The images that a tag names, of an index the first few.
fn named(to: &dyn Source, tag: &str) -> Result<Vec<Manifest>, store::Error> {
    let Some(raw) = to.tagged(tag)? else { return Ok(Vec::new()) };
    match Image::parse(raw)? {
        Image::Manifest(manifest) => Ok(vec![manifest]),
        Image::Index(index) => {
            let platforms = index.entries().iter().filter(|line| line.attests.is_none());
            let read = |digest: &Digest| Ok(Manifest::parse(to.manifest(digest)?)?);
            platforms.take(MOST_ASKED).map(|line| read(&line.descriptor.digest)).collect()
        }
    }
}

/// Whether a manifest says that it is made of one of the sources. Docker's cannot say, so any of them
/// may be.
fn is_of(manifest: &Manifest, sources: &[String]) -> bool {
    let base = manifest.json()["annotations"][BASE_DIGEST].as_str();
    manifest.family() == Family::Docker
        || base.is_some_and(|base| sources.iter().any(|one| one == base))
}

/// Platforms of an index that are asked for.
const MOST_ASKED: usize = 8;
