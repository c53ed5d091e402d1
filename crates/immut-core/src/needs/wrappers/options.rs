//! How a wrapper's words are read: options as `getopt_long` with a leading `+` reads them.

use std::collections::VecDeque;

use super::{
    Begin, Effect, Error, Lookup, MOST_SPLITS, MOST_WORDS, Meaning, Quirk, Unwrapped, Wrapper,
    split,
};

/// The words of a wrapper, read from the front.
pub(super) struct Reading<'a, 'e> {
    wrapper: &'a Wrapper,
    env: &'e [String],
    /// What is left, each with its place in the wrapper's words.
    rest: VecDeque<(usize, String)>,
    effects: Vec<Effect>,
    /// Options that were there.
    seen: Vec<&'a str>,
    command: Option<(usize, String)>,
    command_as: Option<(usize, String)>,
    /// Whether `--` ended the options.
    separated: bool,
    /// How often `env -S` was there.
    splits: usize,
}

impl<'a, 'e> Reading<'a, 'e> {
    pub(super) fn new(
        wrapper: &'a Wrapper,
        argv: &[String],
        env: &'e [String],
    ) -> Result<Self, Error> {
        if argv.len() > MOST_WORDS {
            return Err(Error::Long);
        }
        let skipped = 1 + usize::from(!wrapper.subcommands.is_empty());
        Ok(Self {
            wrapper,
            env,
            rest: argv.iter().cloned().enumerate().skip(skipped).collect(),
            effects: Vec::new(),
            seen: Vec::new(),
            command: None,
            command_as: None,
            separated: false,
            splits: 0,
        })
    }

    /// The command, once all that comes before it is read.
    pub(super) fn command(mut self) -> Result<Unwrapped<'a>, Error> {
        if self.wrapper.command == Begin::Separator {
            let place = self.rest.iter().position(|(_, word)| word == "--");
            let place = place.ok_or_else(|| self.missing("`--` and a command"))?;
            self.rest.drain(..=place);
            return self.finish();
        }
        if self.is(Quirk::Leading) && self.next_is(|word| !word.starts_with('-')) {
            self.rest.pop_front();
        }
        self.options()?;
        let required = &self.wrapper.requires;
        if !required.is_empty() && !required.iter().any(|one| self.seen.contains(&one.as_str())) {
            return Err(self.missing(&required.join(" or ")));
        }
        if let Some(command) = self.command_as.take().or_else(|| self.command.take()) {
            self.only_arguments()?;
            self.rest.push_front(command);
            return self.finish();
        }
        if self.wrapper.command == Begin::Option {
            return Err(self.missing("an option that names the command"));
        }
        self.words()?;
        if self.is(Quirk::Permutes)
            && !self.separated
            && let Some((_, word)) = self.rest.iter().find(|(_, word)| is_option(word))
        {
            return Err(Error::Permuted { wrapper: self.name(), option: word.clone() });
        }
        self.finish()
    }

    /// Reads options up to the first word that is none.
    fn options(&mut self) -> Result<(), Error> {
        while let Some((_, word)) = self.rest.front() {
            let word = word.clone();
            if word == "--" && !self.is(Quirk::NoSeparator) {
                self.rest.pop_front();
                self.separated = true;
                return Ok(());
            }
            if word == "-" && self.is(Quirk::Assignments) {
                self.rest.pop_front();
                self.effects.push(Effect::Clear);
                continue;
            }
            if !is_option(&word) || word == "--" {
                return Ok(());
            }
            let Some((place, _)) = self.rest.pop_front() else { return Ok(()) };
            if self.is(Quirk::Numbers) && is_number(&word) {
                continue;
            }
            if self.is(Quirk::Exact) || word.starts_with("--") {
                self.long(place, &word)?;
            } else {
                self.cluster(place, &word)?;
            }
            // coreutils and start-stop-daemon: what names the command ends what is the wrapper's.
            if self.wrapper.lookup == Lookup::Applet && self.command.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// One whole word: `--name`, `--name=value`, `--name value`, or the unique begin of a name.
    fn long(&mut self, place: usize, word: &str) -> Result<(), Error> {
        let (name, attached) = match word.split_once('=') {
            Some((name, value)) if !self.is(Quirk::Exact) => (name, Some(value.to_owned())),
            _ => (word, None),
        };
        let (option, kind) = self.known(name).ok_or_else(|| self.unknown(word))?;
        match (kind, attached) {
            (Kind::End, _) => Err(self.ends(option)),
            (Kind::Flag, Some(_)) => Err(self.unknown(word)),
            (Kind::Value, None) => {
                let value = self.rest.pop_front();
                let (place, value) = value.ok_or_else(|| self.missing(&value_of(option)))?;
                self.apply(option, place, value)
            }
            (_, attached) => self.apply(option, place, attached.unwrap_or_default()),
        }
    }

    /// Short options in one word, `-vSvalue`.
    fn cluster(&mut self, place: usize, word: &str) -> Result<(), Error> {
        for (at, letter) in word.char_indices().skip(1) {
            let (option, kind) =
                self.exactly(&format!("-{letter}")).ok_or_else(|| self.unknown(word))?;
            let after = &word[at + letter.len_utf8()..];
            match kind {
                Kind::End => return Err(self.ends(option)),
                Kind::Flag | Kind::Optional => self.apply(option, place, String::new())?,
                Kind::Value if after.is_empty() => {
                    let value = self.rest.pop_front();
                    let (place, value) = value.ok_or_else(|| self.missing(&value_of(option)))?;
                    return self.apply(option, place, value);
                }
                Kind::Value => return self.apply(option, place, after.to_owned()),
            }
        }
        Ok(())
    }

    fn known(&self, name: &str) -> Option<(&'a str, Kind)> {
        if let Some(found) = self.exactly(name) {
            return Some(found);
        }
        let mut begun = self.all().filter(|(option, _)| {
            !self.is(Quirk::Exact) && option.starts_with("--") && option.starts_with(name)
        });
        let first = begun.next()?;
        begun.next().is_none().then_some(first)
    }

    fn exactly(&self, name: &str) -> Option<(&'a str, Kind)> {
        self.all().find(|(option, _)| *option == name)
    }

    fn all(&self) -> impl Iterator<Item = (&'a str, Kind)> + use<'a> {
        let wrapper = self.wrapper;
        let kinds = [
            (&wrapper.flags, Kind::Flag),
            (&wrapper.values, Kind::Value),
            (&wrapper.optionals, Kind::Optional),
            (&wrapper.ends, Kind::End),
        ];
        kinds
            .into_iter()
            .flat_map(|(options, kind)| options.iter().map(move |option| (option.as_str(), kind)))
    }

    fn apply(&mut self, option: &'a str, place: usize, value: String) -> Result<(), Error> {
        self.seen.push(option);
        match self.wrapper.meanings.get(option) {
            Some(Meaning::Split) => {
                self.splits += 1;
                if self.splits > MOST_SPLITS {
                    return Err(Error::Nested);
                }
                for word in split(&value, self.env)?.into_iter().rev() {
                    self.rest.push_front((place, word));
                }
            }
            Some(meaning) => self.mean(*meaning, place, value),
            None => {}
        }
        Ok(())
    }

    fn mean(&mut self, meaning: Meaning, place: usize, value: String) {
        let effect = match meaning {
            Meaning::Word | Meaning::Split => return,
            Meaning::Command => {
                self.command = Some((place, value));
                return;
            }
            Meaning::CommandAs => {
                self.command_as = Some((place, value));
                return;
            }
            Meaning::Chdir => Effect::Chdir(value),
            Meaning::Clear => Effect::Clear,
            Meaning::EnvFolder => Effect::EnvFolder(value),
            Meaning::LibraryPath => Effect::LibraryPath(value),
            Meaning::Preload => Effect::Preload(value),
            Meaning::Root => Effect::Root(value),
            Meaning::Unset => Effect::Unset(value),
            Meaning::User => Effect::User(value),
        };
        self.effects.push(effect);
    }

    /// The words between the options and the command.
    fn words(&mut self) -> Result<(), Error> {
        for meaning in &self.wrapper.words {
            let word = self.rest.pop_front();
            let (place, word) = word.ok_or_else(|| self.missing("all its words"))?;
            self.mean(*meaning, place, word);
        }
        if self.is(Quirk::Assignments) {
            while self.next_is(|word| word.contains('=')) {
                let Some((_, word)) = self.rest.pop_front() else { break };
                if let Some((name, value)) = word.split_once('=') {
                    self.effects.push(Effect::Set(name.to_owned(), value.to_owned()));
                }
            }
        }
        Ok(())
    }

    /// Where an option names the command, what is left has to be its arguments.
    fn only_arguments(&self) -> Result<(), Error> {
        match self.rest.front() {
            Some((_, word)) if self.wrapper.command == Begin::Option && !self.separated => {
                Err(self.unknown(word))
            }
            _ => Ok(()),
        }
    }

    fn finish(self) -> Result<Unwrapped<'a>, Error> {
        let Some(&(index, _)) = self.rest.front() else { return Err(self.missing("a command")) };
        Ok(Unwrapped {
            wrapper: self.wrapper,
            index,
            command: self.rest.into_iter().map(|(_, word)| word).collect(),
            effects: self.effects,
            lookup: self.wrapper.lookup,
        })
    }

    fn is(&self, quirk: Quirk) -> bool {
        self.wrapper.quirks.contains(&quirk)
    }

    fn next_is(&self, fits: impl Fn(&str) -> bool) -> bool {
        self.rest.front().is_some_and(|(_, word)| fits(word))
    }

    fn name(&self) -> String {
        self.wrapper.name.clone()
    }

    fn unknown(&self, option: &str) -> Error {
        Error::Option { wrapper: self.name(), option: option.to_owned() }
    }

    fn ends(&self, option: &str) -> Error {
        Error::Ends { wrapper: self.name(), option: option.to_owned() }
    }

    fn missing(&self, missing: &str) -> Error {
        Error::Missing { wrapper: self.name(), missing: missing.to_owned() }
    }
}

/// What an option takes.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Flag,
    Value,
    Optional,
    End,
}

fn is_option(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-')
}

/// `nice -5`, `nice --5`, `nice -+5`.
fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let digits = digits.strip_prefix(['-', '+']).unwrap_or(digits);
    digits.starts_with(|first: char| first.is_ascii_digit())
}

fn value_of(option: &str) -> String {
    format!("a value of {option}")
}
