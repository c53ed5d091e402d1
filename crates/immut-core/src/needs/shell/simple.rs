//! Simple commands, and the functions that look like one at first.

use super::command::{Command, prefix_of};
use super::reader::{Kind, Read, Reader, Token, is_name_byte};
use super::word::Lexeme;
use super::{Assignment, Call, MOST_COMMANDS, Word};

impl Reader<'_> {
    pub(super) fn define(&mut self, name: Lexeme) -> Read {
        self.functions.insert(name.literal);
        self.skip_newlines()?;
        self.nested(Self::command)
    }

    /// Reads a simple command or a function's definition, which looks like one at first.
    pub(super) fn simple(&mut self, first: Token) -> Read {
        let at = first.at;
        self.give_back(first);
        let mut command = self.empty(at);
        loop {
            if self.redirect(&mut command.redirects)? {
                continue;
            }
            let token = self.next()?;
            let Kind::Word(word) = token.kind else {
                self.give_back(token);
                break;
            };
            if let (Some(assigns), true) = (word.assigns, command.words.is_empty()) {
                let value = word.value(self.text, assigns);
                command.assignments.push(Assignment { name: variable(&word.literal), value });
                continue;
            }
            let first = command.words.is_empty() && command.assignments.is_empty();
            if first && self.takes("(")? {
                self.expect_operator(")")?;
                return self.define(word);
            }
            command.words.push(word.word(self.text));
        }
        command.prefix = prefix_of(&command.words);
        let text = text_to_run(&command);
        self.found.push((at, command));
        self.check_count()?;
        text.map_or(Ok(()), |text| self.nested(|reader| reader.aside(&text, at, at)))
    }

    /// Takes the redirections behind a compound command as a command that calls nothing.
    pub(super) fn compound_redirects(&mut self) -> Read {
        let at = self.peek()?.at;
        let mut command = self.empty(at);
        while self.redirect(&mut command.redirects)? {}
        if !command.redirects.is_empty() {
            self.found.push((at, command));
        }
        self.check_count()
    }

    pub(super) fn check_count(&self) -> Read {
        if self.found.len() > MOST_COMMANDS {
            return self.stop(format!("more than {MOST_COMMANDS} commands"));
        }
        Ok(())
    }

    fn empty(&self, at: usize) -> Command {
        Command {
            line: self.line(at),
            assignments: Vec::new(),
            words: Vec::new(),
            redirects: Vec::new(),
            prefix: 0,
            call: Call::Nothing,
        }
    }
}

/// The text that `eval` or `trap` runs, where it is written out.
fn text_to_run(command: &Command) -> Option<Vec<u8>> {
    let Some(Word::Literal(name)) = command.words.get(command.prefix) else { return None };
    let words = match name.as_slice() {
        b"eval" => command.arguments(),
        b"trap" => command.arguments().get(..1)?,
        _ => return None,
    };
    let literal = |word: &Word| match word {
        Word::Literal(bytes) => Some(bytes.clone()),
        Word::Dynamic(_) => None,
    };
    let words: Option<Vec<_>> = words.iter().map(literal).collect();
    // `trap -` and `trap -l` run nothing.
    words
        .filter(|words| words.first().is_some_and(|word| word.first() != Some(&b'-')))
        .map(|words| words.join(&b' '))
}

/// The variable that an assignment's target names: without `+` and subscript.
fn variable(target: &[u8]) -> Vec<u8> {
    target.iter().copied().take_while(|byte| is_name_byte(*byte)).collect()
}
