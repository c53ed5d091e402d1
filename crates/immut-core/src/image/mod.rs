//! Images as immutable values: [`Manifest`], [`Index`] and their [`RuntimeConfig`].
//!
//! What is read is kept byte for byte; edits are made on the JSON itself, so that fields which
//! immut does not know survive. Formats: the OCI image specification 1.1 and Docker's image
//! manifest version 2, schema 2.

mod artifact;
mod config;
mod manifest;
mod media;
mod platform;
mod shape;

pub use artifact::Artifact;
pub use config::{Healthcheck, RuntimeConfig};
pub use manifest::{Descriptor, Image, Index, IndexEntry, Manifest, RawManifest};
pub use media::{Compression, Family, media_type};
pub use platform::Platform;

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
    #[error("this is {0}, no container image")]
    Artifact(Artifact),
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
    #[error(
        "the config lists {diff_ids} diff_ids and the manifest {layers} layers, but each layer has one; build or convert the image again"
    )]
    LayerCount {
        /// In the config.
        diff_ids: usize,
        /// In the manifest.
        layers: usize,
    },
}
