//! [`Edit`]: one change of a configuration file.

use serde::Deserialize;

use super::Pattern;
use super::search::Search;

/// A search and its replacement.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// Files.
    pub file: Pattern,
    /// What is looked for.
    pub find: Search,
    /// What stands there then; `${1}` is the first group.
    pub replace: String,
    /// Where this is found in the file, nothing is changed.
    #[serde(default)]
    pub unless: Option<Search>,
    /// The port that it moves, if that is what it does.
    #[serde(default)]
    pub port: Option<u16>,
    /// Why.
    pub why: String,
}

/// A text after an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The text.
    pub text: String,
    /// How many occurrences were changed.
    pub count: usize,
}

/// The largest text that is edited, and that an edit may give, in bytes: a configuration file is far
/// smaller.
pub(crate) const MOST_BYTES: usize = 1 << 20;

impl Edit {
    /// A text with this edit made; none if either is larger than such texts are.
    pub fn apply(&self, text: &str) -> Option<Edited> {
        if text.len() > MOST_BYTES {
            return None;
        }
        if self.unless.as_ref().is_some_and(|unless| unless.is_in(text)) {
            return Some(Edited { text: text.to_owned(), count: 0 });
        }
        let expression = self.find.compiled();
        let mut edited = Edited { text: String::with_capacity(text.len()), count: 0 };
        let mut end = 0;
        for found in expression.captures_iter(text) {
            let Some(whole) = found.get(0) else { continue };
            let kept = edited.text.len() + (whole.start() - end);
            edited.text.push_str(&text[end..whole.start()]);
            found.expand(&self.replace, &mut edited.text);
            edited.count += usize::from(edited.text[kept..] != *whole.as_str());
            end = whole.end();
            if edited.text.len() > MOST_BYTES {
                return None;
            }
        }
        edited.text.push_str(&text[end..]);
        (edited.text.len() <= MOST_BYTES).then_some(edited)
    }
}
