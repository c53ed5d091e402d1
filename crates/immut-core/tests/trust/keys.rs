//! Keys: every kind is used or refused with the reason, and none is ever overwritten.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use immut_core::trust::{Error, KeyPair, KeySource, KeyText, LocalKey, Password, Signer};
use pem::Pem;
use sigstore::crypto::signing_key::KeyPair as _;
use sigstore::crypto::signing_key::ecdsa::EllipticCurve;
use sigstore::crypto::signing_key::ecdsa::ec::EcdsaKeys;

use crate::peers;

fn load(text: &str, password: Option<&str>) -> Result<LocalKey, Error> {
    let text = KeyText::new(KeySource::File("test.key".into()), text);
    text.private_key(password.map(Password::new).as_ref())
}

fn works(key: &LocalKey, name: &str) {
    let signature = key.sign(b"message").expect(name);
    assert!(key.public_key().verifies(b"message", &signature), "{name}");
    assert!(!key.public_key().verifies(b"massage", &signature), "{name}");
}

fn pem(label: &str, content: &[u8]) -> String {
    pem::encode(&Pem::new(label, content))
}

#[test]
fn keys_of_cosign_and_sigstore_load() {
    let Some(folder) = peers::fixtures("6-sigstore") else { return };
    for (file, password, encrypted) in [
        ("sigstore-rs/keys/cosign_generated_encrypted_empty_private.key", Some(""), true),
        ("sigstore-rs/keys/ecdsa_encrypted_private.key", Some("123"), true),
        ("sigstore-rs/keys/ed25519_encrypted_private.key", Some("123"), true),
        ("sigstore-rs/keys/rsa_encrypted_private.key", Some("123"), true),
        ("sigstore-rs/keys/ecdsa_private.key", None, false),
        ("sigstore-rs/keys/ed25519_private.key", None, false),
        ("sigstore-rs/keys/rsa_private.key", None, false),
        ("sigstore-rs/keys/rsa_private.key", Some("not needed"), false),
    ] {
        let text = KeySource::File(folder.join(file)).read().expect(file);
        assert_eq!(text.needs_password(), encrypted, "{file}");
        let password = password.map(Password::new);
        let key = text.private_key(password.as_ref());
        works(&key.unwrap_or_else(|error| panic!("{error}")), file);
        if encrypted {
            let wrong = text.private_key(Some(&Password::new("wrong"))).expect_err(file);
            assert!(matches!(wrong, Error::WrongPassword(_)), "{file}: {wrong}");
            let none = text.private_key(None).expect_err(file);
            assert!(matches!(none, Error::NoPassword(_)), "{file}: {none}");
        }
        let error = text.public_key().expect_err(file);
        assert!(error.to_string().contains("pass its FILE.pub"), "{file}: {error}");
    }
}

#[test]
fn public_keys_load_and_are_no_private_keys() {
    let Some(folder) = peers::fixtures("6-sigstore/cosign/keys") else { return };
    for file in ["cosign-test.pub", "release-cosign.pub"] {
        let text = KeySource::File(folder.join(file)).read().expect(file);
        let key = text.public_key().expect(file);
        assert_eq!(pem::parse(key.pem()).expect("PEM").contents(), key.der(), "{file}");
        assert!(matches!(text.private_key(None), Err(Error::PublicKey(_))), "{file}");
    }
}

/// Its password is not known here: it must be recognised, and the password blamed.
#[test]
fn a_key_of_cosign_2_asks_for_its_password() {
    let Some(folder) = peers::fixtures("6-sigstore/cosign/keys") else { return };
    let text = KeySource::File(folder.join("cosign-test.key")).read().expect("read");
    assert!(text.needs_password());
    assert!(matches!(text.private_key(None), Err(Error::NoPassword(_))));
    let wrong = text.private_key(Some(&Password::new("surely not"))).expect_err("wrong");
    assert!(matches!(wrong, Error::WrongPassword(_)), "{wrong}");
}

#[test]
fn a_sec1_key_is_wrapped() {
    let sec1 = |curve: &[u8]| {
        let mut key = vec![0x30, 0, 0x02, 0x01, 0x01, 0x04, 0x20];
        key.extend([7; 32]);
        key.extend([0xa0, u8::try_from(curve.len()).expect("short")]);
        key.extend(curve);
        key[1] = u8::try_from(key.len() - 2).expect("short");
        key
    };
    let p256 = sec1(&[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
    let parameters = pem("EC PARAMETERS", b"x");
    let text = format!("{parameters}{}", pem("EC PRIVATE KEY", &p256));
    works(&load(&text, None).expect("loaded"), "SEC 1");
    for curve in [&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22][..], &[0x05, 0x00]] {
        let error = load(&pem("EC PRIVATE KEY", &sec1(curve)), None).expect_err("refused");
        assert!(matches!(error, Error::KeyKind { .. }), "{error}");
    }
}

#[test]
fn curves_that_cosign_does_not_verify_are_refused() {
    for curve in [EllipticCurve::P384, EllipticCurve::P521] {
        let keys = EcdsaKeys::new(curve).expect("a key");
        let plain = keys.private_key_to_pem().expect("PEM");
        let sealed = keys.private_key_to_encrypted_pem(b"pw").expect("PEM");
        for text in [plain, sealed] {
            let error = load(&text, Some("pw")).expect_err("refused");
            assert!(error.to_string().contains("P-384 or P-521"), "{error}");
        }
        let public =
            KeyText::new(KeySource::File("k".into()), &keys.public_key_to_pem().expect("PEM"));
        assert!(matches!(public.public_key(), Err(Error::KeyKind { .. })));
    }
}

#[test]
fn what_is_no_key_is_refused_with_the_reason() {
    let sealed = |json: &str| pem("ENCRYPTED SIGSTORE PRIVATE KEY", json.as_bytes());
    let kdf = r#""kdf":{"name":"scrypt","params":{"N":32768,"r":8,"p":1},"salt":"AAAA"}"#;
    let short_nonce = format!(
        r#"{{{kdf},"cipher":{{"name":"nacl/secretbox","nonce":"AAAA"}},"ciphertext":"AAAA"}}"#
    );
    let costly = short_nonce.replace("32768", "1073741824");
    for (text, expected) in [
        (String::new(), "no PEM text"),
        ("hello".to_owned(), "no PEM text"),
        ("-----BEGIN PRIVATE KEY-----\n!!!\n-----END PRIVATE KEY-----".to_owned(), "damaged"),
        (pem("CERTIFICATE", b"x"), "a certificate"),
        (pem("OPENSSH PRIVATE KEY", b"x"), "an OpenSSH key"),
        (pem("ENCRYPTED PRIVATE KEY", b"x"), "cosign import-key-pair"),
        (pem("PRIVATE KEY", b"x"), "no P-256, RSA or Ed25519 key"),
        (pem("RSA PRIVATE KEY", b"x"), "2048, 3072 or 4096"),
        (sealed("x"), "no JSON"),
        (sealed("{}"), "cosign does not use"),
        (sealed(&short_nonce), "nonce"),
        (sealed(&costly), "cost that cosign does not use"),
    ] {
        let error = load(&text, Some("pw")).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("test.key"), "{error}");
    }
}

#[test]
fn a_generated_pair_is_written_once_with_its_modes() {
    let folder = tempfile::tempdir().expect("a folder");
    let prefix = folder.path().join("release.v1");
    let pair = KeyPair::generate(&Password::new("pw")).expect("a key");
    let (private, public) = pair.write(&prefix).expect("written");
    assert!(private.ends_with("release.v1.key") && public.ends_with("release.v1.pub"));
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&private), mode(&public)), (0o600, 0o644));
    assert!(!format!("{pair:?}").contains("PRIVATE"));
    let before = fs::read(&private).expect("read");
    let again = KeyPair::generate(&Password::new("pw")).expect("a key");
    assert!(matches!(again.write(&prefix), Err(Error::KeyExists(_))));
    assert_eq!(fs::read(&private).expect("read"), before);
    works(&load(pair.private_pem(), Some("pw")).expect("loaded"), "generated");
}

#[test]
fn a_public_key_in_the_way_leaves_no_private_key_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("k.pub"), "mine").expect("written");
    let pair = KeyPair::generate(&Password::new("pw")).expect("a key");
    assert!(matches!(pair.write(&folder.path().join("k")), Err(Error::KeyExists(_))));
    assert!(!folder.path().join("k.key").exists());
    assert_eq!(fs::read_to_string(folder.path().join("k.pub")).expect("read"), "mine");
}
