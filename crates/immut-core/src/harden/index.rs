//! The result of several platforms.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use super::Outcome;
use crate::error::{Error, LeftOut};
use crate::image::{Descriptor, Image, Index, IndexEntry, RawManifest};
use crate::name::Digest;
use crate::select::{Beside, Companion};
use crate::store::{self, Layout, Sink, Source, copy};

/// The result on its way: the source's index with its lines brought up to date.
pub(super) struct Assembling<'a> {
    /// The new manifests by the digest of the old ones.
    new: BTreeMap<Digest, Descriptor>,
    /// What did not change.
    same: HashSet<Digest>,
    first: Option<&'a RawManifest>,
    beside: Beside,
    source: &'a dyn Source,
    stage: &'a Layout,
}

impl<'a> Assembling<'a> {
    pub(super) fn new(
        platforms: &'a [Outcome],
        beside: Beside,
        source: &'a dyn Source,
        stage: &'a Layout,
    ) -> Self {
        let new: BTreeMap<Digest, Descriptor> = platforms
            .iter()
            .map(|one| (one.source.digest, one.rewritten.manifest.raw().descriptor()))
            .collect();
        let same = new.iter().filter(|(old, new)| **old == new.digest).map(|(old, _)| *old);
        Self {
            same: same.collect(),
            new,
            first: platforms.first().map(|one| one.rewritten.manifest.raw()),
            beside,
            source,
            stage,
        }
    }

    /// The result: an index of an index, but the manifest where one platform was asked for.
    pub(super) fn result(&mut self, image: &Image, one_asked: bool) -> Result<RawManifest, Error> {
        match (image, self.first) {
            (Image::Index(_), Some(only)) if one_asked && self.new.len() == 1 => {
                self.leave_companions();
                Ok(only.clone())
            }
            (Image::Index(index), _) => self.index(index),
            (Image::Manifest(_), Some(only)) => Ok(only.clone()),
            (Image::Manifest(manifest), None) => Ok(manifest.raw().clone()),
        }
    }

    /// What is left out.
    pub(super) fn left_out(self) -> Vec<LeftOut> {
        self.beside.left_out
    }

    /// An index with its lines brought up to date, those inside it too: each stays where it was. One
    /// in which nothing changes keeps its bytes.
    fn index(&mut self, index: &Index) -> Result<RawManifest, Error> {
        let old_lines = index.json()["manifests"].as_array().cloned().unwrap_or_default();
        let mut lines: Vec<Value> = Vec::new();
        for (entry, line) in index.entries().iter().zip(&old_lines) {
            let digest = entry.descriptor.digest;
            if let Some(new) = self.new.get(&digest) {
                lines.push(pointed(line, new));
            } else if let Some(inner) = self.beside.nested.get(&digest).cloned() {
                lines.extend(self.nested(&inner)?.map(|new| pointed(line, &new)));
            } else if self.goes_along(entry)? {
                lines.push(line.clone());
            }
        }
        if lines == old_lines {
            return Ok(index.raw().clone());
        }
        let mut json = index.json().clone();
        json["manifests"] = lines.into();
        let media_type = index.raw().media_type.clone();
        Ok(RawManifest { media_type, bytes: json.to_string().into_bytes() })
    }

    /// An index inside the index, put into the stage; none if nothing is left in it.
    fn nested(&mut self, inner: &Index) -> Result<Option<Descriptor>, Error> {
        let raw = self.index(inner)?;
        let new = raw.descriptor();
        if raw == *inner.raw() {
            self.same.insert(new.digest);
        }
        if Index::parse(raw.clone()).map_err(store::Error::Image)?.entries().is_empty() {
            return Ok(None);
        }
        self.stage.put_manifest(&raw)?;
        Ok(Some(new))
    }

    /// Whether a line is a companion of something that did not change; it is copied to the stage.
    fn goes_along(&mut self, entry: &IndexEntry) -> Result<bool, Error> {
        let named = |one: &&Companion| {
            one.digest == entry.descriptor.digest
                && entry.attests.is_none_or(|about| about == one.about)
        };
        let Some(companion) = self.beside.companions.iter().find(named) else { return Ok(false) };
        let Companion { digest, what, about } = companion;
        let reason = if self.same.contains(about) {
            match copy(digest, self.source, self.stage) {
                Ok(_) => return Ok(true),
                Err(store::Error::NotFound { .. } | store::Error::Incomplete { .. }) => {
                    let place = self.source.location();
                    format!("is {what} about {about}, but it is not in {place} (a partial copy)")
                }
                Err(error) => return Err(error.into()),
            }
        } else {
            format!("is {what} about {about}, which was changed")
        };
        self.beside.left_out.push(LeftOut { what: digest.to_string(), reason });
        Ok(false)
    }

    /// Names the companions of a manifest that is the whole result.
    fn leave_companions(&mut self) {
        let Beside { companions, left_out, .. } = &mut self.beside;
        for Companion { digest, what, about } in companions {
            if self.new.contains_key(about) {
                let reason =
                    format!("is {what} about {about}, and the result is one manifest alone");
                left_out.push(LeftOut { what: digest.to_string(), reason });
            }
        }
    }
}

/// A line that names the new manifest. What the old line held of the old one's content goes.
fn pointed(line: &Value, new: &Descriptor) -> Value {
    let mut line = line.clone();
    if line["digest"] == json!(new.digest) {
        return line;
    }
    line["digest"] = json!(new.digest);
    line["size"] = json!(new.size);
    if let Some(fields) = line.as_object_mut() {
        fields.shift_remove("data");
        fields.shift_remove("urls");
    }
    line
}
