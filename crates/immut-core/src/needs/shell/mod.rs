//! What a shell script runs, read from its text.
//!
//! The reader knows the grammar of POSIX (IEEE Std 1003.1-2024, XCU chapter 2) and what bash adds
//! to it, and runs nothing. It stops where a shell would report a syntax error, and says so: what
//! comes after that line is not known.

use std::collections::BTreeSet;

mod builtins;
mod command;
mod expansion;
mod grammar;
mod reader;
mod redirect;
mod simple;
#[cfg(test)]
mod tests;
mod word;

pub(crate) use builtins::Dialect;
pub(super) use builtins::{is_builtin_anywhere, is_reserved};
pub(crate) use command::{Assignment, Call, Command, Word};
pub(super) use reader::{Kind, Reader, Stop};
pub(super) use word::{Expansion, Lexeme};

/// The longest script that is read: the longest entrypoint of a known image has 40 KiB.
pub(crate) const MOST_TEXT: usize = 256 << 10;

/// How deep quotes, substitutions and compound commands may nest. Each level takes a few frames of
/// the stack; scripts written by people stay below 20.
pub(crate) const DEEPEST: usize = 100;

/// How many simple commands of a script are read: each takes some 200 bytes of memory, and a
/// `configure`, the longest of scripts, has half as many.
pub(crate) const MOST_COMMANDS: usize = 16_384;

/// What a script runs, in the order of its text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Commands {
    /// Every simple command, those in functions, conditions and substitutions too.
    pub(crate) list: Vec<Command>,
    /// Where reading stopped; what is written there and after it is not known.
    pub(crate) unread: Option<Unread>,
    /// The line of the last `exec` that ends in `"$@"`: the script goes on with its arguments, as
    /// most entrypoints of images do. It may stand in a function or a condition.
    pub(crate) goes_on: Option<u32>,
}

/// Why reading stopped before the end of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unread {
    /// Counted from 1.
    pub(crate) line: u32,
    /// A fragment such as "the quote is not closed".
    pub(crate) reason: String,
}

/// Reads what a script runs. `text` is the whole file, its `#!` line included.
pub(crate) fn commands(text: &[u8], dialect: Dialect) -> Commands {
    let (readable, cut) = readable(text);
    let mut reader = Reader::new(readable);
    let stop = reader.script().err();
    let mut found = reader.finish();
    found.unread = stop
        .map(|stop| Unread { line: reader.line(stop.at), reason: stop.reason })
        .or_else(|| cut.map(|reason| Unread { line: reader.line(readable.len()), reason }));
    if found.unread.is_some() {
        found.goes_on = None;
    }
    found.classify(&reader.functions, dialect);
    found
}

/// The part of a file that can be shell text, and why it is not the whole.
fn readable(text: &[u8]) -> (&[u8], Option<String>) {
    let capped = &text[..text.len().min(MOST_TEXT)];
    let (end, reason) = match memchr::memchr(0, capped) {
        Some(nul) => (nul, "a NUL byte, which no shell text holds".to_owned()),
        None if capped.len() < text.len() => {
            (capped.len(), format!("more than {MOST_TEXT} bytes of shell text"))
        }
        None => return (text, None),
    };
    let whole_lines = memchr::memrchr(b'\n', &capped[..end]).map_or(0, |newline| newline + 1);
    (&capped[..whole_lines], Some(reason))
}

impl Commands {
    /// The files that the script reads as more of its own text, with the line.
    #[cfg(test)]
    pub(crate) fn sourced(&self) -> impl Iterator<Item = (u32, &Word)> {
        self.list.iter().filter_map(|command| match &command.call {
            Call::Builtin(name) if matches!(name.as_slice(), b"." | b"source") => {
                Some((command.line, command.arguments().first()?))
            }
            _ => None,
        })
    }

    /// The commands whose program only running tells, with the line and the text: `$cmd x`,
    /// `eval "$x"`, `exec "$@"`, and `alias`, which changes what a name means.
    #[cfg(test)]
    pub(crate) fn dynamic(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.list.iter().filter_map(|command| match &command.call {
            Call::Dynamic(source) => Some((command.line, source.as_slice())),
            _ => None,
        })
    }

    /// The names and paths of programs that are run, with the line.
    #[cfg(test)]
    pub(crate) fn external(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.list.iter().filter_map(|command| match &command.call {
            Call::External(name) => Some((command.line, name.as_slice())),
            _ => None,
        })
    }

    /// The first argument that `set -- PROGRAM ...` gives the script: where it ends in
    /// `exec "$@"`, a program that is run.
    pub(crate) fn arguments_set(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.list.iter().filter_map(|command| match (&command.call, command.arguments()) {
            (Call::Builtin(name), [Word::Literal(dashes), Word::Literal(program), ..])
                if name == b"set" && dashes == b"--" =>
            {
                Some((command.line, program.as_slice()))
            }
            _ => None,
        })
    }

    fn classify(&mut self, functions: &BTreeSet<Vec<u8>>, dialect: Dialect) {
        for command in &mut self.list {
            command.call = Call::of(command, functions, dialect);
        }
    }
}
