//! The narrow door to compression: an archive goes in, as what is kept of an old one and what is new;
//! a blob with its digests comes out. The archive is indexed as it goes by, and the blob is hashed
//! and written, each on a thread of its own.

use std::io::{self, BufWriter, Read, Write};
use std::ops::Range;

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::splice::{Counts, Old, Splice};
use super::{Encoding, Error, Method};
use crate::codec::{Scheme, Spans};
use crate::image::Compression;
use crate::inventory::{self, Indexed, Known, Raw, Reading};
use crate::name::Digest;
use crate::parallel::{Inlet, ahead, behind, is_gone, pipe};
use crate::store::Sending;

/// How a layer is encoded.
pub(super) struct Way<'a> {
    pub(super) compression: Compression,
    /// Where the old blob may be cut, and its bytes; none: everything is encoded.
    pub(super) old: Option<(&'a Spans, Box<dyn Read + Send + 'a>)>,
}

/// A finished blob.
pub(super) struct Encoded<'s> {
    pub(super) scratch: NamedTempFile,
    /// Digest of the blob.
    pub(super) digest: Digest,
    /// Bytes of the blob.
    pub(super) size: u64,
    pub(super) encoding: Encoding,
    /// What is in the archive.
    pub(super) indexed: Indexed,
    pub(super) sending: Option<Sending<'s>>,
}

/// Encodes what `fill` puts into it, into `blob`. `number` counts from 0.
pub(super) fn encode<'s>(
    number: usize,
    way: Way<'_>,
    blob: Blob<'s>,
    reading: &Reading<'_>,
    known: Known<'_>,
    fill: impl FnOnce(&mut Encoder<'_>) -> Result<(), Error>,
) -> Result<Encoded<'s>, Error> {
    let io_error = super::layer::io_error(number);
    let Way { compression, old } = way;
    std::thread::scope(|scope| {
        let (inlet, writing) = behind(scope, blob);
        let (tap, outlet) = pipe();
        let indexing = scope.spawn(move || reading.index_new(number, outlet, known));
        let (splice, method) = match old {
            Some((spans, blob)) => {
                let method = match spans.scheme {
                    Scheme::Blocks { .. } => Method::Blocks,
                    Scheme::Frames => Method::Frames,
                };
                let old = Old::new(ahead(scope, blob).0);
                (Splice::new(compression, spans, old, inlet), method)
            }
            None => (Ok(Splice::whole(compression, inlet)), Method::Whole),
        };
        let filled = splice.map_err(io_error).and_then(|splice| {
            let mut encoder = Encoder { splice, tap };
            fill(&mut encoder)?;
            encoder.finish().map_err(super::layer::io_error(number))
        });
        let blob = writing.join().expect("a writer does not panic");
        let indexed = indexing.join().expect("an index does not panic");
        let (counts, blob, indexed) = all_well(number, filled, blob, indexed)?;
        let Counts { copied, encoded } = counts;
        let encoding = Encoding { method, copied, encoded };
        blob.finish(encoding, indexed).map_err(super::layer::io_error(number))
    })
}

/// What the three threads made, or the reason of a failure: when one of them found the other end of
/// its pipe gone, that is what happened there.
fn all_well(
    number: usize,
    filled: Result<Counts, Error>,
    blob: io::Result<Blob<'_>>,
    indexed: Result<Indexed, inventory::Error>,
) -> Result<(Counts, Blob<'_>, Indexed), Error> {
    let check = |source| Error::Check { layer: number + 1, source: Box::new(source) };
    let written = |source| Error::Io { layer: number + 1, source };
    match (filled, blob, indexed) {
        (_, _, Err(error)) if !is_cut(&error) => Err(check(error)),
        (_, Err(error), _) if !is_gone(&error) => Err(written(error)),
        (filled, blob, indexed) => Ok((filled?, blob.map_err(written)?, indexed.map_err(check)?)),
    }
}

fn is_cut(error: &inventory::Error) -> bool {
    matches!(error, inventory::Error::Read { source, .. } if is_gone(source))
}

/// Where an archive goes in.
pub(super) struct Encoder<'a> {
    splice: Splice<'a, Inlet>,
    /// To whom indexes it.
    tap: Inlet,
}

impl Encoder<'_> {
    /// Takes over a range of the old archive, where `raw` stands. Ranges come in order.
    pub(super) fn keep(&mut self, range: Range<u64>, raw: &mut Raw<'_>) -> io::Result<()> {
        raw.go_to(range.start)?;
        self.splice.keep(range, &mut Tapped { raw, tap: &mut self.tap })
    }

    fn finish(self) -> io::Result<Counts> {
        let (inlet, counts) = self.splice.finish()?;
        inlet.end();
        self.tap.end();
        Ok(counts)
    }
}

impl Write for Encoder<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tap.write_all(bytes)?;
        self.splice.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hands on what is read.
struct Tapped<'t, R> {
    raw: &'t mut R,
    tap: &'t mut Inlet,
}

impl<R: Read> Read for Tapped<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.raw.read(buffer)?;
        self.tap.write_all(&buffer[..count])?;
        Ok(count)
    }
}

/// The compressed bytes on their way to the disk, and to where they are sent meanwhile.
pub(super) struct Blob<'s> {
    file: BufWriter<NamedTempFile>,
    hasher: Sha256,
    size: u64,
    sending: Option<Sending<'s>>,
}

impl<'s> Blob<'s> {
    pub(super) fn new(scratch: NamedTempFile, sending: Option<Sending<'s>>) -> Self {
        let file = BufWriter::with_capacity(1 << 16, scratch);
        Self { file, hasher: Sha256::new(), size: 0, sending }
    }

    fn finish(self, encoding: Encoding, indexed: Indexed) -> io::Result<Encoded<'s>> {
        let scratch = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        let (digest, size, sending) = (Digest::finish(self.hasher), self.size, self.sending);
        Ok(Encoded { scratch, digest, size, encoding, indexed, sending })
    }
}

impl Write for Blob<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        if let Some(sending) = &mut self.sending {
            sending.write(&bytes[..count]);
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
