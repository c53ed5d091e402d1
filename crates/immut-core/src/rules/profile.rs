//! [`Profile`]: what the user allows.

use std::str::FromStr;

use serde::Deserialize;

use super::Catalog;
use crate::finding::RuleId;
use crate::path::RootPath;

/// What the user allows: how far it goes, rules that are off, paths that stay.
///
/// ```
/// use immut_core::rules::Profile;
/// let profile: Profile = "name = 'ours'\nkeep = ['/bin/dash', 'rule:setgid']".parse()?;
/// assert_eq!(profile.keep.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// What it is for, in a sentence.
    #[serde(default)]
    pub about: String,
    /// How far it goes.
    #[serde(default)]
    pub removes: Removes,
    /// What stays although a rule finds it.
    #[serde(default)]
    pub keep: Vec<Keep>,
}

/// How far a profile goes: each removes what the one before it removes, and more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Removes {
    /// What rules find, whether the start needs it or not; a need is a conflict.
    #[default]
    Findings,
    /// Tools that only serve people too, unless they are needed.
    PeopleTools,
    /// All that is not needed, and every hidden entry.
    AllButNeeded,
}

/// Something that stays although a rule finds it: `/usr/bin/dash` or `rule:setuid`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    /// A path, with what it resolves to.
    Path(RootPath),
    /// Everything that a rule finds.
    Rule(RuleId),
}

impl FromStr for Keep {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(rule) = text.strip_prefix("rule:") {
            return rule.parse().map(Self::Rule).map_err(|error| format!("{error}"));
        }
        if !text.starts_with('/') {
            return Err(format!("{text:?} is neither an absolute path nor rule:ID"));
        }
        text.parse().map(Self::Path).map_err(|error| format!("{error}"))
    }
}

impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl std::fmt::Display for Keep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => path.fmt(f),
            Self::Rule(rule) => write!(f, "rule:{rule}"),
        }
    }
}

const BUILTIN: [&str; 3] = [
    include_str!("../../catalog/profiles/baseline.toml"),
    include_str!("../../catalog/profiles/distroless.toml"),
    include_str!("../../catalog/profiles/minimal.toml"),
];

impl Profile {
    /// The name of the profile that is taken when none is given.
    pub const DEFAULT: &'static str = "distroless";

    /// The built-in profiles; each goes further than the one before it.
    pub fn builtin() -> Vec<Self> {
        BUILTIN.map(|text| text.parse().expect("built-in profiles are tested")).into()
    }

    /// A built-in profile.
    pub fn named(name: &str) -> Option<Self> {
        Self::builtin().into_iter().find(|profile| profile.name == name)
    }

    /// The rules that are kept as a whole.
    pub fn keeps_rule(&self, id: &RuleId) -> bool {
        self.keep.contains(&Keep::Rule(id.clone()))
    }

    /// A kept rule that the catalog does not have: a slip of the pen that must not pass in silence.
    pub fn unknown_rule(&self, catalog: &Catalog) -> Option<&RuleId> {
        self.keep.iter().find_map(|keep| match keep {
            Keep::Rule(id) if catalog.rule(id.as_str()).is_none() => Some(id),
            _ => None,
        })
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::named(Self::DEFAULT).expect("the default profile is built in")
    }
}

impl FromStr for Profile {
    type Err = toml::de::Error;
    fn from_str(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}
