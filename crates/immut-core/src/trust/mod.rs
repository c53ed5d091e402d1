//! Keys, signatures and their verification, in the formats of cosign.
//!
//! [`sign`] writes two signatures of an image, since tools differ in what they read:
//!
//! | [`Format`] | where | read by |
//! |---|---|---|
//! | `Bundle` | a referrer of the image: a Sigstore bundle v0.3 around a DSSE envelope | cosign 3 |
//! | `Legacy` | the tag `sha256-HEX.sig`: a "simple signing" payload | cosign 2 and 3, policy engines |
//!
//! cosign 3 does not look at the legacy format where it finds any bundle, so both are always made
//! with the same key.
//!
//! [`verify`] accepts either. It checks the signature, that it is about this digest, and that it is
//! a *signature*: an attestation about the image (an SBOM, say) by the same key does not count.
//!
//! **No transparency log is written to or looked at.** A signature says that the holder of the key
//! made it; it does not say when. Whoever gets hold of the key can make signatures that nobody can
//! tell from older ones, so a key that leaked must be replaced, and the images signed again.

mod bundle;
mod command;
mod dsse;
mod error;
mod generate;
mod key;
mod legacy;
mod public;
mod sign;
mod signer;
mod source;
mod targets;
mod verify;

pub use command::{NO_LOG, Transport, verify_command};
pub use error::Error;
pub use generate::KeyPair;
pub use public::PublicKey;
pub use sign::{Format, Options, Outcome, Signatures, Signed, sign, sign_all};
pub use signer::{LocalKey, Signer};
pub use source::{KeySource, KeyText, Password};
pub use targets::Missing;
pub use verify::{Found, Reason, Rejected, Verified, verify};
