//! `immut rules`.

use immut_core::rules::Catalog;

use crate::args::Rules;
use crate::exit::{Code, Failure};
use crate::render;

pub(crate) fn run(args: &Rules) -> Result<Code, Failure> {
    let catalog = Catalog::builtin();
    match &args.id {
        None => render::human::rules(&catalog),
        Some(id) => match catalog.rule(id) {
            Some(rule) => render::human::rule(rule),
            None => {
                return Err(Failure::Usage(format!(
                    "there is no rule {id}; `immut rules` lists them"
                )));
            }
        },
    }
    Ok(Code::Done)
}
