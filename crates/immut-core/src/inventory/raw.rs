//! [`Raw`]: a layer's archive as it was, read in order.

use std::io::{self, BufReader, Read};

use super::{Layer, Limits};
use crate::archive::{self, Archive, Member};
use crate::codec::Decoder;
use crate::image::Descriptor;
use crate::store::{self, Layout, Source, Unpacked, UnpackedReader};

/// Reads a layer's archive again: as it was put aside, or else by decoding its blob once more.
pub(crate) struct Raw<'a> {
    from: From<'a>,
    at: u64,
}

enum From<'a> {
    Aside(UnpackedReader<'a>),
    Blob(Box<Decoder<BufReader<Box<dyn Read + Send + 'a>>>>),
}

impl<'a> Raw<'a> {
    pub(crate) fn open(
        stage: &'a Layout,
        blob: &Descriptor,
        layer: &'a Layer,
    ) -> Result<Self, store::Error> {
        if let Some(unpacked) = &layer.unpacked {
            return Ok(Self { from: From::Aside(unpacked.read_from(0)), at: 0 });
        }
        let raw = BufReader::with_capacity(1 << 16, stage.open(blob)?);
        let decoder = Decoder::new(layer.compression, raw, Limits::ZSTD_WINDOW_LOG);
        let failed = |source| store::Error::Read { what: blob.digest.to_string(), source };
        Ok(Self { from: From::Blob(Box::new(decoder.map_err(failed)?)), at: 0 })
    }

    /// Reads an archive that was put aside, at any place of it.
    pub(crate) fn over(unpacked: &'a Unpacked) -> Self {
        Self { from: From::Aside(unpacked.read_from(0)), at: 0 }
    }

    /// Bytes of the archive before what is read next.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Goes on to another offset, in a blob to a later one.
    pub(crate) fn go_to(&mut self, at: u64) -> io::Result<()> {
        match &mut self.from {
            From::Aside(reader) => reader.go_to(at),
            From::Blob(decoder) => {
                debug_assert!(at >= self.at);
                io::copy(&mut decoder.take(at - self.at), &mut io::sink())?;
            }
        }
        self.at = at;
        Ok(())
    }

    /// Reads the headers of the member at which the archive stands; its content follows.
    pub(crate) fn member(&mut self) -> Result<(Member, Archive<&mut Self>), archive::Error> {
        let missing = || io::Error::new(io::ErrorKind::UnexpectedEof, "an entry is missing");
        let mut archive = Archive::new(self);
        let member = archive.next()?.ok_or_else(missing)?;
        Ok((member, archive))
    }

    /// Reads the rest: a blob is checked against its digest at its end.
    pub(crate) fn finish(self) -> io::Result<()> {
        if let From::Blob(mut decoder) = self.from {
            io::copy(&mut decoder, &mut io::sink())?;
            io::copy(&mut decoder.finish().1, &mut io::sink())?;
        }
        Ok(())
    }
}

impl Read for Raw<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.from {
            From::Aside(reader) => reader.read(buffer),
            From::Blob(decoder) => decoder.read(buffer),
        }?;
        self.at += count as u64;
        Ok(count)
    }
}
