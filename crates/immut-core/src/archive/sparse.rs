//! Sparse files: which pieces of the file the stored bytes are.
//!
//! GNU tar writes them in four forms: the old one with its map in the header, and PAX 0.0, 0.1 and
//! 1.0, the last with its map before the content. Go's `archive/tar` tells them apart in the same
//! way, and refuses the same maps.

use std::collections::VecDeque;

use super::pax::decimal;
use super::{BLOCK, Pax, header};

/// A piece of the file that is stored: its offset and its length in bytes.
type Piece = (u64, u64);

/// A sparse file.
#[derive(Debug, Clone)]
pub(crate) struct Sparse {
    /// Bytes of the file with its holes.
    pub(super) size: u64,
    /// Bytes in the archive.
    stored: u64,
    /// The pieces in order; none when they stand before the content (PAX 1.0).
    map: Option<VecDeque<Piece>>,
}

/// The largest map before a content, in bytes; Go's `archive/tar` has the same limit.
const MAP: usize = 1 << 20;
/// As many zeros stand for a larger hole when a file is looked into: a hole can have any size, and
/// no string that is sought lies across it.
const HOLE: usize = 1 << 8;

const NO_FORM: &str = "its GNU.sparse records have no form that engines know";
const NO_MAP: &str = "the map of its sparse pieces is none";
const NO_FIT: &str = "the map of its sparse pieces does not fit its size or its content";

impl Sparse {
    /// An old GNU sparse file; `more` are the further blocks of its map.
    pub(super) fn old(block: &[u8; BLOCK], more: &[u8], stored: u64) -> Result<Self, &'static str> {
        if !header::is_gnu(block) || header::prefix(block).is_some() {
            return Err("it is a sparse file without a GNU header");
        }
        let size = header::number(&block[header::GNU_REAL_SIZE]).ok_or(NO_MAP)?;
        let more = more.chunks(BLOCK).map(|block| &block[..header::SPARSE_IS_EXTENDED]);
        let mut map = VecDeque::new();
        for slots in std::iter::once(&block[header::GNU_SPARSE]).chain(more) {
            for slot in slots.chunks_exact(24).take_while(|slot| slot[0] != 0) {
                let number = |field| header::number(field).ok_or(NO_MAP);
                map.push_back((number(&slot[..12])?, number(&slot[12..])?));
            }
        }
        Self { size, stored, map: None }.with(map)
    }

    /// A sparse file in one of the PAX forms; none if it is not sparse.
    pub(super) fn of_pax(pax: &Pax, stored: u64) -> Result<Option<Self>, &'static str> {
        if !pax.keys().any(|key| key.starts_with(b"GNU.sparse.")) {
            return Ok(None);
        }
        let size = pax.get(b"GNU.sparse.size").or_else(|| pax.get(b"GNU.sparse.realsize"));
        let size = size.map_or(Some(stored), decimal).ok_or(NO_MAP)?;
        let sparse = Self { size, stored, map: None };
        match (pax.get(b"GNU.sparse.major"), pax.get(b"GNU.sparse.minor")) {
            (Some(b"1"), Some(b"0")) => Ok(Some(sparse)),
            (Some(b"0"), Some(b"0" | b"1")) | (None, None) => {
                sparse.with(map_of_records(pax)?).map(Some)
            }
            _ => Err(NO_FORM),
        }
    }

    /// Turns its stored bytes into the file's.
    pub(crate) fn expansion(&self) -> Expansion {
        Expansion { sparse: self.clone(), head: Vec::new(), lines: 0, at: 0 }
    }

    /// Pieces come in order, do not overlap, lie in the file, and are what is stored.
    fn with(self, map: VecDeque<Piece>) -> Result<Self, &'static str> {
        let (mut at, mut stored) = (0, 0_u64);
        for (offset, length) in &map {
            let end = offset.checked_add(*length).filter(|end| *end <= self.size);
            at = end.filter(|_| *offset >= at).ok_or(NO_FIT)?;
            stored += length;
        }
        if stored == self.stored { Ok(Self { map: Some(map), ..self }) } else { Err(NO_FIT) }
    }
}

/// The stored bytes of a sparse file on their way to the file's own.
#[derive(Debug)]
pub(crate) struct Expansion {
    sparse: Sparse,
    /// The map before the content, as far as it was read, and how many lines of it.
    head: Vec<u8>,
    lines: usize,
    /// Bytes of the file so far.
    at: u64,
}

impl Expansion {
    /// Takes the next stored bytes and gives the file's, with shorter holes.
    pub(crate) fn feed(
        &mut self,
        mut stored: &[u8],
        give: &mut impl FnMut(&[u8]),
    ) -> Result<(), &'static str> {
        while self.sparse.map.is_none() && !stored.is_empty() {
            let (head, rest) = stored.split_at(stored.len().min(BLOCK - self.head.len() % BLOCK));
            self.read_map(head)?;
            stored = rest;
        }
        let Some(map) = &mut self.sparse.map else { return Ok(()) };
        while let Some((offset, length)) = map.front_mut() {
            let hole = usize::try_from(*offset - self.at).unwrap_or(HOLE).min(HOLE);
            give(&[0; HOLE][..hole]);
            let take = usize::try_from(*length).unwrap_or(usize::MAX).min(stored.len());
            let (piece, rest) = stored.split_at(take);
            give(piece);
            (*offset, *length) = (*offset + take as u64, *length - take as u64);
            (self.at, stored) = (*offset, rest);
            if *length > 0 {
                break;
            }
            map.pop_front();
        }
        Ok(())
    }

    /// Whether all was there.
    pub(crate) fn finish(&self) -> Result<(), &'static str> {
        if self.sparse.map.is_some() { Ok(()) } else { Err(NO_MAP) }
    }

    /// Lines of decimal numbers: how many pieces, then offset and length of each, to a block's end.
    fn read_map(&mut self, piece: &[u8]) -> Result<(), &'static str> {
        self.head.extend_from_slice(piece);
        self.lines += memchr::memchr_iter(b'\n', piece).count();
        if self.head.len() > MAP {
            return Err(NO_MAP);
        }
        if !self.head.len().is_multiple_of(BLOCK) || self.lines == 0 {
            return Ok(());
        }
        let mut lines = self.head.split(|byte| *byte == b'\n').map(decimal);
        let mut line = || lines.next().flatten().ok_or(NO_MAP);
        let count = usize::try_from(line()?).map_err(|_| NO_MAP)?;
        if self.lines / 2 < count || self.lines < 2 * count + 1 {
            return Ok(());
        }
        let map = (0..count).map(|_| Ok((line()?, line()?))).collect::<Result<_, &str>>()?;
        let stored = self.sparse.stored - self.head.len() as u64;
        self.sparse = Sparse { stored, map: None, ..self.sparse }.with(map)?;
        Ok(())
    }
}

/// The map of PAX 0.0, a record for each number, or of 0.1, one record for all.
fn map_of_records(pax: &Pax) -> Result<VecDeque<Piece>, &'static str> {
    let mut numbers = Vec::new();
    for (key, value) in pax.iter() {
        match (key, numbers.len() % 2) {
            (b"GNU.sparse.offset", 0) | (b"GNU.sparse.numbytes", 1) => numbers.push(value),
            (b"GNU.sparse.offset" | b"GNU.sparse.numbytes", _) => return Err(NO_MAP),
            _ => {}
        }
    }
    if numbers.is_empty() {
        let map = pax.get(b"GNU.sparse.map").ok_or(NO_FORM)?;
        numbers = map.split(|byte| *byte == b',').collect();
    }
    let count = pax.get(b"GNU.sparse.numblocks").and_then(decimal);
    if !numbers.len().is_multiple_of(2) || count != Some(numbers.len() as u64 / 2) {
        return Err(NO_MAP);
    }
    let number = |text| decimal(text).ok_or(NO_MAP);
    numbers.chunks(2).map(|pair| Ok((number(pair[0])?, number(pair[1])?))).collect()
}
