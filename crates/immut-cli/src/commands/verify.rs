//! `immut verify`.

use immut_core::trust;

use crate::args::{Global, Verify};
use crate::exit::{Code, Failure};
use crate::{render, stores};

pub(crate) fn run(args: &Verify, global: &Global) -> Result<Code, Failure> {
    let key = args.key.read()?.public_key()?;
    let source = stores::source(&args.reference.location, global)?;
    let (digest, pinned) = stores::resolve(&args.reference, &*source)?;
    let verified = trust::verify(&*source, &digest, &key)?;
    render::human::verified(&verified);
    render::product(&pinned.to_string());
    Ok(Code::Done)
}
