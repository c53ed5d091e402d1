//! `immut copy`.

use immut_core::name::Location;
use immut_core::{Copying, copy};

use super::{jobs, tags};
use crate::args::{Copy, Global};
use crate::exit::{Code, Failure};
use crate::{progress, render, stores};

pub(crate) fn run(args: &Copy, global: &Global) -> Result<Code, Failure> {
    check_destination(args)?;
    let source = stores::source(&args.source.location, global)?;
    let (digest, _) = stores::resolve(&args.source, &*source)?;
    if args.source.digest.is_none() {
        render::human::note(&format!("{} names {digest} now", args.source));
    }
    let to = stores::sink(&args.to.location, Some(&args.source.location), global)?;
    let how = Copying {
        to: &*to,
        tags: &tags(&args.to, &args.tag, own_tag(args)),
        platform: args.platform.as_ref(),
        all_referrers: args.all_referrers,
        jobs: jobs(global),
        progress: &*progress::told(),
    };
    let copied = copy(&digest, &*source, &how)?;
    render::human::copied(&copied);
    render::human::product(&copied.reference.to_string());
    Ok(Code::Done)
}

fn check_destination(args: &Copy) -> Result<(), Failure> {
    stores::check_destination("DEST", &args.to)?;
    let reason = match &args.to.location {
        Location::DockerArchive(_) if args.all_referrers => {
            "a docker archive has no room for what is about an image; write an oci-archive"
        }
        Location::DockerArchive(_) if !args.tag.is_empty() => {
            "images in a docker archive have whole names: docker-archive:FILE:NAME:TAG"
        }
        _ => return Ok(()),
    };
    Err(Failure::Usage(format!("DEST {}: {reason}", args.to)))
}

/// The source's tag, if others may have it: in a docker archive it is a whole name.
fn own_tag(args: &Copy) -> Option<&str> {
    args.source.tag.as_deref().filter(|tag| stores::tag_name(tag).is_ok())
}
