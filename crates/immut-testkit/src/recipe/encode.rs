//! How a layer's archive becomes a blob.

use std::io::Write;

use sha2::Digest as _;

/// The compression of a layer's blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// None.
    Plain,
    /// gzip, as one member.
    Gzip,
    /// gzip in that many members, as pigz and eStargz write it.
    GzipMembers(usize),
    /// zstd, as one frame.
    Zstd,
    /// zstd in that many frames, with a skippable frame after them, as zstd:chunked writes it.
    ZstdFrames(usize),
}

impl Encoding {
    /// The blob for that archive.
    pub fn encode(self, tar: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain => tar.to_vec(),
            Self::Gzip => gzip(tar),
            Self::GzipMembers(count) => pieces(tar, count).flat_map(gzip).collect(),
            Self::Zstd => zstd(tar),
            Self::ZstdFrames(count) => {
                let skippable: &[u8] = b"\x50\x2a\x4d\x18\x04\0\0\0skip";
                pieces(tar, count).flat_map(zstd).chain(skippable.iter().copied()).collect()
            }
        }
    }

    /// The media type of such a blob.
    pub fn media_type(self, docker: bool) -> String {
        let plain = if docker { DOCKER_LAYER } else { OCI_LAYER };
        let suffix = match self {
            Self::Plain => return plain.to_owned(),
            Self::Gzip | Self::GzipMembers(_) => "gzip",
            Self::Zstd | Self::ZstdFrames(_) => "zstd",
        };
        format!("{plain}{}{suffix}", if docker { "." } else { "+" })
    }
}

/// `sha256:` and the digits.
pub fn digest_of(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(sha2::Sha256::digest(content)))
}

/// One gzip member.
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn pieces(bytes: &[u8], count: usize) -> impl Iterator<Item = &[u8]> {
    bytes.chunks(bytes.len().div_ceil(count).max(1))
}

const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
