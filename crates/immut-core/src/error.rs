//! What can go wrong in a verb, one variant for each stage.

use crate::image::Platform;
use crate::plan::Plan;
use crate::{inventory, plan, rewrite, store, trust};

/// Why a verb failed; each variant names what was being done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading manifests and configs.
    #[error("read the image: {0}")]
    Pull(#[from] store::Error),
    /// Reading layers.
    #[error("read the image: {0}")]
    Index(#[from] inventory::Error),
    /// Choices that cannot be meant.
    #[error(transparent)]
    Choices(#[from] plan::Error),
    /// No platform of the index can be worked on.
    #[error("no platform of this image can be hardened: {}", listed(.left_out))]
    NoPlatform {
        /// What is there, and why it cannot.
        left_out: Vec<LeftOut>,
    },
    /// A platform was asked for that is not there or cannot be worked on.
    #[error("platform {asked} {reason}")]
    Platform {
        /// As asked.
        asked: Platform,
        /// Why not.
        reason: String,
    },
    /// The image would break.
    #[error("the hardened image would not start; nothing was published")]
    Conflicts(Vec<Refused>),
    /// Writing the new layers.
    #[error(transparent)]
    Rewrite(#[from] rewrite::Error),
    /// The new image is not what it should be: a defect of immut, never published.
    #[error(
        "the result does not pass its own audit ({0}); nothing was published; this is a defect of immut, please report it"
    )]
    SelfCheck(String),
    /// Writing the image to its destination.
    #[error("publish the image: {0}")]
    Publish(store::Error),
    /// Copying an image as it is. Tags come last: none is written, but for those before one that is
    /// refused itself.
    #[error("copy the image: {0}")]
    Copy(store::Error),
    /// The destination has signatures that the source has not, and the other way round.
    #[error(
        "copy the image: tag {tag} in {place} has signatures or attestations that the source does not \
         have, and lacks some of the source's; neither may be lost, so copy to another repository, or \
         sign the image there"
    )]
    Diverged {
        /// The tag of cosign's.
        tag: String,
        /// Where.
        place: String,
    },
    /// Signing the image; no tag names it.
    #[error("sign the image: {0}")]
    Sign(trust::Error),
}

/// A platform's plan that was refused.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The platform.
    pub platform: Platform,
    /// The plan with its conflicts.
    pub plan: Plan,
}

/// A line of an index that is not worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// What it is: a platform, or a media type.
    pub what: String,
    /// Why.
    pub reason: String,
}

fn listed(left_out: &[LeftOut]) -> String {
    let lines: Vec<String> =
        left_out.iter().map(|one| format!("{} {}", one.what, one.reason)).collect();
    if lines.is_empty() { "it names none".to_owned() } else { lines.join("; ") }
}
