//! Names of images: [`Digest`], [`Reference`] (as typed) and [`PinnedRef`] (with a digest).

mod registry;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

/// A SHA-256 digest of content, written `sha256:` and 64 lowercase hexadecimal digits.
///
/// ```
/// use immut_core::name::Digest;
/// let digest = Digest::of(b"{}");
/// assert_eq!(
///     digest.to_string(),
///     "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
/// );
/// assert_eq!(digest.to_string().parse::<Digest>()?, digest);
/// # Ok::<(), immut_core::name::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `content`.
    pub fn of(content: &[u8]) -> Self {
        Self(sha2::Sha256::digest(content).into())
    }

    /// The digest that `hasher` has arrived at.
    pub fn finish(hasher: sha2::Sha256) -> Self {
        Self(hasher.finalize().into())
    }

    /// The 64 hexadecimal digits alone: a blob's file name in a layout.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::Digest(text.to_owned());
        let digits = match text.split_once(':') {
            Some(("sha256", digits)) => digits,
            Some(("sha512" | "sha384" | "blake3", _)) => {
                return Err(Error::Algorithm(text.to_owned()));
            }
            _ => return Err(bad()),
        };
        if digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| bad())?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A repository of a registry: `docker.io/library/redis` is host `docker.io`, path `library/redis`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Repository {
    /// Host name with an optional port, as written in references.
    pub host: String,
    /// The repository's path on that host.
    pub path: String,
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.path)
    }
}

/// Where an image lies.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// A repository of a registry.
    Registry(Repository),
    /// An OCI image layout in a folder, `oci:DIR`.
    Layout(PathBuf),
    /// An OCI image layout in a tar archive, `oci-archive:FILE`; `-` is the standard input.
    OciArchive(PathBuf),
    /// What `docker save` writes, `docker-archive:FILE`; `-` is the standard input.
    DockerArchive(PathBuf),
}

impl Location {
    /// The archive's file, if it is one.
    pub fn archive(&self) -> Option<&Path> {
        match self {
            Self::OciArchive(file) | Self::DockerArchive(file) => Some(file),
            Self::Registry(_) | Self::Layout(_) => None,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(repository) => repository.fmt(f),
            Self::Layout(folder) => write!(f, "oci:{}", folder.display()),
            Self::OciArchive(file) => write!(f, "oci-archive:{}", file.display()),
            Self::DockerArchive(file) => write!(f, "docker-archive:{}", file.display()),
        }
    }
}

/// An image as a user names it: `[HOST[:PORT]/]REPO[:TAG][@sha256:...]` in a registry,
/// `oci:DIR[:TAG][@sha256:...]` in a layout, `oci-archive:FILE[:TAG][@sha256:...]` or
/// `docker-archive:FILE[:NAME[:TAG]][@sha256:...]` in an archive.
///
/// Host `docker.io` and path prefix `library/` are filled in as docker does. The digest of an image
/// in a docker archive is that of its config, which docker calls the image ID.
///
/// ```
/// use immut_core::name::Reference;
/// let redis: Reference = "redis:7".parse()?;
/// assert_eq!(redis.to_string(), "docker.io/library/redis:7");
/// let layout: Reference = "oci:build/out:demo".parse()?;
/// assert_eq!(layout.tag.as_deref(), Some("demo"));
/// let saved: Reference = "docker-archive:saved.tar:redis:7".parse()?;
/// assert_eq!(saved.tag.as_deref(), Some("redis:7"));
/// # Ok::<(), immut_core::name::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Where it lies.
    pub location: Location,
    /// The tag, if one was written; in a docker archive, where images have whole names, the name.
    pub tag: Option<String>,
    /// The digest, if one was written.
    pub digest: Option<Digest>,
}

impl Reference {
    /// The same name as a [`PinnedRef`], if it has a digest.
    pub fn pinned(&self) -> Option<PinnedRef> {
        let digest = self.digest?;
        Some(PinnedRef { location: self.location.clone(), tag: self.tag.clone(), digest })
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once(':') {
            Some(("oci", rest)) => parse_layout(text, rest),
            Some(("oci-archive", rest)) => parse_archive(text, rest, Location::OciArchive),
            Some(("docker-archive", rest)) => parse_archive(text, rest, Location::DockerArchive),
            Some((scheme, rest)) if rest.starts_with("//") => Err(Error::Reference {
                text: text.to_owned(),
                reason: format!("leave out {scheme}://"),
            }),
            Some((scheme, _)) if OTHERS.contains(&scheme) => {
                Err(Error::Scheme { scheme: scheme.to_owned() })
            }
            _ => registry::parse(text),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.location.fmt(f)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// A reference with a digest: the only kind that can be hardened or signed.
///
/// ```
/// use immut_core::name::{PinnedRef, Reference};
/// assert!("redis:7".parse::<PinnedRef>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedRef {
    /// Where it lies.
    pub location: Location,
    /// The tag that was written beside the digest; it is not looked up.
    pub tag: Option<String>,
    /// The digest.
    pub digest: Digest,
}

impl FromStr for PinnedRef {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse::<Reference>()?.pinned().ok_or_else(|| Error::Unpinned(text.to_owned()))
    }
}

/// `host/repo@sha256:...` or `oci:DIR@sha256:...`; the tag is left out, since the digest decides.
impl fmt::Display for PinnedRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.location, self.digest)
    }
}

/// A tag as registries and layouts take it: a letter, digit or underscore, and up to 127 of these,
/// dots and hyphens (OCI distribution specification, "Pulling manifests").
///
/// Names of signatures, `sha256-...`, are tags too, but none that may be given to an image.
///
/// ```
/// use immut_core::name::tag_name;
/// assert_eq!(tag_name("v1.2-rc_3")?, "v1.2-rc_3");
/// for wrong in ["", "-v1", "v 1", "me/app:v1", "sha256-0123"] {
///     assert!(tag_name(wrong).is_err());
/// }
/// # Ok::<(), immut_core::name::Error>(())
/// ```
pub fn tag_name(text: &str) -> Result<String, Error> {
    if !is_tag(text) {
        return Err(Error::Tag(text.to_owned()));
    }
    if text.starts_with("sha256-") {
        return Err(Error::SignatureTag(text.to_owned()));
    }
    Ok(text.to_owned())
}

fn is_tag(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let valid = text.starts_with(word) && text.chars().all(|c| word(c) || ".-".contains(c));
    valid && text.len() <= 128
}

/// A whole name of an image as docker archives have them, such as `me/app:v1`.
///
/// ```
/// use immut_core::name::image_name;
/// assert_eq!(image_name("me/app:v1")?, "me/app:v1");
/// for wrong in ["", "No Name", "oci:dir", "app@sha256:00"] {
///     assert!(image_name(wrong).is_err());
/// }
/// # Ok::<(), immut_core::name::Error>(())
/// ```
pub fn image_name(text: &str) -> Result<String, Error> {
    match text.parse() {
        Ok(Reference { location: Location::Registry(_), digest: None, .. }) => Ok(text.to_owned()),
        _ => Err(Error::ImageName(text.to_owned())),
    }
}

/// Why text names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not `sha256:` and 64 lowercase hexadecimal digits.
    #[error("digest {0:?} is not sha256: and 64 lowercase hexadecimal digits")]
    Digest(String),
    /// A digest of another algorithm.
    #[error("digest {0:?} is of an algorithm that is not supported; only sha256 is")]
    Algorithm(String),
    /// Not a reference.
    #[error(
        "{text:?} is no image reference ({reason}); write [HOST[:PORT]/]REPO[:TAG][@sha256:...], oci:DIR[:TAG][@sha256:...], oci-archive:FILE[:TAG][@sha256:...] or docker-archive:FILE[:NAME[:TAG]][@sha256:...]"
    )]
    Reference {
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A transport that is not read.
    #[error(
        "transport {scheme:?} is not supported; write the image to an archive first, for example with `docker save` or `skopeo copy`, and name it docker-archive:FILE or oci-archive:FILE"
    )]
    Scheme {
        /// The transport's name.
        scheme: String,
    },
    /// A reference without a digest where one is needed.
    #[error("{0:?} has no digest; a tag can move, so only REPO@sha256:... is taken here")]
    Unpinned(String),
    /// Not what [`tag_name`] takes.
    #[error("{0:?} is no tag: up to 128 letters, digits, dots, hyphens and underscores")]
    Tag(String),
    /// A tag that signatures have.
    #[error("{0:?} is a name that signatures have")]
    SignatureTag(String),
    /// Not what [`image_name`] takes.
    #[error("{0:?} is no name of an image, such as app:v1")]
    ImageName(String),
}

/// Names of transports that other tools know; no registry is called like that.
const OTHERS: [&str; 3] = ["containers-storage", "dir", "docker-daemon"];

/// Takes a digest off the end of a name of something local, whose path may have an `@` in it.
fn split_digest(rest: &str) -> Result<(&str, Option<Digest>), Error> {
    match rest.rsplit_once('@') {
        Some((rest, digest)) if digest.starts_with("sha256:") => Ok((rest, Some(digest.parse()?))),
        _ => Ok((rest, None)),
    }
}

/// The file's name ends at the first colon, as with skopeo and podman: names of images have colons.
fn parse_archive(
    text: &str,
    rest: &str,
    place: fn(PathBuf) -> Location,
) -> Result<Reference, Error> {
    let bad = |reason: &str| Error::Reference { text: text.to_owned(), reason: reason.to_owned() };
    let (rest, digest) = split_digest(rest)?;
    let (file, tag) = match rest.split_once(':') {
        Some((file, tag)) => (file, Some(tag.to_owned())),
        None => (rest, None),
    };
    if file.is_empty() {
        return Err(bad("the file is missing"));
    }
    if tag.as_deref() == Some("") {
        return Err(bad("the name is empty"));
    }
    Ok(Reference { location: place(PathBuf::from(file)), tag, digest })
}

fn parse_layout(text: &str, rest: &str) -> Result<Reference, Error> {
    let bad = |reason: &str| Error::Reference { text: text.to_owned(), reason: reason.to_owned() };
    let (rest, digest) = split_digest(rest)?;
    let (folder, tag) = match rest.rsplit_once(':') {
        Some((folder, tag)) if !tag.contains('/') => (folder, Some(tag.to_owned())),
        _ => (rest, None),
    };
    if folder.is_empty() {
        return Err(bad("the folder is missing"));
    }
    if tag.as_deref() == Some("") {
        return Err(bad("the tag is empty"));
    }
    Ok(Reference { location: Location::Layout(Path::new(folder).to_owned()), tag, digest })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    #[test]
    fn references_are_filled_in_as_docker_does() {
        for (written, meant) in [
            ("redis", "docker.io/library/redis"),
            ("me/redis:7", "docker.io/me/redis:7"),
            ("localhost:5000/a/b:t", "localhost:5000/a/b:t"),
            ("ghcr.io/a/b", "ghcr.io/a/b"),
            ("oci:dir", "oci:dir"),
            ("oci:/a/b.c:t", "oci:/a/b.c:t"),
            ("oci:a:b/c", "oci:a:b/c"),
            ("oci-archive:a.tar:t", "oci-archive:a.tar:t"),
            ("docker-archive:-", "docker-archive:-"),
            ("docker-archive:/a/b@c.tar:me/app:v1", "docker-archive:/a/b@c.tar:me/app:v1"),
        ] {
            assert_eq!(written.parse::<Reference>().expect(written).to_string(), meant);
            let pinned = format!("{written}@{DIGEST}");
            assert_eq!(
                pinned.parse::<Reference>().expect(written).to_string(),
                format!("{meant}@{DIGEST}")
            );
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in
            ["", "repo/UPPER", "a b", "redis@sha256:12", "redis@sha512:00", "oci:", "oci:x:"]
        {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
        for text in ["oci-archive:", "docker-archive:x:", "docker-archive::y"] {
            assert!(matches!(text.parse::<Reference>(), Err(Error::Reference { .. })), "{text}");
        }
        let error = "docker://redis:7".parse::<Reference>().expect_err("a scheme").to_string();
        assert!(error.contains("leave out docker://"), "{error}");
        for text in ["dir:x", "docker-daemon:redis:7", "containers-storage:redis"] {
            assert!(matches!(text.parse::<Reference>(), Err(Error::Scheme { .. })), "{text}");
        }
    }

    #[test]
    fn tags_are_as_long_as_registries_take_them() {
        let longest = "_".repeat(128);
        assert_eq!(tag_name(&longest).as_ref(), Ok(&longest));
        assert_eq!(tag_name(&format!("{longest}_")), Err(Error::Tag(format!("{longest}_"))));
        assert_eq!(tag_name(".v1"), Err(Error::Tag(".v1".into())));
        assert_eq!(tag_name("sha256-12"), Err(Error::SignatureTag("sha256-12".into())));
    }

    #[test]
    fn only_a_reference_with_a_digest_is_pinned() {
        assert!(matches!("redis:7".parse::<PinnedRef>(), Err(Error::Unpinned(_))));
        let pinned: PinnedRef = format!("redis:7@{DIGEST}").parse().expect("pinned");
        assert_eq!(pinned.to_string(), format!("docker.io/library/redis@{DIGEST}"));
    }
}
