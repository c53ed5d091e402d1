//! Run paths: lists of folders in which tokens such as `$ORIGIN` stand for something.

use crate::path::RootPath;

/// What tokens stand for; a token that stands for nothing makes its folder void.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tokens<'a> {
    /// `$ORIGIN`: the folder of the file that has the run path.
    pub(super) origin: &'a RootPath,
    /// `$LIB`.
    pub(super) lib: Option<&'a [u8]>,
    /// `$PLATFORM`.
    pub(super) platform: Option<&'a [u8]>,
}

impl Tokens<'_> {
    /// Puts the meaning in the place of each token (ld.so(8), "Dynamic string tokens"). Other
    /// dollars stay. None if a token has no meaning here, or if the result is longer than a path.
    pub(super) fn expand(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut result = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(dollar) = memchr::memchr(b'$', rest) {
            result.extend_from_slice(&rest[..dollar]);
            rest = &rest[dollar + 1..];
            if let Some((token, len)) = token(rest) {
                match token {
                    Token::Origin => {
                        result.push(b'/');
                        result.extend_from_slice(self.origin.as_bytes());
                    }
                    Token::Lib => result.extend_from_slice(self.lib?),
                    Token::Platform => result.extend_from_slice(self.platform?),
                }
                rest = &rest[len..];
            } else {
                result.push(b'$');
            }
            if result.len() > crate::path::MAX_LEN {
                return None;
            }
        }
        result.extend_from_slice(rest);
        (result.len() <= crate::path::MAX_LEN).then_some(result)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Origin,
    Lib,
    Platform,
}

/// The token that a dollar begins, and the bytes of its name with braces.
fn token(text: &[u8]) -> Option<(Token, usize)> {
    const TOKENS: [(&[u8], Token); 3] =
        [(b"ORIGIN", Token::Origin), (b"LIB", Token::Lib), (b"PLATFORM", Token::Platform)];
    let (name, braces) = match text.strip_prefix(b"{") {
        Some(inner) => (&inner[..memchr::memchr(b'}', inner)?], 2),
        None => (&text[..text.iter().take_while(|byte| in_name(**byte)).count()], 0),
    };
    let known = TOKENS.iter().find(|known| known.0 == name)?;
    Some((known.1, name.len() + braces))
}

fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_whole_words() {
        let origin: RootPath = "/opt/app/bin".parse().unwrap();
        let tokens = Tokens { origin: &origin, lib: Some(b"lib64"), platform: None };
        let cases: [(&[u8], Option<&[u8]>); 9] = [
            (b"$ORIGIN", Some(b"/opt/app/bin")),
            (b"$ORIGIN/../lib", Some(b"/opt/app/bin/../lib")),
            (b"${ORIGIN}lib", Some(b"/opt/app/binlib")),
            (b"$ORIGINlib", Some(b"$ORIGINlib")),
            (b"/usr/$LIB/x", Some(b"/usr/lib64/x")),
            (b"/usr/$PLATFORM", None),
            (b"/a$b/$", Some(b"/a$b/$")),
            (b"${ORIGIN", Some(b"${ORIGIN")),
            (b"/plain", Some(b"/plain")),
        ];
        for (text, expanded) in cases {
            assert_eq!(tokens.expand(text).as_deref(), expanded, "{}", text.escape_ascii());
        }
        assert_eq!(tokens.expand(&b"$ORIGIN".repeat(1000)), None);
    }
}
