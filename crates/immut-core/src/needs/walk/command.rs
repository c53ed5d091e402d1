//! What a command line runs.

use std::sync::LazyLock;

use super::super::exec_form::invocation;
use super::super::shell::{self, Call, Dialect};
use super::super::wrappers::{Lookup, MOST_WRAPPERS, Unwrapped, Wrappers};
use super::application::pieces;
use super::budget::Spent;
use super::script::literal_words;
use super::{Origin, Walk};
use crate::inventory::Kind;
use crate::needs::facts::Facts;
use crate::needs::{Access, Hop, Switch};
use crate::path::RootPath;

static WRAPPERS: LazyLock<Wrappers> = LazyLock::new(Wrappers::builtin);

/// A word of a command line, and where it comes from.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub(super) pointer: &'static str,
    pub(super) text: String,
}

impl Word {
    pub(super) fn new(pointer: &'static str, text: &str) -> Self {
        Self { pointer, text: text.to_owned() }
    }
}

/// A command inside a wrapper's words.
pub(super) struct Inner {
    words: Vec<Word>,
    lookup: Lookup,
    changes_user: bool,
    changes_lookup: bool,
}

/// The words as text alone.
pub(super) fn texts(words: &[Word]) -> Vec<String> {
    words.iter().map(|word| word.text.clone()).collect()
}

/// The shell that a program is by its name.
pub(super) fn dialect(program: &str) -> Option<Dialect> {
    Dialect::named(program.rsplit('/').next().unwrap_or(program).as_bytes())
}

impl Walk<'_> {
    /// Runs a command line: its first word, and what that runs of the others.
    pub(super) fn exec(&mut self, words: &[Word], origin: &Origin) {
        let Some(first) = words.first() else { return };
        let origin = origin.because(Hop::Word(first.text.clone()));
        let Some(path) = self.look.executable(&first.text) else {
            return self.not_found(first, &origin);
        };
        let Some(program) = self.need(first.pointer, &path, Access::Execute, &origin) else {
            return;
        };
        self.arguments.entry(program).or_insert_with(|| words.to_vec());
        self.beside(first.pointer, program);
        let (cut, wrappers) = (origin.cut, origin.wrappers);
        let inner = Origin { cut, wrappers, ..Origin::from(program, origin.certain) };
        self.runs(words, &inner);
    }

    /// What a program runs of its arguments; its need is where `origin` begins.
    pub(super) fn runs(&mut self, words: &[Word], origin: &Origin) {
        let Some(first) = words.first() else { return };
        if let Some(dialect) = dialect(&first.text) {
            return self.shell(words, dialect, origin);
        }
        let unwrapped = self.unwrap(words);
        match unwrapped {
            Some(Ok(inner)) => self.wrapped(first, &inner, origin),
            Some(Err(reason)) => {
                if !origin.cut {
                    self.unseen(format!("{}: {reason}", first.pointer));
                }
                let switches = WRAPPERS.of_program(&first.text).is_some_and(|one| one.switches);
                if switches && words.len() > 1 {
                    self.switch(first.pointer, Vec::new(), origin);
                }
                self.named(&words[1..], origin);
            }
            None => {
                self.package_script(words, origin);
                self.named(&words[1..], origin);
            }
        }
    }

    /// What npm and its like run of a package's scripts: a shell with the command, which finds the
    /// programs of the package first.
    fn package_script(&mut self, words: &[Word], origin: &Origin) {
        let Some(script) = self.look.package_script(&texts(words)) else { return };
        let pointer = words[0].pointer;
        let Some(file) = self.need(pointer, &script.file, Access::Read, origin) else { return };
        let text = format!("{:?}: {:?}", script.name, script.command);
        let why = vec![Hop::Setting { number: script.line, text }];
        let origin = Origin { why, ..Origin::from(file, origin.certain) };
        self.exec(&[Word::new(pointer, "sh")], &origin);
        let origin = Origin { certain: false, ..origin };
        for command in shell::commands(script.command.as_bytes(), Dialect::Posix).list {
            let mut words = literal_words(pointer, command.run());
            if let (Call::External(_), Some(first)) = (&command.call, words.first_mut()) {
                if let Some(own) = self.look.package_program(&script, &first.text) {
                    first.text = own.to_string();
                }
                self.exec(&words, &origin);
            }
        }
    }

    /// The command that a wrapper runs, in the surroundings that it makes.
    fn wrapped(&mut self, wrapper: &Word, inner: &Inner, origin: &Origin) {
        let mut origin = Origin { wrappers: origin.wrappers + 1, ..origin.clone() };
        if origin.wrappers > MOST_WRAPPERS {
            return self.unseen(format!(
                "{}: more than {MOST_WRAPPERS} programs run one another; the rest is not followed",
                wrapper.pointer
            ));
        }
        if inner.changes_user {
            self.switch(wrapper.pointer, texts(&inner.words), &origin);
        }
        // Where its program and libraries are then looked for is not followed.
        origin.certain &= !inner.changes_lookup;
        if inner.lookup == Lookup::Applet {
            self.runs(&inner.words, &origin);
        } else {
            self.exec(&inner.words, &origin);
        }
    }

    /// A program that becomes another user before it runs a command.
    fn switch(&mut self, pointer: &'static str, command: Vec<String>, origin: &Origin) {
        if let Some(need) = origin.from.filter(|_| origin.certain) {
            self.start.switches.push(Switch { pointer, need, command });
        }
    }

    /// The command inside a wrapper's words.
    pub(super) fn unwrap(&self, words: &[Word]) -> Option<Result<Inner, String>> {
        let variables = self.look.variables();
        let unwrapped = WRAPPERS.unwrap(&texts(words), &variables)?;
        let inner = |one: Unwrapped<'_>| Inner {
            words: placed(&one, words),
            lookup: one.lookup,
            changes_user: one.changes_user(),
            changes_lookup: one.changes_lookup(),
        };
        Some(unwrapped.map(inner).map_err(|error| error.to_string()))
    }

    fn not_found(&mut self, word: &Word, origin: &Origin) {
        let named = self.look.candidates(&word.text);
        let unfit = named.iter().find_map(|path| self.unfit(path));
        let problem = match (unfit, &named[..]) {
            _ if word.text.is_empty() => "the program's name is empty".to_owned(),
            (Some(problem), _) => problem,
            (None, [path]) if word.text.contains('/') => format!("{path} is not in the image"),
            (None, _) => format!("no program {:?} is in PATH", word.text),
        };
        self.gap(word.pointer, problem, origin);
    }

    /// What keeps something that is there from being executed.
    fn unfit(&self, path: &RootPath) -> Option<String> {
        if self.look.file(path).is_some() {
            return Some(format!("{path} is not executable"));
        }
        let inventory = self.look.inventory;
        let nowhere = inventory.resolve(path).found.is_none();
        let name = inventory.resolve_parents(path);
        let link = matches!(inventory.lookup(&name)?.kind, Kind::Symlink(_));
        (nowhere && link).then(|| format!("{name} is a link that leads nowhere"))
    }

    /// Words that a program may use as it likes: those that name executables or files of the image.
    /// A program that is named by its path, or after `--`, is taken for one that is run.
    fn named(&mut self, words: &[Word], origin: &Origin) {
        let mut parted = false;
        for word in words.iter().filter(|word| !word.text.is_empty()) {
            if !self.spend(Spent::Words, 1) {
                return;
            }
            let mut why = origin.because(Hop::Word(word.text.clone()));
            why.certain = false;
            let first = std::mem::replace(&mut parted, word.text == "--");
            if let Some(path) = self.look.executable(&word.text) {
                let runs = (first || word.text.contains('/')) && self.look.kernel_starts(&path);
                let access = if runs { Access::Execute } else { Access::Named };
                let need = self.need(word.pointer, &path, access, &why);
                if let Some(need) = need.filter(|_| word.text.contains('/')) {
                    self.beside(word.pointer, need);
                }
                continue;
            }
            let value = word.text.split_once('=').map(|(_, value)| value);
            let value = value.filter(|value| !value.is_empty());
            let whole = std::iter::once(word.text.as_str()).chain(value);
            let whole = whole.filter_map(|name| self.look.in_working_dir(name));
            let parts = pieces(&word.text).filter_map(|piece| piece.parse().ok());
            for path in whole.chain(parts).collect::<Vec<_>>() {
                self.place(word.pointer, &path, &why);
            }
        }
    }

    /// A command of the shell form, which the image's shell runs.
    pub(super) fn shell_form(&mut self, pointer: &'static str, command: &str) {
        let origin = Origin::config().because(Hop::ShellForm(command.to_owned()));
        let shell = self.look.config.shell();
        let mut words: Vec<Word> = shell.iter().map(|word| Word::new(pointer, word)).collect();
        words.push(Word::new(pointer, command));
        self.exec(&words, &origin);
    }

    /// What a shell runs: the command of `-c`, or the lines of a script.
    fn shell(&mut self, words: &[Word], dialect: Dialect, origin: &Origin) {
        let pointer = words[0].pointer;
        let argv = texts(words);
        match invocation(&argv) {
            Ok(Some(found)) => {
                let Some(shell) = origin.from else { return };
                let given = words.get(words.len() - found.parameters.len()..).unwrap_or_default();
                self.arguments.insert(shell, given.to_vec());
                return self.lines(pointer, shell, found.command.as_bytes(), dialect);
            }
            Ok(None) => {}
            Err(refusal) => return self.unseen(format!("{pointer}: {}", refusal.reason)),
        }
        let Some(at) = operand(&argv) else { return };
        let (word, given) = (&words[at], &words[at..]);
        let path =
            self.look.in_working_dir(&word.text).filter(|path| self.look.file(path).is_some());
        let path = path.or_else(|| self.look.in_path(&word.text));
        if let Some(script) = path.as_ref().and_then(|path| self.above(origin, path)) {
            return self.read(pointer, script, dialect);
        }
        let why = origin.because(Hop::Word(word.text.clone()));
        let script = path.and_then(|path| self.need(word.pointer, &path, Access::Read, &why));
        let Some(script) = script else {
            return self.gap(word.pointer, format!("{} is not in the image", word.text), &why);
        };
        self.arguments.insert(script, given.to_vec());
        self.beside(word.pointer, script);
        self.read(word.pointer, script, dialect);
    }

    /// The script for which its interpreter was started, if that is the path.
    fn above(&self, origin: &Origin, path: &RootPath) -> Option<usize> {
        let file = self.look.inventory.resolve(path).found?;
        let script = *self.ids.get(&file)?;
        let mut need = origin.from;
        while let Some(one) = need.filter(|one| *one != script) {
            need = self.start.first(one).from;
        }
        need
    }

    /// A text that a shell reads, once.
    pub(super) fn read(&mut self, pointer: &'static str, script: usize, dialect: Dialect) {
        let path = self.start.needs[script].path.clone();
        if self.texts.insert(script)
            && let Some(Facts::Text(text)) = self.look.facts(&path)
        {
            self.lines(pointer, script, &text, dialect);
        }
    }
}

/// The words of a command inside a wrapper's, with where they come from. A word may have been split,
/// so they are counted from their end.
fn placed(unwrapped: &Unwrapped<'_>, words: &[Word]) -> Vec<Word> {
    let first = words[unwrapped.index.min(words.len() - 1)].pointer;
    let count = unwrapped.command.len();
    let from_end =
        |at: usize| words.len().checked_sub(count - at).filter(|at| *at >= unwrapped.index);
    let pointer = |at: usize| from_end(at).map_or(first, |at| words[at].pointer);
    let command = unwrapped.command.iter().enumerate();
    command.map(|(at, text)| Word::new(pointer(at), text)).collect()
}

/// Where the command begins inside a wrapper's words, and whether it is run as another user; none if
/// they are no wrapper's, cannot be read, or the command is not there as it stands.
pub(in crate::needs) fn unwrap_in_place(
    words: &[String],
    variables: &[String],
) -> Option<(usize, bool)> {
    let unwrapped = WRAPPERS.unwrap(words, variables)?.ok()?;
    let as_it_stands = words.get(unwrapped.index..)? == unwrapped.command.as_slice();
    (unwrapped.index > 0 && as_it_stands).then(|| (unwrapped.index, unwrapped.changes_user()))
}

/// Where the first word of a shell's command line stands that is no option: its script.
fn operand(argv: &[String]) -> Option<usize> {
    let mut at = 1;
    while let Some(word) = argv.get(at) {
        match word.as_str() {
            "--" | "-" => return (at + 1 < argv.len()).then_some(at + 1),
            "-o" | "+o" | "-O" | "+O" | "--rcfile" | "--init-file" => at += 2,
            option if option.starts_with(['-', '+']) => at += 1,
            _ => return Some(at),
        }
    }
    None
}
