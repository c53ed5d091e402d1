//! What is known of a file that the start needs, read from its content once.

use std::collections::HashMap;
use std::io::{Read, SeekFrom};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::elf::Elf;
use crate::inventory::{FileContent, Fingerprint};

/// What a file is, as far as a start depends on it.
#[derive(Debug, Clone)]
pub(super) enum Facts {
    /// An ELF file.
    Elf(Arc<Elf>),
    /// A file that says that it is ELF, and is broken.
    Broken(Arc<str>),
    /// Anything else: its beginning, as much as is looked at.
    Text(Arc<[u8]>),
}

/// The most of a script, or another text, that is looked at, in bytes.
pub(super) const MOST_TEXT: u64 = 1 << 20;
/// The most bytes of texts that are held; what is more is read again when it is asked for.
const MOST_HELD: usize = 8 << 20;

impl Facts {
    pub(super) fn of(content: &mut dyn FileContent) -> std::io::Result<Self> {
        let mut magic = [0; 4];
        let count = read_full(content, &mut magic)?;
        content.seek(SeekFrom::Start(0))?;
        if &magic[..count] == b"\x7fELF" {
            return Ok(match Elf::read(content) {
                Ok(elf) => Self::Elf(Arc::new(elf)),
                Err(error) => Self::Broken(error.to_string().into()),
            });
        }
        let mut text = Vec::new();
        content.take(MOST_TEXT).read_to_end(&mut text)?;
        Ok(Self::Text(text.into()))
    }
}

fn read_full(content: &mut dyn FileContent, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match content.read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// What was learned of files' contents, by their fingerprints: the hardened image has most of those that
/// the image had, so its self-check reads nothing twice.
#[derive(Debug, Default)]
pub struct Learned(Mutex<Held>);

/// Whether a source starts a shell.
#[derive(Debug, Clone)]
pub(super) enum ShellCall {
    /// In this line, the first that does; counted from 1.
    Line(usize, String),
    /// Nowhere.
    Nowhere,
}

#[derive(Debug, Default)]
struct Held {
    facts: HashMap<Fingerprint, Facts>,
    /// Bytes of texts among them.
    bytes: usize,
    /// Of sources, by their language too.
    shell_calls: HashMap<(Fingerprint, &'static str), ShellCall>,
}

impl Learned {
    pub(super) fn get(&self, fingerprint: Fingerprint) -> Option<Facts> {
        self.held().facts.get(&fingerprint).cloned()
    }

    /// Keeps facts, as long as there is room for texts.
    pub(super) fn put(&self, fingerprint: Fingerprint, facts: Facts) {
        let mut held = self.held();
        let more = if let Facts::Text(text) = &facts { text.len() } else { 0 };
        if held.bytes + more <= MOST_HELD {
            held.bytes += more;
            held.facts.insert(fingerprint, facts);
        }
    }

    /// The call of a shell in a source that was looked into already; none if it was not.
    pub(super) fn shell_call(&self, source: (Fingerprint, &'static str)) -> Option<ShellCall> {
        self.held().shell_calls.get(&source).cloned()
    }

    pub(super) fn put_shell_call(&self, source: (Fingerprint, &'static str), call: ShellCall) {
        self.held().shell_calls.insert(source, call);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
