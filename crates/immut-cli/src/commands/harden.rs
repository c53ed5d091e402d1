//! `immut harden`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use immut_core::name::{Location, PinnedRef};
use immut_core::store::Layout;
use immut_core::trust::{self, LocalKey, Signer};
use immut_core::{Hardened, Options, Publication, Published, harden, publish};

use super::{choices, options};
use crate::args::{Global, Harden};
use crate::exit::{Code, Failure};
use crate::{interrupt, keys, render, stores};

pub(crate) fn run(args: &Harden, global: &Global) -> Result<Code, Failure> {
    if args.to.digest.is_some() {
        return Err(Failure::Usage("--to takes no digest: the result's own is not known yet".into()));
    }
    let source = stores::source(&args.source.location, global)?;
    let pinned = stores::pinned(&args.source, &*source)?;
    let options = Options {
        source_name: args.source_name.clone(),
        ..options(choices(&args.choices)?, &args.choices.platform, global)?
    };
    let key = key(args)?;
    let stage = Stage::new(args.stage.as_deref())?;
    let hardened = harden(&pinned, &*source, &stage.layout, &options)?;
    let to = stores::sink(&args.to.location, Some(&pinned.location), global)?;
    let signing = trust::Options::from_environment()?;
    let tags = tags(args);
    let how = Publication {
        to: &*to,
        signer: key.as_ref().map(|key| key as &dyn Signer),
        signing: &signing,
        tags: &tags,
    };
    let published = publish(&hardened, &stage.layout, &how)?;
    write_files(args, &hardened, &published.reference, &options.choices.profile.name)?;
    render::human::hardened(&hardened, &published, &tags);
    render::human::product(&published.reference.to_string());
    verify_hint(args, &published);
    Ok(Code::Done)
}

fn key(args: &Harden) -> Result<Option<LocalKey>, Failure> {
    let Some(source) = &args.key else { return Ok(None) };
    if args.generate_key {
        keys::generate_if_missing(source)?;
    }
    keys::load(source).map(Some)
}

/// The destination's own tag and the others; a layout's image has to have a name.
fn tags(args: &Harden) -> Vec<String> {
    let mut tags: Vec<String> = args.to.tag.iter().chain(&args.tag).cloned().collect();
    if tags.is_empty() && matches!(args.to.location, Location::Layout(_)) {
        tags.push("latest".to_owned());
    }
    tags
}

/// The folder where the image is made; a temporary one goes when the run ends.
struct Stage {
    layout: Layout,
    _temporary: Option<tempfile::TempDir>,
}

impl Stage {
    fn new(folder: Option<&Path>) -> Result<Self, Failure> {
        if let Some(folder) = folder {
            return Ok(Self { layout: Layout::create(folder)?, _temporary: None });
        }
        let failed =
            |source| Failure::Local { action: "create", path: "a temporary folder".into(), source };
        let temporary = stores::temporary_folder().map_err(failed)?;
        interrupt::stage(temporary.path());
        Ok(Self { layout: Layout::create(temporary.path())?, _temporary: Some(temporary) })
    }
}

fn write_files(
    args: &Harden,
    hardened: &Hardened,
    reference: &PinnedRef,
    profile: &str,
) -> Result<(), Failure> {
    if let Some(path) = &args.receipt {
        write(path, &hardened.receipt(reference.to_string(), profile).to_json())?;
    }
    if let Some(path) = &args.digest_file {
        write(path, &reference.digest.to_string())?;
    }
    match std::env::var_os("GITHUB_OUTPUT").filter(|path| !path.is_empty()) {
        Some(path) => append(Path::new(&path), &format!("digest={}\nimage={reference}\n", reference.digest)),
        None => Ok(()),
    }
}

/// Writes a whole file or none of it.
fn write(path: &PathBuf, text: &str) -> Result<(), Failure> {
    let failed = |source| Failure::Local { action: "write", path: path.display().to_string(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

fn append(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |source| Failure::Local { action: "write", path: path.display().to_string(), source };
    let mut file = OpenOptions::new().append(true).create(true).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

/// The last line on stderr: how anybody can verify it.
fn verify_hint(args: &Harden, published: &Published) {
    match &args.key {
        Some(key) => render::human::verify_hint(&published.reference, &keys::public_file(key)),
        None => render::human::note("it is not signed (--no-sign)"),
    }
}
