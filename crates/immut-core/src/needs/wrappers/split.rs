//! The splitting of `env -S`, GNU coreutils' manual, "-S/--split-string usage in scripts".

use super::{Error, MOST_WORDS};

/// Splits a string into words as GNU `env -S` does; `env` are the variables that `${NAME}` may name.
pub(crate) fn split(text: &str, env: &[String]) -> Result<Vec<String>, Error> {
    let mut splitter = Splitter::default();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match (character, splitter.quote) {
            ('\'' | '"', None) => {
                splitter.quote = Some(character);
                splitter.word()?;
            }
            (_, Some(open)) if character == open => splitter.quote = None,
            (' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r', None) => splitter.between = true,
            ('#', None) if splitter.between => return Ok(splitter.words),
            ('\\', quote) => {
                if !escape(&mut splitter, &mut rest, quote)? {
                    return Ok(splitter.words);
                }
            }
            ('$', None | Some('"')) => variable(&mut splitter, &mut rest, env)?,
            _ => splitter.push(character)?,
        }
    }
    match splitter.quote {
        Some(_) => Err(Error::Split("a quote is not closed")),
        None => Ok(splitter.words),
    }
}

/// What follows a backslash; false if the rest is ignored.
fn escape(
    splitter: &mut Splitter,
    rest: &mut std::str::Chars<'_>,
    quote: Option<char>,
) -> Result<bool, Error> {
    let next = rest.clone().next();
    if quote == Some('\'') && !matches!(next, Some('\\' | '\'')) {
        splitter.push('\\')?;
        return Ok(true);
    }
    rest.next();
    let meant = match next {
        Some(plain @ ('"' | '#' | '$' | '\'' | '\\')) => plain,
        Some('_') if quote.is_none() => {
            splitter.between = true;
            return Ok(true);
        }
        Some('_') => ' ',
        Some('c') if quote.is_none() => return Ok(false),
        Some('c') => return Err(Error::Split("\\c in double quotes")),
        Some('f') => '\x0c',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('v') => '\x0b',
        Some(_) => {
            return Err(Error::Split("a backslash before a character it has no meaning for"));
        }
        None => return Err(Error::Split("a backslash at the end")),
    };
    splitter.push(meant)?;
    Ok(true)
}

/// `${NAME}`: the value, no word at all if there is none.
fn variable(
    splitter: &mut Splitter,
    rest: &mut std::str::Chars<'_>,
    env: &[String],
) -> Result<(), Error> {
    const FORM: Error = Error::Split("`$` is not the begin of a ${NAME}");
    let inner = rest.as_str().strip_prefix('{').ok_or(FORM)?;
    let (name, after) = inner.split_once('}').ok_or(FORM)?;
    let begins = |first: char| first.is_ascii_alphabetic() || first == '_';
    let goes_on = |next: char| next.is_ascii_alphanumeric() || next == '_';
    if !name.starts_with(begins) || !name.chars().all(goes_on) {
        return Err(FORM);
    }
    *rest = after.chars();
    let value = env.iter().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    if let Some(value) = value {
        splitter.word()?;
        splitter.append(value)?;
    }
    Ok(())
}

/// The words so far.
struct Splitter {
    words: Vec<String>,
    quote: Option<char>,
    /// Whether the next character begins a word.
    between: bool,
    /// Bytes of all words.
    size: usize,
}

impl Default for Splitter {
    fn default() -> Self {
        Self { words: Vec::new(), quote: None, between: true, size: 0 }
    }
}

impl Splitter {
    /// Begins a word, if none has begun.
    fn word(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.between, false) {
            if self.words.len() == MOST_WORDS {
                return Err(Error::Long);
            }
            self.words.push(String::new());
        }
        Ok(())
    }

    fn push(&mut self, character: char) -> Result<(), Error> {
        self.append(character.encode_utf8(&mut [0; 4]))
    }

    fn append(&mut self, text: &str) -> Result<(), Error> {
        self.word()?;
        self.size += text.len();
        if self.size > MOST_BYTES {
            return Err(Error::Split("the words are too long"));
        }
        if let Some(word) = self.words.last_mut() {
            word.push_str(text);
        }
        Ok(())
    }
}

/// Linux runs no program with a word longer than this (`MAX_ARG_STRLEN`); variables repeated in a
/// string could make far more of it.
const MOST_BYTES: usize = 128 << 10;
