//! What is said when a registry refuses: which one, at which step, what it answered, and what to do.

use immut_core::store::{Error, Registry, Sink, Source, read_small};
use immut_testkit::registry::{self as testkit, Auth, Fault, Options};
use serde_json::json;

use super::{PASSWORD, blob, connect, login, manifest, put};

/// A step, and the request that it makes.
type Step = (&'static str, &'static str, &'static str, fn(&Registry) -> Result<(), Error>);

const STEPS: [Step; 8] = [
    ("look for blob BLOB", "HEAD", "/blobs/", |r| r.has(&blob(b"content")).map(drop)),
    ("start the upload of blob BLOB", "POST", "/uploads/", |r| put(r, b"content").map(drop)),
    ("push blob BLOB", "PATCH", "/uploads/", |r| put(r, b"content").map(drop)),
    ("finish the upload of blob BLOB", "PUT", "/uploads/", |r| put(r, b"content").map(drop)),
    ("push manifest v1", "PUT", "/manifests/", |r| r.tag("v1", &manifest(&json!({})))),
    ("fetch manifest v1", "GET", "/manifests/", |r| r.tagged("v1").map(drop)),
    ("fetch blob BLOB", "GET", "/blobs/", |r| read_small(r, &blob(b"content")).map(drop)),
    ("list the referrers of BLOB", "GET", "/referrers/", |r| {
        r.referrers(&blob(b"content").digest).map(drop)
    }),
];

/// What is said when a step always goes wrong with that status.
fn said(step: Step, status: u16, headers: Vec<(&'static str, String)>) -> String {
    let (_, method, part, act) = step;
    let there = testkit::Registry::with(Options { auth: Auth::Basic, ..Options::default() });
    there.add_blob("demo/app", b"content");
    let registry = login(&there, PASSWORD);
    registry.tagged("v0").expect("who we are is known");
    let before = there.log().len();
    there.fail(method, part, 999, Fault::Status(status, headers));
    let message = act(&registry).expect_err("refused").to_string();
    assert!(there.log().len() - before <= 30, "{}", there.log().len() - before);
    let digest = blob(b"content").digest.to_string();
    message.replace(&there.host(), "HOST").replace(&digest, "BLOB")
}

#[test]
fn each_refusal_at_each_step_says_who_where_and_what_to_do() {
    let advice = [
        (
            401,
            "; the credentials for it were not accepted: they may have expired, or not be for this repository; log in again with `docker login HOST` or `podman login HOST`, and check the repository's name",
        ),
        (403, "; the account that is logged in may not do this"),
        (
            413,
            "; it, or a proxy before it, limits the size of requests (nginx: client_max_body_size)",
        ),
        (429, ", tried 6 times; it limits how often it is asked"),
        (500, ", tried 6 times; it has a problem of its own: try again later"),
        (503, ", tried 6 times; it has a problem of its own: try again later"),
    ];
    for step in STEPS {
        for (status, advice) in advice {
            // An answer to HEAD has no words.
            let words = if step.1 == "HEAD" { "" } else { " (TOLD_TO_FAIL: said the test)" };
            let message = format!("{}: HOST answered {status}{words}{advice}", step.0);
            assert_eq!(said(step, status, vec![]), message);
        }
    }
}

#[test]
fn refusals_of_a_push_say_what_to_do() {
    let made_first =
        "; check the name, and whether this registry wants repositories to be made first";
    let read_only = "; it may be read-only, such as a mirror or a cache";
    let rule = "; a rule of this repository forbids it";
    for (step, status, told) in [
        (1, 404, made_first),
        (2, 404, &format!(", tried 3 times{made_first}")),
        (1, 405, read_only),
        (4, 405, read_only),
        (4, 409, rule),
        (4, 412, rule),
        (3, 400, "; the upload could not go on where it broke"),
    ] {
        let step = STEPS[step];
        let words =
            format!("{}: HOST answered {status} (TOLD_TO_FAIL: said the test){told}", step.0);
        assert_eq!(said(step, status, vec![]), words);
    }
}

#[test]
fn a_long_wait_is_told_and_not_waited_for() {
    let wait = vec![("Retry-After", "21600".to_owned())];
    let message = said(STEPS[5], 429, wait);
    let told = "it limits how often it is asked, and asks to wait 21600 seconds";
    assert!(message.ends_with(told) && !message.contains("tried"), "{message}");
}

#[test]
fn who_is_nobody_is_told_to_log_in() {
    let auth = Auth::Bearer { anonymous_pull: true, uses: None };
    let there = testkit::Registry::with(Options { auth, ..Options::default() });
    let registry = connect(&there, "demo/app");
    for (status, times, told) in [
        (403, 1, "; nobody is logged in: log in with `docker login HOST` or `podman login HOST`"),
        (
            429,
            6,
            "; who is logged in may often ask more: `docker login HOST` or `podman login HOST`",
        ),
    ] {
        registry.tagged("v0").expect("who we are is known");
        there.fail("GET", "/manifests/v1", times, Fault::Status(status, vec![]));
        let message = registry.tagged("v1").expect_err("refused").to_string();
        assert!(message.replace(&there.host(), "HOST").contains(told), "{message}");
    }
}

#[test]
fn a_refusal_without_a_challenge_is_told_as_that() {
    let there = testkit::Registry::start();
    there.fail("GET", "", 1, Fault::Status(401, vec![]));
    let message = connect(&there, "demo/app").tagged("v1").expect_err("refused").to_string();
    assert!(message.ends_with("; it does not say how to log in"), "{message}");
}

#[test]
fn no_message_holds_a_secret() {
    for step in STEPS {
        for status in [401, 403, 500] {
            let message = said(step, status, vec![]);
            assert!(!message.contains("secret") && !message.contains("bWU6"), "{message}");
        }
    }
}
