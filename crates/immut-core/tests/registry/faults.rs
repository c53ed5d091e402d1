//! What servers and networks do wrong.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use immut_core::name::{Digest, Repository};
use immut_core::store::registry::{self, Cause};
use immut_core::store::{Error, Registry, RegistryOptions, Sink, Source, read_small};
use immut_testkit::registry::{self as testkit, Fault};
use serde_json::json;

use super::{blob, connect, content, manifest, put, quick, refused};

fn wait(seconds: &str) -> Vec<(&'static str, String)> {
    vec![("Retry-After", seconds.to_owned())]
}

#[test]
fn passing_failures_pass() {
    let there = testkit::Registry::start();
    let registry = connect(&there, "demo/app");
    for (method, part) in [
        ("POST", "/uploads/"),
        ("PATCH", "/uploads/"),
        ("PUT", "/uploads/"),
        ("PUT", "/manifests/"),
        ("HEAD", "/blobs/"),
        ("GET", "/blobs/"),
        ("GET", "/manifests/"),
    ] {
        for status in [429, 502, 503, 504] {
            there.fail(method, part, 1, Fault::Status(status, vec![]));
        }
    }
    let pushed = put(&registry, b"content").expect("pushed");
    assert!(registry.has(&pushed).expect("an answer"));
    assert_eq!(read_small(&registry, &pushed).expect("pulled"), b"content");
    let manifest = manifest(&json!({}));
    registry.tag("v1", &manifest).expect("tagged");
    assert_eq!(registry.tagged("v1").expect("an answer"), Some(manifest));
}

#[test]
fn retry_after_is_honoured() {
    let there = testkit::Registry::start();
    let registry = connect(&there, "demo/app");
    there.fail("HEAD", "", 1, Fault::Status(429, wait("1")));
    let started = Instant::now();
    assert!(!registry.has(&blob(b"x")).expect("an answer"));
    assert!(started.elapsed() >= Duration::from_secs(1));

    // A registry that asks for an hour is believed too: we do not wait, and do not ask again.
    there.fail("HEAD", "", 1, Fault::Status(429, wait("3600")));
    assert_eq!(refused(&registry.has(&blob(b"x")).expect_err("refused")).0, 429);
}

#[test]
fn failures_that_stay_are_told_with_the_registrys_words() {
    let there = testkit::Registry::start();
    let registry = connect(&there, "demo/app");
    for (status, sent) in [(503, 6), (500, 6), (403, 1), (418, 1)] {
        let before = there.log().len();
        there.fail("GET", "/manifests/", sent, Fault::Status(status, vec![]));
        let (told, message) = refused(&registry.tagged("v1").expect_err("refused"));
        assert_eq!((told, there.log().len() - before), (status, sent));
        let words = format!("fetch manifest v1: {} answered {status} (TOLD_TO_FAIL", there.host());
        assert!(message.starts_with(&words), "{message}");
    }
}

#[test]
fn wrong_bytes_are_never_believed() {
    let there = testkit::Registry::start();
    let registry = connect(&there, "demo/app");
    let honest = put(&registry, b"content").expect("pushed");
    for wrong in [&b"c0ntent"[..], b"tnetnoc", b"content and more", b"c0"] {
        there.fail("GET", "/blobs/", 1, Fault::Body(wrong.to_vec()));
        let error = read_small(&registry, &honest).expect_err("corrupt");
        assert!(matches!(error.root(), Error::Corrupt { .. }), "{error:?}");
    }
    let manifest = manifest(&json!({}));
    registry.tag("v1", &manifest).expect("tagged");
    there.fail("GET", "/manifests/", 2, Fault::Body(b"{}".to_vec()));
    let by_digest = registry.manifest(&manifest.descriptor().digest);
    assert!(matches!(by_digest, Err(Error::Corrupt { .. })), "{by_digest:?}");
    assert!(matches!(registry.tagged("v1"), Err(Error::Corrupt { .. })));
}

#[test]
fn a_page_for_people_is_no_manifest() {
    let there = testkit::Registry::start();
    there.fail("GET", "/manifests/", 1, Fault::Body(b"<html>Please log in".to_vec()));
    let message = connect(&there, "demo/app").tagged("v1").expect_err("a page").to_string();
    let words = format!("fetch manifest v1: {} does not keep to the protocol", there.host());
    assert!(message.starts_with(&words) && message.contains("page for people"), "{message}");
}

#[test]
fn another_digest_than_ours_is_an_error() {
    let there = testkit::Registry::start();
    let registry = connect(&there, "demo/app");
    let manifest = manifest(&json!({}));
    let other = Digest::of(b"other").to_string();
    for announced in [other, "sha256:short".to_owned()] {
        let lie = Fault::Header("Docker-Content-Digest", announced);
        there.fail("PUT", "", 2, lie);
        assert!(matches!(put(&registry, b"x"), Err(Error::Corrupt { .. })));
        assert!(matches!(registry.put_manifest(&manifest), Err(Error::Corrupt { .. })));
    }
}

#[test]
fn documents_have_a_limit() {
    let there = testkit::Registry::start();
    there.fail("GET", "/manifests/", 1, Fault::Body(vec![b' '; 9 << 20]));
    let message = connect(&there, "demo/app").tagged("v1").expect_err("too long").to_string();
    assert!(message.contains("longer than"), "{message}");
}

#[test]
fn redirects_end() {
    let there = testkit::Registry::start();
    let round = vec![("Location", "/v2/demo/app/manifests/v1".to_owned())];
    there.fail("GET", "/manifests/", 99, Fault::Status(307, round));
    let message = connect(&there, "demo/app").tagged("v1").expect_err("endless").to_string();
    assert!(message.contains("redirects without end"), "{message}");
    assert!(there.log().len() < 20);
}

#[test]
fn nonsense_is_an_error() {
    let there = testkit::Registry::start();
    let registry = connect(&there, "demo/app");
    for location in ["", "file:///etc/passwd", "http://", "\u{fc}"] {
        there.fail("POST", "", 3, Fault::Header("Location", location.to_owned()));
        let error = put(&registry, b"content");
        // An empty location is a relative one: the session's own address, which takes no bytes.
        assert!(matches!(error, Err(Error::Registry(_))), "{location}: {error:?}");
    }
}

#[test]
fn content_that_breaks_off_is_not_finished() {
    let there = testkit::Registry::start();
    let registry = connect(&there, "demo/app");
    for size in [10, 5 << 20] {
        let whole = content(size);
        let broken = (&whole[..size / 2]).chain(Broken);
        let error = registry.put(&blob(&whole), &mut { broken }).expect_err("broken");
        assert!(error.to_string().contains("the disk is gone"), "{error}");
        let mut wrong = whole.clone();
        wrong[size - 1] ^= 1;
        for wrong in [&wrong[..], &whole[1..]] {
            let error = registry.put(&blob(&whole), &mut &*wrong).expect_err("wrong");
            assert!(matches!(error.root(), Error::Corrupt { .. }), "{error:?}");
        }
    }
    assert_eq!((there.blobs("demo/app").len(), there.count("PUT", "")), (0, 0));
    // Nor does the registry get smaller requests for it.
    put(&registry, &content(5 << 20)).expect("pushed");
    let last = there.log().into_iter().rfind(|line| line.method == "PATCH").expect("a request");
    assert_eq!(last.size, 5 << 20);
}

struct Broken;
impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is gone"))
    }
}

#[test]
fn nobody_there_is_told_at_once() {
    let host = testkit::Registry::start().host();
    let repository = Repository { host: host.clone(), path: "demo/app".into() };
    let registry = Registry::connect(&repository, &quick()).expect("a client");
    let error = registry.tagged("v1").expect_err("nobody");
    let absent =
        matches!(error, Error::Registry(registry::Error::Unreachable { cause: Cause::Absent, .. }));
    assert!(absent && error.to_string().contains(&host), "{error:?}");
}

#[test]
fn plain_http_where_tls_is_meant_has_a_hint() {
    let there = testkit::Registry::start();
    // 127.0.0.1 by another name, so that it is not this machine to us.
    let host = there.host().replace("127.0.0.1", "[::ffff:127.0.0.1]");
    let repository = Repository { host: host.clone(), path: "demo/app".into() };
    let error = Registry::connect(&repository, &quick()).expect("a client").tagged("v1");
    let message = error.expect_err("no TLS").to_string();
    assert!(message.contains(&format!("--insecure-registry {host}")), "{message}");
    let insecure = RegistryOptions { insecure: vec![host], ..quick() };
    let registry = Registry::connect(&repository, &insecure).expect("a client");
    assert_eq!(registry.tagged("v1").expect("an answer"), None);
}

#[test]
fn a_silent_registry_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    let options = RegistryOptions { patience: Duration::from_millis(50), ..quick() };
    let repository = Repository { host, path: "demo/app".into() };
    let error = Registry::connect(&repository, &options).expect("a client").tagged("v1");
    let message = error.expect_err("silence").to_string();
    assert!(message.contains("silent for too long"), "{message}");
}

/// Whatever comes over the wire, it is an error, soon, and no panic.
#[test]
fn servers_that_speak_nonsense_are_survived() {
    let endless = format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(200_000));
    for answer in [
        "",
        "\0\0\0",
        "HTTP/1.1 99999 X\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        "HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer realm=\"http://[\"\r\n\r\n",
        "HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer realm=\"http://127.0.0.1:1/\",scope=\"\"\r\n\r\n",
        "HTTP/1.1 401 No\r\nWWW-Authenticate: \u{ff},,,=\"\\\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 307 X\r\nLocation: //\u{1}\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 429 X\r\nRetry-After: 1e999\r\nContent-Length: 0\r\n\r\n",
        &endless,
    ] {
        let host = answering(answer.to_owned());
        let repository = Repository { host, path: "demo/app".into() };
        let options = RegistryOptions {
            patience: Duration::from_millis(100),
            backoff: Duration::from_millis(1),
            ..quick()
        };
        let registry = Registry::connect(&repository, &options).expect("a client");
        let start: String = answer.chars().take(60).collect();
        assert!(registry.tagged("v1").is_err(), "{start:?}");
        assert!(read_small(&registry, &blob(b"content")).is_err(), "{start:?}");
        assert!(put(&registry, b"content").is_err(), "{start:?}");
    }
}

/// A server that says the same to everybody.
fn answering(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    host
}
