//! From references to open stores.

use std::fs;
use std::path::Path;

use immut_core::name::{Digest, Location, PinnedRef, Reference};
use immut_core::store::{self, Layout, Registry, RegistryOptions, Sink, Source};

use crate::args::Global;
use crate::exit::Failure;

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
        Location::Layout(folder) => Ok(Box::new(Layout::create(folder)?)),
        other => Err(Failure::Usage(format!("{other} cannot be written to"))),
    }
}

/// Refuses a destination that cannot be meant, before the work is done.
pub(crate) fn check_destination(named: &str, to: &Reference) -> Result<(), Failure> {
    if to.digest.is_some() {
        return Err(Failure::Usage(format!(
            "{named} takes no digest: the image's own is what it will have there"
        )));
    }
    if let Some(tag) = &to.tag {
        tag_name(tag).map_err(|reason| Failure::Usage(format!("{named} {to}: {reason}")))?;
    }
    let Location::Layout(folder) = &to.location else { return Ok(()) };
    let empty = fs::read_dir(folder).map(|mut entries| entries.next().is_none());
    let reason = match empty {
        Ok(false) if !folder.join("oci-layout").is_file() => {
            "is a folder with something else in it; choose one that is empty or not there"
        }
        Err(_) if folder.exists() => "is no folder that can be read",
        _ => return Ok(()),
    };
    Err(Failure::Usage(format!("{named} {}: {} {reason}", to.location, folder.display())))
}

/// A tag as registries take it (OCI distribution specification, "Pulling manifests").
pub(crate) fn tag_name(text: &str) -> Result<String, String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let valid = text.starts_with(word) && text.chars().all(|c| word(c) || ".-".contains(c));
    if !valid || text.len() > 128 {
        return Err(format!(
            "{text:?} is no tag: up to 128 letters, digits, dots, hyphens and underscores"
        ));
    }
    if text.starts_with("sha256-") {
        return Err(format!("{text:?} is a name that signatures have"));
    }
    Ok(text.to_owned())
}

/// The image that a reference names now, and its name by digest.
pub(crate) fn resolve(
    reference: &Reference,
    source: &dyn Source,
) -> Result<(Digest, PinnedRef), Failure> {
    let digest = store::resolve(source, reference).map_err(|error| not_found(error, reference))?;
    let pinned =
        PinnedRef { location: reference.location.clone(), tag: reference.tag.clone(), digest };
    Ok((digest, pinned))
}

/// A name that a layout does not have is answered with those that it has.
fn not_found(error: store::Error, reference: &Reference) -> Failure {
    let names = match (&error, &reference.location) {
        (store::Error::NotFound { .. }, Location::Layout(folder)) => names(folder),
        _ => return error.into(),
    };
    let there = match names.as_slice() {
        [] => "it has no names, so name the image by its digest: @sha256:...".to_owned(),
        names => format!("it has {}", names.join(", ")),
    };
    Failure::Usage(format!("{error}; {there}"))
}

/// The names of a layout's images; those of signatures are left out.
fn names(folder: &Path) -> Vec<String> {
    let names = Layout::open(folder).and_then(|layout| layout.names()).unwrap_or_default();
    names.into_iter().map(|(name, _)| name).filter(|name| tag_name(name).is_ok()).collect()
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

/// A folder for a stage: where `TMPDIR` says, else where it is not a memory disk, if there is such a
/// place.
pub(crate) fn temporary_folder() -> std::io::Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("immut-");
    if std::env::var_os("TMPDIR").is_some_and(|folder| !folder.is_empty()) {
        return builder.tempdir();
    }
    builder.tempdir_in(Path::new("/var/tmp")).or_else(|_| builder.tempdir())
}
