//! [`Unpacked`]: a layer's archive put aside in the stage, so that it is decoded only once.
#![expect(clippy::cast_possible_truncation, reason = "offsets in a chunk, and numbers of chunks")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use super::Layout;

/// How much is written, read and summed at a time, in bytes.
const CHUNK: usize = 256 << 10;
/// So much stays free on the stage's disk: putting aside only saves time.
const FREE: u64 = 1 << 30;
/// After so many bytes it is looked again at what is free.
const LOOK: u64 = 64 << 20;

/// An archive on its way aside. It is given up when the disk has no room for it, or on any error.
#[derive(Debug)]
pub(crate) struct PuttingAside {
    /// None: it was given up.
    file: Option<File>,
    chunk: Vec<u8>,
    sums: Vec<u32>,
    size: u64,
}

/// An archive that was put aside: in a file without a name, which is gone with its last user.
#[derive(Debug)]
pub(crate) struct Unpacked {
    file: File,
    /// The sum of each chunk: what the disk gives back is what was put there.
    sums: Vec<u32>,
    size: u64,
}

impl PuttingAside {
    pub(crate) fn new(stage: &Layout) -> Self {
        let file = tempfile::tempfile_in(stage.folder()).ok().filter(has_room);
        Self { file, chunk: Vec::new(), sums: Vec::new(), size: 0 }
    }

    pub(crate) fn put(&mut self, mut bytes: &[u8]) {
        while self.file.is_some() && !bytes.is_empty() {
            let count = bytes.len().min(CHUNK - self.chunk.len());
            self.chunk.extend_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            if self.chunk.len() == CHUNK {
                self.write();
            }
        }
    }

    fn write(&mut self) {
        let Some(file) = &mut self.file else { return };
        let before = self.size / LOOK;
        self.sums.push(crc32fast::hash(&self.chunk));
        self.size += self.chunk.len() as u64;
        let written = file.write_all(&self.chunk).is_ok();
        self.chunk.clear();
        if !written || (self.size / LOOK > before && !has_room(file)) {
            self.file = None;
        }
    }

    /// The archive, unless it was given up.
    pub(crate) fn finish(mut self) -> Option<Unpacked> {
        if !self.chunk.is_empty() {
            self.write();
        }
        let Self { file, mut sums, size, .. } = self;
        sums.shrink_to_fit();
        Some(Unpacked { file: file?, sums, size })
    }
}

fn has_room(file: &File) -> bool {
    rustix::fs::fstatvfs(file).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) > FREE)
}

impl Unpacked {
    /// Puts a whole archive aside, however little room there is.
    pub(crate) fn of(mut archive: impl Read, stage: &Layout) -> io::Result<Self> {
        let mut file = tempfile::tempfile_in(stage.folder())?;
        let (mut sums, mut size, mut chunk) = (Vec::new(), 0, Vec::new());
        loop {
            chunk.clear();
            archive.by_ref().take(CHUNK as u64).read_to_end(&mut chunk)?;
            if chunk.is_empty() {
                return Ok(Self { file, sums, size });
            }
            file.write_all(&chunk)?;
            sums.push(crc32fast::hash(&chunk));
            size += chunk.len() as u64;
        }
    }

    /// Reads from an offset on.
    pub(crate) fn read_from(&self, at: u64) -> Reader<'_> {
        Reader { unpacked: self, at, chunk: Vec::new(), number: None }
    }
}

/// Reads an archive that was put aside.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    unpacked: &'a Unpacked,
    at: u64,
    chunk: Vec<u8>,
    /// Which chunk that is.
    number: Option<u64>,
}

impl Reader<'_> {
    /// Goes on at another offset.
    pub(crate) fn go_to(&mut self, at: u64) {
        self.at = at;
    }

    fn load(&mut self, number: u64) -> io::Result<()> {
        let start = number * CHUNK as u64;
        let size = (self.unpacked.size - start).min(CHUNK as u64);
        self.number = None;
        self.chunk.resize(size as usize, 0);
        self.unpacked.file.read_exact_at(&mut self.chunk, start)?;
        if self.unpacked.sums.get(number as usize) != Some(&crc32fast::hash(&self.chunk)) {
            let reason = "the stage's disk gave back other bytes than were put there";
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        self.number = Some(number);
        Ok(())
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.unpacked.size {
            return Ok(0);
        }
        let number = self.at / CHUNK as u64;
        if self.number != Some(number) {
            self.load(number)?;
        }
        let rest = &self.chunk[(self.at % CHUNK as u64) as usize..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_aside_comes_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let stage = Layout::create(folder.path()).expect("a layout");
        let bytes: Vec<u8> = (0..3 * CHUNK + 77).map(|n| (n % 251) as u8).collect();
        let mut putting = PuttingAside::new(&stage);
        bytes.chunks(100_001).for_each(|piece| putting.put(piece));
        let unpacked = putting.finish().expect("there is room");
        for at in [0, 1, CHUNK, 2 * CHUNK + 5, bytes.len(), bytes.len() + 9] {
            let mut read = Vec::new();
            unpacked.read_from(at as u64).read_to_end(&mut read).expect("read");
            assert!(read == bytes[at.min(bytes.len())..], "from {at}");
        }
        unpacked.file.write_at(b"x", CHUNK as u64 + 3).expect("written");
        let mut reader = unpacked.read_from(0);
        assert!(reader.read_to_end(&mut Vec::new()).is_err(), "other bytes came back");
        reader.go_to(2 * CHUNK as u64);
        assert!(reader.read(&mut [0; 9]).is_ok());
    }
}
