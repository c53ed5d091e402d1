//! The header of a block with codes of its own (RFC 1951, 3.2.7).

use crate::Broken;
use crate::bits::Bits;
use crate::table::{self, Precode};

/// What was read of a header; it can come in pieces.
pub(crate) struct Header {
    /// How many codes there are for literals and lengths, for both these and distances, and for
    /// code lengths. All are 0 until they are known.
    litlen: usize,
    total: usize,
    precodes: usize,
    /// How many lengths were read: up to `precodes`, then up to `total` more.
    read: usize,
    precode: Precode,
    /// The lengths of the precode, then those of the codes proper.
    lengths: [u8; 320],
}

impl Default for Header {
    fn default() -> Self {
        Self { litlen: 0, total: 0, precodes: 0, read: 0, precode: [0; _], lengths: [0; 320] }
    }
}

impl Header {
    /// The lengths of all codes, and how many of them are for literals and lengths, when they are
    /// known.
    pub(crate) fn lengths(&self) -> Option<(&[u8], usize)> {
        let known = self.total > 0 && self.read == self.precodes + self.total;
        known.then(|| (&self.lengths[..self.total], self.litlen))
    }

    /// Goes on with what `bits` has. Whether that sufficed for something; if so there may be more
    /// bits now.
    pub(crate) fn read(&mut self, bits: &mut Bits) -> Result<bool, Broken> {
        if self.total == 0 {
            self.counts(bits)
        } else if self.read < self.precodes {
            self.precode_length(bits)
        } else {
            let held = bits.held;
            while self.read < self.precodes + self.total && self.code_lengths(bits)? {}
            Ok(bits.held < held)
        }
    }

    fn counts(&mut self, bits: &mut Bits) -> Result<bool, Broken> {
        let Some(counts) = bits.take(14) else { return Ok(false) };
        let (litlen, distance) = (257 + (counts & 31), 1 + (counts >> 5 & 31));
        if litlen > 286 || distance > 30 {
            return Err(Broken::TooManyCodes);
        }
        self.litlen = litlen as usize;
        self.total = (litlen + distance) as usize;
        self.precodes = 4 + (counts >> 10) as usize;
        Ok(true)
    }

    fn precode_length(&mut self, bits: &mut Bits) -> Result<bool, Broken> {
        let Some(length) = bits.take(3) else { return Ok(false) };
        self.lengths[ORDER[self.read]] = length as u8;
        self.read += 1;
        if self.read == self.precodes {
            table::PRECODE.build(&mut self.precode, &self.lengths[..ORDER.len()])?;
        }
        Ok(true)
    }

    /// Reads one code length, or one repetition.
    fn code_lengths(&mut self, bits: &mut Bits) -> Result<bool, Broken> {
        let entry = self.precode[bits.word as usize & (self.precode.len() - 1)];
        let (code, symbol) = (entry & 15, entry >> 16);
        if symbol >= 16 {
            return self.repetition(bits, code, symbol);
        }
        let known = bits.take(code).is_some();
        if known {
            self.lengths[self.read - self.precodes] = symbol as u8;
            self.read += 1;
        }
        Ok(known)
    }

    fn repetition(&mut self, bits: &mut Bits, code: u32, symbol: u32) -> Result<bool, Broken> {
        let (extra, base) = match symbol {
            16 => (2, 3),
            17 => (3, 3),
            _ => (7, 11),
        };
        let Some(value) = bits.take(code + extra) else { return Ok(false) };
        let count = base + (value >> code) as usize;
        let done = self.read - self.precodes;
        let before = self.lengths[..done].last();
        let length = if symbol == 16 { *before.ok_or(Broken::Repeat)? } else { 0 };
        let places = self.lengths[..self.total].get_mut(done..done + count);
        places.ok_or(Broken::Repeat)?.fill(length);
        self.read += count;
        Ok(true)
    }
}

/// The order in which the lengths of the precode come.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The code lengths of a block with fixed codes: 288 for literals and lengths, 32 for distances
/// (RFC 1951, 3.2.6).
pub(crate) const FIXED: [u8; 320] = {
    let mut lengths = [8; 320];
    let mut symbol = 144;
    while symbol < lengths.len() {
        lengths[symbol] = match symbol {
            144..256 => 9,
            256..280 => 7,
            280..288 => 8,
            _ => 5,
        };
        symbol += 1;
    }
    lengths
};
