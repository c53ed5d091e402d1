//! `immut harden`.

use std::path::Path;
use std::sync::Arc;

use immut_core::name::PinnedRef;
use immut_core::store::{self, Sink};
use immut_core::trust::{self, LocalKey, Signer};
use immut_core::{Ahead, Options, Publication, harden, publish};

use super::{choices, options};
use crate::args::{Global, Harden};
use crate::destination::Destination;
use crate::exit::{Code, Failure};
use crate::files::Output;
use crate::stores::Stage;
use crate::{keys, progress, render, stores};

pub(crate) fn run(args: &Harden, global: &Global) -> Result<Code, Failure> {
    let choices = choices(&args.choices)?;
    let files = Files::of(args)?;
    let destination = Destination {
        argument: "--to",
        to: &args.to,
        more: &args.tag,
        unsigned: args.key.as_ref().map(|_| "pass --no-sign"),
    };
    destination.check()?;
    let source = stores::source(&args.source.location, global)?;
    let pinned = stores::pinned(&args.source, &*source)?;
    destination.check_room(&*source, &pinned.digest, args.choices.platform.len() == 1)?;
    let tags = destination.tags(None);
    let sink = || -> Result<Arc<dyn Sink>, Failure> {
        Ok(stores::sink(&args.to.location, Some(&pinned.location), global)?.into())
    };
    // A layout or an archive is not even begun for a run that is refused.
    let ahead = match store::repository(&args.to.location) {
        Some(_) => Some(Ahead { to: sink()?, tags: tags.clone() }),
        None => None,
    };
    let options = Options {
        source_name: args.source_name.clone(),
        recompress: args.recompress,
        ahead,
        ..options(choices, &args.choices.platform, global)?
    };
    let signing = trust::Options::from_environment()?;
    let key = key(args)?;
    let stage = Stage::new(args.stage.as_deref())?;
    let hardened = harden(&pinned, &*source, &stage.layout, &options)?;
    let to = match &options.ahead {
        Some(ahead) => ahead.to.clone(),
        None => sink()?,
    };
    let how = Publication {
        to: &*to,
        signer: key.as_ref().map(|key| key as &dyn Signer),
        signing: &signing,
        tags: &tags,
        jobs: options.jobs,
        progress: &*options.progress,
    };
    let published = publish(&hardened, &stage.layout, &how)?;
    render::human::hardened(&hardened, &published, &tags);
    render::note(&progress::totals().text());
    render::product(&published.reference.to_string());
    let profile = &options.choices.profile.name;
    files.write(&published.reference, || {
        hardened.receipt(published.reference.to_string(), profile).to_json()
    })?;
    match &args.key {
        Some(key) => render::human::verify_hint(&published.reference, key, global),
        None => render::note("it is not signed (--no-sign)"),
    }
    Ok(Code::Done)
}

fn key(args: &Harden) -> Result<Option<LocalKey>, Failure> {
    let Some(source) = &args.key else { return Ok(None) };
    if args.generate_key {
        keys::generate_if_missing(source)?;
    }
    keys::load(source).map(Some)
}

/// What is written besides the image.
struct Files {
    receipt: Option<Output>,
    digest: Option<Output>,
    github: Option<Output>,
}

impl Files {
    fn of(args: &Harden) -> Result<Self, Failure> {
        let replaced = |path: &Option<_>| path.as_deref().map(Output::replaced).transpose();
        let github = std::env::var_os("GITHUB_OUTPUT").filter(|path| !path.is_empty());
        Ok(Self {
            receipt: replaced(&args.receipt)?,
            digest: replaced(&args.digest_file)?,
            github: github.map(|path| Output::appended(Path::new(&path))).transpose()?,
        })
    }

    fn write(
        &self,
        reference: &PinnedRef,
        receipt: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let digest = reference.digest;
        if let Some(file) = &self.receipt {
            file.write(&receipt())?;
        }
        if let Some(file) = &self.digest {
            file.write(&digest.to_string())?;
        }
        match &self.github {
            Some(file) => file.write(&format!("digest={digest}\nimage={reference}\n")),
            None => Ok(()),
        }
    }
}
