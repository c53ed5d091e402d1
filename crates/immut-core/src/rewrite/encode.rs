//! The narrow door to compression: an archive goes in as a stream, a blob with its digests comes out.

use std::io::{self, BufWriter, Write};

use flate2::GzBuilder;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::image::Compression;
use crate::name::Digest;

/// gzip's usual level: what registries hold is mostly made with it.
const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;
/// How much is compressed at a time.
const PIECE: usize = 1 << 16;

/// Writes an archive as a blob into a scratch file.
pub(super) struct Encoder {
    inner: Inner,
    /// What was not compressed yet: a compressor's output depends on the pieces that it is given, and
    /// the result must not depend on the pieces that a file or a pipe happens to give.
    pending: Vec<u8>,
    hasher: Sha256,
}

/// A finished blob.
pub(super) struct Encoded {
    pub(super) scratch: NamedTempFile,
    /// Digest of the archive.
    pub(super) diff_id: Digest,
    /// Digest of the blob.
    pub(super) digest: Digest,
    /// Bytes of the blob.
    pub(super) size: u64,
}

enum Inner {
    None(Blob),
    Gzip(GzEncoder<Blob>),
    Zstd(zstd::stream::write::Encoder<'static, Blob>),
}

impl Encoder {
    /// The same archive gives the same blob: the headers carry no time and no name.
    pub(super) fn new(compression: Compression, scratch: NamedTempFile) -> io::Result<Self> {
        let blob = Blob {
            file: BufWriter::with_capacity(1 << 18, scratch),
            hasher: Sha256::new(),
            size: 0,
        };
        let inner = match compression {
            Compression::None => Inner::None(blob),
            Compression::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                Inner::Gzip(GzBuilder::new().mtime(0).operating_system(255).write(blob, level))
            }
            Compression::Zstd => Inner::Zstd(zstd::stream::write::Encoder::new(blob, ZSTD_LEVEL)?),
        };
        Ok(Self { inner, pending: Vec::with_capacity(PIECE), hasher: Sha256::new() })
    }

    pub(super) fn finish(mut self) -> io::Result<Encoded> {
        self.compress()?;
        let blob = match self.inner {
            Inner::None(blob) => blob,
            Inner::Gzip(encoder) => encoder.finish()?,
            Inner::Zstd(encoder) => encoder.finish()?,
        };
        let scratch = blob.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        let (diff_id, digest) = (Digest::finish(self.hasher), Digest::finish(blob.hasher));
        Ok(Encoded { scratch, diff_id, digest, size: blob.size })
    }
}

impl Encoder {
    fn compress(&mut self) -> io::Result<()> {
        match &mut self.inner {
            Inner::None(blob) => blob.write_all(&self.pending),
            Inner::Gzip(encoder) => encoder.write_all(&self.pending),
            Inner::Zstd(encoder) => encoder.write_all(&self.pending),
        }?;
        self.pending.clear();
        Ok(())
    }
}

impl Write for Encoder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(PIECE - self.pending.len());
        self.pending.extend_from_slice(&bytes[..count]);
        self.hasher.update(&bytes[..count]);
        if self.pending.len() == PIECE {
            self.compress()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The compressed bytes on their way to the disk.
struct Blob {
    file: BufWriter<NamedTempFile>,
    hasher: Sha256,
    size: u64,
}

impl Write for Blob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
