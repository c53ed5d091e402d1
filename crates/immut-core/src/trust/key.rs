//! What is in a key's text: its label, its kind, and how it is opened.

use pem::{EncodeConfig, LineEnding, Pem};
use serde_json::Value;
use sigstore::crypto::signing_key::{SigStoreKeyPair, kdf, rsa::keypair::RSAKeys};
use zeroize::Zeroizing;

use super::{Error, KeySource, LocalKey, Password, PublicKey};

/// Whether the text is a private key that only a password opens.
pub(super) fn is_encrypted(text: &str) -> bool {
    blocks(text).is_some_and(|blocks| blocks.iter().any(|block| SEALED.contains(&block.tag())))
}

/// Reads a private key.
pub(super) fn private(
    place: &KeySource,
    text: &str,
    password: Option<&Password>,
) -> Result<LocalKey, Error> {
    let block = key_block(place, text)?;
    let content = block.contents();
    let pair = match block.tag() {
        label if SEALED.contains(&label) => from_pkcs8(&open(place, content, password)?),
        _ if block.headers().get("DEK-Info").is_some() => Err(Unusable::Kind(OPENSSL_ENCRYPTED)),
        "PRIVATE KEY" => from_pkcs8(content),
        "EC PRIVATE KEY" => sec1_to_pkcs8(content).and_then(|pkcs8| from_pkcs8(&pkcs8)),
        "RSA PRIVATE KEY" => from_pkcs1(&block),
        "ENCRYPTED PRIVATE KEY" => Err(Unusable::Kind(OPENSSL_ENCRYPTED)),
        "PUBLIC KEY" | "RSA PUBLIC KEY" => return Err(Error::PublicKey(place.clone())),
        label => Err(Unusable::Kind(other_label(label))),
    };
    pair.and_then(|pair| LocalKey::new(&pair)).map_err(|reason| reason.of(place))
}

/// Reads a public key.
pub(super) fn public(place: &KeySource, text: &str) -> Result<PublicKey, Error> {
    let block = key_block(place, text)?;
    match block.tag() {
        "PUBLIC KEY" => PublicKey::from_der(block.contents()),
        "RSA PUBLIC KEY" => Err(Unusable::Kind(
            "it is an RSA key in the older PKCS #1 form; convert it with `openssl rsa -RSAPublicKey_in -in FILE -pubout`",
        )),
        label if label.ends_with("PRIVATE KEY") => return Err(Error::PrivateKey(place.clone())),
        label => Err(Unusable::Kind(other_label(label))),
    }
    .map_err(|reason| reason.of(place))
}

/// Why a key is not usable; [`Unusable::of`] adds where it was read.
#[derive(Debug)]
pub(super) enum Unusable {
    Kind(&'static str),
    Damaged(String),
}

impl Unusable {
    fn of(self, place: &KeySource) -> Error {
        let place = place.clone();
        match self {
            Self::Kind(reason) => Error::KeyKind { place, reason },
            Self::Damaged(reason) => Error::DamagedKey { place, reason },
        }
    }
}

/// Refuses kinds of keys with which cosign would not verify; `der` is a public or private key with
/// its algorithm in front (RFC 5280, RFC 5958).
pub(super) fn check_kind(der: &[u8]) -> Result<(), Unusable> {
    let head = &der[..der.len().min(64)];
    let has = |oid: &[u8]| head.windows(oid.len()).any(|window| window == oid);
    if has(P384) || has(P521) {
        return Err(Unusable::Kind(
            "it is on the curve P-384 or P-521, and cosign verifies those only with extra flags; use a P-256, RSA or Ed25519 key",
        ));
    }
    if has(P256) || has(RSA) || has(ED25519) {
        return Ok(());
    }
    Err(Unusable::Kind("it is no P-256, RSA or Ed25519 key"))
}

/// PEM with the line ends of Unix, as cosign writes it.
pub(super) fn encode_pem(label: &str, content: &[u8]) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    pem::encode_config(&Pem::new(label, content), config)
}

fn blocks(text: &str) -> Option<Vec<Pem>> {
    pem::parse_many(text).ok()
}

/// The first block that is no bare curve name (OpenSSL puts `EC PARAMETERS` before the key).
fn key_block(place: &KeySource, text: &str) -> Result<Pem, Error> {
    let no_key = |reason| Error::NoKey { place: place.clone(), reason };
    let blocks = blocks(text).ok_or_else(|| no_key("its PEM text is damaged"))?;
    let key = blocks.into_iter().find(|block| block.tag() != "EC PARAMETERS");
    key.ok_or_else(|| no_key("there is no PEM text (-----BEGIN ...) in it"))
}

/// Opens an encrypted key of cosign: JSON with scrypt's parameters and a `NaCl` secretbox (the
/// package `encrypted` of go-tuf and go-securesystemslib).
///
/// The shape is checked first, so that a failure to open means the password.
fn open(
    place: &KeySource,
    content: &[u8],
    password: Option<&Password>,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    check_sealed(content).map_err(|reason| reason.of(place))?;
    let password = password.ok_or_else(|| Error::NoPassword(place.clone()))?;
    let opened = kdf::decrypt(content, password.bytes());
    opened.map(Zeroizing::new).map_err(|_| Error::WrongPassword(place.clone()))
}

fn check_sealed(content: &[u8]) -> Result<(), Unusable> {
    let json: Value = serde_json::from_slice(content)
        .map_err(|error| Unusable::Damaged(format!("the encrypted part is no JSON: {error}")))?;
    if json["kdf"]["name"] != kdf::NAME_SCRYPT || json["cipher"]["name"] != kdf::NAME_SECRET_BOX {
        return Err(Unusable::Kind("it is encrypted in a way that cosign does not use"));
    }
    let params = &json["kdf"]["params"];
    let costs = [kdf::SCRYPT_N_LOW, kdf::SCRYPT_N_HIGH];
    let known = costs.iter().any(|n| params["N"] == *n)
        && params["r"] == kdf::SCRYPT_R
        && params["p"] == kdf::SCRYPT_P;
    if !known {
        return Err(Unusable::Kind("its password is hashed with a cost that cosign does not use"));
    }
    // The library takes the nonce's length on trust.
    for (name, value, length) in [
        ("nonce", &json["cipher"]["nonce"], Some(kdf::BOX_NONCE_SIZE as usize)),
        ("salt", &json["kdf"]["salt"], None),
        ("ciphertext", &json["ciphertext"], None),
    ] {
        let bytes = value.as_str().and_then(super::dsse::from_base64);
        if bytes.is_none_or(|bytes| length.is_some_and(|length| bytes.len() != length)) {
            return Err(Unusable::Damaged(format!("its {name} is missing or broken")));
        }
    }
    Ok(())
}

fn from_pkcs8(der: &[u8]) -> Result<SigStoreKeyPair, Unusable> {
    check_kind(der)?;
    SigStoreKeyPair::from_der(der).map_err(|_| Unusable::Damaged(broken_or_odd(der)))
}

fn from_pkcs1(block: &Pem) -> Result<SigStoreKeyPair, Unusable> {
    let text = Zeroizing::new(pem::encode(block));
    let keys = RSAKeys::from_pem(text.as_bytes());
    keys.map(SigStoreKeyPair::RSA).map_err(|_| Unusable::Damaged(RSA_SIZES.to_owned()))
}

fn broken_or_odd(der: &[u8]) -> String {
    let rsa = der.windows(RSA.len()).take(64).any(|window| window == RSA);
    if rsa { RSA_SIZES.to_owned() } else { "its content is no private key".to_owned() }
}

/// Wraps a SEC 1 key (RFC 5915) as PKCS #8 (RFC 5958); the curve must be named in it.
fn sec1_to_pkcs8(sec1: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unusable> {
    let has = |oid: &[u8]| sec1.windows(oid.len()).any(|window| window == oid);
    if has(P384) || has(P521) {
        let curve = if has(P384) { P384 } else { P521 };
        check_kind(curve)?;
    }
    if !has(P256) {
        return Err(Unusable::Kind(
            "it is an EC key that does not name the curve P-256; convert it with `openssl pkcs8 -topk8 -nocrypt -in FILE`",
        ));
    }
    let algorithm = der(0x30, &[EC, P256].concat());
    let private = Zeroizing::new(der(0x04, sec1));
    let fields = Zeroizing::new([VERSION_0, &algorithm, &private].concat());
    Ok(Zeroizing::new(der(0x30, &fields)))
}

/// One DER value; key material is far below the 64 KiB that two length bytes reach.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let [.., high, low] = content.len().to_be_bytes();
    let head = match (high, low) {
        (0, ..0x80) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [head.as_slice(), content].concat()
}

fn other_label(label: &str) -> &'static str {
    match label {
        "CERTIFICATE" => "it is a certificate, no key",
        "OPENSSH PRIVATE KEY" => "it is an OpenSSH key; make one with `immut key generate`",
        _ => "its PEM label is none of a key",
    }
}

/// What cosign calls its encrypted keys, before and since version 2.
const SEALED: [&str; 2] = ["ENCRYPTED COSIGN PRIVATE KEY", "ENCRYPTED SIGSTORE PRIVATE KEY"];
const OPENSSL_ENCRYPTED: &str =
    "it is encrypted by OpenSSL; import it with `cosign import-key-pair --key FILE`";
const RSA_SIZES: &str = "it is broken, or an RSA key that has not 2048, 3072 or 4096 bits";

// Object identifiers as DER: RFC 5480 (curves), RFC 8017 (RSA), RFC 8410 (Ed25519).
const EC: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23];
const RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
const VERSION_0: &[u8] = &[0x02, 0x01, 0x00];
