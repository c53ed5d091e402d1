//! How results are shown.

pub(crate) mod human;
pub(crate) mod json;
pub(crate) mod quantity;
