//! Downloads that break, and storage hosts.

use std::time::Duration;

use immut_core::store::{Error, Registry, RegistryOptions, read_small};
use immut_testkit::registry::{self as testkit, Auth, Fault, Options};

use super::{PASSWORD, blob, connect, content, login, quick, refused, repository};

/// A registry that leads to a storage host, by addresses that are good for one request.
fn with_storage() -> (testkit::Registry, testkit::Registry) {
    let storage = testkit::Registry::with(Options { signed: true, ..Options::default() });
    let (auth, blobs_at) = (Auth::Basic, Some(storage.host()));
    let options = Options { auth, blobs_at, signed: true, ..Options::default() };
    (testkit::Registry::beside(&storage, options), storage)
}

#[test]
fn a_broken_download_goes_on_where_it_broke() {
    let there = testkit::Registry::start();
    let whole = content(3 << 20);
    there.add_blob("demo/app", &whole);
    there.fail("GET", "/blobs/", 3, Fault::Cut(700_000));
    let registry = connect(&there, "demo/app");
    assert!(read_small(&registry, &blob(&whole)).expect("pulled") == whole);
    let statuses: Vec<_> = there.log().iter().map(|line| line.status).collect();
    assert_eq!(statuses, [200, 206, 206, 206]);
}

#[test]
fn a_broken_download_without_ranges_is_read_anew_and_skipped() {
    let there = testkit::Registry::with(Options { no_ranges: true, ..Options::default() });
    let whole = content(1 << 20);
    there.add_blob("demo/app", &whole);
    for cut in [1000, 999, 700_000] {
        there.fail("GET", "/blobs/", 1, Fault::Cut(cut));
    }
    assert!(read_small(&connect(&there, "demo/app"), &blob(&whole)).expect("pulled") == whole);
    assert_eq!(there.log().len(), 4);
}

#[test]
fn a_download_that_always_breaks_ends() {
    let there = testkit::Registry::start();
    let whole = content(1 << 20);
    there.add_blob("demo/app", &whole);
    there.fail("GET", "/blobs/", 99, Fault::Cut(1000));
    let error = read_small(&connect(&there, "demo/app"), &blob(&whole)).expect_err("broken");
    let message = error.to_string();
    assert!(message.contains(&format!("fetch blob {}", blob(&whole).digest)), "{message}");
    assert!(message.contains("tried 6 times"), "{message}");
    assert_eq!(there.log().len(), 6);
}

#[test]
fn what_ends_too_early_is_asked_for_to_its_end() {
    let there = testkit::Registry::start();
    there.add_blob("demo/app", b"content");
    there.fail("GET", "/blobs/", 1, Fault::Body(b"cont".to_vec()));
    let registry = connect(&there, "demo/app");
    assert_eq!(read_small(&registry, &blob(b"content")).expect("pulled"), b"content");
    assert_eq!(there.log()[1].status, 206);

    there.fail("GET", "/blobs/", 99, Fault::Body(b"cont".to_vec()));
    let error = read_small(&registry, &blob(b"content")).expect_err("short");
    assert!(matches!(error.root(), Error::Corrupt { .. }), "{error:?}");
}

#[test]
fn a_storage_host_is_asked_by_a_new_address_each_time() {
    let (there, storage) = with_storage();
    let whole = content(3 << 20);
    storage.add_blob("demo/app", &whole);
    storage.fail("GET", "/blobs/", 2, Fault::Cut(700_000));
    // An address may have expired by the time it is used, too.
    storage.fail("GET", "/blobs/", 1, Fault::Status(403, vec![]));
    let registry = login(&there, PASSWORD);
    assert!(read_small(&registry, &blob(&whole)).expect("pulled") == whole);
    let log = storage.log();
    let statuses: Vec<_> = log.iter().map(|line| line.status).collect();
    assert_eq!(statuses, [200, 206, 403, 206]);
    assert!(log.iter().all(|line| line.authorization.is_none()));
    assert_eq!(there.count("GET", "/blobs/"), 5, "four, and the one that was asked who it is");
}

#[test]
fn a_storage_host_that_refuses_is_the_one_that_is_named() {
    let (there, storage) = with_storage();
    storage.add_blob("demo/app", b"content");
    storage.fail("GET", "/blobs/", 99, Fault::Status(403, vec![]));
    let error = read_small(&login(&there, PASSWORD), &blob(b"content")).expect_err("refused");
    let (status, message) = refused(&error);
    assert_eq!((status, storage.log().len()), (403, 6));
    let told = format!("127.0.0.1, where {} leads, answered 403", there.host());
    assert!(message.contains(&told) && !message.contains("docker login"), "{message}");
    assert!(!message.contains("signature"), "{message}");
}

#[test]
fn a_registry_that_is_slow_is_waited_for() {
    let there = testkit::Registry::start();
    let whole = content(40_000);
    there.add_blob("demo/app", &whole);
    // All of it takes longer than the registry may be silent.
    there.fail("GET", "/blobs/", 1, Fault::Drip(500, Duration::from_millis(50)));
    let options = RegistryOptions { patience: Duration::from_secs(3), ..quick() };
    let registry = Registry::connect(&repository(&there, "demo/app"), &options).expect("a client");
    assert!(read_small(&registry, &blob(&whole)).expect("pulled") == whole);
    assert_eq!(there.log().len(), 1);
}
