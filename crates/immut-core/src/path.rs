//! [`RootPath`]: a path inside an image, never on the host.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// A normal path inside an image: relative to its root, without `.` and `..`, any bytes but NUL.
///
/// Tar archives spell the same place in many ways (`./etc/passwd`, `/etc/passwd`, `etc//passwd`);
/// a `RootPath` has one spelling, so equal places compare equal. Cloning shares the bytes.
///
/// ```
/// use immut_core::path::RootPath;
/// let path: RootPath = "./usr//bin/".parse()?;
/// assert_eq!(path.to_string(), "/usr/bin");
/// assert!("../etc/passwd".parse::<RootPath>().is_err());
/// # Ok::<(), immut_core::path::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootPath(Arc<[u8]>);

/// Why bytes are no path inside an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A `..` component.
    #[error("path {0:?} climbs out with a `..` component")]
    Escapes(String),
    /// A NUL byte.
    #[error("path {0:?} holds a NUL byte")]
    Nul(String),
    /// Longer than [`MAX_LEN`].
    #[error("path of {0} bytes is longer than {MAX_LEN}")]
    TooLong(usize),
}

/// Linux's `PATH_MAX`: a longer path cannot be created by any engine.
pub const MAX_LEN: usize = 4096;

impl RootPath {
    /// The root directory itself.
    pub fn root() -> Self {
        Self(Arc::from(&b""[..]))
    }

    /// Reads a path as archives and users write it; leading slashes and `./` mean the root.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_LEN {
            return Err(Error::TooLong(bytes.len()));
        }
        if bytes.contains(&0) {
            return Err(Error::Nul(lossy(bytes)));
        }
        let mut normal = Vec::with_capacity(bytes.len());
        for component in components_of(bytes) {
            if component == b".." {
                return Err(Error::Escapes(lossy(bytes)));
            }
            if !normal.is_empty() {
                normal.push(b'/');
            }
            normal.extend_from_slice(component);
        }
        Ok(Self(Arc::from(normal)))
    }

    /// The place a link at `self` with target `target` points to, read lexically.
    ///
    /// `..` above the root stays at the root, as the kernel has it.
    ///
    /// ```
    /// use immut_core::path::RootPath;
    /// let link: RootPath = "/usr/bin/sh".parse()?;
    /// assert_eq!(link.link_target(b"../lib/x").to_string(), "/usr/lib/x");
    /// assert_eq!(link.link_target(b"/bin/dash").to_string(), "/bin/dash");
    /// # Ok::<(), immut_core::path::Error>(())
    /// ```
    #[must_use]
    pub fn link_target(&self, target: &[u8]) -> Self {
        let mut parts: Vec<&[u8]> = match target.first() {
            Some(b'/') => Vec::new(),
            _ => self
                .parent()
                .map_or_else(Vec::new, |_| components_of(self.parent_bytes()).collect()),
        };
        for component in components_of(target) {
            if component == b".." {
                parts.pop();
            } else {
                parts.push(component);
            }
        }
        Self(Arc::from(parts.join(&b'/')))
    }

    /// The directory that holds this path; none for the root.
    pub fn parent(&self) -> Option<Self> {
        (!self.is_root()).then(|| Self(Arc::from(self.parent_bytes())))
    }

    /// This path and the directories above it, up to the root.
    ///
    /// ```
    /// use immut_core::path::RootPath;
    /// let path: RootPath = "/usr/bin".parse()?;
    /// let all: Vec<String> = path.ancestors().map(|path| path.to_string()).collect();
    /// assert_eq!(all, ["/usr/bin", "/usr", "/"]);
    /// # Ok::<(), immut_core::path::Error>(())
    /// ```
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self.clone()), Self::parent)
    }

    /// The same from the root down.
    pub fn top_down(&self) -> Vec<Self> {
        let mut all: Vec<Self> = self.ancestors().collect();
        all.reverse();
        all
    }

    fn parent_bytes(&self) -> &[u8] {
        memchr::memrchr(b'/', &self.0).map_or(&[], |slash| &self.0[..slash])
    }

    /// The last component; empty for the root.
    pub fn file_name(&self) -> &[u8] {
        memchr::memrchr(b'/', &self.0).map_or(&self.0[..], |slash| &self.0[slash + 1..])
    }

    /// This path with one more component.
    #[must_use]
    pub fn join(&self, name: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + name.len());
        bytes.extend_from_slice(&self.0);
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name);
        Self(Arc::from(bytes))
    }

    /// Whether this path is `directory` or lies beneath it.
    pub fn is_within(&self, directory: &Self) -> bool {
        self == directory || self.is_beneath(directory)
    }

    /// Whether this path lies beneath `directory`, not being it.
    pub fn is_beneath(&self, directory: &Self) -> bool {
        if directory.is_root() {
            return !self.is_root();
        }
        self.0.len() > directory.0.len()
            && self.0[directory.0.len()] == b'/'
            && self.0.starts_with(&directory.0)
    }

    /// Whether this is the root directory.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The components, from the root down.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|component| !component.is_empty())
    }

    /// The bytes, without a leading slash; what archives call the member.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for RootPath {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text.as_bytes())
    }
}

impl Borrow<[u8]> for RootPath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// As people read it: with a leading slash; bytes that are no printable text are escaped.
impl fmt::Display for RootPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", lossy(&self.0))
    }
}

impl fmt::Debug for RootPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for RootPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Text for people from bytes of an image: control characters and bad UTF-8 are escaped as `\xNN`,
/// so that a hostile name cannot drive a terminal.
///
/// ```
/// assert_eq!(immut_core::path::lossy(b"a\x1b[2Jb\xff"), "a\\x1b[2Jb\\xff");
/// assert_eq!(immut_core::path::lossy("\u{202e}txt".as_bytes()), "\\xe2\\x80\\xaetxt");
/// ```
pub fn lossy(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || turns_text(character) {
                text.extend(character.to_string().bytes().map(|byte| format!("\\x{byte:02x}")));
            } else {
                text.push(character);
            }
        }
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

/// Characters that reorder or hide the text around them (Unicode bidirectional controls, line
/// separators, the byte order mark).
fn turns_text(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn components_of(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split(|byte| *byte == b'/')
        .filter(|component| !component.is_empty() && *component != b".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RootPath {
        text.parse().expect("a path")
    }

    #[test]
    fn every_spelling_of_a_place_is_equal() {
        for spelling in ["etc/passwd", "/etc/passwd", "./etc/passwd", "//etc/./passwd/"] {
            assert_eq!(path(spelling), path("etc/passwd"), "{spelling}");
        }
        for root in ["", "/", ".", "./"] {
            assert!(path(root).is_root(), "{root:?}");
        }
    }

    #[test]
    fn hostile_paths_are_refused() {
        assert!(matches!(RootPath::parse(b"a/../../b"), Err(Error::Escapes(_))));
        assert!(matches!(RootPath::parse(b"a\0b"), Err(Error::Nul(_))));
        assert!(matches!(RootPath::parse(&[b'a'; 5000]), Err(Error::TooLong(5000))));
    }

    #[test]
    fn beneath_respects_components() {
        assert!(path("/usr/bin/sh").is_beneath(&path("/usr/bin")));
        assert!(!path("/usr/binary").is_beneath(&path("/usr/bin")));
        assert!(path("/usr").is_beneath(&RootPath::root()));
        assert!(path("/usr").is_within(&path("/usr")));
    }

    #[test]
    fn link_targets_stay_inside_the_root() {
        assert_eq!(path("/a/b").link_target(b"../../../etc"), path("/etc"));
        assert_eq!(path("/bin").link_target(b"usr/bin"), path("/usr/bin"));
        assert_eq!(path("/a").link_target(b"/"), RootPath::root());
    }
}
