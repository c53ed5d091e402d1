//! What immut's tests are made of: images written from code, reference models to compare with, and
//! an in-process registry with faults.
//!
//! Nothing here knows immut's own library: the kit is a second opinion, written as plainly as
//! possible, and it may panic, since only tests use it.
#![expect(clippy::unwrap_used, reason = "a test kit that cannot do its work stops the test")]

pub mod contents;
pub mod elf;
pub mod encoders;
pub mod fixtures;
pub mod generate;
pub mod model;
pub mod pages;
pub mod peers;
pub mod recipe;
pub mod registry;
pub mod rpm;
pub mod saved;
pub mod slow;

pub use recipe::{Built, Encoding, Fault, IndexRecipe, LayerRecipe, Recipe};
