//! What immut's tests share: an in-process [`registry`] with faults.

pub mod registry;
