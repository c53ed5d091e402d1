//! What the words of a profile have to be; checked while it is read, so that errors name the line.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use globset::{Glob, GlobBuilder};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A glob over absolute paths: `*` stays within a component.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(String);

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(glob: String) -> Result<Self, String> {
        if !glob.starts_with('/') {
            return Err(format!("{glob:?} is no absolute path, nor a pattern of such"));
        }
        match Glob::new(&glob) {
            Ok(_) => Ok(Self(glob)),
            Err(error) => Err(format!("{glob:?} is no pattern: {}", error.kind())),
        }
    }
}

impl Deref for Pattern {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a glob matches a whole text, `*` within a component of it.
pub(super) fn is_match(glob: &str, text: &str) -> bool {
    let built = GlobBuilder::new(glob).literal_separator(true).build();
    built.is_ok_and(|glob| glob.compile_matcher().is_match(text))
}

/// A name of small letters, digits and dashes.
pub(super) fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let letter = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-';
    if name.is_empty() || name == AUTO || !name.chars().all(letter) {
        let rule = "small letters, digits and dashes, and not \"auto\"";
        return Err(D::Error::custom(format!("{name:?} is no name of a profile: {rule}")));
    }
    Ok(name)
}

/// A list that has to have something in it.
pub(super) fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let list = Vec::deserialize(deserializer)?;
    if list.is_empty() {
        return Err(D::Error::custom("nothing is listed here"));
    }
    Ok(list)
}

/// Variables by their names.
pub(super) fn variables<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let variables = BTreeMap::<String, String>::deserialize(deserializer)?;
    match variables.keys().find(|name| name.is_empty() || name.contains('=')) {
        Some(name) => Err(D::Error::custom(format!("{name:?} is no name of a variable"))),
        None => Ok(variables),
    }
}

/// What `--app` calls whatever profile recognises the image.
const AUTO: &str = "auto";
