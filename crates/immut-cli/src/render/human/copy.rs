//! What was copied.

use immut_core::name::Location;
use immut_core::{Copied, Referrers, Tagging};

use super::{note, untagged};
use crate::progress;

/// What was copied, and what was not.
pub(crate) fn copied(copied: &Copied) {
    note(&progress::totals().text());
    match copied.referrers {
        Referrers::Copied(0) | Referrers::Left(0) => {}
        Referrers::Copied(count) => {
            note(&format!("with {count} signatures or other manifests about it"));
        }
        Referrers::Left(count) => {
            let helps = match copied.reference.location {
                Location::DockerArchive(_) => "a docker archive has no room for them",
                _ => "--all-referrers takes them along",
            };
            note(&format!(
                "{count} signatures or other manifests about it are not copied; {helps}"
            ));
        }
    }
    if copied.foreign > 0 {
        note(&format!(
            "{} layers may not be distributed and are not copied; engines fetch them where the manifest says",
            copied.foreign
        ));
    }
    for (tag, tagging) in &copied.tags {
        note(&match tagging {
            Tagging::New => format!("tagged {tag}"),
            Tagging::Moved(before) => format!("tagged {tag}, which named {before} before"),
            Tagging::Same => format!("tag {tag} named it already"),
        });
    }
    if copied.tags.is_empty() {
        untagged(&copied.reference.location);
    }
}
