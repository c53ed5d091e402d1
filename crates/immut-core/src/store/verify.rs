//! A reader that checks size and digest of what goes through it.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use super::Error;
use crate::image::Descriptor;
use crate::name::Digest;

/// Passes content on and fails, instead of ending, when it is not what its descriptor names.
///
/// ```
/// use std::io::Read;
/// use immut_core::{image::Descriptor, store::Verifying};
/// let blob = Descriptor::of("text/plain", b"content");
/// let mut text = String::new();
/// assert!(Verifying::new(&b"content"[..], &blob, "here").read_to_string(&mut text).is_ok());
/// assert!(Verifying::new(&b"c0ntent"[..], &blob, "here").read_to_string(&mut text).is_err());
/// ```
#[derive(Debug)]
pub struct Verifying<R> {
    inner: R,
    hasher: Sha256,
    seen: u64,
    blob: Descriptor,
    place: String,
    state: State,
}

/// Whether the end was seen. A reader that failed keeps failing: one that ended after its failure
/// would pass for whole.
#[derive(Debug)]
enum State {
    Reading,
    Whole,
    Wrong(String),
}

impl<R: Read> Verifying<R> {
    /// Checks `inner` against `blob`; `place` says in messages whose bytes they are.
    pub fn new(inner: R, blob: &Descriptor, place: impl Into<String>) -> Self {
        let (hasher, place) = (Sha256::new(), place.into());
        Self { inner, hasher, seen: 0, blob: blob.clone(), place, state: State::Reading }
    }

    /// Fails now and from now on.
    fn wrong(&mut self, reason: String) -> io::Error {
        self.state = State::Wrong(reason.clone());
        self.corrupt(reason)
    }

    fn corrupt(&self, reason: String) -> io::Error {
        let (place, digest) = (self.place.clone(), self.blob.digest);
        io::Error::new(io::ErrorKind::InvalidData, Error::Corrupt { place, digest, reason })
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.seen != self.blob.size {
            return Err(self.wrong(format!("{} bytes instead of {}", self.seen, self.blob.size)));
        }
        let found = Digest::finish(std::mem::take(&mut self.hasher));
        if found != self.blob.digest {
            return Err(self.wrong(format!("its digest is {found}")));
        }
        self.state = State::Whole;
        Ok(())
    }
}

impl<R: Read> Read for Verifying<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.state {
            State::Wrong(reason) => return Err(self.corrupt(reason.clone())),
            State::Whole => return Ok(0),
            State::Reading if buffer.is_empty() => return Ok(0),
            State::Reading => {}
        }
        let count = self.inner.read(buffer)?;
        if count == 0 {
            self.finish()?;
            return Ok(0);
        }
        self.seen += count as u64;
        if self.seen > self.blob.size {
            return Err(self.wrong(format!("more than the {} bytes announced", self.blob.size)));
        }
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8], blob: &Descriptor) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Verifying::new(content, blob, "a test").read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn only_the_named_content_goes_through() {
        let blob = Descriptor::of("x", b"hello");
        assert_eq!(read(b"hello", &blob).expect("same"), b"hello");
        for wrong in [&b"hell"[..], b"hello!", b"jello", b""] {
            let error = read(wrong, &blob).expect_err("differs");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn a_reader_that_failed_keeps_failing() {
        for wrong in [&b"jello"[..], b"hell", b"hello!"] {
            let blob = Descriptor::of("x", b"hello");
            let mut reader = Verifying::new(wrong, &blob, "a test");
            let mut buffer = [0; 16];
            while reader.read(&mut buffer).is_ok_and(|count| count > 0) {}
            assert!(reader.read(&mut buffer).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_lie_about_the_size_is_seen_before_the_end() {
        let blob = Descriptor { size: 3, ..Descriptor::of("x", b"hello") };
        let error = read(b"hello", &blob).expect_err("too long");
        assert!(error.to_string().contains("more than the 3 bytes"), "{error}");
    }
}
