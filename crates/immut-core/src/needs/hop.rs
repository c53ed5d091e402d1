//! [`Hop`]: the evidence of one step.

use std::fmt;

use crate::path::{RootPath, lossy};

/// One hop on the way from the config to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hop {
    /// A word of a command line in the config.
    Word(String),
    /// A shell-form command, run by the image's shell.
    ShellForm(String),
    /// A link.
    Link(RootPath),
    /// A file.
    File(RootPath),
    /// The first line of a script.
    Interpreter(String),
    /// What a line of a script runs, or reads.
    Line {
        /// Counted from 1.
        number: usize,
        /// The line, shortened.
        text: String,
    },
    /// The ELF interpreter.
    Loader(String),
    /// A library, and how the loader finds it.
    Library {
        /// As the file names it.
        name: String,
        /// Where it is found by, such as `RUNPATH /opt/lib`.
        by: String,
    },
    /// Something that a program loads by name, by a rule of the catalog.
    Loaded(String),
    /// A folder that may be read as a whole, and what it is, such as `the working directory`.
    Folder(String),
    /// A line of configuration that names it.
    Setting {
        /// Counted from 1.
        number: usize,
        /// The line, shortened.
        text: String,
    },
    /// Something that an application needs by its profile, which has this name.
    Profile(String),
    /// A variable of the config that names a file.
    Variable(String),
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "{word:?}"),
            Self::ShellForm(command) => write!(f, "shell form {command:?}"),
            Self::Link(path) => write!(f, "{path} (link)"),
            Self::File(path) => path.fmt(f),
            Self::Interpreter(line) => write!(f, "#!{line}"),
            Self::Line { number, text } => write!(f, "line {number}: {text}"),
            Self::Setting { number, text } => {
                write!(f, "line {number}: {}", lossy(text.as_bytes()))
            }
            Self::Loader(path) => write!(f, "loader {path}"),
            Self::Library { name, by } => write!(f, "library {name} ({by})"),
            Self::Loaded(rule) => write!(f, "loaded by name ({rule})"),
            Self::Folder(what) => f.write_str(what),
            Self::Profile(name) => write!(f, "app profile {name}"),
            Self::Variable(name) => write!(f, "{name} in the environment"),
        }
    }
}
