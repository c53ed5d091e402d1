//! From a command for `sh -c` to the argument list that starts the same program without a shell,
//! where the two are provably the same.
//!
//! What a shell would look up, expand or decide when the container starts is refused with the
//! place and the reason. The words are read by the same reader as scripts (XCU chapter 2).

use std::fmt;

use super::shell::Stop;
use crate::path::RootPath;

mod convert;
mod invocation;
mod refusal;
#[cfg(test)]
mod tests;
mod variables;

use convert::Converter;
pub(super) use invocation::invocation;

/// What a command becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExecForm {
    /// The program and its arguments.
    ///
    /// The caller must still check that the program is there and that the kernel starts it: an
    /// executable text without `#!` is run by the shell itself, and by nobody else. The ash of a
    /// BusyBox built to prefer its applets also runs its own `sleep` before the one in PATH.
    pub(crate) argv: Vec<String>,
    /// Variables to add to the image's.
    pub(crate) env: Vec<(String, String)>,
    /// The directory to start in, if it changes.
    pub(crate) workdir: Option<RootPath>,
    /// The rules that were used, in the order of the text; none for a plain command.
    pub(crate) rules: Vec<Rule>,
    /// What is different all the same.
    pub(crate) notes: Vec<&'static str>,
}

/// What was taken off a command to make it a plain one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Rule {
    /// `cd /directory && ...` became the working directory.
    ChangeDirectory,
    /// `NAME=value ...` became a variable of the image.
    Variable,
    /// `exec ...`, which only makes the shell go away.
    Exec,
    /// `... || exit 1`: every failure of a health check counts the same.
    AnyFailure,
}

/// Why a command has no exec form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The offset in bytes of what is in the way.
    pub(crate) at: usize,
    /// Its line, counted from 1.
    pub(crate) line: u32,
    /// A sentence for one line, without its line number.
    pub(crate) reason: String,
    /// What the user could choose.
    pub(crate) suggestion: Option<Suggestion>,
}

/// What could take the place of a refused command; never the same, so the user decides.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Suggestion {
    /// This argument list, which does less.
    Instead(Vec<String>),
    /// The command with the value of this variable written out.
    WriteOut(String),
}

/// What a command is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The container's own process.
    Start,
    /// A health check, whose exit status is all that counts, and which shares its environment and
    /// directory with the start.
    HealthCheck,
}

/// What the conversion asks of the image.
pub(crate) trait Environment {
    /// Whether the path is a directory, links followed.
    fn is_dir(&self, path: &RootPath) -> bool;
    /// The image's variables, as `NAME=value`.
    fn variables(&self) -> &[String];
}

/// The exec form of a command for `sh -c`.
pub(crate) fn exec_form(
    command: &str,
    purpose: Purpose,
    look: &dyn Environment,
) -> Result<ExecForm, Refusal> {
    let mut converter = Converter::new(command, purpose, look);
    match converter.convert() {
        Ok(()) => Ok(converter.form),
        Err(obstacle) => Err(Refusal {
            at: obstacle.at,
            line: converter.line(obstacle.at),
            reason: obstacle.reason,
            suggestion: obstacle.suggestion,
        }),
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// What is in the way, before its line is known.
#[derive(Debug)]
struct Obstacle {
    at: usize,
    reason: String,
    suggestion: Option<Suggestion>,
}

impl Obstacle {
    fn new(at: usize, reason: impl Into<String>) -> Self {
        Self { at, reason: reason.into(), suggestion: None }
    }
}

impl From<Stop> for Obstacle {
    fn from(stop: Stop) -> Self {
        Self::new(stop.at, stop.reason)
    }
}
