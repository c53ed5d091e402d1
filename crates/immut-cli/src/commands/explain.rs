//! `immut explain`.

use immut_core::explain;

use super::{choices, options};
use crate::args::{Explain, Format, Global};
use crate::exit::{Code, Failure};
use crate::stores::Stage;
use crate::{render, stores};

pub(crate) fn run(args: &Explain, global: &Global) -> Result<Code, Failure> {
    let source = stores::source(&args.source.location, global)?;
    let (digest, pinned) = stores::resolve(&args.source, &*source)?;
    let options = options(choices(&args.choices)?, &args.choices.platform, global)?;
    let stage = Stage::new(None)?;
    let explained = explain(&digest, &*source, &stage.layout, &args.paths, &options)?;
    match args.format {
        Format::Human => render::human::explained(&pinned, &explained),
        Format::Json => render::product(&render::json::explained(&pinned, &explained)),
    }
    Ok(Code::Done)
}
