//! What one start may cost, whatever an image makes of it.

use std::collections::HashMap;

use super::Walk;

/// What is counted, and told when there is no more of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Spent {
    /// Words of commands that may name files. The longest command line that Linux takes has some
    /// hundred thousand, a real one some hundred.
    Words,
    /// Commands of scripts. The scripts of an official image have some thousand.
    Commands,
    /// Programs whose libraries are looked for. A start of a Debian image with all its tools has some
    /// hundred.
    Programs,
    /// Libraries that they ask for.
    Libraries,
    /// Rules of what is loaded by name that apply.
    Rules,
    /// Files of configuration, and paths that they name. A large one has some thousand.
    Settings,
}

/// How much was spent of each.
#[derive(Debug, Default)]
pub(super) struct Budget(HashMap<Spent, usize>);

impl Spent {
    fn most(self) -> usize {
        match self {
            Self::Words => 20_000,
            Self::Commands | Self::Settings => 50_000,
            Self::Programs | Self::Rules => 1_000,
            Self::Libraries => 200_000,
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Words => "its commands have more words than are looked at",
            Self::Commands => "its scripts have more commands than are followed",
            Self::Programs => "it runs more programs than libraries are looked for of",
            Self::Libraries => "its programs ask for more libraries than are looked for",
            Self::Rules => "it loads more by name than is followed",
            Self::Settings => "its configuration names more than is looked at",
        }
    }
}

impl Walk<'_> {
    /// Takes an amount; false, and told once, if there is not that much left.
    pub(super) fn spend(&mut self, what: Spent, amount: usize) -> bool {
        let spent = self.budget.0.entry(what).or_default();
        *spent = spent.saturating_add(amount);
        let enough = *spent <= what.most();
        if !enough {
            self.unseen(format!("the start is not followed as a whole: {}", what.what()));
        }
        enough
    }
}
