//! Callers may be anywhere, also inside somebody's runtime; and behind a proxy.

use std::process::Command;
use std::thread;

use immut_core::store::{Registry, Sink, Source, read_small};
use immut_testkit::registry as testkit;

use super::{blob, connect, content, put, quick, repository};

/// More calls than a task of tokio's may poll before it has to yield.
fn use_it_all() {
    let there = testkit::Registry::start();
    let registry = connect(&there, "demo/app");
    let large = content(3 << 20);
    let pushed = put(&registry, &large).expect("pushed");
    assert!(read_small(&registry, &pushed).expect("pulled") == large);
    for _ in 0..200 {
        assert_eq!(registry.tagged("v1").expect("an answer"), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inside_a_runtime_of_many_threads() {
    use_it_all();
    tokio::spawn(async { use_it_all() }).await.expect("done");
}

#[tokio::test(flavor = "current_thread")]
async fn inside_a_runtime_of_one_thread() {
    use_it_all();
    tokio::task::spawn_blocking(use_it_all).await.expect("done");
}

#[test]
fn shared_by_threads() {
    let there = testkit::Registry::start();
    let registry = &connect(&there, "demo/app");
    thread::scope(|scope| {
        for number in 0..8u8 {
            scope.spawn(move || {
                let pushed = put(registry, &[number; 1000]).expect("pushed");
                assert_eq!(read_small(registry, &pushed).expect("pulled"), [number; 1000]);
            });
        }
    });
    assert_eq!(there.blobs("demo/app").len(), 8);
}

#[test]
fn a_reader_may_be_left_unread() {
    let there = testkit::Registry::start();
    let large = content(8 << 20);
    there.add_blob("demo/app", &large);
    let registry = connect(&there, "demo/app");
    for _ in 0..20 {
        drop(registry.open(&blob(&large)).expect("there"));
    }
    assert!(!registry.has(&blob(b"x")).expect("an answer"));
}

/// An image of nothing but a program has no certificates: local registries need none.
#[test]
fn machines_without_certificates_reach_local_registries() {
    let ran = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "roundtrip::what_is_pushed_can_be_pulled"])
        .envs([("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")])
        .output()
        .expect("run");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}

/// Proxies are taken from the process's environment, which only a new process has of its own.
#[test]
fn proxies_are_not_asked_for_this_machine() {
    let proxy = "http://127.0.0.1:9";
    let ran = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "runtimes::behind_a_proxy", "--ignored"])
        .envs([("HTTP_PROXY", proxy), ("HTTPS_PROXY", proxy), ("http_proxy", proxy)])
        .env("NO_PROXY", "[::ffff:127.0.0.1],::ffff:127.0.0.1")
        .output()
        .expect("run");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
    assert!(String::from_utf8_lossy(&ran.stdout).contains("1 passed"));
}

#[test]
#[ignore = "run by proxies_are_not_asked_for_this_machine with a proxy set"]
fn behind_a_proxy() {
    let there = testkit::Registry::start();
    assert_eq!(connect(&there, "demo/app").tagged("v1").expect("no proxy"), None);
    let mut excepted = repository(&there, "demo/app");
    excepted.host = excepted.host.replace("127.0.0.1", "[::ffff:127.0.0.1]");
    let mut options = quick();
    options.insecure = vec![excepted.host.clone(), "r.example".to_owned()];
    let registry = Registry::connect(&excepted, &options).expect("a client");
    assert_eq!(registry.tagged("v1").expect("NO_PROXY"), None);
    excepted.host = "r.example".to_owned();
    let registry = Registry::connect(&excepted, &options).expect("a client");
    let message = registry.tagged("v1").expect_err("the proxy is dead").to_string();
    assert!(message.to_lowercase().contains("refused"), "{message}");
}
