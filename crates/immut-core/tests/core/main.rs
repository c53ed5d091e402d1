//! What the core promises, from recipes to hardened images.

#![expect(clippy::print_stdout, reason = "tests tell what they measure")]

mod accounts;
mod ahead;
mod apps;
mod archives;
mod carrier;
mod closure;
mod common;
mod compression;
mod config;
mod corners;
mod drafts;
mod explain;
mod hostile;
mod index;
mod invariants;
mod kinds;
mod layers;
mod lazy;
mod merge;
mod nested;
mod packages;
mod platforms;
mod profiles;
mod progress;
mod roots;
mod rules;
mod speed;
mod splice;
mod start;
mod writable;
