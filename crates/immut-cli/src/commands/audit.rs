//! `immut audit`.

use immut_core::audit;
use immut_core::plan::Choices;

use super::{options, profile};
use crate::args::{Audit, Format, Global};
use crate::exit::{Code, Failure};
use crate::{render, stores};

pub(crate) fn run(args: &Audit, global: &Global) -> Result<Code, Failure> {
    let source = stores::source(&args.source.location, global)?;
    let (digest, pinned) = stores::resolve(&args.source, &*source)?;
    let choices = Choices { profile: profile(&args.profile, &args.keep)?, ..Choices::default() };
    let options = options(choices, &args.platform, global)?;
    let audit = audit(&digest, &*source, &options)?;
    match args.format {
        Format::Human => render::human::audit(&pinned, &audit, &options.catalog),
        Format::Json => render::product(&render::json::audit(&pinned, &audit)),
    }
    let mut findings = audit.platforms.iter().flat_map(|one| &one.findings);
    let fails = args.fail_on.is_some_and(|least| findings.any(|finding| finding.severity >= least));
    Ok(if fails { Code::Findings } else { Code::Done })
}
