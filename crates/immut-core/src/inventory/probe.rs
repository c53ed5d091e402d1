//! What a file's content is: the first bytes, and catalog strings sought in the stream.

use std::collections::HashSet;

use aho_corasick::AhoCorasick;

use crate::path::RootPath;

/// What is looked for while a layer streams by; the catalog makes it.
#[derive(Debug, Clone)]
pub struct Sought {
    strings: Option<AhoCorasick>,
    longest: usize,
    packages: HashSet<String>,
}

impl Sought {
    /// Looks for at most 64 strings in ELF files, and for the files of those packages.
    ///
    /// # Panics
    /// With more than 64 strings: a content's matches are one `u64`.
    pub fn new<S: AsRef<[u8]>>(strings: &[S], packages: impl IntoIterator<Item = String>) -> Self {
        assert!(strings.len() <= 64, "at most 64 content strings");
        let longest = strings.iter().map(|string| string.as_ref().len()).max().unwrap_or(0);
        let automaton =
            (longest > 0).then(|| AhoCorasick::new(strings).expect("64 short strings fit"));
        Self { strings: automaton, longest, packages: packages.into_iter().collect() }
    }

    /// Looks for nothing.
    pub fn nothing() -> Self {
        Self::new::<&[u8]>(&[], [])
    }

    /// The packages whose files are of interest.
    pub(super) fn wants_package(&self, name: &str) -> bool {
        self.packages.contains(name)
    }
}

/// What a regular file's content is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Content {
    /// Neither of the others.
    #[default]
    Other,
    /// An ELF file, with the sought strings that it holds as bits.
    Elf(u64),
    /// A script: the rest of the first line after `#!`, at most 256 bytes.
    Script(Box<[u8]>),
}

/// How much of a file is looked at as one piece.
const HEAD: usize = 256;

/// Looks at content as it streams by.
pub(super) struct Probe<'a> {
    sought: &'a Sought,
    head: Vec<u8>,
    matches: u64,
    /// The end of the last piece and room for the next: a string may lie across both.
    window: Vec<u8>,
}

impl<'a> Probe<'a> {
    pub(super) fn new(sought: &'a Sought) -> Self {
        Self { sought, head: Vec::with_capacity(HEAD), matches: 0, window: Vec::new() }
    }

    pub(super) fn feed(&mut self, piece: &[u8]) {
        let room = HEAD - self.head.len();
        self.head.extend_from_slice(&piece[..piece.len().min(room)]);
        let Some(strings) = &self.sought.strings else { return };
        if !self.head.starts_with(b"\x7fELF") {
            return;
        }
        self.window.extend_from_slice(piece);
        for found in strings.find_overlapping_iter(&self.window) {
            self.matches |= 1 << found.pattern().as_u64();
        }
        let keep = self.window.len().min(self.sought.longest - 1);
        self.window.drain(..self.window.len() - keep);
    }

    pub(super) fn finish(self) -> Content {
        if self.head.starts_with(b"\x7fELF") {
            return Content::Elf(self.matches);
        }
        match self.head.strip_prefix(b"#!") {
            Some(rest) => {
                let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
                Content::Script(line.into())
            }
            None => Content::Other,
        }
    }
}

/// System files whose text is kept while a layer is read.
pub(super) fn is_kept(path: &RootPath) -> bool {
    matches!(path.as_bytes(), b"etc/passwd" | b"etc/group" | b"usr/etc/passwd" | b"usr/etc/group")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(pieces: &[&[u8]]) -> Content {
        let sought = Sought::new(&["BusyBox v", "bash"], []);
        let mut probe = Probe::new(&sought);
        for piece in pieces {
            probe.feed(piece);
        }
        probe.finish()
    }

    #[test]
    fn strings_across_pieces_are_found() {
        assert_eq!(content(&[b"\x7fELF..Busy", b"Box", b" v1"]), Content::Elf(1));
        assert_eq!(content(&[b"\x7fELF", b"bashBusyBox v"]), Content::Elf(3));
        assert_eq!(content(&[b"\x7f", b"ELF", b"nothing"]), Content::Elf(0));
    }

    #[test]
    fn only_elf_files_are_searched() {
        assert_eq!(content(&[b"BusyBox v1"]), Content::Other);
        assert_eq!(
            content(&[b"#!/bin/sh -e\nBusyBox v"]),
            Content::Script(b"/bin/sh -e"[..].into())
        );
    }
}
