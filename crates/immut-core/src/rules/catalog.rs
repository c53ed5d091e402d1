//! [`Rule`]s as TOML.

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Deserialize;

use crate::finding::{Evidence, Finding, Remedy, RuleId, Severity, Subject};
use crate::inventory::{Content, Sought};

/// All rules, and where executables are looked up.
///
/// ```
/// use immut_core::rules::Catalog;
/// let catalog = Catalog::builtin();
/// let shell = catalog.rule("shell").expect("there is a rule for shells");
/// assert!(shell.executables.iter().any(|group| group.names.contains(&"bash".to_owned())));
/// ```
#[derive(Debug, Clone)]
pub struct Catalog {
    rules: Vec<Rule>,
    directories: GlobSet,
    sought: Sought,
}

/// One thing that is looked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its id, also the name of its fixture and its place in the docs.
    pub id: RuleId,
    /// What it finds, in a few words.
    pub title: String,
    /// How bad that is.
    pub severity: Severity,
    /// What to do about it.
    pub remedy: Remedy,
    /// How it is looked for.
    pub matcher: Matcher,
    /// Why it matters, what is matched and what is not, in a paragraph.
    pub why: String,
    /// For `files` and `surplus`: executables by name.
    #[serde(default)]
    pub executables: Vec<Executables>,
    /// For `files`: content signatures.
    #[serde(default)]
    pub signatures: Vec<Signature>,
    /// For `files` and `surplus`: folders and files that are no executables.
    #[serde(default)]
    pub places: Vec<Places>,
}

impl Rule {
    /// That it holds of a subject.
    pub(super) fn finding(&self, subject: Subject, evidence: Vec<Evidence>) -> Finding {
        let (rule, severity, remedy) = (self.id.clone(), self.severity, self.remedy);
        Finding { rule, severity, subject, evidence, remedy }
    }
}

/// How a rule is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Matcher {
    /// Executables, signatures and places of the rule.
    Files,
    /// Regular files with the setuid bit.
    Setuid,
    /// Regular files with the setgid bit.
    Setgid,
    /// Files with the extended attribute `security.capability`.
    FileCapability,
    /// A config whose user is root.
    RootUser,
    /// A config whose user is a name.
    NamedUser,
    /// A numeric user that `/etc/passwd` does not know.
    UnknownUser,
    /// A config that exposes ports below 1024 to a user that is not root.
    LowPort,
    /// A file that words of the config name, and that the user who would run may not read for root alone
    /// may.
    RootOnlyFile,
    /// Files of packages, or with names and in places, that only serve people. They are found while
    /// planning, where the profile asks for it: what of them the start needs is no finding.
    Surplus,
    /// Nothing by itself: the rule explains steps that follow from others or from a choice.
    Consequence,
}

/// Executables of one family, such as those of dpkg and apt.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Executables {
    /// What they belong to.
    pub family: String,
    /// Names that nothing else has; `*` and `[...]` as in globs.
    pub names: Vec<String>,
    /// Names that other programs have too.
    #[serde(default)]
    pub ambiguous: Vec<String>,
    /// Packages that own them.
    #[serde(default)]
    pub packages: Vec<String>,
}

/// Strings that together mark a program, whatever it is called.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// The program.
    pub program: String,
    /// Strings that all occur in it.
    pub strings: Vec<String>,
    /// Whether the program is many in one, told apart by the name it is called by.
    #[serde(default)]
    pub multicall: bool,
}

/// Paths of one family that are no executables: libexec, configuration, caches.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Places {
    /// What they belong to; the family has to be in the image.
    pub family: String,
    /// Paths, each with all beneath it; `*` stays within a component.
    pub paths: Vec<String>,
    /// Files that show that the family is in the image, such as its database.
    #[serde(default)]
    pub present: Vec<String>,
}

/// Why text is no catalog.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not TOML, or not of this form.
    #[error("{0}")]
    Toml(Box<toml::de::Error>),
    /// Two rules have the same id.
    #[error("rule {0} is there twice")]
    Duplicate(RuleId),
    /// A name or path that is no glob.
    #[error("{pattern:?} is no pattern: {reason}")]
    Pattern {
        /// What was written.
        pattern: String,
        /// What is wrong.
        reason: String,
    },
    /// More content strings than one pass looks for.
    #[error("{0} content strings are more than the 64 that one pass looks for")]
    Strings(usize),
}

const FILES: [&str; 5] = [
    include_str!("../../catalog/shells.toml"),
    include_str!("../../catalog/package-managers.toml"),
    include_str!("../../catalog/people.toml"),
    include_str!("../../catalog/privilege.toml"),
    include_str!("../../catalog/image-config.toml"),
];
const DIRECTORIES: &str = include_str!("../../catalog/directories.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesFile {
    rule: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DirectoriesFile {
    executables: Vec<String>,
}

impl Catalog {
    /// The catalog that immut comes with.
    pub fn builtin() -> Self {
        Self::parse(&FILES, DIRECTORIES).expect("the built-in catalog is tested")
    }

    /// Reads rule files, and the list of directories where executables are looked up.
    pub fn parse(files: &[&str], directories: &str) -> Result<Self, Error> {
        let toml = |error| Error::Toml(Box::new(error));
        let mut rules = Vec::new();
        for text in files {
            rules.extend(toml::from_str::<RulesFile>(text).map_err(toml)?.rule);
        }
        let mut ids = BTreeSet::new();
        if let Some(twice) = rules.iter().find(|rule| !ids.insert(&rule.id)) {
            return Err(Error::Duplicate(twice.id.clone()));
        }
        let directories: DirectoriesFile = toml::from_str(directories).map_err(toml)?;
        let sought = sought(&rules)?;
        Ok(Self { rules, directories: globs(&directories.executables)?, sought })
    }

    /// The rules, in the catalog's order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// A rule by its id.
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id.as_str() == id)
    }

    /// What has to be known of files for these rules.
    pub fn sought(&self) -> &Sought {
        &self.sought
    }

    /// The directories where executables are looked up, as globs over paths.
    pub(super) fn directories(&self) -> &GlobSet {
        &self.directories
    }

    /// Whether a content is a multicall binary's: many programs in one file.
    pub fn is_multicall(&self, content: &Content) -> bool {
        let Content::Elf(found) = content else { return false };
        self.rules.iter().any(|rule| {
            let signatures = rule.signatures.iter().zip(self.masks(rule));
            signatures
                .into_iter()
                .any(|(one, mask)| one.multicall && mask != 0 && found & mask == mask)
        })
    }

    /// For each signature of a rule, the bits of its strings in [`crate::inventory::Content::Elf`].
    pub(super) fn masks(&self, rule: &Rule) -> Vec<u64> {
        let strings = strings(&self.rules);
        let bit = |wanted: &String| {
            strings.iter().position(|string| *string == wanted).map_or(0, |index| 1_u64 << index)
        };
        rule.signatures
            .iter()
            .map(|signature| signature.strings.iter().map(bit).fold(0, |all, one| all | one))
            .collect()
    }
}

/// Compiles patterns of paths (a leading slash is the root) or names.
pub(super) fn globs(patterns: &[String]) -> Result<GlobSet, Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let bad = |error: globset::Error| Error::Pattern {
            pattern: pattern.clone(),
            reason: error.kind().to_string(),
        };
        let text = pattern.trim_start_matches('/');
        set.add(GlobBuilder::new(text).literal_separator(true).build().map_err(bad)?);
    }
    set.build()
        .map_err(|error| Error::Pattern { pattern: String::new(), reason: error.to_string() })
}

/// All content strings, each once, in the catalog's order.
fn strings(rules: &[Rule]) -> Vec<&String> {
    let mut all = Vec::new();
    for string in rules.iter().flat_map(|rule| &rule.signatures).flat_map(|one| &one.strings) {
        if !all.contains(&string) {
            all.push(string);
        }
    }
    all
}

fn sought(rules: &[Rule]) -> Result<Sought, Error> {
    let strings = strings(rules);
    if strings.len() > 64 {
        return Err(Error::Strings(strings.len()));
    }
    let packages =
        rules.iter().flat_map(|rule| &rule.executables).flat_map(|one| one.packages.clone());
    Ok(Sought::new(&strings, packages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_and_unambiguous() {
        for rule in Catalog::builtin().rules() {
            for group in &rule.executables {
                for list in [&group.names, &group.ambiguous, &group.packages] {
                    let mut sorted = list.clone();
                    sorted.sort();
                    sorted.dedup();
                    assert_eq!(&sorted, list, "{} {}", rule.id, group.family);
                }
                assert!(
                    !group.ambiguous.iter().any(|name| group.names.contains(name)),
                    "{}",
                    rule.id
                );
                assert!(globs(&group.names).is_ok() && globs(&group.ambiguous).is_ok());
            }
            for group in &rule.places {
                assert!(group.paths.iter().all(|path| path.starts_with('/')), "{}", rule.id);
                let mut sorted = group.paths.clone();
                sorted.sort();
                assert_eq!(sorted, group.paths, "{} {}", rule.id, group.family);
            }
        }
    }

    #[test]
    fn every_rule_says_why() {
        for rule in Catalog::builtin().rules() {
            assert!(rule.why.len() > 80, "{}", rule.id);
            assert!(rule.title.len() < 60, "{}", rule.id);
        }
    }

    #[test]
    fn a_rule_may_not_be_there_twice() {
        let text = "[[rule]]\nid='a'\ntitle='t'\nseverity='low'\nremedy='none'\nmatcher='setuid'\nwhy='w'\n";
        let twice = Catalog::parse(&[text, text], "executables=[]");
        assert!(matches!(twice, Err(Error::Duplicate(_))));
    }
}
