//! roots.
