//! What is about an image and goes along with it: manifests whose `subject` it is, and what cosign
//! keeps under tags that are made of its digest.

use std::collections::VecDeque;

use serde_json::Value;

use crate::error::Error;
use crate::image::RawManifest;
use crate::name::Digest;
use crate::store::{self, Kind, MANIFESTS, Sink, Source, Tree, fallback_tag};

/// What was found about an image.
#[derive(Default)]
pub(super) struct About {
    found: usize,
    /// cosign's tags and what they name.
    tags: Vec<(String, RawManifest)>,
}

/// Adds what is about the manifests of `tree`, and what is about that in turn.
pub(super) fn add(tree: &mut Tree, from: &dyn Source) -> Result<About, store::Error> {
    let subjects = tree.digests().collect();
    let mut search = Search { tree, from, subjects, about: About::default() };
    while let Some(subject) = search.subjects.pop_front() {
        search.referrers(&subject)?;
        for tag in tags(&subject) {
            if let Some(raw) = from.tagged(&tag)? {
                search.take(raw.clone())?;
                search.about.tags.push((tag, raw));
            }
        }
    }
    Ok(search.about)
}

struct Search<'a> {
    tree: &'a mut Tree,
    from: &'a dyn Source,
    /// Manifests whose referrers were not looked for yet.
    subjects: VecDeque<Digest>,
    about: About,
}

impl Search<'_> {
    fn referrers(&mut self, subject: &Digest) -> Result<(), store::Error> {
        let lines = self.from.referrers(subject)?;
        if lines.len() > MANIFESTS {
            let limit = format!("{MANIFESTS} referrers");
            return Err(store::Error::TooMany { what: *subject, limit });
        }
        for line in lines {
            match self.from.manifest(&line.digest) {
                // The list is not believed: whoever may write it can name anything.
                Ok(raw) if store::subject(&raw) == Some(*subject) => self.take(raw)?,
                Ok(_) => tracing::debug!(digest = %line.digest, "listed, but about something else"),
                Err(store::Error::NotFound { .. }) => {
                    tracing::debug!(digest = %line.digest, "listed, but deleted");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn take(&mut self, raw: RawManifest) -> Result<(), store::Error> {
        let before = self.tree.digests().len();
        self.tree.add(raw, self.from, Kind::Referrer)?;
        let new = self.tree.digests().skip(before);
        self.about.found += usize::from(new.len() > 0);
        self.subjects.extend(new);
        Ok(())
    }
}

/// How many are about the image itself. Nothing depends on the number, so a source that cannot say
/// it does not stop a copy.
pub(super) fn count(image: &Digest, from: &dyn Source) -> usize {
    let listed = from.referrers(image).map_or(0, |lines| lines.len());
    listed + tags(image).filter(|tag| matches!(from.tagged(tag), Ok(Some(_)))).count()
}

/// The tags under which cosign keeps signatures, attestations and SBOMs.
fn tags(subject: &Digest) -> impl Iterator<Item = String> {
    let prefix = fallback_tag(subject);
    ["sig", "att", "sbom"].into_iter().map(move |kind| format!("{prefix}.{kind}"))
}

impl About {
    /// Writes the tags; gives the number of all that was found.
    pub(super) fn tag(&self, to: &dyn Sink) -> Result<usize, Error> {
        for (tag, raw) in &self.tags {
            let there = to.tagged(tag).map_err(Error::Copy)?;
            let (ours, theirs) = (layers(raw), there.as_ref().map(layers).unwrap_or_default());
            let within = |one: &[Value], other: &[Value]| one.iter().all(|l| other.contains(l));
            if within(&theirs, &ours) && there.as_ref() != Some(raw) {
                to.tag(tag, raw).map_err(Error::Copy)?;
            } else if !within(&ours, &theirs) {
                let place = to.location().to_string();
                return Err(Error::Diverged { tag: tag.clone(), place });
            }
        }
        Ok(self.found)
    }
}

/// A manifest's layers: each is a signature, an attestation or an SBOM.
fn layers(manifest: &RawManifest) -> Vec<Value> {
    let json: Value = serde_json::from_slice(&manifest.bytes).unwrap_or_default();
    json["layers"].as_array().cloned().unwrap_or_default()
}
