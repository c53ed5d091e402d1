//! What the core promises, from recipes to hardened images.

mod accounts;
mod carrier;
mod common;
mod config;
mod hostile;
mod index;
mod invariants;
mod merge;
mod roots;
mod rules;
mod speed;
mod start;
