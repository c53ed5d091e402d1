//! Makes container images immutable in practice.

pub mod finding;
pub mod image;
pub mod name;
pub mod path;
pub mod store;
pub mod trust;
