//! Seams and copies as gzip members and zstd frames: each stands for itself.

use std::io::{self, Write};
use std::ops::Range;

use flate2::GzBuilder;
use flate2::write::GzEncoder;

use super::old::Old;
use crate::image::Compression;

/// gzip's usual level: what registries hold is mostly made with it.
pub(super) const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;

/// Puts members or frames together.
pub(super) struct Joints<W> {
    compression: Compression,
    out: W,
    /// None if nothing is copied.
    old: Option<Old>,
    seam: Option<Seam>,
}

/// A member or frame that is being encoded.
enum Seam {
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl<W: Write> Joints<W> {
    pub(super) fn new(compression: Compression, old: Option<Old>, out: W) -> Self {
        Self { compression, out, old, seam: None }
    }

    pub(super) fn encode(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut seam = match self.seam.take() {
            Some(seam) => seam,
            None => Seam::new(self.compression)?,
        };
        let encoded = seam.encode(bytes)?;
        self.out.write_all(encoded)?;
        encoded.clear();
        self.seam = Some(seam);
        Ok(())
    }

    /// Ends the member or frame, if one is open.
    pub(super) fn close(&mut self) -> io::Result<()> {
        match self.seam.take() {
            Some(seam) => self.out.write_all(&seam.finish()?),
            None => Ok(()),
        }
    }

    /// Copies members or frames of the old blob.
    pub(super) fn copy(&mut self, bits: &Range<u64>) -> io::Result<()> {
        let out = &mut self.out;
        let old = self.old.as_mut().expect("spans come with their blob");
        old.take(bits.start / 8..bits.end / 8, |piece| out.write_all(piece))
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.close()?;
        self.old.map_or(Ok(()), Old::finish)?;
        Ok(self.out)
    }
}

impl Seam {
    /// The same archive gives the same blob: the headers carry no time and no name.
    fn new(compression: Compression) -> io::Result<Self> {
        let out = Vec::new();
        Ok(if compression == Compression::Zstd {
            Self::Zstd(zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?)
        } else {
            let level = flate2::Compression::new(GZIP_LEVEL);
            Self::Gzip(GzBuilder::new().mtime(0).operating_system(255).write(out, level))
        })
    }

    /// Encodes bytes and gives what has come of it so far.
    fn encode(&mut self, bytes: &[u8]) -> io::Result<&mut Vec<u8>> {
        match self {
            Self::Gzip(encoder) => {
                encoder.write_all(bytes)?;
                Ok(encoder.get_mut())
            }
            Self::Zstd(encoder) => {
                encoder.write_all(bytes)?;
                Ok(encoder.get_mut())
            }
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}
