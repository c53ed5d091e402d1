//! `immut sign`.

use immut_core::trust;

use crate::args::{Global, Sign};
use crate::exit::{Code, Failure};
use crate::{keys, render, stores};

pub(crate) fn run(args: &Sign, global: &Global) -> Result<Code, Failure> {
    if args.reference.location.archive().is_some() {
        return Err(Failure::Usage(format!(
            "{} is an archive, and nothing can be added to one; copy it to a layout or a registry first",
            args.reference.location
        )));
    }
    let source = stores::source(&args.reference.location, global)?;
    let pinned = stores::pinned(&args.reference, &*source)?;
    let key = keys::load(&args.key)?;
    let to = stores::sink(&args.reference.location, None, global)?;
    let signed = trust::sign_all(&pinned.digest, &*to, &key, &trust::Options::from_environment()?)?;
    to.finish()?;
    render::human::signed(&signed);
    render::product(&pinned.to_string());
    render::human::verify_hint(&pinned, &args.key, global);
    Ok(Code::Done)
}
