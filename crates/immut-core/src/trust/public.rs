//! Public keys.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sigstore::crypto::{CosignVerificationKey, Signature};

use super::key::{self, encode_pem};
use crate::name::Digest;

/// A public key that verifies signatures: P-256 (ECDSA), RSA (PKCS #1 v1.5) or Ed25519, each over
/// SHA-256 where the algorithm lets one choose.
#[derive(Clone)]
pub struct PublicKey {
    key: CosignVerificationKey,
    der: Vec<u8>,
}

impl PublicKey {
    /// From DER (`SubjectPublicKeyInfo`, RFC 5280); the reason if it is no key that can be used.
    pub(super) fn from_der(der: &[u8]) -> Result<Self, key::Unusable> {
        key::check_kind(der)?;
        let key = CosignVerificationKey::try_from_der(der)
            .map_err(|error| key::Unusable::Damaged(error.to_string()))?;
        Ok(Self { key, der: der.to_owned() })
    }

    /// The key as DER (`SubjectPublicKeyInfo`, RFC 5280).
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The key as PEM, as `cosign.pub` has it.
    pub fn pem(&self) -> String {
        encode_pem("PUBLIC KEY", &self.der)
    }

    /// How bundles name the key: base64 of the SHA-256 of its DER.
    pub fn hint(&self) -> String {
        STANDARD.encode(Digest::of(&self.der).as_bytes())
    }

    /// Whether `signature` is one of `message` by this key.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_signature(Signature::Raw(signature), message).is_ok()
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.hint())
    }
}
