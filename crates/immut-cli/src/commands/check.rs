//! `immut check`.

use immut_core::check;
use immut_core::plan::Choices;

use super::options;
use crate::args::{Check, Format, Global};
use crate::exit::{Code, Failure};
use crate::stores::Stage;
use crate::{render, stores};

pub(crate) fn run(args: &Check, global: &Global) -> Result<Code, Failure> {
    let source = stores::source(&args.source.location, global)?;
    let (digest, pinned) = stores::resolve(&args.source, &*source)?;
    let choices = Choices {
        start_with: args.start_with.iter().map(|words| words.0.clone()).collect(),
        ..Choices::default()
    };
    let options = options(choices, &args.platform, global)?;
    let stage = Stage::new(None)?;
    let check = check(&digest, &*source, &stage.layout, &options)?;
    match args.format {
        Format::Human => render::human::check(&pinned, &check),
        Format::Json => render::product(&render::json::check(&pinned, &check)),
    }
    let starts = check.platforms.iter().all(|one| one.conflicts.is_empty());
    Ok(if starts { Code::Done } else { Code::Refused })
}
