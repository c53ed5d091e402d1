//! Redirections and here-documents.

use super::Word;
use super::reader::{HereDocument, Kind, Read, Reader};

/// The operators that open a file or take a text; `&`-forms copy a descriptor.
const REDIRECTS: &[&str] =
    &["<", ">", ">>", ">|", "<>", "<&", ">&", "&>", "&>>", "<<", "<<-", "<<<"];

impl Reader<'_> {
    /// Takes a redirection if one is next, and adds it if it opens a file; whether there was one.
    pub(super) fn redirect(&mut self, opened: &mut Vec<Word>) -> Read<bool> {
        let Kind::Operator(operator) = self.peek()?.kind else { return Ok(false) };
        if !REDIRECTS.contains(&operator) {
            return Ok(false);
        }
        self.next()?;
        // Read as a word at once: the 2 of `>&2<f` is no descriptor for what follows.
        self.skip_blanks();
        let due = self.byte(0).is_some_and(|byte| !b"\n;&|<>()".contains(&byte));
        if !due && !self.starts_process() {
            return self.stop(format!("`{operator}` without a target"));
        }
        let word = self.word()?;
        let target = word.word(self.text);
        match operator {
            "<<" | "<<-" => {
                let expands = !word.quoted;
                let delimiter = match word.expansion {
                    Some(_) => self.text[word.at..word.end].to_vec(),
                    None => word.literal,
                };
                let strips_tabs = operator == "<<-";
                self.awaited.push(HereDocument { delimiter, expands, strips_tabs });
            }
            "<<<" | "<&" => {}
            // `>&2` and `>&-` copy or close a descriptor, `>&word` is bash's `&>word`.
            ">&" if word.literal.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-') => {}
            _ => opened.push(target),
        }
        Ok(true)
    }

    /// Reads the bodies of the here-documents that begin here.
    pub(super) fn here_documents(&mut self) -> Read {
        for document in std::mem::take(&mut self.awaited) {
            let (body_end, after) = self.body_of(&document);
            if document.expands {
                self.nested(|reader| reader.expand_body(body_end))?;
            }
            self.at = after;
        }
        Ok(())
    }

    /// Where a body that starts here ends, and where the text goes on. A body whose delimiter is
    /// missing takes all the rest, as shells have it.
    fn body_of(&self, document: &HereDocument) -> (usize, usize) {
        let mut start = self.at;
        while start < self.end {
            let rest = &self.text[start..self.end];
            let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let line = &rest[..length];
            let tabs = line.iter().take_while(|byte| **byte == b'\t').count();
            let line = &line[if document.strips_tabs { tabs } else { 0 }..];
            let next = (start + length + 1).min(self.end);
            if line == document.delimiter {
                return (start, next);
            }
            start = next;
        }
        (self.end, self.end)
    }
}
