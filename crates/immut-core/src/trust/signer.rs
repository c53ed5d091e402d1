//! Who signs: [`Signer`], and the key in memory that does.

use std::fmt;

use sigstore::crypto::SigningScheme;
use sigstore::crypto::signing_key::{SigStoreKeyPair, SigStoreSigner};

use super::{Error, PublicKey, key};

/// Makes signatures: a key in memory, or anything else that can sign a message.
pub trait Signer: Send + Sync {
    /// The signature of `message`: DER for ECDSA, the plain bytes otherwise. The message is hashed
    /// with SHA-256 where the algorithm hashes first.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error>;

    /// The public key that verifies what [`Signer::sign`] makes.
    fn public_key(&self) -> &PublicKey;
}

/// A private key in memory; it is made by [`KeyText::private_key`](super::KeyText::private_key).
pub struct LocalKey {
    signer: SigStoreSigner,
    public: PublicKey,
}

impl LocalKey {
    /// From a pair whose kind was checked.
    pub(super) fn new(pair: &SigStoreKeyPair) -> Result<Self, key::Unusable> {
        let damaged =
            |error: sigstore::errors::SigstoreError| key::Unusable::Damaged(error.to_string());
        let scheme = match pair {
            SigStoreKeyPair::ECDSA(_) => SigningScheme::ECDSA_P256_SHA256_ASN1,
            SigStoreKeyPair::ED25519(_) => SigningScheme::ED25519,
            SigStoreKeyPair::RSA(_) => SigningScheme::RSA_PKCS1_SHA256(0),
        };
        let public = PublicKey::from_der(&pair.public_key_to_der().map_err(damaged)?)?;
        let signer = pair.to_sigstore_signer(&scheme).map_err(damaged)?;
        Ok(Self { signer, public })
    }
}

impl Signer for LocalKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signed = self.signer.sign(message);
        signed.map_err(|source| Error::Crypto { action: "sign", source: source.into() })
    }

    fn public_key(&self) -> &PublicKey {
        &self.public
    }
}

impl fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").field("public", &self.public).finish_non_exhaustive()
    }
}
