//! [`Search`]: what is looked for in a configuration file.

use regex_lite::{Regex, RegexBuilder};
use serde::Deserialize;

/// A regular expression; `^` and `$` are the ends of a line. It is compiled when it is used, and takes
/// no more time than the text is long.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Search(String);

/// Where a search found something in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// The line, counted from 1.
    pub(crate) number: usize,
    /// What it says.
    pub(crate) line: String,
    /// The first group of the search.
    pub(crate) group: Option<String>,
}

/// What a compiled expression may take, in bytes.
const MOST_COMPILED: usize = 1 << 20;

impl Search {
    pub(super) fn compiled(&self) -> Regex {
        expression(&self.0).expect("it was compiled when it was read")
    }

    /// Whether it is found in a text.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.compiled().is_match(text)
    }

    /// Where it is found in a text, at most so often: by the lines in which what is found ends.
    pub(super) fn found(&self, text: &str, most: usize) -> Vec<Found> {
        let place = |found: regex_lite::Captures<'_>| {
            let end = found.get(0)?.end();
            let begins = text[..end].rfind('\n').map_or(0, |at| at + 1);
            let line = text[begins..].lines().next().unwrap_or_default().trim().to_owned();
            let number = text[..begins].lines().count() + 1;
            Some(Found { number, line, group: found.get(1).map(|group| group.as_str().to_owned()) })
        };
        self.compiled().captures_iter(text).take(most).filter_map(place).collect()
    }
}

impl TryFrom<String> for Search {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match expression(&text) {
            Ok(_) => Ok(Self(text)),
            Err(error) => Err(format!("{text:?} cannot be searched for: {error}")),
        }
    }
}

impl std::fmt::Display for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn expression(text: &str) -> Result<Regex, regex_lite::Error> {
    RegexBuilder::new(text).multi_line(true).size_limit(MOST_COMPILED).build()
}
