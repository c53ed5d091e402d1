//! `immut apps`.

use immut_core::apps::App;

use crate::args::Apps;
use crate::exit::{Code, Failure};
use crate::render;

pub(crate) fn run(args: &Apps) -> Result<Code, Failure> {
    match &args.name {
        None => render::human::apps(App::builtin()),
        Some(name) => render::human::app(&profile(name)?),
    }
    Ok(Code::Done)
}

/// An app profile by name or from a file.
pub(super) fn profile(name: &str) -> Result<App, Failure> {
    if let Some(app) = App::named(name) {
        return Ok(app.clone());
    }
    let text = std::fs::read_to_string(name).map_err(|error| {
        Failure::Usage(format!(
            "{name} is neither an app profile (`immut apps` lists them) nor a file: {error}"
        ))
    })?;
    text.parse().map_err(|error| Failure::Usage(format!("app profile {name}: {error}")))
}
