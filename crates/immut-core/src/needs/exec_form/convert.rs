//! Takes a command apart until only a program and its arguments are left.

use super::super::shell::{Expansion, Kind, Lexeme, MOST_TEXT, Reader};
use super::{Environment, ExecForm, Obstacle, Purpose, Rule, Suggestion, refusal, variables};
use crate::path::RootPath;

pub(super) struct Converter<'t> {
    text: &'t str,
    reader: Reader<'t>,
    purpose: Purpose,
    look: &'t dyn Environment,
    pub(super) form: ExecForm,
    /// Where the program's name stands.
    named_at: usize,
}

impl<'t> Converter<'t> {
    pub(super) fn new(text: &'t str, purpose: Purpose, look: &'t dyn Environment) -> Self {
        Self {
            text,
            reader: Reader::new(text.as_bytes()),
            purpose,
            look,
            named_at: 0,
            form: ExecForm {
                argv: Vec::new(),
                env: Vec::new(),
                workdir: None,
                rules: Vec::new(),
                notes: vec![OWN_VARIABLES],
            },
        }
    }

    /// The line of an offset, counted from 1.
    pub(super) fn line(&self, at: usize) -> u32 {
        self.reader.line(at)
    }

    pub(super) fn convert(&mut self) -> Result<(), Obstacle> {
        if self.text.len() > MOST_TEXT || self.text.contains('\0') {
            return Err(Obstacle::new(0, "the command is too long, or holds a NUL byte"));
        }
        variables::shell_reads(self.look.variables())?;
        if self.purpose == Purpose::Start {
            self.form.notes.push(FIRST_PROCESS);
        }
        self.newlines()?;
        self.simple()?;
        while self.directory()? {
            self.simple()?;
        }
        self.program()?;
        self.any_failure()?;
        self.newlines()?;
        let token = self.reader.next()?;
        match token.kind {
            Kind::End => Ok(()),
            Kind::Operator(operator) => Err(self.joined(token.at, operator)),
            _ => Err(Obstacle::new(
                token.at,
                "a second command follows, and only a shell runs one after the other",
            )),
        }
    }

    /// Reads a simple command into the form: assignments, `exec`, words.
    fn simple(&mut self) -> Result<(), Obstacle> {
        loop {
            let token = self.reader.next()?;
            match token.kind {
                Kind::Word(word) => self.word(&word)?,
                Kind::Operator(operator) if operator.contains(['<', '>']) => {
                    return Err(refusal::redirection(token.at, operator));
                }
                _ => {
                    self.reader.give_back(token);
                    return Ok(());
                }
            }
        }
    }

    fn word(&mut self, word: &Lexeme) -> Result<(), Obstacle> {
        let execs = self.form.rules.last() == Some(&Rule::Exec);
        if self.form.argv.is_empty() && !execs && word.assigns.is_some() {
            return self.assignment(word);
        }
        let text = self.literal(word, word.pattern.as_ref())?;
        if !self.form.argv.is_empty() {
            self.form.argv.push(text);
            return Ok(());
        }
        refusal::name(word, &text, execs)?;
        self.named_at = word.at;
        if text != "exec" || execs {
            self.form.argv.push(text);
        } else if self.form.env.is_empty() {
            self.form.rules.push(Rule::Exec);
        } else {
            return Err(Obstacle::new(word.at, "variables before `exec` differ between shells"));
        }
        Ok(())
    }

    /// Takes `NAME=value` as a variable of the image.
    fn assignment(&mut self, word: &Lexeme) -> Result<(), Obstacle> {
        let text = self.literal(word, None)?;
        let (name, value) = text.split_once('=').unwrap_or_default();
        variables::can_be_set(word.at, name)?;
        if self.purpose == Purpose::HealthCheck {
            let reason =
                format!("`{name}` would be set for the application too, not for the check alone");
            return Err(Obstacle::new(word.at, reason));
        }
        self.form.env.retain(|(other, _)| other != name);
        self.form.env.push((name.to_owned(), value.to_owned()));
        if !self.form.rules.contains(&Rule::Variable) {
            self.form.rules.push(Rule::Variable);
            self.form.notes.push(EVERY_PROCESS);
        }
        Ok(())
    }

    /// Takes `cd /directory &&` as the working directory; whether there was one.
    fn directory(&mut self) -> Result<bool, Obstacle> {
        let [name, path] = self.form.argv.as_slice() else { return Ok(false) };
        let token = self.reader.next()?;
        let joins = matches!(token.kind, Kind::Operator("&&"));
        let at = token.at;
        if name != "cd"
            || !joins
            || !self.form.rules.iter().all(|rule| *rule == Rule::ChangeDirectory)
        {
            self.reader.give_back(token);
            return Ok(false);
        }
        if self.purpose == Purpose::HealthCheck {
            return Err(Obstacle::new(
                at,
                "a health check starts where the application does, and only a shell moves it",
            ));
        }
        let place = path.strip_prefix('/').and_then(|_| path.parse::<RootPath>().ok());
        let Some(place) = place.filter(|place| self.look.is_dir(place)) else {
            let shown = refusal::shown(path.as_bytes());
            return Err(Obstacle::new(
                at,
                format!("`{shown}` is no directory of the image, written from `/`"),
            ));
        };
        self.form.workdir = Some(place);
        self.form.argv.clear();
        if self.form.rules.is_empty() {
            self.form.rules.push(Rule::ChangeDirectory);
        }
        self.newlines()?;
        Ok(true)
    }

    /// Checks that the form names a program.
    fn program(&mut self) -> Result<(), Obstacle> {
        let Some(name) = self.form.argv.first() else {
            let token = self.reader.next()?;
            return Err(match token.kind {
                Kind::Operator(operator) => refusal::operator(token.at, operator),
                _ => Obstacle::new(token.at, "no program is named"),
            });
        };
        if name == "cd" && self.form.rules.last() != Some(&Rule::Exec) {
            return Err(refusal::builtin(self.named_at, name));
        }
        Ok(())
    }

    /// Drops `|| exit 1` of a health check.
    fn any_failure(&mut self) -> Result<(), Obstacle> {
        let token = self.reader.next()?;
        if self.purpose != Purpose::HealthCheck || !matches!(token.kind, Kind::Operator("||")) {
            self.reader.give_back(token);
            return Ok(());
        }
        self.newlines()?;
        let form = std::mem::take(&mut self.form.argv);
        let mut words = Vec::new();
        while let Kind::Word(word) = &self.reader.peek()?.kind {
            words.push(word.plain().unwrap_or_default().to_vec());
            self.reader.next()?;
        }
        if !is_failure(&words) {
            return Err(Obstacle::new(
                token.at,
                "`||` runs another command when the first fails, which only a shell does",
            ));
        }
        self.form.argv = form;
        self.form.rules.push(Rule::AnyFailure);
        Ok(())
    }

    fn newlines(&mut self) -> Result<(), Obstacle> {
        while matches!(self.reader.peek()?.kind, Kind::Newline) {
            self.reader.next()?;
        }
        Ok(())
    }

    /// What an operator after the program does; for a check piped into `grep`, the check alone.
    fn joined(&mut self, at: usize, operator: &'static str) -> Obstacle {
        let mut obstacle = refusal::operator(at, operator);
        let pipes = operator == "|" && self.purpose == Purpose::HealthCheck;
        let next = pipes.then(|| self.reader.peek().ok()).flatten();
        if let Some(Kind::Word(word)) = next.map(|token| &token.kind)
            && word.literal.ends_with(b"grep")
        {
            obstacle.suggestion = Some(Suggestion::Instead(std::mem::take(&mut self.form.argv)));
        }
        obstacle
    }

    /// The word if it is the same in every run.
    fn literal(
        &self,
        word: &Lexeme,
        pattern: Option<&(usize, Expansion)>,
    ) -> Result<String, Obstacle> {
        if let Some((at, what)) = word.expansion.as_ref().or(pattern) {
            return Err(refusal::expansion(self.text, word, *at, what));
        }
        String::from_utf8(word.literal.clone())
            .map_err(|_| Obstacle::new(word.at, "the word is no text"))
    }
}

/// Whether words always fail: `false`, or `exit` with a status that is not 0.
fn is_failure(words: &[Vec<u8>]) -> bool {
    let status = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u8>().ok();
    match words {
        [only] => only == b"false",
        [exit, text] => exit == b"exit" && status(text).is_some_and(|status| status != 0),
        _ => false,
    }
}

const OWN_VARIABLES: &str = "what the shell put into the environment itself (PWD, in bash SHLVL and _ too) is no longer there, and variables whose names it could not take (`a.b`) now are";
pub(super) const FIRST_PROCESS: &str =
    "the program is the container's first process: signals reach it, and orphans are its children";
pub(super) const EVERY_PROCESS: &str =
    "the variable is set for every process of the container, those of `exec` too";
