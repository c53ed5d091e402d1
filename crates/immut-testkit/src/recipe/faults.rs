//! [`Fault`]: what is wrong with a layer on purpose; and layers, right or wrong.

use serde_json::Value;

use super::{BuiltLayer, Encoding, descriptor, digest_of};

/// What is wrong with a layer, on purpose; see [`Recipe::fault`](super::Recipe::fault).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The config names another `diff_id`.
    DiffId,
    /// The manifest names a digest that no blob has.
    Missing,
    /// The blob's last byte is another than its digest says.
    Content,
    /// The manifest's size is one byte too large.
    Size,
    /// Only that many bytes of the blob are there; digest and size are those of the whole.
    Truncated(usize),
    /// Only that many bytes of the encoded layer are there; digest and size are theirs.
    EncodedTruncated(usize),
    /// Bytes after the encoded layer; digest and size count them.
    Trailing(Vec<u8>),
    /// Another media type in the manifest.
    MediaType(String),
}

/// A layer as its recipe has it.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) tar: Vec<u8>,
    pub(super) encoding: Encoding,
    /// The blob, if it is not just the encoded archive.
    pub(super) blob: Option<Vec<u8>>,
    pub(super) annotations: Option<Value>,
    pub(super) faults: Vec<Fault>,
}

impl Layer {
    /// The layer, and its blob with the digest that it is stored under; none if that is missing.
    pub(super) fn build(&self, docker: bool) -> (BuiltLayer, Option<(String, Vec<u8>)>) {
        let blob = self.encoded();
        let media_type = self.encoding.media_type(docker);
        let mut descriptor = descriptor(&media_type, &blob);
        if let Some(annotations) = &self.annotations {
            descriptor["annotations"] = annotations.clone();
        }
        let digest = digest_of(&blob);
        let mut diff_id = digest_of(&self.tar);
        let mut stored = Some((digest, blob.clone()));
        for fault in &self.faults {
            match fault {
                Fault::DiffId => diff_id = digest_of(b"another archive"),
                Fault::Missing => {
                    descriptor["digest"] = digest_of(b"another blob").into();
                    stored = None;
                }
                Fault::Content => {
                    // The last byte: of the zeros in a plain archive, of the checksum in gzip.
                    *stored.as_mut().unwrap().1.last_mut().unwrap() ^= 1;
                }
                Fault::Size => descriptor["size"] = (blob.len() + 1).into(),
                Fault::Truncated(length) => stored.as_mut().unwrap().1.truncate(*length),
                Fault::MediaType(other) => descriptor["mediaType"] = other.as_str().into(),
                Fault::EncodedTruncated(_) | Fault::Trailing(_) => {}
            }
        }
        (BuiltLayer { descriptor, diff_id, tar: self.tar.clone() }, stored)
    }

    fn encoded(&self) -> Vec<u8> {
        let mut blob = self.blob.clone().unwrap_or_else(|| self.encoding.encode(&self.tar));
        for fault in &self.faults {
            match fault {
                Fault::EncodedTruncated(length) => blob.truncate(*length),
                Fault::Trailing(bytes) => blob.extend(bytes),
                _ => {}
            }
        }
        blob
    }
}
