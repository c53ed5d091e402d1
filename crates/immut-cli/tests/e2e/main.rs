//! The command line, end to end, judged by real programs: docker-registry, cosign 2 and 3, crane,
//! skopeo, umoci, podman, gzip.

#[path = "../common/mod.rs"]
mod common;

mod app_profiles;
mod applications;
mod archives;
mod copy;
mod fixtures;
mod images;
mod indexes;
mod interrupts;
mod keys;
mod killed;
mod layouts;
mod order;
mod output;
mod profiles;
mod progress;
mod redis;
mod refusals;
mod registries;
mod tls;
mod volumes;
