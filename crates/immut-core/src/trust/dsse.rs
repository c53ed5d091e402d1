//! DSSE envelopes and the in-toto statements in them.
//!
//! Formats: "DSSE: Dead Simple Signing Envelope" v1.0 (protocol and envelope), and the in-toto
//! attestation framework's Statement v1. cosign writes Statement v0.1 for some predicates; both
//! are read.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};

use super::{Error, PublicKey, Reason, Signer};
use crate::name::Digest;

/// What is signed: the payload with its type, so that it cannot be taken for another type.
///
/// `DSSEv1 LEN(type) type LEN(payload) payload`, lengths in bytes as decimal numbers.
pub(super) fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut message =
        format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    message
}

/// The statement that an image was signed: what `cosign sign` states.
pub(super) fn signature_statement(digest: &Digest) -> Vec<u8> {
    let statement = json!({
        "_type": STATEMENT_1,
        "subject": [{ "digest": { "sha256": digest.hex() }, "annotations": {} }],
        "predicateType": SIGNATURE,
        "predicate": {},
    });
    statement.to_string().into_bytes()
}

/// A signed envelope around an in-toto statement.
pub(super) fn seal(statement: &[u8], signer: &dyn Signer) -> Result<Value, Error> {
    let signature = signer.sign(&pae(IN_TOTO, statement))?;
    Ok(json!({
        "payload": STANDARD.encode(statement),
        "payloadType": IN_TOTO,
        "signatures": [{ "sig": STANDARD.encode(signature) }],
    }))
}

/// Checks that an envelope holds a signature of `digest` by `key`.
///
/// What the statement says is believed only after the signature held; before that it may only
/// lead to a refusal.
pub(super) fn check(envelope: &Value, digest: &Digest, key: &PublicKey) -> Result<(), Reason> {
    if envelope["payloadType"] != IN_TOTO {
        return Err(Reason::PayloadType(text(&envelope["payloadType"])));
    }
    let payload = envelope["payload"].as_str().and_then(from_base64);
    let payload = payload.ok_or(Reason::Malformed("its payload is no base64".into()))?;
    let signatures = envelope["signatures"].as_array().map_or(&[][..], Vec::as_slice);
    let [signature] = signatures else { return Err(Reason::SignatureCount(signatures.len())) };
    let signature = signature["sig"].as_str().and_then(from_base64);
    let signature = signature.ok_or(Reason::Malformed("its signature is no base64".into()))?;
    let statement = parse_statement(&payload)?;
    if !key.verifies(&pae(IN_TOTO, &payload), &signature) {
        return Err(Reason::OtherKey(None));
    }
    check_subject(&statement, digest)
}

/// Reads a statement and refuses those that state no signature.
fn parse_statement(payload: &[u8]) -> Result<Value, Reason> {
    let statement: Value = serde_json::from_slice(payload)
        .map_err(|error| Reason::Malformed(format!("its statement is no JSON: {error}")))?;
    if statement["_type"] != STATEMENT_1 && statement["_type"] != STATEMENT_0_1 {
        let reason = format!("its statement is of type {:?}", text(&statement["_type"]));
        return Err(Reason::Malformed(reason));
    }
    if statement["predicateType"] != SIGNATURE {
        return Err(Reason::Attestation(text(&statement["predicateType"])));
    }
    Ok(statement)
}

fn check_subject(statement: &Value, digest: &Digest) -> Result<(), Reason> {
    let subjects = statement["subject"].as_array().map_or(&[][..], Vec::as_slice);
    if subjects.iter().any(|subject| subject["digest"]["sha256"] == digest.hex()) {
        return Ok(());
    }
    let named = subjects.first().map(|subject| text(&subject["digest"]["sha256"]));
    Err(Reason::OtherImage(named.unwrap_or_default()))
}

/// Base64 in the standard or the URL alphabet: the DSSE specification allows either.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

/// A foreign value for a message, not longer than a line.
pub(super) fn text(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// The payload type of in-toto statements.
pub(super) const IN_TOTO: &str = "application/vnd.in-toto+json";
/// The predicate type that says: this is a signature.
pub(super) const SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";
const STATEMENT_1: &str = "https://in-toto.io/Statement/v1";
const STATEMENT_0_1: &str = "https://in-toto.io/Statement/v0.1";

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the DSSE specification ("Protocol", test vectors).
    #[test]
    fn pae_is_as_specified() {
        let hello = pae("http://example.com/HelloWorld", b"hello world");
        assert_eq!(hello, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
        assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
    }

    #[test]
    fn the_statement_is_what_cosign_writes() {
        let digest = Digest::of(b"{}");
        let expected = r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"annotations":{}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}"#;
        assert_eq!(String::from_utf8(signature_statement(&digest)).expect("text"), expected);
    }
}
