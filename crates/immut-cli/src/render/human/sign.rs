//! Signatures: what was signed, how it is verified, and what a verification found.

use immut_core::name::{Location, PinnedRef};
use immut_core::trust::{
    KeySource, NO_LOG, Outcome, Signatures, Transport, Verified, verify_command,
};

use super::{DIM, YELLOW, note};
use crate::args::Global;
use crate::keys;

/// What was signed.
pub(crate) fn signed(signatures: &Signatures) {
    for one in &signatures.signed {
        let formats = one.outcomes.iter().map(|(format, outcome)| match outcome {
            Outcome::Made => format!("{format}"),
            Outcome::AlreadyThere => format!("{format} (was there already)"),
        });
        note(&format!("signed {}: {}", one.digest, formats.collect::<Vec<_>>().join(", ")));
    }
    for one in &signatures.missing {
        note(&format!("{YELLOW}not signed{YELLOW:#} {one}, which is not there (a partial copy)"));
    }
}

/// The command that verifies, alone on the last line so that it can be copied, and why it is as it is.
pub(crate) fn verify_hint(image: &PinnedRef, key: &KeySource, global: &Global) {
    let public = keys::public_file(key);
    if image.location.archive().is_some() {
        note("verify it, in this archive, which cosign does not read, with:");
    } else {
        note("verify it with cosign 2 or 3:");
        note(&format!("{DIM}({NO_LOG}){DIM:#}"));
    }
    if !public.exists() {
        let public = public.display();
        note(&format!("{DIM}(the public key: cosign public-key --key {key} > {public}){DIM:#}"));
    }
    note(&verify_command(image, &public, transport(image, global)));
}

fn transport<'a>(image: &PinnedRef, global: &'a Global) -> Transport<'a> {
    let Location::Registry(repository) = &image.location else { return Transport::Trusted };
    match &global.ca {
        _ if global.insecure_registry.contains(&repository.host) => Transport::Http,
        Some(ca) => Transport::Authority(ca),
        None => Transport::Trusted,
    }
}

/// What a verification found.
pub(crate) fn verified<T>(verified: &Verified<T>) {
    for found in verified.found() {
        note(&format!("verified {} signature in {}", found.format, found.place));
    }
    for rejected in verified.rejected() {
        note(&format!("{YELLOW}passed over{YELLOW:#} {rejected}"));
    }
    note("no transparency log was looked at: the signature says who made it, not when");
}
