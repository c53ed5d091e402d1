//! What a script needs: the interpreter that its first line names, and what its own lines run.

use super::super::shell::{self, Call, Command, Dialect};
use super::budget::Spent;
use super::command::Word;
use super::{Origin, Walk};
use crate::needs::{Access, Hop};
use crate::path::lossy;

/// As much of a first line as Linux reads (`BINPRM_BUF_SIZE`), in bytes, `#!` included.
const FIRST_LINE: usize = 256;
/// As deep as Linux follows interpreters of interpreters.
const DEEPEST: usize = 5;

impl Walk<'_> {
    /// A script that is executed.
    pub(super) fn script(&mut self, need: usize, text: &[u8], origin: &Origin) {
        self.start.needs[need].access = Access::Interpret;
        let pointer = self.start.pointer(need);
        let head = &text[2..text.len().min(FIRST_LINE)];
        let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = trimmed(line);
        let origin = origin.because(Hop::Interpreter(lossy(line)));
        let end = line.iter().position(|byte| is_blank(*byte)).unwrap_or(line.len());
        let (name, argument) = (&line[..end], trimmed(&line[end..]));
        if name.is_empty() {
            return self.gap(pointer, "the first line #! names no interpreter".into(), &origin);
        }
        if self.depth(need) > DEEPEST {
            return self.gap(
                pointer,
                "interpreters of scripts are scripts too many times".into(),
                &origin,
            );
        }
        let Some(interpreter) = self.interpreter(pointer, name, &origin) else { return };
        if self.interprets(need, interpreter) {
            let problem = "the interpreters of scripts lead back to the first".to_owned();
            return self.gap(pointer, problem, &origin);
        }
        self.beside(pointer, interpreter);
        let inner = Origin::from(interpreter, origin.certain);
        self.interpreted(need, pointer, (name, argument), &inner);
    }

    /// The program of a first line; without a slash it is looked for in the working directory.
    fn interpreter(
        &mut self,
        pointer: &'static str,
        name: &[u8],
        origin: &Origin,
    ) -> Option<usize> {
        let path = self.look.in_working_dir(&String::from_utf8_lossy(name))?;
        if let Some(need) = self.need(pointer, &path, Access::Execute, origin) {
            return Some(need);
        }
        let problem = if name.ends_with(b"\r") {
            "the first line #! ends in a carriage return, which the kernel takes for a part of the name".to_owned()
        } else {
            format!("the interpreter {path} is not in the image")
        };
        self.gap(pointer, problem, origin);
        None
    }

    /// What the interpreter runs, with the command line that the kernel makes of a first line, of the
    /// script and of its arguments: `env` another program, a shell the lines of the script.
    fn interpreted(
        &mut self,
        script: usize,
        pointer: &'static str,
        (name, argument): (&[u8], &[u8]),
        origin: &Origin,
    ) {
        let word = |bytes: &[u8]| Word::new(pointer, &String::from_utf8_lossy(bytes));
        let mut words = vec![word(name)];
        words.extend((!argument.is_empty()).then(|| word(argument)));
        words.push(Word::new(pointer, &self.start.needs[script].path.to_string()));
        let given = self.arguments.get(&script).and_then(|words| words.get(1..));
        words.extend(given.unwrap_or_default().iter().cloned());
        self.runs(&words, origin);
    }

    /// Whether a need is another, or came to be executed as the interpreter of what that is.
    fn interprets(&self, need: usize, other: usize) -> bool {
        let script = |need: &usize| {
            let edge = self.start.first(*need);
            edge.from.filter(|_| matches!(edge.why.last(), Some(Hop::Interpreter(_))))
        };
        std::iter::successors(Some(need), script).any(|one| one == other)
    }

    /// How many scripts lie on the way to a need.
    fn depth(&self, need: usize) -> usize {
        let chain = self.start.chain(need);
        chain.iter().filter(|hop| matches!(hop, Hop::Interpreter(_))).count()
    }

    /// What the lines of a shell script run. They are conditional, so nothing of it is certain.
    pub(super) fn lines(
        &mut self,
        pointer: &'static str,
        script: usize,
        text: &[u8],
        dialect: Dialect,
    ) {
        let path = self.start.needs[script].path.clone();
        let found = shell::commands(text, dialect);
        if let Some(unread) = &found.unread {
            let reason = &unread.reason;
            self.unseen(format!(
                "{pointer}: {path} is not followed from line {} on: {reason}",
                unread.line
            ));
        }
        let handed_on = |line| found.goes_on == Some(line);
        for command in &found.list {
            let known = matches!(command.call, Call::Dynamic(_)) && handed_on(command.line);
            if !known && self.spend(Spent::Commands, 1) {
                self.line(pointer, script, command, dialect);
            }
        }
        if found.goes_on.is_some() {
            for (line, program) in found.arguments_set() {
                self.set_arguments(pointer, script, line, program);
            }
        }
        if let Some(number) = found.goes_on {
            let given = self.arguments.get(&script).and_then(|words| words.get(1..));
            let given = given.unwrap_or_default().to_vec();
            let number = number as usize;
            let why = vec![Hop::Line { number, text: "exec \"$@\"".to_owned() }];
            let certain = self.start.needs[script].certain;
            self.exec(&given, &Origin { why, ..Origin::from(script, certain) });
        }
    }

    /// A program that a script puts before its own arguments, with which it goes on.
    fn set_arguments(&mut self, pointer: &'static str, script: usize, line: u32, program: &[u8]) {
        let program = String::from_utf8_lossy(program);
        let hop = Hop::Line {
            number: line as usize,
            text: format!("set -- {}", lossy(program.as_bytes())),
        };
        let origin = Origin { why: vec![hop], cut: true, ..Origin::from(script, false) };
        self.exec(&[Word::new(pointer, &program)], &origin);
    }

    /// What one command of a script runs or reads.
    fn line(&mut self, pointer: &'static str, script: usize, command: &Command, dialect: Dialect) {
        let text = shortened(&command.words);
        let hop = Hop::Line { number: command.line as usize, text };
        let cut = command.run().iter().any(|word| matches!(word, shell::Word::Dynamic(_)));
        let origin = Origin { why: vec![hop], cut, ..Origin::from(script, false) };
        match &command.call {
            Call::External(_) => {
                self.exec(&literal_words(pointer, command.run()), &origin);
            }
            Call::Builtin(name) if matches!(name.as_slice(), b"." | b"source") => {
                let words = literal_words(pointer, command.arguments());
                self.sourced(pointer, &words, dialect, &origin);
            }
            Call::Dynamic(source) => {
                let path = &self.start.needs[script].path;
                self.unseen(format!(
                    "{pointer}: line {} of {path} runs what only running tells: {}",
                    command.line,
                    lossy(source)
                ));
            }
            Call::Nothing | Call::Function(_) | Call::Builtin(_) => {}
        }
    }

    /// A file that a script reads as more of its own text.
    fn sourced(
        &mut self,
        pointer: &'static str,
        words: &[Word],
        dialect: Dialect,
        origin: &Origin,
    ) {
        let Some(word) = words.first() else { return };
        let path = if word.text.contains('/') {
            self.look.in_working_dir(&word.text)
        } else {
            self.look.in_path(&word.text)
        };
        let Some(path) = path else { return };
        let Some(need) = self.need(pointer, &path, Access::Read, origin) else {
            return self.gap(pointer, format!("{path} is not in the image"), origin);
        };
        self.read(pointer, need, dialect);
    }
}

/// Blanks in a first line are spaces and tabs; a carriage return is a part of a word.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trimmed(text: &[u8]) -> &[u8] {
    let Some(start) = text.iter().position(|byte| !is_blank(*byte)) else { return b"" };
    let end = text.iter().rposition(|byte| !is_blank(*byte)).map_or(start, |last| last + 1);
    &text[start..end]
}

/// The words up to the first that only running tells.
pub(super) fn literal_words(pointer: &'static str, words: &[shell::Word]) -> Vec<Word> {
    let literal = |word: &shell::Word| match word {
        shell::Word::Literal(bytes) => Some(Word::new(pointer, std::str::from_utf8(bytes).ok()?)),
        shell::Word::Dynamic(_) => None,
    };
    words.iter().map_while(literal).collect()
}

/// A command as a message shows it.
fn shortened(words: &[shell::Word]) -> String {
    const MOST: usize = 60;
    let mut text = String::new();
    for word in words {
        let (shell::Word::Literal(bytes) | shell::Word::Dynamic(bytes)) = word;
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&lossy(bytes));
        if text.chars().count() > MOST {
            return text.chars().take(MOST).chain(['…']).collect();
        }
    }
    text
}
