//! Blobs that are sent while they are made.

use immut_core::image::Descriptor;
use immut_core::store::{Error, Registry, Sink};
use immut_testkit::registry::{self as testkit, Auth, Fault, Options, Uploads};

use super::{PASSWORD, blob, connect, content, login};

const MIB: usize = 1 << 20;

/// Sends a blob as it would be made; none if the registry takes none in that way.
fn grow(registry: &Registry, size: usize) -> Result<Option<Descriptor>, Error> {
    let whole = content(size);
    let Some(mut growing) = registry.begin()? else { return Ok(None) };
    for piece in whole.chunks(128 << 10) {
        growing.write(piece)?;
    }
    growing.finish(&blob(&whole))?;
    Ok(Some(blob(&whole)))
}

/// The sizes of the PATCH requests so far, in MiB, and their statuses.
fn patches(there: &testkit::Registry) -> Vec<(usize, u16)> {
    let log = there.log();
    let patches = log.iter().filter(|line| line.method == "PATCH");
    patches.map(|line| (line.size.div_ceil(MIB), line.status)).collect()
}

#[test]
fn a_blob_goes_in_one_request_that_begins_before_it_is_made() {
    let there = testkit::Registry::start();
    let (registry, whole) = (connect(&there, "demo/app"), content(MIB));
    let mut growing = registry.begin().expect("a client").expect("an upload");
    growing.write(&whole[..MIB / 2]).expect("written");
    while there.begun("PATCH", "/uploads/") == 0 {
        std::thread::yield_now();
    }
    growing.write(&whole[MIB / 2..]).expect("written");
    growing.finish(&blob(&whole)).expect("finished");
    assert_eq!(there.blobs("demo/app"), [blob(&whole).digest.to_string()]);
    assert_eq!((patches(&there), there.count("HEAD", "")), (vec![(1, 202)], 0));
}

#[test]
fn an_empty_blob_goes() {
    let there = testkit::Registry::start();
    let sent = grow(&connect(&there, "demo/app"), 0).expect("sent").expect("an upload");
    assert_eq!(there.blobs("demo/app"), [sent.digest.to_string()]);
}

#[test]
fn it_goes_with_a_password() {
    let there = testkit::Registry::with(Options { auth: Auth::Basic, ..Options::default() });
    let sent = grow(&login(&there, PASSWORD), MIB).expect("sent").expect("an upload");
    assert_eq!(there.blobs("demo/app"), [sent.digest.to_string()]);
}

#[test]
fn what_is_dropped_is_given_back() {
    let there = testkit::Registry::start();
    let registry = connect(&there, "demo/app");
    let mut growing = registry.begin().expect("a client").expect("an upload");
    growing.write(&content(MIB)).expect("written");
    drop(growing);
    assert_eq!((there.count("DELETE", "/uploads/"), there.open_uploads()), (1, 0));
    assert!(there.blobs("demo/app").is_empty());
}

#[test]
fn other_bytes_than_were_said_are_no_blob() {
    let there = testkit::Registry::start();
    let registry = connect(&there, "demo/app");
    let mut growing = registry.begin().expect("a client").expect("an upload");
    growing.write(b"some").expect("written");
    growing.finish(&blob(b"other")).expect_err("a wrong digest");
    assert!(there.blobs("demo/app").is_empty() && there.open_uploads() == 0);
}

#[test]
fn a_failure_ends_it_and_gives_the_session_back() {
    for fault in [Fault::Hasty(400), Fault::Status(500, Vec::new()), Fault::Break(0)] {
        let there = testkit::Registry::start();
        let registry = connect(&there, "demo/app");
        there.fail("PATCH", "/uploads/", 1, fault.clone());
        grow(&registry, 3 * MIB).expect_err("a failure");
        assert_eq!((patches(&there).len(), there.open_uploads()), (1, 0), "{fault:?}");
        assert!(there.blobs("demo/app").is_empty(), "{fault:?}");
    }
}

#[test]
fn what_a_registry_refused_is_not_tried_with_the_next() {
    let takes = |uploads| testkit::Registry::with(Options { uploads, ..Options::default() });
    let there = takes(Uploads { only_put: true, ..Uploads::default() });
    let registry = connect(&there, "demo/app");
    grow(&registry, MIB).expect_err("no PATCH");
    assert_eq!(grow(&registry, MIB).expect("nothing is tried"), None);
    assert_eq!(there.open_uploads(), 0);

    let there = takes(Uploads { largest_body: Some(5 * MIB), ..Uploads::default() });
    let registry = connect(&there, "demo/app");
    grow(&registry, 9 * MIB).expect_err("too large");
    let sent = grow(&registry, 9 * MIB).expect("sent").expect("an upload");
    assert_eq!(there.blobs("demo/app"), [sent.digest.to_string()]);
    assert_eq!(patches(&there), [(9, 413), (4, 202), (4, 202), (1, 202)]);
}
