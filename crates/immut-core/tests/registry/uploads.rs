//! Uploads that break, and registries that take blobs in their own way.

use immut_core::image::Descriptor;
use immut_core::store::registry::Error as Refusal;
use immut_core::store::{Error, Registry, Sink, copy_blob};
use immut_testkit::registry::{self as testkit, Auth, Fault, Options, Sessions, Uploads};
use serde_json::json;

use super::{PASSWORD, blob, connect, content, login, manifest, put, repository};

const MIB: usize = 1 << 20;

fn takes(uploads: Uploads) -> testkit::Registry {
    testkit::Registry::with(Options { uploads, ..Options::default() })
}

/// The sizes of the chunks so far, in MiB, and their statuses.
fn patches(there: &testkit::Registry) -> Vec<(usize, u16)> {
    let log = there.log();
    let patches = log.iter().filter(|line| line.method == "PATCH");
    patches.map(|line| (line.size.div_ceil(MIB), line.status)).collect()
}

/// Copies a new blob from another repository, by its bytes.
fn copy(there: &testkit::Registry, size: usize) -> Result<Descriptor, Error> {
    copy_to(&connect(there, "demo/app"), size)
}

fn copy_to(to: &Registry, size: usize) -> Result<Descriptor, Error> {
    let source = testkit::Registry::start();
    let whole = content(size);
    source.add_blob("base/image", &whole);
    copy_blob(&blob(&whole), &connect(&source, "base/image"), to)?;
    Ok(blob(&whole))
}

#[track_caller]
fn holds(there: &testkit::Registry, blob: &Descriptor) {
    assert_eq!(there.blobs("demo/app"), [blob.digest.to_string()], "{:?}", patches(there));
}

#[test]
fn an_upload_that_breaks_goes_on_where_it_broke() {
    let there = testkit::Registry::start();
    there.fail("PATCH", "", 2, Fault::Break(MIB));
    let registry = connect(&there, "demo/app");
    let pushed = put(&registry, &content(3 * MIB)).expect("pushed");
    holds(&there, &pushed);
    assert_eq!(patches(&there), [(1, 0), (1, 0), (1, 202)]);
    assert_eq!((there.count("POST", ""), there.count("GET", "/uploads/")), (1, 2));
}

#[test]
fn an_upload_that_breaks_late_goes_on_in_chunks() {
    let there = testkit::Registry::start();
    there.fail("PATCH", "", 1, Fault::Break(14 * MIB));
    let registry = connect(&there, "demo/app");
    let pushed = put(&registry, &content(21 * MIB)).expect("pushed");
    holds(&there, &pushed);
    assert_eq!(patches(&there), [(14, 0), (4, 202), (3, 202)]);
}

#[test]
fn an_upload_that_cannot_go_on_begins_again_from_the_source() {
    for uploads in [
        Uploads { no_status: true, ..Uploads::default() },
        Uploads { loses_what_breaks: true, ..Uploads::default() },
    ] {
        let there = takes(uploads);
        there.fail("PATCH", "", 1, Fault::Break(12 * MIB));
        let pushed = copy(&there, 13 * MIB).expect("copied");
        holds(&there, &pushed);
        // Smaller requests lose less.
        assert_eq!(patches(&there)[1..], [(4, 202), (4, 202), (4, 202), (1, 202)]);
        assert_eq!((there.count("POST", ""), there.count("DELETE", "/uploads/")), (2, 1));
    }
}

#[test]
fn a_reader_that_comes_once_is_not_begun_again() {
    let there = takes(Uploads { no_status: true, ..Uploads::default() });
    there.fail("PATCH", "", 1, Fault::Break(12 * MIB));
    let error = put(&connect(&there, "demo/app"), &content(13 * MIB)).expect_err("broken");
    assert!(matches!(error, Error::Registry(Refusal::Interrupted { .. })), "{error:?}");
    assert!(error.resend_after().is_some());
    assert_eq!(there.count("DELETE", "/uploads/"), 1);
}

#[test]
fn beginning_again_ends() {
    let there = takes(Uploads { no_status: true, ..Uploads::default() });
    there.fail("PATCH", "", 99, Fault::Break(100));
    let message = copy(&there, 13 * MIB).expect_err("broken").to_string();
    assert!(
        message.contains("push blob sha256:") && message.contains("tried 6 times"),
        "{message}"
    );
    assert!(there.count("PATCH", "") <= 18, "{}", there.count("PATCH", ""));
    assert_eq!(there.count("POST", ""), there.count("DELETE", "/uploads/"));
}

#[test]
fn a_large_upload_that_is_refused_for_a_while_begins_again() {
    let there = testkit::Registry::start();
    there.fail("PATCH", "", 2, Fault::Status(503, vec![]));
    let pushed = copy(&there, 9 * MIB).expect("copied");
    holds(&there, &pushed);
    assert_eq!(patches(&there), [(9, 503), (9, 503), (9, 202)]);
}

#[test]
fn a_token_that_dies_in_mid_upload_is_renewed() {
    let auth = Auth::Bearer { anonymous_pull: false, uses: Some(2) };
    let there = testkit::Registry::with(Options { auth, ..Options::default() });
    let registry = login(&there, PASSWORD);
    let pushed = copy_to(&registry, 9 * MIB).expect("copied");
    holds(&there, &pushed);
    assert_eq!(patches(&there), [(9, 401), (9, 202)]);
    // What was sent is known to be lost, so the session is not asked for more than that.
    assert_eq!(there.count("GET", "/uploads/"), 1);
}

#[test]
fn a_session_that_is_forgotten_begins_again() {
    let there = testkit::Registry::start();
    for (method, status) in [("PATCH", 404), ("PUT", 404), ("PUT", 416), ("PUT", 400)] {
        let before = there.blobs("demo/app").len();
        there.fail(method, "/uploads/", 1, Fault::Status(status, vec![]));
        copy(&there, 9 * MIB + before).expect("copied");
        assert_eq!(there.blobs("demo/app").len(), before + 1, "{method} {status}");
    }
    there.fail("PUT", "/uploads/", 99, Fault::Status(400, vec![]));
    let error = copy(&there, 2 * MIB).expect_err("refused");
    assert!(matches!(error, Error::Registry(Refusal::Interrupted { .. })), "{error:?}");
    assert_eq!(there.count("PUT", ""), 4 + 3 + 3);
}

#[test]
fn a_session_that_says_something_wrong_is_not_believed_twice() {
    let there = takes(Uploads { stale_range: true, ..Uploads::default() });
    // The first request breaks, the second in what it should go on with.
    there.fail("PATCH", "", 2, Fault::Break(MIB));
    let pushed = copy(&there, 3 * MIB).expect("copied");
    holds(&there, &pushed);
    assert_eq!(there.count("POST", ""), 2, "{:?}", patches(&there));
}

#[test]
fn registries_take_blobs_in_their_own_way() {
    let none = Uploads::default;
    for (uploads, sizes) in [
        // GHCR: chunks are small, but one stream may be large.
        (Uploads { largest_chunk: Some(4 * MIB), ..none() }, &[9][..]),
        (Uploads { largest_body: Some(5 * MIB), ..none() }, &[4, 4, 1]),
        (Uploads { largest_body: Some(MIB), ..none() }, &[1; 9]),
        (Uploads { largest_body: Some(7 * MIB), least_chunk: Some(6 * MIB), ..none() }, &[6, 3]),
        (Uploads { only_put: true, ..none() }, &[]),
    ] {
        let there = takes(uploads.clone());
        let registry = connect(&there, "demo/app");
        copy_to(&registry, 9 * MIB).expect("copied");
        // What was refused once is not tried with the next blob.
        let before = there.log().len();
        copy_to(&registry, 9 * MIB - 1).expect("copied");
        let log = &there.log()[before..];
        let taken: Vec<_> = log.iter().filter(|line| line.method == "PATCH").collect();
        let found: Vec<_> = taken.iter().map(|line| line.size.div_ceil(MIB)).collect();
        assert_eq!(found, sizes, "{uploads:?}");
        assert!(log.iter().all(|line| line.status < 300 || line.method == "HEAD"), "{log:?}");
        assert_eq!(there.blobs("demo/app").len(), 2);
    }
}

#[test]
fn a_proxy_that_takes_nothing_is_named() {
    let there = takes(Uploads { largest_body: Some(1000), ..Uploads::default() });
    let message = copy(&there, 9 * MIB).expect_err("refused").to_string();
    assert!(
        message.contains("answered 413") && message.contains("client_max_body_size"),
        "{message}"
    );
    assert!(there.count("PATCH", "") <= 5, "{:?}", patches(&there));
}

#[test]
fn a_request_that_is_refused_before_it_was_read_is_made_smaller() {
    let there = testkit::Registry::start();
    there.fail("PATCH", "", 1, Fault::Hasty(413));
    let pushed = copy(&there, 13 * MIB).expect("copied");
    holds(&there, &pushed);
    let sizes: Vec<_> = patches(&there)[1..].iter().map(|(size, _)| *size).collect();
    assert_eq!(sizes, [4, 4, 4, 1]);
}

#[test]
fn sessions_lie_anywhere() {
    let storage = testkit::Registry::start();
    let elsewhere = Sessions::At(storage.host());
    for sessions in [Sessions::Relative, Sessions::Absolute, Sessions::OtherPath, elsewhere] {
        let uploads = Uploads { sessions: sessions.clone(), ..Uploads::default() };
        let options = Options { uploads, auth: Auth::Basic, ..Options::default() };
        let there = testkit::Registry::beside(&storage, options);
        let pushed = put(&login(&there, PASSWORD), format!("{sessions:?}").as_bytes());
        let digest = pushed.expect("pushed").digest.to_string();
        assert!(there.blobs("demo/app").contains(&digest), "{sessions:?}");
    }
    let uploads =
        |there: &testkit::Registry| there.log().into_iter().map(|line| line.authorization);
    assert_eq!(uploads(&storage).collect::<Vec<_>>(), [None, None], "PATCH and PUT, for nobody");
}

#[test]
fn a_write_that_is_redirected_is_sent_there() {
    let there = testkit::Registry::with(Options { auth: Auth::Basic, ..Options::default() });
    let registry = login(&there, PASSWORD);
    assert!(!registry.has(&blob(b"content")).expect("who we are is known"));
    for (method, target) in [
        ("POST", "/elsewhere/demo/app/blobs/uploads/"),
        ("PATCH", "/elsewhere/demo/app/blobs/uploads/session-1"),
        ("PUT", "/elsewhere/demo/app/manifests/v1"),
    ] {
        let location = vec![("Location", target.to_owned())];
        let part = target.replace("/elsewhere/", "/v2/");
        there.fail(method, part.trim_end_matches("session-1"), 1, Fault::Status(307, location));
    }
    let pushed = put(&registry, b"content").expect("pushed");
    holds(&there, &pushed);
    registry.tag("v1", &manifest(&json!({}))).expect("tagged");
    let log = there.log();
    let led = log.iter().filter(|line| line.target.starts_with("/elsewhere/"));
    let led: Vec<_> = led.map(|line| (line.method.as_str(), line.status)).collect();
    assert_eq!(led, [("POST", 202), ("PATCH", 202), ("PUT", 201)], "{log:?}");

    let storage = testkit::Registry::start();
    let location = vec![("Location", format!("http://{}/v2/", storage.host()))];
    there.fail("PUT", "/manifests/v2", 1, Fault::Status(302, location));
    let error = registry.tag("v2", &manifest(&json!({}))).expect_err("302 is for reading");
    assert!(error.to_string().contains("answered 302") && storage.log().is_empty(), "{error}");
}

#[test]
fn sessions_that_nobody_used_are_given_back() {
    let there = testkit::Registry::start();
    let registry = connect(&there, "demo/app").mounting_from(repository(&there, "base/image"));
    for number in 0..2u8 {
        assert_eq!(registry.mount(&blob(&[number])).expect("an answer"), None);
    }
    drop(registry);
    assert_eq!((there.count("POST", ""), there.count("DELETE", "/uploads/")), (2, 2));
}

#[test]
fn a_mount_without_a_session_is_no_session() {
    let there = testkit::Registry::start();
    for answer in [202, 404, 405, 501] {
        there.fail("POST", "mount=", 1, Fault::Status(answer, vec![]));
        let registry = connect(&there, "demo/app").mounting_from(repository(&there, "base/image"));
        let content = answer.to_string();
        assert_eq!(registry.mount(&blob(content.as_bytes())).expect("an answer"), None);
        put(&registry, content.as_bytes()).expect("pushed");
    }
    assert_eq!(there.count("POST", ""), 8);
}

#[test]
fn uploads_side_by_side_find_out_together_what_a_registry_takes() {
    for _ in 0..20 {
        let there = takes(Uploads { largest_body: Some(300_000), ..Uploads::default() });
        let registry = connect(&there, "demo/app");
        std::thread::scope(|scope| {
            for size in 0..4 {
                let registry = &registry;
                scope.spawn(move || put(registry, &content(2 * MIB + size)).expect("pushed"));
            }
        });
        assert_eq!(there.blobs("demo/app").len(), 4);
    }
}
