//! `immut plan`.

use immut_core::plan;

use super::{choices, options};
use crate::args::{Format, Global, Plan};
use crate::exit::{Code, Failure};
use crate::stores::Stage;
use crate::{render, stores};

pub(crate) fn run(args: &Plan, global: &Global) -> Result<Code, Failure> {
    let source = stores::source(&args.source.location, global)?;
    let (digest, pinned) = stores::resolve(&args.source, &*source)?;
    let options = options(choices(&args.choices)?, &args.choices.platform, global)?;
    let stage = Stage::new(None)?;
    let planning = plan(&digest, &*source, &stage.layout, &options)?;
    match args.format {
        Format::Human => render::human::plans(&pinned, &planning),
        Format::Json => render::product(&render::json::plans(&pinned, &planning)),
    }
    let conflicts = planning.platforms.iter().any(|one| !one.plan.conflicts.is_empty());
    Ok(if conflicts { Code::Refused } else { Code::Done })
}
