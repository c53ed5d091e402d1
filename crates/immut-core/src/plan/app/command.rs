//! [`Command`]: what an image starts.

use crate::apps::Sign;
use crate::image::RuntimeConfig;
use crate::needs::Look;

/// What an image starts: entrypoint and cmd.
pub(super) struct Command {
    pub(super) words: Vec<String>,
    /// Where the application's own begin, behind programs that only run them.
    at: usize,
    /// What of these programs stays.
    pub(super) wrappers: Vec<String>,
}

impl Command {
    pub(super) fn of(look: &Look<'_>) -> Self {
        let words = start_of(look.config);
        let (at, wrappers) = look.unwrapped(&words);
        Self { words, at, wrappers }
    }

    /// The application's own words.
    pub(super) fn own(&self) -> &[String] {
        &self.words[self.at..]
    }

    /// Whether it is the application itself that is started, and not a script before it.
    pub(super) fn is_itself(&self, sign: Sign, look: &Look<'_>) -> bool {
        sign.itself && look.is_binary(&self.own()[0])
    }
}

/// Entrypoint and cmd.
pub(super) fn start_of(config: &RuntimeConfig) -> Vec<String> {
    config.entrypoint().into_iter().chain(config.cmd()).collect()
}
