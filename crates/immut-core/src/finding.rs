//! [`Finding`]: a rule that holds of a subject, with the observed facts.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::path::RootPath;

/// A rule's identifier: lowercase words joined by hyphens, such as `package-manager`. Cloning shares the text.
///
/// ```
/// use immut_core::finding::RuleId;
/// assert!("package-manager".parse::<RuleId>().is_ok());
/// assert!("Package Manager".parse::<RuleId>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(Arc<str>);

impl RuleId {
    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RuleId {
    type Err = BadRuleId;
    fn from_str(text: &str) -> Result<Self, BadRuleId> {
        let word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        if text.split('-').all(word) {
            Ok(Self(text.into()))
        } else {
            Err(BadRuleId(text.to_owned()))
        }
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for RuleId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RuleId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Text that is no rule identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no rule id: lowercase words joined by hyphens")]
pub struct BadRuleId(String);

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Widens what an attacker can do once inside.
    Low,
    /// Gives an attacker inside a tool.
    Medium,
    /// Gives an attacker inside a shell or a way to privilege.
    High,
    /// Is an attack, or open to one.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A name of the merged view.
    File(RootPath),
    /// An entry that a later layer shadows or whites out; still downloadable.
    Hidden {
        /// Index of the layer that holds it, from 0.
        layer: usize,
        /// Its name there.
        path: RootPath,
    },
    /// A place of the runtime config, as a JSON pointer (RFC 6901) such as `/config/User`.
    Config(&'static str),
}

impl Subject {
    /// The name of the file, if the subject is one.
    pub fn path(&self) -> Option<&RootPath> {
        match self {
            Self::File(path) | Self::Hidden { path, .. } => Some(path),
            Self::Config(_) => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.fmt(f),
            Self::Hidden { layer, path } => write!(f, "{path} (hidden in layer {})", layer + 1),
            Self::Config(pointer) => write!(f, "config {pointer}"),
        }
    }
}

/// An observed fact that a finding rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evidence {
    /// A catalog name in a directory where executables are looked up.
    Name(String),
    /// A package of the image's database owns the file.
    Package {
        /// The package.
        name: String,
        /// The database, such as `dpkg`.
        database: &'static str,
    },
    /// The content carries a catalog signature.
    Content(String),
    /// Another name of the same inode is a hit.
    SameFile(RootPath),
    /// A link whose target is a hit.
    LinkTo(RootPath),
    /// The same bytes as a hit.
    SameBytes(RootPath),
    /// A catalog path, for files that are no executables.
    Place(String),
    /// The image carries the package manager that the place belongs to.
    Family(String),
    /// The mode bits, in octal.
    Mode(u16),
    /// The extended attribute `security.capability`.
    Capability,
    /// A value of the config.
    Config(String),
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "name {name} among executables"),
            Self::Package { name, database } => write!(f, "owned by {database} package {name}"),
            Self::Content(what) => write!(f, "content of {what}"),
            Self::SameFile(path) => write!(f, "same file as {path}"),
            Self::LinkTo(path) => write!(f, "link to {path}"),
            Self::SameBytes(path) => write!(f, "same bytes as {path}"),
            Self::Place(pattern) => write!(f, "lies at {pattern}"),
            Self::Family(family) => write!(f, "{family} is in the image"),
            Self::Mode(mode) => write!(f, "mode {mode:04o}"),
            Self::Capability => f.write_str("extended attribute security.capability"),
            Self::Config(value) => write!(f, "is {value}"),
        }
    }
}

/// What a rule suggests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// Remove the file.
    Remove,
    /// Clear the setuid and setgid bits.
    ClearMode,
    /// Drop the extended attribute `security.capability`.
    ClearCapability,
    /// Set a numeric non-root user.
    SetUser,
    /// Nothing that immut would do by itself.
    None,
}

/// A rule that holds of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: RuleId,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub subject: Subject,
    /// The facts it rests on; never empty.
    pub evidence: Vec<Evidence>,
    /// What to do about it.
    pub remedy: Remedy,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}] {}: ", self.rule, self.severity, self.subject)?;
        for (index, evidence) in self.evidence.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            evidence.fmt(f)?;
        }
        Ok(())
    }
}
