//! Images as immutable values: [`Manifest`], [`Index`] and their [`RuntimeConfig`].
//!
//! What is read is kept byte for byte; edits are made on the JSON itself, so that fields which
//! immut does not know survive. Formats: the OCI image specification 1.1 and Docker's image
//! manifest version 2, schema 2.

mod config;
mod manifest;
mod media;

pub use config::{Healthcheck, RuntimeConfig};
pub use manifest::{Descriptor, Image, Index, IndexEntry, Manifest, Platform, RawManifest};
pub use media::{Compression, Family, media_type};

/// Why bytes are no image that immut can work on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not the JSON that was expected.
    #[error("{what} is not valid: {reason}")]
    Malformed {
        /// Which document.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// An artifact, such as a signature or a chart.
    #[error("this is an artifact of type {0:?}, no container image")]
    Artifact(String),
    /// A kind of manifest that is not read.
    #[error(
        "manifests of media type {0:?} are not supported; push the image again with a current tool"
    )]
    ManifestType(String),
    /// A layer whose bytes are not to be had or not readable.
    #[error("layer {layer} has media type {media_type:?}: {reason}")]
    Layer {
        /// Counted from 1.
        layer: usize,
        /// As the manifest has it.
        media_type: String,
        /// Why it cannot be read.
        reason: &'static str,
    },
    /// Config and manifest disagree.
    #[error("the config lists {diff_ids} diff_ids, the manifest {layers} layers")]
    LayerCount {
        /// In the config.
        diff_ids: usize,
        /// In the manifest.
        layers: usize,
    },
}
