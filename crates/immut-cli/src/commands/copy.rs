//! `immut copy`.

use immut_core::name::{Digest, Location, tag_name};
use immut_core::store::Source;
use immut_core::{Copying, copy};

use super::jobs;
use crate::args::{Copy, Global};
use crate::destination::Destination;
use crate::exit::{Code, Failure};
use crate::{progress, render, stores};

pub(crate) fn run(args: &Copy, global: &Global) -> Result<Code, Failure> {
    let destination = Destination {
        argument: "DEST",
        to: &args.to,
        more: &args.tag,
        unsigned: args.all_referrers.then_some("leave out --all-referrers"),
    };
    destination.check()?;
    let source = stores::source(&args.source.location, global)?;
    let (digest, _) = stores::resolve(&args.source, &*source)?;
    destination.check_room(&*source, &digest, args.platform.is_some())?;
    if args.source.digest.is_none() {
        render::note(&format!("{} names {digest} now", args.source));
    }
    let to = stores::sink(&args.to.location, Some(&args.source.location), global)?;
    let how = Copying {
        to: &*to,
        tags: &destination.tags(own_tag(args, &*source, &digest).as_deref()),
        platform: args.platform.as_ref(),
        all_referrers: args.all_referrers,
        jobs: jobs(global),
        progress: &*progress::told(),
    };
    let copied = copy(&digest, &*source, &how)?;
    render::human::copied(&copied);
    let made = matches!(args.source.location, Location::DockerArchive(_))
        && !matches!(args.to.location, Location::DockerArchive(_));
    if made {
        render::note("a docker archive has no manifests, so one was made; its digest is this");
    }
    render::product(&copied.reference.to_string());
    Ok(Code::Done)
}

/// The source's own name for the image, if the destination takes it: in docker archives names are
/// whole, elsewhere they are tags.
fn own_tag(args: &Copy, source: &dyn Source, digest: &Digest) -> Option<String> {
    let is_docker = |place: &Location| matches!(place, Location::DockerArchive(_));
    match (is_docker(&args.source.location), is_docker(&args.to.location)) {
        (false, false) => args.source.tag.clone().filter(|tag| tag_name(tag).is_ok()),
        (true, true) => args.source.tag.clone().or_else(|| {
            let images = source.images().ok()?;
            images.into_iter().find(|image| image.digest == *digest)?.name
        }),
        _ => None,
    }
}
