//! Where an image is to go, as the command line says it.

use std::path::Path;

use immut_core::image::Image;
use immut_core::name::{self, Digest, Location, Reference};
use immut_core::store::{Layout, Source};

use crate::exit::Failure;

/// A destination, and what else decides whether it can be meant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Destination<'a> {
    /// What the argument is called.
    pub(crate) argument: &'static str,
    pub(crate) to: &'a Reference,
    /// The tags beside the reference's own.
    pub(crate) more: &'a [String],
    /// How to do it without signatures, if some are to go along.
    pub(crate) unsigned: Option<&'static str>,
}

impl Destination<'_> {
    /// Refuses what cannot be meant, before the work is done.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let problem = self.pinned().or_else(|| self.no_tag());
        match problem.or_else(|| self.no_place()).or_else(|| self.no_room()) {
            Some(problem) => Err(Failure::Usage(format!("{} {problem}", self.argument))),
            None => Ok(()),
        }
    }

    /// The reference's own tag and the others. Without any it is `otherwise`; an image in a layout has
    /// to have a name, so there it is `latest`.
    pub(crate) fn tags(&self, otherwise: Option<&str>) -> Vec<String> {
        let mut tags: Vec<String> = self.to.tag.iter().cloned().collect();
        for tag in self.more {
            if !tags.contains(tag) {
                tags.push(tag.clone());
            }
        }
        if tags.is_empty() {
            let name = match self.to.location {
                Location::Layout(_) | Location::OciArchive(_) => otherwise.or(Some("latest")),
                _ => otherwise,
            };
            tags.extend(name.map(str::to_owned));
        }
        tags
    }

    /// Refuses an index where only one platform has room, before its layers are read.
    pub(crate) fn check_room(
        &self,
        source: &dyn Source,
        digest: &Digest,
        one_platform: bool,
    ) -> Result<(), Failure> {
        if one_platform || !matches!(self.to.location, Location::DockerArchive(_)) {
            return Ok(());
        }
        match Image::parse(source.manifest(digest)?) {
            Ok(Image::Index(_)) => Err(Failure::Usage(format!(
                "{} {}: this is an index, and a docker archive holds images of one platform; name one with --platform, or write an oci-archive",
                self.argument, self.to
            ))),
            // What is no image is refused by whoever reads it.
            _ => Ok(()),
        }
    }

    /// A digest, which nobody can choose.
    fn pinned(&self) -> Option<String> {
        let problem = "takes no digest: the image's own is what it will have there";
        self.to.digest.map(|_| problem.to_owned())
    }

    /// A name that an image cannot have there.
    fn no_tag(&self) -> Option<String> {
        let fits = match &self.to.location {
            Location::DockerArchive(_) => name::image_name,
            _ => name::tag_name,
        };
        let error = fits(self.to.tag.as_deref()?).err()?;
        Some(format!("{}: {error}", self.to))
    }

    /// A place where nothing can be written.
    fn no_place(&self) -> Option<String> {
        let location = &self.to.location;
        let reason = match location {
            Location::Layout(folder) if !Layout::fits(folder) => {
                "is a folder with something else in it; choose one that is empty or not there"
            }
            Location::Layout(folder) if folder.is_file() => {
                "is a file; an archive is named oci-archive:FILE"
            }
            _ if location.archive().is_some_and(|file| file == Path::new("-")) => {
                "would be the standard output, which is for the digest; name a file"
            }
            _ if location.archive().is_some_and(Path::is_dir) => {
                "is a folder; a layout in a folder is named oci:DIR"
            }
            _ => return None,
        };
        Some(format!("{} {reason}", self.to))
    }

    /// What a docker archive cannot hold.
    fn no_room(&self) -> Option<String> {
        let Location::DockerArchive(_) = &self.to.location else { return None };
        let reason = match self.unsigned {
            Some(without) => format!(
                "a docker archive has no room for signatures, nor for anything else about an image; {without}, or write an oci-archive"
            ),
            None if self.more.is_empty() => return None,
            None => "images in a docker archive have whole names: docker-archive:FILE:NAME:TAG"
                .to_owned(),
        };
        Some(format!("{}: {reason}", self.to))
    }
}
