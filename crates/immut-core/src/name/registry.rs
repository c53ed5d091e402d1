//! References to images in registries: `[HOST[:PORT]/]REPO[:TAG][@sha256:...]`.
//!
//! What each part may consist of is what docker's reference grammar says. It is read by hand: as one
//! regular expression it takes 11 MiB for as long as the program runs.

use super::{Digest, Error, Location, Reference, Repository, is_tag};

pub(super) fn parse(text: &str) -> Result<Reference, Error> {
    let bad = |reason: &str| Error::Reference { text: text.to_owned(), reason: reason.to_owned() };
    let (rest, digest) = match text.rsplit_once('@') {
        Some((rest, digest)) => (rest, Some(digest.parse::<Digest>()?)),
        None => (text, None),
    };
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    let repository = filled_in(name);
    if name.is_empty() {
        return Err(bad("the name is missing"));
    }
    if !is_host(&repository.host) {
        return Err(bad("the host is none"));
    }
    if repository.path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(bad("the repository has uppercase letters"));
    }
    if !repository.path.split('/').all(is_component) {
        return Err(bad("the repository is none"));
    }
    if repository.path.len() > MAX_PATH {
        return Err(bad("the repository is longer than 255 characters"));
    }
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err(bad("the tag is none"));
    }
    let location = Location::Registry(repository);
    Ok(Reference { location, tag: tag.map(str::to_owned), digest })
}

/// Host and path, with what docker fills in: the first part is a host if it looks like one.
fn filled_in(name: &str) -> Repository {
    let looks = |host: &str| host.contains(['.', ':']) || host == "localhost";
    let (host, path) = match name.split_once('/') {
        Some((host, path)) if looks(host) => (host, path),
        _ => (DOCKER_HUB, name),
    };
    let host = if host == DOCKER_HUB_OF_OLD { DOCKER_HUB } else { host };
    let official = host == DOCKER_HUB && !path.contains('/');
    let path = if official { format!("library/{path}") } else { path.to_owned() };
    Repository { host: host.to_owned(), path }
}

/// Words of letters, digits and inner hyphens, joined by dots, and a port.
fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').unwrap_or((text, "0"));
    let word = |word: &str| {
        let inner = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        inner && !word.is_empty() && !word.starts_with('-') && !word.ends_with('-')
    };
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    digits && name.split('.').all(word)
}

/// Lowercase letters and digits, joined by one dot, one or two underscores, or hyphens.
fn is_component(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let joint =
        |text: &str| matches!(text, "" | "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    let ends = [text.bytes().next(), text.bytes().next_back()];
    ends.iter().all(|end| end.is_some_and(word))
        && text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).all(joint)
}

const DOCKER_HUB: &str = "docker.io";
/// What docker itself once called it.
const DOCKER_HUB_OF_OLD: &str = "index.docker.io";
/// The longest path of a repository.
const MAX_PATH: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PARTS: [&str; 25] = [
        "a",
        "b7",
        "X",
        "0",
        "-",
        "--",
        ".",
        "..",
        "_",
        "__",
        "___",
        "/",
        "/",
        ":",
        ":5000",
        "é",
        " ",
        "localhost",
        "docker.io",
        "index.docker.io",
        "a-b.c",
        "latest",
        "library",
        "@",
        "@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        /// The parser of the OCI's own library gives the same answer, but that it lets uppercase
        /// letters into repositories and letters of other scripts into tags.
        #[test]
        fn references_are_read_as_by_others(
            parts in prop::collection::vec(prop::sample::select(&PARTS[..]), 1..9)
        ) {
            let text = parts.concat();
            let theirs = text.parse::<oci_spec::distribution::Reference>().ok().filter(|one| {
                one.tag().is_none_or(str::is_ascii)
                    && one.repository() == one.repository().to_lowercase()
            });
            let ours = parse(&text).ok();
            prop_assert_eq!(ours.is_some(), theirs.is_some(), "{}", text);
            if let (Some(ours), Some(theirs)) = (ours, theirs) {
                let (host, path) = (theirs.registry().to_owned(), theirs.repository().to_owned());
                prop_assert_eq!(ours.location, Location::Registry(Repository { host, path }));
                let latest = Some("latest").filter(|_| ours.digest.is_none());
                prop_assert_eq!(ours.tag.as_deref().or(latest), theirs.tag());
            }
        }
    }

    #[test]
    fn the_longest_path_is_taken() {
        let longest = format!("a/{}", "b".repeat(MAX_PATH - 2));
        assert!(parse(&format!("localhost/{longest}:t")).is_ok());
        assert!(parse(&format!("localhost/{longest}b:t")).is_err());
    }
}
