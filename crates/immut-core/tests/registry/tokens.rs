//! Token services with ways of their own, and credentials that do not hold for ever.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use immut_core::store::registry::{Environment, RegistryOptions};
use immut_core::store::{Registry, Sink, Source, read_small};
use immut_testkit::registry::{self as testkit, Auth, Fault, Options, TokenService};
use tempfile::TempDir;

use super::{PASSWORD, blob, connect, login, put, quick, refused, repository};

const BEARER: Auth = Auth::Bearer { anonymous_pull: true, uses: None };

fn gives(tokens: TokenService) -> testkit::Registry {
    testkit::Registry::with(Options { auth: BEARER, tokens, ..Options::default() })
}

#[test]
fn tokens_are_taken_as_they_are_given() {
    let usual = TokenService::default;
    for tokens in [
        TokenService { expires_in: None, ..usual() },
        TokenService { expires_in: Some(0), ..usual() },
        TokenService { expires_in: Some(-1), ..usual() },
        TokenService { expires_in: Some(i64::MAX), ..usual() },
        TokenService { field: Some("access_token"), ..usual() },
        TokenService { path: "/service/token", ..usual() },
        TokenService { bare: true, ..usual() },
    ] {
        let there = gives(tokens.clone());
        let registry = login(&there, PASSWORD);
        let pushed = put(&registry, b"content").expect("pushed");
        assert_eq!(read_small(&registry, &pushed).expect("pulled"), b"content");
        // One to push, one to pull.
        assert_eq!(there.count("GET", tokens.path), 2, "{tokens:?}");
    }
}

#[test]
fn who_may_only_pull_is_told_so() {
    let there = gives(TokenService { pull_only: true, ..TokenService::default() });
    there.add_blob("demo/app", b"content");
    let registry = login(&there, PASSWORD);
    assert_eq!(read_small(&registry, &blob(b"content")).expect("pulled"), b"content");
    let before = there.log().len();
    let (status, message) = refused(&put(&registry, b"other").expect_err("refused"));
    assert_eq!(status, 401);
    assert!(message.contains("the credentials for it were not accepted"), "{message}");
    assert_eq!(there.log().len() - before, 4, "a token and a try, twice: {:?}", there.log());
}

#[test]
fn whoever_pulls_as_nobody_pushes_as_somebody() {
    let there = gives(TokenService::default());
    there.add_blob("demo/app", b"content");
    let nobody = connect(&there, "demo/app");
    assert_eq!(read_small(&nobody, &blob(b"content")).expect("pulled"), b"content");
    let (status, message) = refused(&put(&nobody, b"other").expect_err("refused"));
    assert_eq!(status, 401);
    assert!(message.contains("nobody is logged in"), "{message}");
    put(&login(&there, PASSWORD), b"other").expect("pushed");
}

#[test]
fn a_token_service_may_fail_for_a_while() {
    let there = gives(TokenService::default());
    for status in [500, 502, 503, 429] {
        there.fail("GET", "/token", 1, Fault::Status(status, vec![]));
    }
    put(&login(&there, PASSWORD), b"content").expect("pushed");

    there.fail("GET", "/token", 99, Fault::Status(503, vec![]));
    let (status, message) = refused(&connect(&there, "demo/app").tagged("v1").expect_err("down"));
    assert_eq!(status, 503);
    assert!(message.contains("get a token from 127.0.0.1"), "{message}");
    assert!(message.contains("tried 6 times"), "{message}");
}

#[test]
fn a_page_for_people_is_no_token() {
    let there = gives(TokenService::default());
    there.fail("GET", "/token", 1, Fault::Body(b"<html>Please log in".to_vec()));
    let message = connect(&there, "demo/app").tagged("v1").expect_err("no token").to_string();
    assert!(message.contains("holds no usable token"), "{message}");
}

#[test]
fn a_registry_that_accepts_no_token_is_asked_few_times() {
    let auth = Auth::Bearer { anonymous_pull: true, uses: Some(0) };
    let there = testkit::Registry::with(Options { auth, ..Options::default() });
    let registry = login(&there, PASSWORD);
    assert_eq!(refused(&put(&registry, b"content").expect_err("refused")).0, 401);
    assert_eq!((there.count("POST", ""), there.count("GET", "/token")), (2, 1));
}

/// A home with a helper that gives what is in the file `password`, and counts.
fn home_with_helper(there: &testkit::Registry) -> (TempDir, RegistryOptions) {
    let home = tempfile::tempdir().expect("a folder");
    let script = "#!/bin/sh\necho >>\"$HOME/asked\"\ncat \"$HOME/answer\"";
    let file = home.path().join("docker-credential-mine");
    fs::write(&file, script).expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("mode");
    let config = format!(r#"{{"credHelpers":{{"{}":"mine"}}}}"#, there.host());
    fs::write(home.path().join("config.json"), config).expect("written");
    let folder = home.path().display().to_string();
    let variables = [
        ("HOME", folder.clone()),
        ("DOCKER_CONFIG", folder.clone()),
        ("PATH", format!("{folder}:/usr/bin:/bin")),
    ];
    let environment: Environment = variables.into_iter().collect();
    (home, RegistryOptions { environment, ..quick() })
}

fn answers(home: &TempDir, password: &str) {
    let answer = format!(r#"{{"Username":"me","Secret":"{password}"}}"#);
    fs::write(home.path().join("answer"), answer).expect("written");
}

#[test]
fn a_credential_that_expired_is_asked_for_again() {
    for auth in [Auth::Basic, Auth::Bearer { anonymous_pull: false, uses: Some(1) }] {
        let there = testkit::Registry::with(Options { auth, ..Options::default() });
        let (home, options) = home_with_helper(&there);
        let registry = Registry::connect(&repository(&there, "demo/app"), &options);
        let registry = registry.expect("a client");
        answers(&home, "expired");
        assert_eq!(refused(&registry.has(&blob(b"x")).expect_err("refused")).0, 401);
        let before = there.log().len();
        assert_eq!(refused(&registry.has(&blob(b"x")).expect_err("refused")).0, 401);
        assert_eq!(there.log().len() - before, 1, "what was refused is not sent twice");
        answers(&home, "secret");
        assert!(!registry.has(&blob(b"x")).expect("an answer"));
        let asked = fs::read(home.path().join("asked")).expect("a count").len();
        assert_eq!(asked, 3, "once, and once more each time it was refused");
    }
}

#[test]
fn a_helper_that_fails_is_named() {
    let there = testkit::Registry::with(Options { auth: Auth::Basic, ..Options::default() });
    let (home, options) = home_with_helper(&there);
    let registry = Registry::connect(&repository(&there, "demo/app"), &options).expect("a client");
    let message = registry.has(&blob(b"x")).expect_err("no answer").to_string();
    let file = home.path().join("config.json");
    let words = format!(
        "ask docker-credential-mine, which {} names for {}: it ended with exit status: 1",
        file.display(),
        there.host()
    );
    assert!(message.starts_with(&words), "{message}");
}
