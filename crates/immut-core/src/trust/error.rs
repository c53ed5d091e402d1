//! What can go wrong with keys and signatures.

use std::io;
use std::path::PathBuf;

use super::{KeySource, Rejected};
use crate::image;
use crate::name::Digest;
use crate::store;

/// Why a key cannot be used, a signature cannot be made, or an image is not verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key service or key URL that is not read.
    #[error("keys in {scheme}:// are not supported; give a file, or env://NAME")]
    KeyScheme {
        /// What stands before `://`.
        scheme: String,
    },
    /// The key's file could not be read.
    #[error("read the key {place}: {source}")]
    KeyFile {
        /// The file.
        place: KeySource,
        /// The system's word.
        source: io::Error,
    },
    /// The environment variable is missing or empty.
    #[error("environment variable {0} is not set; it should hold the key's PEM text")]
    KeyVariable(String),
    /// There is no key in it.
    #[error("{place} holds no key: {reason}")]
    NoKey {
        /// Where it was read.
        place: KeySource,
        /// What is wrong with the text.
        reason: &'static str,
    },
    /// A public key where a private one is needed.
    #[error("{0} is a public key; signing needs the private key (the file that ends in .key)")]
    PublicKey(KeySource),
    /// A private key where a public one is needed.
    #[error("{0} is a private key; verifying needs the public key, pass its FILE.pub instead")]
    PrivateKey(KeySource),
    /// A kind of key that cannot be used.
    #[error("the key {place} cannot be used: {reason}")]
    KeyKind {
        /// Where it was read.
        place: KeySource,
        /// Which kind it is, and what helps.
        reason: &'static str,
    },
    /// An encrypted key, and no password.
    #[error("the key {0} is encrypted and no password was given; set COSIGN_PASSWORD")]
    NoPassword(KeySource),
    /// The encrypted content does not open.
    #[error("the password does not open the key {0}: it is wrong, or the key is damaged")]
    WrongPassword(KeySource),
    /// It is labelled as a key and does not hold one.
    #[error("the key {place} is damaged: {reason}")]
    DamagedKey {
        /// Where it was read.
        place: KeySource,
        /// What is wrong.
        reason: String,
    },
    /// A file is in the way of a new key.
    #[error("{} exists; a key is never overwritten, choose another name", .0.display())]
    KeyExists(PathBuf),
    /// A key file could not be written.
    #[error("write {}: {source}", .path.display())]
    WriteKey {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The cryptographic library refused.
    #[error("{action}: {source}")]
    Crypto {
        /// What was done, such as `make a key`.
        action: &'static str,
        /// The library's word.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// `SOURCE_DATE_EPOCH` is no time.
    #[error("SOURCE_DATE_EPOCH is {0:?}, not a number of seconds since 1970")]
    Epoch(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What is to be signed is no image.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// Under the tag for signatures lies something else; it is left alone.
    #[error("{tag} is no signature manifest ({reason}); it is left as it is, remove or repair it")]
    SignatureTag {
        /// The tag, `sha256-HEX.sig`.
        tag: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The signature was written and is not there: another writer keeps replacing it.
    #[error(
        "the signature of {digest} was written and is not there; is something else signing the same image now?"
    )]
    Lost {
        /// The signed digest.
        digest: Digest,
    },
    /// There is no signature at all.
    #[error("{digest} has no signature{}", beside(.rejected))]
    Unsigned {
        /// The image.
        digest: Digest,
        /// What was found beside it and is no signature.
        rejected: Vec<Rejected>,
    },
    /// There are signatures, none of which this key made.
    #[error("{digest} is signed, but not with this key: {}", list(.rejected))]
    OtherKeys {
        /// The image.
        digest: Digest,
        /// What was found.
        rejected: Vec<Rejected>,
    },
    /// There are signatures that do not hold.
    #[error("{digest} has a signature that does not hold: {}", list(.rejected))]
    Broken {
        /// The image.
        digest: Digest,
        /// What was found.
        rejected: Vec<Rejected>,
    },
}

fn list(rejected: &[Rejected]) -> String {
    rejected.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn beside(rejected: &[Rejected]) -> String {
    if rejected.is_empty() { String::new() } else { format!(" ({})", list(rejected)) }
}
