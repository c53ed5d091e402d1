//! Lists, compound commands and simple commands (XCU 2.9 and 2.10, and bash's additions).

use super::Stop;
use super::reader::{Kind, Read, Reader};
use super::word::Lexeme;

impl Reader<'_> {
    /// Reads all of the text.
    pub(super) fn script(&mut self) -> Read {
        self.list()?;
        let token = self.next()?;
        match token.kind {
            Kind::End => Ok(()),
            kind => Err(unexpected(token.at, &kind, "a command")),
        }
    }

    /// Commands up to what can end a list.
    pub(super) fn list(&mut self) -> Read {
        loop {
            match &self.peek()?.kind {
                Kind::End | Kind::Operator(")" | ";;" | ";&" | ";;&") => return Ok(()),
                Kind::Word(word) if ends_list(word) => return Ok(()),
                Kind::Newline => {
                    self.next()?;
                    continue;
                }
                _ => {}
            }
            self.and_or()?;
            match self.peek()?.kind {
                Kind::Operator(";" | "&") | Kind::Newline => self.next()?,
                _ => return Ok(()),
            };
        }
    }

    /// Pipelines joined by `&&` and `||`.
    fn and_or(&mut self) -> Read {
        loop {
            self.pipeline()?;
            if !self.takes("&&")? && !self.takes("||")? {
                return Ok(());
            }
            self.skip_newlines()?;
        }
    }

    fn pipeline(&mut self) -> Read {
        loop {
            self.skip_negations()?;
            self.command()?;
            if !self.takes("|")? && !self.takes("|&")? {
                return Ok(());
            }
            self.skip_newlines()?;
        }
    }

    /// Skips `!` and `time -p`, which change how a pipeline counts.
    fn skip_negations(&mut self) -> Read {
        loop {
            let timed = match &self.peek()?.kind {
                Kind::Word(word) if word.is(b"time") => true,
                Kind::Word(word) if word.is(b"!") => false,
                _ => return Ok(()),
            };
            self.next()?;
            if timed && self.is_next(b"-p")? {
                self.next()?;
            }
        }
    }

    pub(super) fn command(&mut self) -> Read {
        let token = self.next()?;
        match &token.kind {
            Kind::Word(word) if word.plain().is_some_and(is_compound) => {
                let keyword = word.literal.clone();
                self.nested(|reader| reader.compound(&keyword))?;
            }
            Kind::Operator("(") if self.opens_arithmetic(token.at) => {
                self.rewind(token.at + 2);
                self.arithmetic()?;
            }
            Kind::Operator("(") => {
                self.nested(Self::list)?;
                self.expect_operator(")")?;
            }
            Kind::Word(_) => return self.simple(token),
            Kind::Operator(operator) if operator.contains(['<', '>']) => return self.simple(token),
            kind => return Err(unexpected(token.at, kind, "a command")),
        }
        self.compound_redirects()
    }

    fn opens_arithmetic(&self, open: usize) -> bool {
        self.text[..self.end].get(open + 1) == Some(&b'(') && self.is_arithmetic(open + 1)
    }

    /// Reads a compound command whose first word was taken.
    fn compound(&mut self, keyword: &[u8]) -> Read {
        match keyword {
            b"{" => {
                self.list()?;
                self.expect(b"}")
            }
            b"if" => self.condition(),
            b"while" | b"until" => {
                self.list()?;
                self.body()
            }
            b"for" | b"select" => self.loop_over(),
            b"case" => self.case(),
            b"[[" => self.test(),
            b"coproc" => self.command(),
            _ => self.function(),
        }
    }

    fn condition(&mut self) -> Read {
        loop {
            self.list()?;
            self.expect(b"then")?;
            self.list()?;
            let token = self.next()?;
            match &token.kind {
                Kind::Word(word) if word.is(b"elif") => {}
                Kind::Word(word) if word.is(b"fi") => return Ok(()),
                Kind::Word(word) if word.is(b"else") => {
                    self.list()?;
                    return self.expect(b"fi");
                }
                kind => return Err(unexpected(token.at, kind, "`fi`")),
            }
        }
    }

    /// `do ... done`, or bash's `{ ... }`.
    fn body(&mut self) -> Read {
        let end: &[u8] = if self.is_next(b"{")? {
            self.next()?;
            b"}"
        } else {
            self.expect(b"do")?;
            b"done"
        };
        self.list()?;
        self.expect(end)
    }

    fn loop_over(&mut self) -> Read {
        let token = self.next()?;
        match token.kind {
            Kind::Operator("(") if self.opens_arithmetic(token.at) => {
                self.rewind(token.at + 2);
                self.arithmetic()?;
            }
            Kind::Word(_) => {
                self.skip_newlines()?;
                if self.is_next(b"in")? {
                    while matches!(self.next()?.kind, Kind::Word(_)) {}
                }
            }
            kind => return Err(unexpected(token.at, &kind, "a name")),
        }
        self.takes(";")?;
        self.skip_newlines()?;
        self.body()
    }

    fn case(&mut self) -> Read {
        self.any_word()?;
        self.skip_newlines()?;
        self.expect(b"in")?;
        loop {
            self.skip_newlines()?;
            if self.is_next(b"esac")? {
                break;
            }
            self.takes("(")?;
            self.any_word()?;
            while self.takes("|")? {
                self.any_word()?;
            }
            self.expect_operator(")")?;
            self.list()?;
            if !self.takes(";;")? && !self.takes(";&")? && !self.takes(";;&")? {
                break;
            }
        }
        self.expect(b"esac")
    }

    /// bash's `[[ ... ]]`, up to its end.
    fn test(&mut self) -> Read {
        loop {
            let token = self.next()?;
            match &token.kind {
                Kind::Word(word) if word.is(b"]]") => return Ok(()),
                Kind::Word(word) if word.is(b"=~") => self.regular_expression()?,
                Kind::End => return Err(unexpected(token.at, &token.kind, "`]]`")),
                _ => {}
            }
        }
    }

    /// bash's `function NAME`.
    fn function(&mut self) -> Read {
        let name = self.any_word()?;
        if self.takes("(")? {
            self.expect_operator(")")?;
        }
        self.define(name)
    }

    pub(super) fn skip_newlines(&mut self) -> Read {
        while matches!(self.peek()?.kind, Kind::Newline) {
            self.next()?;
        }
        Ok(())
    }

    fn is_next(&mut self, word: &[u8]) -> Read<bool> {
        Ok(matches!(&self.peek()?.kind, Kind::Word(next) if next.is(word)))
    }

    fn any_word(&mut self) -> Read<Lexeme> {
        let token = self.next()?;
        match token.kind {
            Kind::Word(word) => Ok(word),
            kind => Err(unexpected(token.at, &kind, "a word")),
        }
    }

    fn expect(&mut self, word: &[u8]) -> Read {
        let token = self.next()?;
        match &token.kind {
            Kind::Word(next) if next.is(word) => Ok(()),
            kind => Err(unexpected(token.at, kind, &format!("`{}`", word.escape_ascii()))),
        }
    }

    pub(super) fn expect_operator(&mut self, operator: &str) -> Read {
        let token = self.next()?;
        match &token.kind {
            Kind::Operator(next) if *next == operator => Ok(()),
            kind => Err(unexpected(token.at, kind, &format!("`{operator}`"))),
        }
    }
}

fn is_compound(word: &[u8]) -> bool {
    matches!(
        word,
        b"{" | b"if"
            | b"while"
            | b"until"
            | b"for"
            | b"select"
            | b"case"
            | b"[["
            | b"coproc"
            | b"function"
    )
}

fn ends_list(word: &Lexeme) -> bool {
    word.plain().is_some_and(|word| {
        matches!(word, b"then" | b"do" | b"done" | b"fi" | b"elif" | b"else" | b"esac" | b"}")
    })
}

fn unexpected(at: usize, kind: &Kind, due: &str) -> Stop {
    let found = match kind {
        Kind::Word(word) => {
            let shown = &word.literal[..word.literal.len().min(40)];
            format!("`{}`", crate::path::lossy(shown))
        }
        Kind::Operator(operator) => format!("`{operator}`"),
        Kind::Newline => "the end of the line".to_owned(),
        Kind::End => "the end of the text".to_owned(),
    };
    Stop { at, reason: format!("{found} where {due} is due") }
}
