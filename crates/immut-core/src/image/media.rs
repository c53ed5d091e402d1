//! Media types and what they say about a layer's framing.

use super::Error;

/// The media types that immut reads and writes.
pub mod media_type {
    /// OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// The documents that name an image.
    pub const DOCUMENTS: [&str; 4] = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST];
    /// OCI image config.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// The empty descriptor of OCI 1.1 artifacts.
    pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
    /// OCI layer, not compressed; `+gzip` and `+zstd` follow.
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// Docker image manifest, version 2, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker manifest list.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker image config.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// Docker layer, not compressed; `.gzip` follows.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
}

/// Whose media types an image speaks; they are never mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// The OCI image specification's.
    Oci,
    /// Docker's, which have no annotations on manifests.
    Docker,
}

impl Family {
    /// The media type of a layer of this family.
    pub fn layer(self, compression: Compression) -> String {
        match (self, compression) {
            (Self::Oci, Compression::None) => media_type::OCI_LAYER.to_owned(),
            (Self::Oci, Compression::Gzip) => format!("{}+gzip", media_type::OCI_LAYER),
            (Self::Oci, Compression::Zstd) => format!("{}+zstd", media_type::OCI_LAYER),
            (Self::Docker, Compression::None) => media_type::DOCKER_LAYER.to_owned(),
            (Self::Docker, Compression::Gzip) => format!("{}.gzip", media_type::DOCKER_LAYER),
            (Self::Docker, Compression::Zstd) => format!("{}.zstd", media_type::DOCKER_LAYER),
        }
    }

    /// The media type of a manifest of this family.
    pub fn manifest(self) -> &'static str {
        match self {
            Self::Oci => media_type::OCI_MANIFEST,
            Self::Docker => media_type::DOCKER_MANIFEST,
        }
    }
}

/// How a layer's tar archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// What the first bytes of a blob say; engines believe them, not the media type.
    ///
    /// `None` (of the option) stands for a compression that image layers never have.
    pub fn of_magic(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // A zstd frame, or a skippable frame before it (zstd:chunked has them).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [b'B', b'Z', b'h', ..] | [0xfd, b'7', b'z', b'X', b'Z', ..] => None,
            _ => Some(Self::None),
        }
    }
}

/// Refuses the media types of layers whose bytes are elsewhere or not readable.
pub(super) fn check_layer(layer: usize, media_type: &str) -> Result<(), Error> {
    let refuse =
        |reason| Err(Error::Layer { layer: layer + 1, media_type: media_type.to_owned(), reason });
    if media_type.contains("nondistributable") || media_type.contains(".foreign.") {
        return refuse(
            "its bytes are not in the registry (a foreign layer); build the image without such layers",
        );
    }
    if media_type.contains("+encrypted") {
        return refuse(
            "it is encrypted; decrypt the image first, for example with `skopeo copy --decryption-key KEY`",
        );
    }
    if !is_archive(media_type) {
        return refuse("this is no layer of a container image, which is an archive of files");
    }
    Ok(())
}

/// Whether a media type is that of an archive of files, however it is compressed.
pub(super) fn is_archive(media_type: &str) -> bool {
    media_type.starts_with(media_type::OCI_LAYER)
        || media_type.starts_with(media_type::DOCKER_LAYER)
}
