//! Tokens from shell text, with one token of look-ahead.

use std::collections::BTreeSet;

use super::word::Lexeme;
use super::{Command, Commands, DEEPEST};

/// Reads shell text from its start. What it found is kept even if it stops early.
#[derive(Debug)]
pub(in super::super) struct Reader<'t> {
    pub(super) text: &'t [u8],
    /// Where the next byte is read; the bytes from `end` on are out of reach.
    pub(super) at: usize,
    pub(super) end: usize,
    pub(super) depth: usize,
    peeked: Option<Token>,
    /// Here-documents whose body begins after the next newline.
    pub(super) awaited: Vec<HereDocument>,
    /// The commands with where they begin, to sort them by: inner ones are complete first.
    pub(super) found: Vec<(usize, Command)>,
    /// The functions that the text defines.
    pub(super) functions: BTreeSet<Vec<u8>>,
    newlines: Vec<usize>,
    /// The line of the first byte, counted from 1.
    pub(super) first_line: u32,
}

/// A token and where it begins.
#[derive(Debug, Clone)]
pub(in super::super) struct Token {
    pub(in super::super) at: usize,
    pub(in super::super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(in super::super) enum Kind {
    Word(Lexeme),
    Operator(&'static str),
    Newline,
    End,
}

/// `<<` or `<<-`, read before its body.
#[derive(Debug)]
pub(super) struct HereDocument {
    pub(super) delimiter: Vec<u8>,
    /// No quote in the delimiter: the body is expanded.
    pub(super) expands: bool,
    /// `<<-`: leading tabs are not part of a line.
    pub(super) strips_tabs: bool,
}

/// Why reading stopped, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Stop {
    pub(in super::super) at: usize,
    pub(in super::super) reason: String,
}

pub(super) type Read<T = ()> = Result<T, Stop>;

/// Longest first, so that the first that matches is the token (XCU 2.10.2; bash's `&>`, `|&`,
/// `<<<`, `;&` besides).
const OPERATORS: &[&str] = &[
    "<<<", "<<-", "&>>", ";;&", "&&", "||", ";;", ";&", "<<", ">>", "<&", ">&", "<>", ">|", "&>",
    "|&", "&", "|", ";", "<", ">", "(", ")",
];

impl<'t> Reader<'t> {
    pub(in super::super) fn new(text: &'t [u8]) -> Self {
        Self {
            text,
            at: 0,
            end: text.len(),
            depth: 0,
            peeked: None,
            awaited: Vec::new(),
            found: Vec::new(),
            functions: BTreeSet::new(),
            newlines: memchr::memchr_iter(b'\n', text).collect(),
            first_line: 1,
        }
    }

    /// What was found, in the order of the text; the calls are not yet told apart.
    pub(super) fn finish(&mut self) -> Commands {
        let mut found = std::mem::take(&mut self.found);
        found.sort_by_key(|(at, _)| *at);
        let commands: Vec<Command> = found.into_iter().map(|(_, command)| command).collect();
        let last = commands.iter().rev().find(|command| command.goes_on());
        Commands { goes_on: last.map(|command| command.line), unread: None, list: commands }
    }

    /// The line of an offset, counted from 1.
    pub(in super::super) fn line(&self, at: usize) -> u32 {
        let before = self.newlines.partition_point(|newline| *newline < at);
        self.first_line.saturating_add(u32::try_from(before).unwrap_or(u32::MAX))
    }

    /// The next token, without taking it.
    pub(in super::super) fn peek(&mut self) -> Read<&Token> {
        let token = match self.peeked.take() {
            Some(token) => token,
            None => self.token()?,
        };
        Ok(self.peeked.insert(token))
    }

    /// Takes the next token.
    pub(in super::super) fn next(&mut self) -> Read<Token> {
        match self.peeked.take() {
            Some(token) => Ok(token),
            None => self.token(),
        }
    }

    /// Takes the next token if it is that operator.
    pub(super) fn takes(&mut self, operator: &str) -> Read<bool> {
        let taken = matches!(self.peek()?.kind, Kind::Operator(found) if found == operator);
        if taken {
            self.peeked = None;
        }
        Ok(taken)
    }

    /// Undoes the last [`Self::next`].
    pub(in super::super) fn give_back(&mut self, token: Token) {
        self.peeked = Some(token);
    }

    /// Goes on reading bytes at `at`, without the token that was peeked there.
    pub(super) fn rewind(&mut self, at: usize) {
        self.peeked = None;
        self.at = at;
    }

    fn token(&mut self) -> Read<Token> {
        self.skip_blanks();
        let at = self.at;
        let kind = match self.byte(0) {
            None => Kind::End,
            Some(b'\n') => {
                self.at += 1;
                self.here_documents()?;
                Kind::Newline
            }
            Some(_) if self.starts_process() => Kind::Word(self.word()?),
            Some(_) => {
                self.skip_descriptor();
                match self.operator() {
                    Some(operator) => Kind::Operator(operator),
                    None => Kind::Word(self.word()?),
                }
            }
        };
        Ok(Token { at, kind })
    }

    /// Skips blanks, continued lines and comments.
    pub(super) fn skip_blanks(&mut self) {
        loop {
            match self.byte(0) {
                Some(b' ' | b'\t') => self.at += 1,
                Some(b'\\') if self.byte(1) == Some(b'\n') => self.at += 2,
                Some(b'#') => {
                    let rest = &self.text[self.at..self.end];
                    self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                }
                _ => return,
            }
        }
    }

    /// Skips the `2` of `2>` and bash's `{name}` of `{name}>`.
    fn skip_descriptor(&mut self) {
        let rest = &self.text[self.at..self.end];
        let length = match rest.first() {
            Some(b'{') => {
                let name = rest[1..].iter().take_while(|byte| is_name_byte(**byte)).count();
                if rest.get(name + 1) == Some(&b'}') { name + 2 } else { 0 }
            }
            _ => rest.iter().take_while(|byte| byte.is_ascii_digit()).count(),
        };
        if length > 0 && matches!(rest.get(length), Some(b'<' | b'>')) {
            self.at += length;
        }
    }

    fn operator(&mut self) -> Option<&'static str> {
        let rest = &self.text[self.at..self.end];
        let operator = OPERATORS.iter().find(|operator| rest.starts_with(operator.as_bytes()))?;
        self.at += operator.len();
        Some(operator)
    }

    /// Whether `<(` or `>(` is next.
    pub(super) fn starts_process(&self) -> bool {
        matches!(self.byte(0), Some(b'<' | b'>')) && self.byte(1) == Some(b'(')
    }

    /// The byte `ahead` of the place where is read.
    pub(super) fn byte(&self, ahead: usize) -> Option<u8> {
        self.text[..self.end].get(self.at.checked_add(ahead)?).copied()
    }

    /// Moves on, at most to the end.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.end);
    }

    /// Runs `read` one level deeper.
    pub(super) fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth == DEEPEST {
            return self.stop(format!("nested deeper than {DEEPEST} levels"));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Stops here.
    pub(super) fn stop<T>(&self, reason: impl Into<String>) -> Read<T> {
        Err(Stop { at: self.at.min(self.end), reason: reason.into() })
    }
}

/// Whether a byte can be part of a variable's name.
pub(super) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
