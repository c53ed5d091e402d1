//! Why a run failed, and what helps.

use std::fmt::Write as _;
use std::io::Write as _;

use immut_core::plan::Conflict;
use immut_core::{Error, Refused, store, trust};

use super::{BOLD, DIM, RED};
use crate::exit::Failure;

/// Why the run failed; a refusal shows its evidence.
pub(crate) fn failure(failure: &Failure) {
    let mut text = format!("{RED}error:{RED:#} {failure}\n");
    if let Failure::Core(Error::Conflicts(refused)) = failure {
        for Refused { platform, plan } in refused {
            writeln!(text, "{BOLD}{platform}{BOLD:#}").ok();
            plan.conflicts.iter().for_each(|one| conflict(&mut text, one));
        }
    }
    if let Some(hint) = hint(failure) {
        writeln!(text, "{BOLD}hint:{BOLD:#} {hint}").ok();
    }
    write!(anstream::stderr(), "{text}").ok();
}

/// What helps, where the message itself does not say it.
fn hint(failure: &Failure) -> Option<String> {
    if let Failure::Core(Error::Copy(store::Error::Incomplete { platform: Some(_), .. })) = failure
    {
        return Some(
            "--platform OS/ARCHITECTURE copies another platform, if that is whole".to_owned(),
        );
    }
    let Failure::Trust(trust::Error::KeyFile { place, source }) = failure else { return None };
    let absent = source.kind() == std::io::ErrorKind::NotFound;
    absent.then(|| {
        let path = place.to_string();
        let prefix = path.strip_suffix(".key").or(path.strip_suffix(".pub")).unwrap_or(&path);
        format!("`immut key generate {prefix}` makes {prefix}.key and {prefix}.pub")
    })
}

/// What speaks against a plan, and the flags that settle it.
pub(super) fn conflict(text: &mut String, conflict: &Conflict) {
    writeln!(text, "  {} {}", conflict.pointer.trim_start_matches("/config/"), conflict.problem)
        .ok();
    if !conflict.chain.is_empty() {
        let chain: Vec<String> = conflict.chain.iter().map(ToString::to_string).collect();
        writeln!(text, "    {DIM}{}{DIM:#}", chain.join(" -> ")).ok();
    }
    if let Some(reason) = &conflict.unconverted {
        writeln!(text, "    not the same without a shell: {reason}").ok();
    }
    writeln!(text, "    settle it with one of:").ok();
    for flag in &conflict.settle {
        writeln!(text, "      {flag}").ok();
    }
}
