//! The app profile that would settle a conflict.

use super::Fitting;
use crate::needs::{Look, pointer};
use crate::plan::{Choices, Conflict};

/// Names the app profiles that recognise the image, first among the flags of each conflict that they
/// would settle. `left` gives what would speak against the plan with other choices.
pub(in crate::plan) fn suggest(
    conflicts: &mut [Conflict],
    look: &Look<'_>,
    choices: &Choices,
    left: impl Fn(&Choices) -> Option<Vec<Conflict>>,
) {
    if conflicts.is_empty() || choices.app.is_some() {
        return;
    }
    for fitting in Fitting::all(look).iter().rev() {
        let app = Some(fitting.choice());
        let Some(left) = left(&Choices { app, ..choices.clone() }) else { continue };
        for conflict in &mut *conflicts {
            let part = is_of_health(conflict);
            if !left.iter().any(|one| is_of_health(one) == part) {
                conflict.settle.insert(0, format!("--app {}", fitting.app.name));
            }
        }
    }
}

/// A conflict is of the start or of the health check: a profile may settle the one and not the other.
fn is_of_health(conflict: &Conflict) -> bool {
    conflict.pointer == pointer::HEALTHCHECK
}
