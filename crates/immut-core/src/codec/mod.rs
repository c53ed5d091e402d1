//! How layers are compressed: decoders that know where a blob may be cut.
//!
//! A decoder reads a blob as a stream and notes its [`Spans`]: pieces of the blob that can be copied
//! into another one as they are. `rewrite` puts new blobs together from them.

mod gzip;
mod spans;
mod zstd;

use std::io::{self, BufRead, Read};

pub(crate) use spans::{Scheme, Span, Spans, WINDOW};

use crate::image::Compression;

/// The archive inside a blob, as a stream.
pub(crate) struct Decoder<R>(Inner<R>);

enum Inner<R> {
    None(R),
    Gzip(Box<gzip::Decoder<R>>),
    Zstd(Box<zstd::Decoder<R>>),
}

impl<R: BufRead> Decoder<R> {
    /// Decodes `raw`; windows of zstd that are larger than two to the power of `window_log` bytes
    /// are refused.
    pub(crate) fn new(compression: Compression, raw: R, window_log: u32) -> io::Result<Self> {
        Ok(Self(match compression {
            Compression::None => Inner::None(raw),
            Compression::Gzip => Inner::Gzip(Box::new(gzip::Decoder::new(raw))),
            Compression::Zstd => Inner::Zstd(Box::new(zstd::Decoder::new(raw, window_log)?)),
        }))
    }

    /// Where the blob may be cut, once it was read to its end; and the rest of the input.
    pub(crate) fn finish(self) -> (Spans, R) {
        match self.0 {
            Inner::None(raw) => (Spans::none(), raw),
            Inner::Gzip(decoder) => decoder.finish(),
            Inner::Zstd(decoder) => decoder.finish(),
        }
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::None(raw) => raw.read(buffer),
            Inner::Gzip(decoder) => decoder.read(buffer),
            Inner::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

/// The word for a blob that ends too early.
fn cut(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, what)
}

/// The word for a blob that no decoder accepts.
fn broken(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

#[cfg(test)]
mod tests;
