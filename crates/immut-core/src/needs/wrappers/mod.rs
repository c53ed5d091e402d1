//! [`Wrappers`]: programs that run the command which their arguments name, as data
//! (`catalog/wrappers.toml`).

mod options;
mod split;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::Deserialize;

use options::Reading;
pub(crate) use split::split;

/// The wrappers that are known.
#[derive(Debug, Clone)]
pub(crate) struct Wrappers {
    all: Vec<Wrapper>,
    /// One pattern for each program name, and whose it is.
    programs: GlobSet,
    owners: Vec<usize>,
}

/// One wrapper: how its arguments are read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wrapper {
    /// What it is called in messages.
    pub(crate) name: String,
    /// File names, as globs.
    pub(crate) programs: Vec<String>,
    /// Where the syntax is written down.
    pub(crate) source: String,
    /// The first word has to be one of these.
    #[serde(default)]
    pub(crate) subcommands: Vec<String>,
    /// Options without a value.
    #[serde(default)]
    pub(crate) flags: Vec<String>,
    /// Options with a value, attached or the next word.
    #[serde(default)]
    pub(crate) values: Vec<String>,
    /// Options whose value can only be attached.
    #[serde(default)]
    pub(crate) optionals: Vec<String>,
    /// Options with which no command of the arguments is run.
    #[serde(default)]
    pub(crate) ends: Vec<String>,
    /// One of these has to be there.
    #[serde(default)]
    pub(crate) requires: Vec<String>,
    /// What options change.
    #[serde(default)]
    pub(crate) meanings: BTreeMap<String, Meaning>,
    /// Words between the options and the command.
    #[serde(default)]
    pub(crate) words: Vec<Meaning>,
    /// Where the command begins.
    #[serde(default)]
    pub(crate) command: Begin,
    /// How the command's first word becomes a file.
    #[serde(default)]
    pub(crate) lookup: Lookup,
    /// Whether it becomes another user whatever its words say.
    #[serde(default)]
    pub(crate) switches: bool,
    /// Where it reads its words otherwise than `getopt_long` with a leading `+` does.
    #[serde(default)]
    pub(crate) quirks: BTreeSet<Quirk>,
}

/// What the value of an option, or a word, is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Meaning {
    /// Nothing that changes which file is run.
    Word,
    /// The folder the command is run in.
    Chdir,
    /// The whole environment goes.
    Clear,
    /// The command itself.
    Command,
    /// The command itself, before one that [`Meaning::Command`] names.
    CommandAs,
    /// A folder whose files are environment variables.
    EnvFolder,
    /// Folders for libraries, separated by colons.
    LibraryPath,
    /// Libraries that are loaded first, separated by colons.
    Preload,
    /// A new root.
    Root,
    /// Words to split, as `env -S` does.
    Split,
    /// The name of a variable that goes.
    Unset,
    /// The user the command is run as.
    User,
}

/// Where the command begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Begin {
    /// After the options and words.
    #[default]
    Words,
    /// After the first `--`.
    Separator,
    /// An option names it, its arguments follow `--`.
    Option,
}

/// Where a wrapper reads its words otherwise than `getopt_long` with a leading `+` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Quirk {
    /// `NAME=value` words come before the command, and a dash clears the environment.
    Assignments,
    /// Options are whole words, a value being always the next word.
    Exact,
    /// One word that is no option may come before the options.
    Leading,
    /// `--` is a word as any other.
    NoSeparator,
    /// A dash and a number is an option.
    Numbers,
    /// Options are read in the command's words too, unless `--` comes before it.
    Permutes,
}

/// How the first word of a command becomes a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Lookup {
    /// As `execvp` does: in `PATH`, unless it has a slash.
    #[default]
    Path,
    /// As `execv` does: it is a path.
    File,
    /// As the loader finds libraries, unless it has a slash.
    Library,
    /// It is a name inside the wrapper's own file.
    Applet,
    /// In the environment of packages that the wrapper enters, then in `PATH`.
    Venv,
}

/// What a wrapper does before it runs the command, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Another folder.
    Chdir(String),
    /// An empty environment.
    Clear,
    /// Variables from the files of a folder.
    EnvFolder(String),
    /// Folders where the loader looks first.
    LibraryPath(String),
    /// Libraries loaded first.
    Preload(String),
    /// Another root.
    Root(String),
    /// A variable's new value.
    Set(String, String),
    /// A variable less.
    Unset(String),
    /// Another user: needs the right to become one.
    User(String),
}

impl Effect {
    fn changes_lookup(&self) -> bool {
        match self {
            Self::Chdir(_)
            | Self::Clear
            | Self::EnvFolder(_)
            | Self::LibraryPath(_)
            | Self::Preload(_)
            | Self::Root(_) => true,
            Self::Set(name, _) | Self::Unset(name) => name == "PATH" || name.starts_with("LD_"),
            Self::User(_) => false,
        }
    }
}

/// A command inside a wrapper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unwrapped<'a> {
    /// The wrapper.
    pub(crate) wrapper: &'a Wrapper,
    /// The command's words, at least one.
    pub(crate) command: Vec<String>,
    /// Where in the wrapper's words the command's first one is; for split words, the split one.
    pub(crate) index: usize,
    /// What is done before it is run.
    pub(crate) effects: Vec<Effect>,
    /// How the command's first word becomes a file.
    pub(crate) lookup: Lookup,
}

impl Unwrapped<'_> {
    /// Whether the wrapper has to become another user, so that it cannot be run by one who may not.
    pub(crate) fn changes_user(&self) -> bool {
        let changes = |effect: &Effect| matches!(effect, Effect::User(_) | Effect::Root(_));
        self.wrapper.switches || self.effects.iter().any(changes)
    }

    /// Whether the command, or its libraries, are looked for elsewhere than without the wrapper.
    pub(crate) fn changes_lookup(&self) -> bool {
        self.lookup == Lookup::Venv || self.effects.iter().any(Effect::changes_lookup)
    }
}

/// Why the words of a wrapper cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// An option that is not known, or could be several.
    #[error("{wrapper} has no option {option:?} that is known")]
    Option {
        /// The wrapper.
        wrapper: String,
        /// The word.
        option: String,
    },
    /// An option with which the arguments are not run.
    #[error("{wrapper} runs no command of its arguments with {option}")]
    Ends {
        /// The wrapper.
        wrapper: String,
        /// The option.
        option: String,
    },
    /// A word too few, or one that has to be there.
    #[error("{wrapper} is not followed by {missing}")]
    Missing {
        /// The wrapper.
        wrapper: String,
        /// What is missing.
        missing: String,
    },
    /// The wrapper may take words of the command as its own options.
    #[error("{wrapper} may read {option:?} as its own option: `--` is missing before the command")]
    Permuted {
        /// The wrapper.
        wrapper: String,
        /// The word.
        option: String,
    },
    /// Words that cannot be split.
    #[error("env -S cannot split: {0}")]
    Split(&'static str),
    /// `env -S` in what `env -S` made, too often.
    #[error("env -S names itself more than {MOST_SPLITS} times")]
    Nested,
    /// More words than are read.
    #[error("more than {MOST_WORDS} words")]
    Long,
}

/// Why text is no catalog of wrappers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CatalogError {
    /// Not TOML, or not of this form.
    #[error("{0}")]
    Toml(Box<toml::de::Error>),
    /// A program name that is no glob.
    #[error("{0:?} is no pattern")]
    Pattern(String),
    /// A program that two wrappers have, or an option that is there twice.
    #[error("{0:?} is there twice")]
    Duplicate(String),
}

/// The most wrappers that run one another, since each copies what is left; real starts have some five.
pub(super) const MOST_WRAPPERS: usize = 50;
/// A start has far fewer words.
pub(crate) const MOST_WORDS: usize = 10_000;
/// Each splitting copies what is left, so that many would take quadratic time.
pub(crate) const MOST_SPLITS: usize = 16;
const CATALOG: &str = include_str!("../../../catalog/wrappers.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    wrapper: Vec<Wrapper>,
}

impl Wrappers {
    /// The wrappers that immut comes with.
    pub(crate) fn builtin() -> Self {
        Self::parse(CATALOG).expect("the built-in catalog is tested")
    }

    /// Reads a catalog of wrappers.
    pub(crate) fn parse(text: &str) -> Result<Self, CatalogError> {
        let file: File =
            toml::from_str(text).map_err(|error| CatalogError::Toml(Box::new(error)))?;
        let (mut programs, mut owners) = (GlobSetBuilder::new(), Vec::new());
        let mut known = BTreeSet::new();
        for (index, wrapper) in file.wrapper.iter().enumerate() {
            wrapper.check()?;
            for program in &wrapper.programs {
                if !known.insert(program) {
                    return Err(CatalogError::Duplicate(program.clone()));
                }
                let glob = Glob::new(program);
                programs.add(glob.map_err(|_| CatalogError::Pattern(program.clone()))?);
                owners.push(index);
            }
        }
        let programs = programs.build().map_err(|_| CatalogError::Pattern(String::new()))?;
        Ok(Self { all: file.wrapper, programs, owners })
    }

    /// All wrappers, in the catalog's order.
    #[cfg(test)]
    pub(crate) fn all(&self) -> &[Wrapper] {
        &self.all
    }

    /// The wrapper that a program is, by the name of its file.
    pub(crate) fn of_program(&self, program: &str) -> Option<&Wrapper> {
        let name = program.rsplit('/').next().unwrap_or(program);
        let index = *self.programs.matches(name).first()?;
        self.all.get(self.owners[index])
    }

    /// The command inside a wrapper's words; none if the first one is no wrapper, or a program that
    /// is one only with another subcommand.
    ///
    /// `env` are the variables (`NAME=value`) that `env -S` may name.
    pub(crate) fn unwrap<'a>(
        &'a self,
        argv: &[String],
        env: &[String],
    ) -> Option<Result<Unwrapped<'a>, Error>> {
        let wrapper = self.of_program(argv.first()?)?;
        if !wrapper.subcommands.is_empty() {
            let given = argv.get(1)?;
            if !wrapper.subcommands.contains(given) {
                return None;
            }
        }
        Some(Reading::new(wrapper, argv, env).and_then(Reading::command))
    }
}

impl Wrapper {
    /// Whether each option is there once, and the ones with a meaning or required are there at all.
    fn check(&self) -> Result<(), CatalogError> {
        let mut known = BTreeSet::new();
        let options = [&self.flags, &self.values, &self.optionals, &self.ends];
        for option in options.into_iter().flatten() {
            if !known.insert(option) {
                return Err(CatalogError::Duplicate(format!("{} {option}", self.name)));
            }
        }
        let named = self.meanings.keys().chain(&self.requires);
        match named.into_iter().find(|option| !known.contains(option)) {
            Some(option) => Err(CatalogError::Pattern(format!("{} {option}", self.name))),
            None => Ok(()),
        }
    }
}
