//! What a file's content is: the first bytes, and catalog strings sought in the stream.

use std::collections::HashSet;

use aho_corasick::{AhoCorasick, Input, MatchKind};

use crate::path::RootPath;

/// What is looked for while a layer streams by; the catalog makes it.
#[derive(Debug, Clone)]
pub struct Sought {
    strings: Vec<Vec<u8>>,
    /// Finds where the next of the strings begins; none without strings.
    finder: Option<AhoCorasick>,
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
        let strings: Vec<Vec<u8>> = strings.iter().map(|one| one.as_ref().to_vec()).collect();
        let longest = strings.iter().map(Vec::len).max().unwrap_or(0);
        // This kind of match can skip what no string begins with, many bytes at a time.
        let mut finder = AhoCorasick::builder();
        let finder = finder.match_kind(MatchKind::LeftmostFirst).build(&strings);
        let finder = (longest > 0).then(|| finder.expect("64 short strings fit"));
        Self { strings, finder, longest, packages: packages.into_iter().collect() }
    }

    /// Looks for nothing.
    pub fn nothing() -> Self {
        Self::new::<&[u8]>(&[], [])
    }

    /// The strings that occur, as bits. They may overlap, and begin with each other.
    fn found_in(&self, bytes: &[u8]) -> u64 {
        let Some(finder) = &self.finder else { return 0 };
        let (mut found, mut at) = (0, 0);
        while let Some(next) = finder.find(Input::new(bytes).range(at..)) {
            let here = &bytes[next.start()..];
            for (number, string) in self.strings.iter().enumerate() {
                found |= u64::from(here.starts_with(string)) << number;
            }
            at = next.start() + 1;
        }
        found
    }

    /// Whether the files of any package are of interest.
    pub(super) fn wants_packages(&self) -> bool {
        !self.packages.is_empty()
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
        if self.sought.longest == 0 || !self.head.starts_with(b"\x7fELF") {
            return;
        }
        self.window.extend_from_slice(piece);
        self.matches |= self.sought.found_in(&self.window);
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
    fn strings_in_strings_are_found() {
        let sought = Sought::new(&["abc", "bcd", "abcd", "c"], []);
        assert_eq!(sought.found_in(b"xabcdx"), 0b1111);
        assert_eq!(sought.found_in(b"xbcdx"), 0b1010);
        assert_eq!(sought.found_in(b"abab"), 0);
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
