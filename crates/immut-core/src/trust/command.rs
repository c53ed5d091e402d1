//! The command that verifies with cosign what was signed here.

use std::path::Path;

use crate::name::{Location, PinnedRef};

/// How cosign has to talk to the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Transport<'a> {
    /// HTTPS with a certificate that the system trusts (or plain HTTP on this machine, which
    /// cosign does by itself for `localhost` and `127.0.0.1`).
    #[default]
    Trusted,
    /// Plain HTTP.
    Http,
    /// HTTPS with a certificate that is not checked.
    AnyCertificate,
    /// HTTPS with a certificate of the authority whose own is in that file.
    Authority(&'a Path),
}

/// Why the command has `--insecure-ignore-tlog=true`, in one sentence for the user.
pub const NO_LOG: &str = "--insecure-ignore-tlog=true: the signature was made with a key and is in \
    no transparency log, so cosign must not look for it there; the signature itself is checked in full.";

/// The command, for cosign 2 and 3, that verifies `image` with the public key in `key`.
///
/// ```
/// use immut_core::trust::{Transport, verify_command};
/// let digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
/// let image = format!("ghcr.io/a/b@{digest}").parse()?;
/// assert_eq!(
///     verify_command(&image, "cosign.pub".as_ref(), Transport::Trusted),
///     format!("cosign verify --key cosign.pub --insecure-ignore-tlog=true ghcr.io/a/b@{digest}")
/// );
/// # Ok::<(), immut_core::name::Error>(())
/// ```
///
/// cosign reads no archives, so for an image in one it is immut's own command.
pub fn verify_command(image: &PinnedRef, key: &Path, transport: Transport<'_>) -> String {
    if image.location.archive().is_some() {
        let [key, image] = [key.display().to_string(), image.to_string()].map(|one| quoted(&one));
        return format!("immut verify --key {key} {image}");
    }
    let mut words = vec!["cosign".to_owned(), "verify".to_owned(), "--key".to_owned()];
    words.push(quoted(&key.display().to_string()));
    words.push("--insecure-ignore-tlog=true".to_owned());
    if let Location::Layout(folder) = &image.location {
        words.push("--local-image".to_owned());
        words.push(quoted(&folder.display().to_string()));
        return words.join(" ");
    }
    match transport {
        Transport::Trusted => {}
        Transport::Http => words.push("--allow-http-registry".to_owned()),
        Transport::AnyCertificate => words.push("--allow-insecure-registry".to_owned()),
        Transport::Authority(file) => {
            words.push("--registry-cacert".to_owned());
            words.push(quoted(&file.display().to_string()));
        }
    }
    words.push(quoted(&image.to_string()));
    words.join(" ")
}

/// A word as a POSIX shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_has_its_flags() {
        let digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        let command = |place: &str, transport| {
            let image = format!("{place}@{digest}").parse().expect("pinned");
            verify_command(&image, Path::new("it's.pub"), transport)
        };
        let start = r"cosign verify --key 'it'\''s.pub' --insecure-ignore-tlog=true";
        assert_eq!(
            command("oci:out dir:demo", Transport::Trusted),
            format!("{start} --local-image 'out dir'")
        );
        assert_eq!(
            command("r.example/a/b", Transport::Http),
            format!("{start} --allow-http-registry r.example/a/b@{digest}")
        );
        assert!(
            command("r.example/a/b", Transport::AnyCertificate)
                .contains("--allow-insecure-registry ")
        );
    }
}
