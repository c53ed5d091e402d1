//! Who is let in, and who sees the password.

use immut_core::store::{Registry, RegistryOptions, Sink, Source, read_small};
use immut_testkit::registry::{
    self as testkit, Auth, Fault, IDENTITY_TOKEN, Options, Sessions, Uploads,
};

use super::{PASSWORD, blob, connect, content, logged_in, login, put, refused, repository};

const BEARER: Auth = Auth::Bearer { anonymous_pull: false, uses: None };

fn asks(auth: Auth) -> testkit::Registry {
    testkit::Registry::with(Options { auth, ..Options::default() })
}

#[test]
fn passwords_and_tokens_open_the_door() {
    let identity = format!(r#"{{"auth":"bWU6","identitytoken":"{IDENTITY_TOKEN}"}}"#);
    for (auth, entry) in [(Auth::Basic, PASSWORD), (BEARER, PASSWORD), (BEARER, &identity)] {
        let there = asks(auth);
        let registry = login(&there, entry);
        let pushed = put(&registry, b"content").expect("pushed");
        assert_eq!(read_small(&registry, &pushed).expect("pulled"), b"content");
    }
}

#[test]
fn without_credentials_the_hint_is_to_log_in() {
    for auth in [Auth::Basic, BEARER] {
        let there = asks(auth);
        let error = connect(&there, "demo/app").has(&blob(b"x")).expect_err("refused");
        let (status, message) = refused(&error);
        assert_eq!(status, 401);
        assert!(message.contains(&format!("`docker login {}`", there.host())), "{message}");
        assert!(message.contains("look for blob sha256:"), "{message}");
    }
}

#[test]
fn a_wrong_password_is_refused_once_and_not_shown() {
    for auth in [Auth::Basic, BEARER] {
        let there = asks(auth);
        let registry = login(&there, r#"{"username":"me","password":"hunter2"}"#);
        let error = registry.has(&blob(b"x")).expect_err("refused");
        assert_eq!(refused(&error).0, 401);
        let all = format!("{error} {error:?} {registry:?}");
        assert!(!all.contains("hunter2") && !all.contains("bWU6"), "{all}");
        assert!(there.log().len() <= 2, "{:?}", there.log());
    }
}

#[test]
fn a_registry_that_never_likes_its_own_tokens_is_asked_twice() {
    let there = asks(Auth::Bearer { anonymous_pull: true, uses: Some(0) });
    let error = connect(&there, "demo/app").tagged("v1").expect_err("refused");
    assert_eq!(refused(&error).0, 401);
    assert_eq!(there.count("GET", "/v2/"), 2);
    assert_eq!(there.count("GET", "/token"), 1);
}

#[test]
fn anybody_may_pull_where_tokens_are_for_anybody() {
    let there = asks(Auth::Bearer { anonymous_pull: true, uses: None });
    there.add_blob("demo/app", b"content");
    let registry = connect(&there, "demo/app");
    assert_eq!(read_small(&registry, &blob(b"content")).expect("pulled"), b"content");
    assert_eq!(refused(&put(&registry, b"other").expect_err("refused")).0, 401);
}

#[test]
fn a_token_is_asked_for_once_and_again_when_it_expires() {
    let there = asks(BEARER);
    let registry = login(&there, PASSWORD);
    for number in 0..9u8 {
        put(&registry, &[number]).expect("pushed");
    }
    assert_eq!(there.count("GET", "/token"), 1);

    // One use each: every second request, the upload's in the middle too, meets a dead token.
    let there = asks(Auth::Bearer { anonymous_pull: false, uses: Some(1) });
    let registry = login(&there, PASSWORD);
    let large = content(900_000);
    let pushed = put(&registry, &large).expect("pushed");
    assert!(read_small(&registry, &pushed).expect("pulled") == large);
    assert!(there.log().iter().any(|line| line.method == "PATCH" && line.status == 401));
}

#[test]
fn a_mount_asks_to_pull_from_the_other_repository() {
    let there = asks(BEARER);
    there.add_blob("base/image", b"layer");
    let registry = login(&there, PASSWORD).mounting_from(repository(&there, "base/image"));
    assert!(registry.mount(&blob(b"layer")).expect("an answer").is_some());
    assert_eq!(there.count("GET", "scope=repository%3Abase%2Fimage%3Apull"), 1);
}

#[test]
fn a_mount_that_is_refused_is_no_error() {
    let there = asks(BEARER);
    let registry = login(&there, PASSWORD).mounting_from(repository(&there, "secret/image"));
    assert_eq!(registry.mount(&blob(b"x")).expect("an answer"), None);
    there.fail("GET", "secret%2Fimage", 1, Fault::Status(403, vec![]));
    let registry = login(&there, PASSWORD).mounting_from(repository(&there, "secret/image"));
    assert_eq!(registry.mount(&blob(b"x")).expect("an answer"), None);
    put(&registry, b"x").expect("pushed");
}

#[test]
fn other_hosts_never_see_credentials() {
    for auth in [Auth::Basic, BEARER] {
        let storage = testkit::Registry::start();
        let elsewhere = Some(storage.host());
        let sessions = Sessions::At(storage.host());
        let uploads = Uploads { sessions, ..Uploads::default() };
        let options = Options { auth, uploads, blobs_at: elsewhere, ..Options::default() };
        let there = testkit::Registry::beside(&storage, options);
        let registry = login(&there, PASSWORD);
        let pushed = put(&registry, b"content").expect("pushed");
        assert_eq!(read_small(&registry, &pushed).expect("pulled"), b"content");
        assert!(storage.count("PATCH", "") == 1 && storage.count("GET", "/blobs/") == 1);
        assert!(there.log().iter().any(|line| line.authorization.is_some()));
        assert!(storage.log().iter().all(|line| line.authorization.is_none()));

        // Nor does one that asks for them.
        let challenge = ("WWW-Authenticate", "Basic realm=\"give\"".to_owned());
        storage.fail("GET", "/blobs/", 99, Fault::Status(401, vec![challenge]));
        assert_eq!(refused(&read_small(&registry, &pushed).expect_err("refused")).0, 401);
        assert!(storage.log().iter().all(|line| line.authorization.is_none()));
    }
}

#[test]
fn broken_credentials_are_told_only_when_they_are_needed() {
    let open = testkit::Registry::start();
    let config = |there: &testkit::Registry| {
        let (folder, options) = logged_in(there, "{}");
        let file = folder.path().join("config.json");
        std::fs::write(file, r#"{"credsStore":"of-nobody"}"#).expect("written");
        (folder, options)
    };
    let has = |there: &testkit::Registry, options: &RegistryOptions| {
        let registry = Registry::connect(&repository(there, "demo/app"), options);
        registry.expect("a client").has(&blob(b"x"))
    };
    let (_folder, options) = config(&open);
    assert!(!has(&open, &options).expect("an answer"));
    let closed = asks(Auth::Basic);
    let (_folder, options) = config(&closed);
    let message = has(&closed, &options).expect_err("no helper").to_string();
    assert!(message.contains("docker-credential-of-nobody"), "{message}");
}
