//! The trust room from outside: keys, signatures in layouts, and the real cosign as judge.

mod cosign;
mod faults;
mod keys;
mod peers;
mod registry;
mod scene;
mod signatures;
mod tamper;
