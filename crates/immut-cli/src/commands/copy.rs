//! `immut copy`.

use immut_core::name::tag_name;
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
    if args.source.digest.is_none() {
        render::human::note(&format!("{} names {digest} now", args.source));
    }
    let to = stores::sink(&args.to.location, Some(&args.source.location), global)?;
    let how = Copying {
        to: &*to,
        tags: &destination.tags(own_tag(args)),
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

/// The source's tag, if others may have it: in a docker archive it is a whole name.
fn own_tag(args: &Copy) -> Option<&str> {
    args.source.tag.as_deref().filter(|tag| tag_name(tag).is_ok())
}
