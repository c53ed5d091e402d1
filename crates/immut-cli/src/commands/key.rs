//! `immut key generate`.

use crate::args::{Key, KeyCommand};
use crate::exit::{Code, Failure};
use crate::{keys, render};

pub(crate) fn run(args: &Key) -> Result<Code, Failure> {
    match &args.command {
        KeyCommand::Generate { prefix } => {
            let (private, public) = keys::generate(prefix)?;
            render::note(&format!("private key: {} (secret, keep it safe)", private.display()));
            render::product(&public.display().to_string());
        }
    }
    Ok(Code::Done)
}
