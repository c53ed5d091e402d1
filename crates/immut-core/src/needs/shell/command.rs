//! Simple commands as values, and what the first words of one mean.

use std::collections::BTreeSet;

use super::builtins::Dialect;

/// One simple command of a script (XCU 2.9.1), or the redirections of a compound command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    /// The line of its first word, counted from 1.
    pub(crate) line: u32,
    /// What stands before the first word: `NAME=value`.
    pub(crate) assignments: Vec<Assignment>,
    /// The name and its arguments, as written.
    pub(crate) words: Vec<Word>,
    /// Files that it opens by redirections; copies of descriptors and here-documents are none.
    pub(crate) redirects: Vec<Word>,
    /// How many of the words come before the program: `exec`, `command -p`, `builtin`.
    pub(super) prefix: usize,
    /// What it calls.
    pub(crate) call: Call,
}

/// A word of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    /// Always these bytes: quotes are removed.
    Literal(Vec<u8>),
    /// Only running tells; the source text, cut to [`MOST_SOURCE`] bytes.
    Dynamic(Vec<u8>),
}

/// `NAME=value` before a command, or alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// The variable.
    pub(crate) name: Vec<u8>,
    /// What it becomes.
    pub(crate) value: Word,
}

/// What a simple command calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    /// Nothing: only assignments or redirections.
    Nothing,
    /// A function that the script defines somewhere.
    Function(Vec<u8>),
    /// A command of the shell itself.
    Builtin(Vec<u8>),
    /// A program: its path if there is a slash, else a name to look up in PATH.
    External(Vec<u8>),
    /// Only running tells; the source text.
    Dynamic(Vec<u8>),
}

/// How much of a dynamic word's source text is kept: enough to show, and nested words cannot add
/// up to more than the text many times over.
pub(crate) const MOST_SOURCE: usize = 160;

impl Command {
    /// Whether the shell is replaced by the program.
    pub(crate) fn is_exec(&self) -> bool {
        self.words[..self.prefix].iter().any(|word| *word == Word::Literal(b"exec".to_vec()))
            && self.words.len() > self.prefix
    }

    /// The program, builtin or function with what follows it.
    pub(crate) fn run(&self) -> &[Word] {
        self.words.get(self.prefix..).unwrap_or_default()
    }

    /// What follows the name of the program, builtin or function.
    pub(crate) fn arguments(&self) -> &[Word] {
        self.words.get(self.prefix + 1..).unwrap_or_default()
    }

    /// Whether it is an `exec` that hands on the script's own arguments.
    pub(super) fn goes_on(&self) -> bool {
        let handed =
            |word: &Word| matches!(word, Word::Dynamic(source) if is_all_arguments(source));
        self.is_exec() && self.words.last().is_some_and(handed)
    }
}

fn is_all_arguments(source: &[u8]) -> bool {
    matches!(source, br#""$@""# | br#""${@}""# | b"$@" | b"${@}" | br#"${1+"$@"}"#)
}

impl Call {
    /// What a command calls, given the functions that the script defines.
    pub(super) fn of(command: &Command, functions: &BTreeSet<Vec<u8>>, dialect: Dialect) -> Self {
        let prefixes = &command.words[..command.prefix];
        let name = match command.words.get(command.prefix) {
            None => match prefixes.last() {
                Some(Word::Literal(name)) => return Self::Builtin(name.clone()),
                _ => return Self::Nothing,
            },
            Some(Word::Dynamic(source)) => return Self::Dynamic(source.clone()),
            Some(Word::Literal(name)) => name,
        };
        let behind = |with: &[u8]| {
            prefixes.iter().any(|word| matches!(word, Word::Literal(name) if name == with))
        };
        if prefixes.is_empty() && functions.contains(name) {
            Self::Function(name.clone())
        } else if !behind(b"exec") && dialect.has_builtin(name) {
            Self::builtin(name, command)
        } else {
            Self::External(name.clone())
        }
    }

    /// A builtin; dynamic where it runs text that only running tells.
    fn builtin(name: &[u8], command: &Command) -> Self {
        let dynamic = |word: &Word| matches!(word, Word::Dynamic(_));
        let unknown = match name {
            b"eval" => command.arguments().iter().any(dynamic),
            b"alias" => !command.arguments().is_empty(),
            b"trap" | b"." | b"source" => command.arguments().first().is_some_and(dynamic),
            _ => false,
        };
        if unknown { Self::Dynamic(shown(command)) } else { Self::Builtin(name.to_vec()) }
    }
}

/// A command's words, as far as they are shown.
fn shown(command: &Command) -> Vec<u8> {
    let mut text = Vec::new();
    for word in &command.words {
        if !text.is_empty() {
            text.push(b' ');
        }
        match word {
            Word::Literal(bytes) | Word::Dynamic(bytes) => text.extend_from_slice(bytes),
        }
        if text.len() > MOST_SOURCE {
            break;
        }
    }
    text.truncate(MOST_SOURCE);
    text
}

/// How many of the first words only say how the next one is run.
///
/// `exec -a NAME` and `command -p` are prefixes; `command -v NAME` asks and runs nothing.
pub(super) fn prefix_of(words: &[Word]) -> usize {
    let mut at = 0;
    while let Some(Word::Literal(name)) = words.get(at) {
        let options = match name.as_slice() {
            b"exec" => Some(exec_options(&words[at + 1..])),
            b"command" => command_options(&words[at + 1..]),
            b"builtin" => Some(0),
            _ => None,
        };
        let Some(options) = options else { break };
        at += 1 + options;
    }
    at.min(words.len())
}

/// The words that are options of `exec`.
fn exec_options(words: &[Word]) -> usize {
    let mut at = 0;
    while let Some(Word::Literal(word)) = words.get(at) {
        match word.as_slice() {
            b"--" => return at + 1,
            [b'-', letters @ .., b'a'] if letters.iter().all(|letter| b"cl".contains(letter)) => {
                at += 2;
            }
            [b'-', letters @ ..] if letters.iter().all(|letter| b"cl".contains(letter)) => at += 1,
            _ => break,
        }
    }
    at.min(words.len())
}

/// The words that are options of `command`; none if it only asks for a name.
fn command_options(words: &[Word]) -> Option<usize> {
    let mut at = 0;
    while let Some(Word::Literal(word)) = words.get(at) {
        match word.as_slice() {
            b"--" => return Some(at + 1),
            b"-p" => at += 1,
            [b'-', ..] => return None,
            _ => break,
        }
    }
    Some(at)
}
