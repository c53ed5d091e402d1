//! From references to open stores.

use std::path::{Path, PathBuf};

use immut_core::inventory::Limits;
use immut_core::name::{Digest, Location, PinnedRef, Reference};
use immut_core::store::{
    self, Archive, ArchiveDraft, Draft, Layout, Registry, RegistryOptions, Sink, Source, Spool,
    Unfinished,
};

use crate::args::Global;
use crate::exit::Failure;
use crate::render::note;

/// Registries as the command line wants them spoken to.
pub(crate) fn options(global: &Global) -> Result<RegistryOptions, Failure> {
    let ca = match &global.ca {
        Some(path) => Some(std::fs::read(path).map_err(|source| Failure::Local {
            action: "read",
            path: path.display().to_string(),
            source,
        })?),
        None => None,
    };
    Ok(RegistryOptions {
        insecure: global.insecure_registry.clone(),
        ca,
        ..RegistryOptions::default()
    })
}

/// Opens where an image is read from.
pub(crate) fn source(location: &Location, global: &Global) -> Result<Box<dyn Source>, Failure> {
    match location {
        Location::Registry(repository) => {
            Ok(Box::new(Registry::connect(repository, &options(global)?)?))
        }
        Location::Layout(folder) => Ok(Box::new(Layout::open(folder)?)),
        Location::OciArchive(_) | Location::DockerArchive(_) => {
            let limit = global.max_bytes.unwrap_or(Limits::default().bytes);
            Ok(Box::new(Archive::open(location, &Spool { folder: temporary_folder(), limit })?))
        }
        other => Err(Failure::Usage(format!("{other} cannot be read from"))),
    }
}

/// Opens where an image is written to; blobs of `from` are mounted where that is the same registry.
pub(crate) fn sink(
    location: &Location,
    from: Option<&Location>,
    global: &Global,
) -> Result<Box<dyn Sink>, Failure> {
    match location {
        Location::Registry(repository) => {
            let registry = Registry::connect(repository, &options(global)?)?;
            Ok(match from {
                Some(Location::Registry(from)) => Box::new(registry.mounting_from(from.clone())),
                _ => Box::new(registry),
            })
        }
        Location::Layout(folder) => Ok(Box::new(Draft::new(folder)?)),
        Location::OciArchive(_) | Location::DockerArchive(_) => {
            let draft = ArchiveDraft::new(location)?;
            if location.archive().is_some_and(Path::exists) {
                note(&format!("{location} is there already; it will be replaced as a whole"));
            }
            Ok(Box::new(draft))
        }
        other => Err(Failure::Usage(format!("{other} cannot be written to"))),
    }
}

/// The image that a reference names now, and its name by digest.
pub(crate) fn resolve(
    reference: &Reference,
    source: &dyn Source,
) -> Result<(Digest, PinnedRef), Failure> {
    let digest = store::resolve(source, reference)?;
    let pinned =
        PinnedRef { location: reference.location.clone(), tag: reference.tag.clone(), digest };
    Ok((digest, pinned))
}

/// A reference by digest; a tag is refused with the digest that it names now.
pub(crate) fn pinned(reference: &Reference, source: &dyn Source) -> Result<PinnedRef, Failure> {
    if let Some(pinned) = reference.pinned() {
        return Ok(pinned);
    }
    let (_, now) = resolve(reference, source)?;
    Err(Failure::Usage(format!(
        "{reference} is no reference by digest, and a tag can move; it names {now} now"
    )))
}

/// The folder where the image is made; a temporary one goes when the run ends.
pub(crate) struct Stage {
    pub(crate) layout: Layout,
    _temporary: Option<Unfinished>,
}

impl Stage {
    pub(crate) fn new(folder: Option<&Path>) -> Result<Self, Failure> {
        if let Some(folder) = folder {
            return Ok(Self { layout: Layout::create(folder)?, _temporary: None });
        }
        let failed =
            |source| Failure::Local { action: "create", path: "a temporary folder".into(), source };
        let temporary = temporary_stage().map_err(failed)?;
        Ok(Self { layout: Layout::temporary(temporary.path())?, _temporary: Some(temporary) })
    }
}

/// A folder for a stage, which is removed when it is given up or the process ends by a signal.
fn temporary_stage() -> std::io::Result<Unfinished> {
    Unfinished::folder(&temporary_folder(), "stage", 0o700)
}

/// Where large temporary files go: where `TMPDIR` says, else where it is not a memory disk, if there
/// is such a place.
fn temporary_folder() -> PathBuf {
    let named = std::env::var_os("TMPDIR").filter(|folder| !folder.is_empty());
    let disk = Path::new("/var/tmp");
    match named {
        Some(folder) => folder.into(),
        None if disk.is_dir() => disk.to_owned(),
        None => std::env::temp_dir(),
    }
}
