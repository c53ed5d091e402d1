//! Real applications from Debian's packages: what hardening decides, and that what it makes starts,
//! answers, and has nothing for an attacker in it. `docs/applications.md` is made here.
//!
//! A quick set runs with all tests; the rest, and the page, with `scripts/test --all`.

mod asked;
mod build;
mod layers;
mod probe;
mod prove;
mod recipes;
mod run;
mod table;

use prove::proven;
use recipes::App;

/// Those of the page, in its order.
const ALL: [&App; 10] = [
    &recipes::REDIS,
    &recipes::NGINX,
    &recipes::PYTHON,
    &recipes::POSTGRES,
    &recipes::MEMCACHED,
    &recipes::HAPROXY,
    &recipes::NODE,
    &recipes::JVM,
    &recipes::ALPINE,
    &recipes::BUSYBOX,
];

/// Ends the test unless the application is what is expected of it, and the page says so.
fn holds(app: &'static App) {
    if let Some(proof) = proven(app) {
        table::says(&proof);
    }
}

#[test]
fn redis_runs_hardened() {
    holds(&recipes::REDIS);
}

#[test]
fn nginx_runs_hardened() {
    holds(&recipes::NGINX);
}

#[test]
fn python_runs_hardened() {
    holds(&recipes::PYTHON);
}

#[test]
fn a_static_program_runs_hardened_on_busybox() {
    holds(&recipes::BUSYBOX);
}

#[test]
#[ignore = "not of the quick set: scripts/test --all runs it"]
fn a_static_program_runs_hardened_on_alpine() {
    holds(&recipes::ALPINE);
}

#[test]
#[ignore = "not of the quick set: scripts/test --all runs it"]
fn postgres_runs_hardened() {
    holds(&recipes::POSTGRES);
}

#[test]
#[ignore = "not of the quick set: scripts/test --all runs it"]
fn memcached_runs_hardened() {
    holds(&recipes::MEMCACHED);
}

#[test]
#[ignore = "not of the quick set: scripts/test --all runs it"]
fn haproxy_runs_hardened() {
    holds(&recipes::HAPROXY);
}

#[test]
#[ignore = "not of the quick set: scripts/test --all runs it"]
fn node_runs_hardened() {
    holds(&recipes::NODE);
}

#[test]
#[ignore = "not of the quick set: scripts/test --all runs it"]
fn a_java_machine_runs_hardened() {
    holds(&recipes::JVM);
}

#[test]
#[ignore = "needs all applications: scripts/test --all runs it"]
fn the_page_of_applications_is_about_all_of_them() {
    let proofs: Option<Vec<_>> = ALL.into_iter().map(proven).collect();
    if let Some(proofs) = proofs {
        table::check(&proofs.iter().map(AsRef::as_ref).collect::<Vec<_>>());
    }
}
