//! How much of an image is read before it is refused.

/// Limits on what an image may hold; generous, and each has a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Entries of all layers together (`--max-entries`); long names count as several.
    pub entries: u64,
    /// Bytes of all layers' archives together (`--max-bytes`).
    pub bytes: u64,
    /// Bytes of archive for each compressed byte (`--max-ratio`), once a layer's archive is larger
    /// than [`Limits::RATIO_FROM`].
    pub ratio: u64,
}

impl Limits {
    /// Smaller archives are not held to the ratio: a few hundred megabytes harm nobody.
    pub const RATIO_FROM: u64 = 256 << 20;
    /// The largest zstd window that is accepted, as a power of two of bytes; larger ones need
    /// `zstd --ultra` or `--long`.
    pub const ZSTD_WINDOW_LOG: u32 = 25;
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 2_000_000, bytes: 64 << 30, ratio: 1_000 }
    }
}
