//! Makes container images immutable in practice.

pub mod archive;
pub mod finding;
pub mod image;
pub mod inventory;
pub mod name;
pub mod path;
pub mod progress;
pub mod rules;
pub mod store;
pub mod user;
