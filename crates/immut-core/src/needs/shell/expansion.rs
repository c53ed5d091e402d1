//! What stands behind `$` and between backquotes.

use super::reader::{Read, Reader, is_name_byte};
use super::word::{Expansion, Lexeme};

impl Reader<'_> {
    /// Reads from a `$` on.
    pub(super) fn dollar(&mut self, word: &mut Lexeme, quoted: bool) -> Read {
        let at = self.at;
        match self.byte(1) {
            Some(b'(') => {
                let arithmetic = self.byte(2) == Some(b'(') && self.is_arithmetic(at + 2);
                if arithmetic {
                    word.expands(at, Expansion::Arithmetic);
                    self.at += 3;
                    return self.nested(Self::arithmetic);
                }
                word.expands(at, Expansion::Command);
                self.at += 2;
                self.nested(Self::substitution)
            }
            Some(b'{') => {
                word.expands(at, Expansion::Parameter);
                self.at += 2;
                self.nested(|reader| reader.parameter(quoted))
            }
            Some(b'\'') if !quoted => {
                word.expands(at, Expansion::Quote);
                self.at += 2;
                self.escaped_quote()
            }
            Some(b'"') if !quoted => {
                word.expands(at, Expansion::Quote);
                self.at += 1;
                self.part(word)
            }
            Some(byte) if is_name_byte(byte) || b"@*#?-$!".contains(&byte) => {
                word.expands(at, Expansion::Parameter);
                self.at += 2;
                let named = !byte.is_ascii_digit() && is_name_byte(byte);
                while named && self.byte(0).is_some_and(is_name_byte) {
                    self.at += 1;
                }
                Ok(())
            }
            // What comes after a continued line could still make it an expansion.
            Some(b'\\' | b'[' | b'`') => {
                word.expands(at, Expansion::Parameter);
                self.at += 1;
                Ok(())
            }
            _ => {
                word.literal.push(b'$');
                self.at += 1;
                Ok(())
            }
        }
    }

    /// Reads `$'...'` up to its end: a backslash hides the quote there.
    fn escaped_quote(&mut self) -> Read {
        loop {
            match self.byte(0) {
                None => return self.stop("a quote is not closed"),
                Some(b'\\') => self.skip(2),
                Some(b'\'') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(_) => self.at += 1,
            }
        }
    }

    /// Reads the commands of `$(...)` and its end. Here-documents outside wait until then.
    pub(super) fn substitution(&mut self) -> Read {
        let outside = std::mem::take(&mut self.awaited);
        self.list()?;
        if !self.takes(")")? {
            return self.stop("a substitution is not closed");
        }
        self.awaited = outside;
        Ok(())
    }

    /// Reads `${...}` up to its end.
    ///
    /// In double quotes a single quote quotes only in patterns (XCU 2.6.2 and 2.2.3).
    fn parameter(&mut self, quoted: bool) -> Read {
        let start = self.at;
        while self.byte(0).is_some_and(|byte| is_name_byte(byte) || b"!@*".contains(&byte)) {
            self.at += 1;
        }
        let takes_pattern = self.at > start && matches!(self.byte(0), Some(b'#' | b'%' | b'/'));
        let mut inner = Lexeme::default();
        loop {
            match self.byte(0) {
                None => return self.stop("a ${ is not closed"),
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\'') if quoted && !takes_pattern => self.at += 1,
                Some(b'$') => self.dollar(&mut inner, quoted)?,
                Some(b'`') => self.backquoted(quoted)?,
                Some(_) => self.part(&mut inner)?,
            }
        }
    }

    /// Whether the parenthesis at `open` closes right before another: `((...))`. A look at the
    /// bytes only; in a script that people wrote, the two readings do not both make sense.
    pub(super) fn is_arithmetic(&self, open: usize) -> bool {
        let mut depth = 0_usize;
        let mut at = open;
        while at < self.end.min(open + MOST_ARITHMETIC) {
            match self.text[at] {
                b'\\' => at += 1,
                b'(' => depth += 1,
                b')' if depth == 1 => return self.text[..self.end].get(at + 1) == Some(&b')'),
                b')' => depth -= 1,
                _ => {}
            }
            at += 1;
        }
        false
    }

    /// Reads arithmetic up to its `))`, and the substitutions in it.
    pub(super) fn arithmetic(&mut self) -> Read {
        let mut depth = 0_usize;
        let mut inner = Lexeme::default();
        loop {
            match self.byte(0) {
                None => return self.stop("arithmetic is not closed"),
                Some(b')') if depth == 0 && self.byte(1) == Some(b')') => {
                    self.at += 2;
                    return Ok(());
                }
                Some(b'(') => {
                    depth += 1;
                    self.at += 1;
                }
                Some(b')') => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                // Quotes are rare in arithmetic, and bases (`16#ff`) are no comments.
                Some(b'$') => self.dollar(&mut inner, true)?,
                Some(b'`') => self.backquoted(true)?,
                Some(_) => self.at += 1,
            }
        }
    }

    /// Reads between backquotes, which hide one level of backslashes (XCU 2.6.3).
    pub(super) fn backquoted(&mut self, quoted: bool) -> Read {
        let open = self.at;
        self.at += 1;
        let start = self.at;
        let mut text = Vec::new();
        loop {
            match (self.byte(0), self.byte(1)) {
                (None, _) => {
                    self.at = open;
                    return self.stop("a backquote is not closed");
                }
                (Some(b'`'), _) => break,
                (Some(b'\\'), Some(byte)) => {
                    let hides = b"$`\\".contains(&byte) || quoted && byte == b'"';
                    text.extend_from_slice(if hides { &[] } else { b"\\" });
                    text.push(byte);
                    self.at += 2;
                }
                (Some(byte), _) => {
                    text.push(byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        self.nested(|reader| reader.aside(&text, open, start))
    }

    /// Reads commands in a text that was made from this one at `start`; they take the place `open`.
    pub(super) fn aside(&mut self, text: &[u8], open: usize, start: usize) -> Read {
        let mut inner = Reader::new(text);
        inner.depth = self.depth;
        inner.first_line = self.line(start);
        let result = inner.script();
        inner.found.sort_by_key(|(at, _)| *at);
        self.found.extend(inner.found.into_iter().map(|(_, command)| (open, command)));
        self.functions.append(&mut inner.functions);
        self.check_count()?;
        result.map_err(|stop| super::Stop { at: open, ..stop })
    }

    /// Reads the expansions in a here-document's body, which ends at `end`.
    pub(super) fn expand_body(&mut self, end: usize) -> Read {
        let outer = std::mem::replace(&mut self.end, end);
        let mut inner = Lexeme::default();
        let result = loop {
            let read = match self.byte(0) {
                None => break Ok(()),
                Some(b'\\') => {
                    self.skip(2);
                    Ok(())
                }
                Some(b'$') => self.dollar(&mut inner, true),
                Some(b'`') => self.backquoted(true),
                Some(_) => {
                    self.at += 1;
                    Ok(())
                }
            };
            if read.is_err() {
                break read;
            }
        };
        self.end = outer;
        result
    }
}

/// How far the end of `((` is sought: longer arithmetic is read as commands, and a hostile script
/// cannot make each of its parentheses look through all of it.
const MOST_ARITHMETIC: usize = 4096;
