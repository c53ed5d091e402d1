//! Words: quotes, and what keeps a word from being the same in every run.

use super::command::{MOST_SOURCE, Word};
use super::reader::{Read, Reader, is_name_byte};

/// A word as it was read.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Lexeme {
    pub(in super::super) at: usize,
    pub(in super::super) end: usize,
    /// The word after quote removal; meaningless where there is an `expansion`.
    pub(in super::super) literal: Vec<u8>,
    /// Whether any part is quoted.
    pub(in super::super) quoted: bool,
    /// The first part that only running tells, and where.
    pub(in super::super) expansion: Option<(usize, Expansion)>,
    /// The first part that the shell compares with file names or multiplies, and where. It has no
    /// meaning in an assignment before a command.
    pub(in super::super) pattern: Option<(usize, Expansion)>,
    /// The length in `literal` of an unquoted `NAME=`, `NAME+=` or `NAME[...]=` at the start, and
    /// where in the text its value begins.
    pub(in super::super) assigns: Option<(usize, usize)>,
}

/// Parts of words that a shell replaces when it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Expansion {
    /// `$NAME` or `${...}`.
    Parameter,
    /// `$(...)` or backquotes.
    Command,
    /// `$((...))`.
    Arithmetic,
    /// `<(...)`.
    Process,
    /// bash's `$'...'` and `$"..."`.
    Quote,
    /// bash's `NAME=(...)`.
    Array,
    /// `~` where it means a home directory.
    Tilde,
    /// `*`, `?`, `[...]`, and bash's `@(...)`.
    Pattern,
    /// bash's `{a,b}`.
    Brace,
}

impl Lexeme {
    fn at(at: usize) -> Self {
        Self { at, end: at, ..Self::default() }
    }

    /// Whether the word is this one, without quotes: only so is it part of the grammar.
    pub(in super::super) fn is(&self, name: &[u8]) -> bool {
        self.plain() == Some(name)
    }

    /// The word if it has no quotes and nothing to expand.
    pub(in super::super) fn plain(&self) -> Option<&[u8]> {
        let plain = !self.quoted && self.expansion.is_none();
        plain.then_some(self.literal.as_slice())
    }

    pub(super) fn expands(&mut self, at: usize, what: Expansion) {
        self.expansion.get_or_insert((at, what));
    }

    /// The word as a value; `text` is what it was read from.
    pub(super) fn word(&self, text: &[u8]) -> Word {
        if self.expansion.is_none() && self.pattern.is_none() {
            return Word::Literal(self.literal.clone());
        }
        let source = &text[self.at..self.end];
        Word::Dynamic(source[..source.len().min(MOST_SOURCE)].to_vec())
    }

    /// The value of the assignment that this word is.
    pub(super) fn value(&self, text: &[u8], (length, start): (usize, usize)) -> Word {
        if self.expansion.is_none() {
            return Word::Literal(self.literal[length..].to_vec());
        }
        let source = &text[start..self.end];
        Word::Dynamic(source[..source.len().min(MOST_SOURCE)].to_vec())
    }
}

impl Reader<'_> {
    /// Reads a word; the next byte belongs to it.
    pub(super) fn word(&mut self) -> Read<Lexeme> {
        let mut word = Lexeme::at(self.at);
        while let Some(byte) = self.byte(0) {
            let at = self.at;
            match byte {
                b'<' | b'>' if self.starts_process() => {
                    word.expands(at, Expansion::Process);
                    self.at += 2;
                    self.nested(Self::substitution)?;
                }
                b'(' if self.opens_array(&word) => {
                    word.expands(at, Expansion::Array);
                    self.nested(Self::array)?;
                }
                b'(' if self.opens_group(&word) => {
                    word.pattern.get_or_insert((at, Expansion::Pattern));
                    self.nested(Self::group)?;
                }
                b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' => break,
                _ => self.part(&mut word)?,
            }
        }
        word.end = self.at;
        if word.end == word.at {
            return self.stop("no word where one is due");
        }
        Ok(word)
    }

    /// One quote, expansion or plain byte of a word.
    pub(super) fn part(&mut self, word: &mut Lexeme) -> Read {
        match self.byte(0) {
            Some(b'\\') => self.escape(word),
            Some(b'\'') => {
                word.quoted = true;
                self.single_quoted(word)
            }
            Some(b'"') => {
                word.quoted = true;
                self.at += 1;
                self.nested(|reader| reader.double_quoted(word))
            }
            Some(b'`') => {
                word.expands(self.at, Expansion::Command);
                self.backquoted(false)
            }
            Some(b'$') => self.dollar(word, false),
            Some(byte) => {
                self.plain_byte(word, byte);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn escape(&mut self, word: &mut Lexeme) -> Read {
        match self.byte(1) {
            Some(b'\n') => {}
            Some(byte) => {
                word.quoted = true;
                word.literal.push(byte);
            }
            None => return self.stop("a backslash with nothing after it"),
        }
        self.skip(2);
        Ok(())
    }

    fn plain_byte(&mut self, word: &mut Lexeme, byte: u8) {
        let rest = &self.text[self.at..self.end];
        match byte {
            b'*' | b'?' => {
                word.pattern.get_or_insert((self.at, Expansion::Pattern));
            }
            b'[' if closes(rest, b']') => {
                word.pattern.get_or_insert((self.at, Expansion::Pattern));
            }
            b'{' if rest.get(1) != Some(&b'}') && closes(rest, b'}') => {
                word.pattern.get_or_insert((self.at, Expansion::Brace));
            }
            b'~' if word.at == self.at => word.expands(self.at, Expansion::Tilde),
            b'~' if matches!(word.literal.last(), Some(b'=' | b':')) => {
                word.expands(self.at, Expansion::Tilde);
            }
            b'=' if word.assigns.is_none() && !word.quoted && is_target(&word.literal) => {
                word.assigns = Some((word.literal.len() + 1, self.at + 1));
            }
            _ => {}
        }
        word.literal.push(byte);
        self.at += 1;
    }

    /// Reads up to the closing quote of `"..."`, and it.
    fn double_quoted(&mut self, word: &mut Lexeme) -> Read {
        loop {
            match self.byte(0) {
                None => return self.stop("a double quote is not closed"),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    match self.byte(1) {
                        Some(b'\n') => {}
                        Some(byte @ (b'$' | b'`' | b'"' | b'\\')) => word.literal.push(byte),
                        Some(byte) => word.literal.extend_from_slice(&[b'\\', byte]),
                        None => return self.stop("a double quote is not closed"),
                    }
                    self.at += 2;
                }
                Some(b'`') => {
                    word.expands(self.at, Expansion::Command);
                    self.backquoted(true)?;
                }
                Some(b'$') => self.dollar(word, true)?,
                Some(byte) => {
                    word.literal.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    fn single_quoted(&mut self, word: &mut Lexeme) -> Read {
        let start = self.at + 1;
        let Some(length) = memchr::memchr(b'\'', &self.text[start..self.end]) else {
            return self.stop("a single quote is not closed");
        };
        word.literal.extend_from_slice(&self.text[start..start + length]);
        self.at = start + length + 1;
        Ok(())
    }

    fn opens_array(&self, word: &Lexeme) -> bool {
        word.assigns.is_some_and(|(_, value)| value == self.at)
    }

    /// Whether the parenthesis belongs to one of bash's patterns, `@(a|b)`.
    fn opens_group(&self, word: &Lexeme) -> bool {
        self.at > word.at && b"?*+@!".contains(&self.text[self.at - 1])
    }

    /// The elements of `NAME=(...)`.
    fn array(&mut self) -> Read {
        self.at += 1;
        loop {
            self.skip_blanks();
            match self.byte(0) {
                None => return self.stop("an array is not closed"),
                Some(b')') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\n') => self.at += 1,
                Some(_) => {
                    self.word()?;
                }
            }
        }
    }

    /// The rest of a pattern in parentheses.
    fn group(&mut self) -> Read {
        self.at += 1;
        let mut inner = Lexeme::at(self.at);
        loop {
            match self.byte(0) {
                None => return self.stop("a pattern is not closed"),
                Some(b')') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'(') => self.nested(Self::group)?,
                Some(_) => self.part(&mut inner)?,
            }
        }
    }

    /// The text after `=~`: parentheses and bars belong to it.
    pub(super) fn regular_expression(&mut self) -> Read {
        self.skip_blanks();
        let mut inner = Lexeme::at(self.at);
        loop {
            match self.byte(0) {
                None | Some(b' ' | b'\t' | b'\n') => return Ok(()),
                Some(b'(') => self.nested(Self::group)?,
                Some(_) => self.part(&mut inner)?,
            }
        }
    }
}

/// Whether bytes can stand before the `=` of an assignment: a name, with a subscript or `+`.
fn is_target(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_suffix(b"+").unwrap_or(bytes);
    let name = bytes.iter().take_while(|byte| is_name_byte(**byte)).count();
    let subscript = &bytes[name..];
    name > 0
        && !bytes[0].is_ascii_digit()
        && (subscript.is_empty() || subscript.starts_with(b"[") && subscript.ends_with(b"]"))
}

/// Whether a word that goes on with `rest` could close the bracket it opens.
///
/// Looks at the rest of the line, at most [`MOST_SOURCE`] bytes of it; a longer one counts as closed.
fn closes(rest: &[u8], close: u8) -> bool {
    let near = &rest[..rest.len().min(MOST_SOURCE)];
    near.iter()
        .take_while(|byte| !b" \t\n;&|".contains(byte))
        .position(|byte| *byte == close)
        .is_some()
        || rest.len() > near.len() && !near.iter().any(|byte| b" \t\n;&|".contains(byte))
}
