//! [`Edit`]: one change of a configuration file.

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use super::{Error, pattern};

/// A search and its replacement, line by line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// Files, as a glob.
    pub file: String,
    /// A regular expression over one line; `^` and `$` are its ends.
    pub find: String,
    /// What stands there then; `${1}` is the first group.
    pub replace: String,
    /// Which occurrences.
    #[serde(default)]
    pub occurrences: Occurrences,
    /// Whether a file without an occurrence is an error; else it stays as it is.
    #[serde(default)]
    pub must: bool,
    /// Why.
    pub why: String,
}

/// Which occurrences of a search are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occurrences {
    /// All of them.
    #[default]
    All,
    /// The first.
    First,
}

/// A text after an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The text.
    pub text: String,
    /// How many occurrences were replaced.
    pub count: usize,
}

/// A configuration file is far smaller; a hostile one is not worked on.
const MOST_BYTES: usize = 4 << 20;
/// What a compiled expression may take, in bytes.
const MOST_COMPILED: usize = 1 << 20;

impl Edit {
    /// A text with this edit made; none if the text is too large.
    pub fn apply(&self, text: &str) -> Option<Edited> {
        let expression = self.expression().ok()?;
        if text.len() > MOST_BYTES {
            return None;
        }
        let limit = match self.occurrences {
            Occurrences::All => 0,
            Occurrences::First => 1,
        };
        let all = expression.find_iter(text).count();
        let count = if limit == 0 { all } else { all.min(limit) };
        let text = expression.replacen(text, limit, self.replace.as_str()).into_owned();
        Some(Edited { text, count })
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        pattern(&self.file)?;
        self.expression().map(|_| ())
    }

    fn expression(&self) -> Result<Regex, Error> {
        let mut builder = RegexBuilder::new(&self.find);
        let built = builder.multi_line(true).size_limit(MOST_COMPILED).build();
        built.map_err(|_| Error::Search(self.find.clone()))
    }
}
