//! Decoding tables for prefix codes (RFC 1951, 3.2.2).
//!
//! The first bits of the input, as many as the table's root has, choose an entry. If the code is
//! longer, that entry leads to a sub-table, and the bits that follow choose in it.
//!
//! | bits of an entry | meaning                                                                  |
//! |------------------|--------------------------------------------------------------------------|
//! | 0..6             | bits to drop: the code and the extra bits that follow it                 |
//! | 8..12            | bits of the code alone; of a [`SUBTABLE`]: bits that choose in it        |
//! | 13, 14, 15, 31   | [`END`], [`SUBTABLE`], [`EXCEPTION`], [`LITERAL`]                        |
//! | 16..31           | literal; length without extra bits and, from 25, their mask; a sub-table's start |
//!
//! Entries for distances have 64 bits, as a distance with the mask of its extra bits takes 28: the
//! mask is in bits 32..48, the distance without extra bits in 48..64.

use std::ops::Add;

use crate::Broken;

/// A literal byte.
pub(crate) const LITERAL: u32 = 1 << 31;
/// Neither a literal nor a length or distance: a sub-table, the end of the block, or no code at all.
pub(crate) const EXCEPTION: u32 = 1 << 15;
/// With [`EXCEPTION`]: the code goes on in a sub-table.
pub(crate) const SUBTABLE: u32 = 1 << 14;
/// With [`EXCEPTION`]: the end of the block.
pub(crate) const END: u32 = 1 << 13;

/// The tables for compressed data. Their sizes are powers of two, so that an index can be masked.
pub(crate) struct Tables {
    /// For literals and lengths. 2342 entries can be in use (zlib's `enough 286 11 15`).
    litlen: [u32; 4096],
    /// For distances. 402 entries can be in use (`enough 30 8 15`).
    distance: [u64; 512],
}

impl Tables {
    pub(crate) fn new() -> Self {
        Self { litlen: [0; _], distance: [0; _] }
    }

    /// Makes the tables for the codes of these lengths: `litlen` of them for literals and lengths,
    /// the rest for distances.
    pub(crate) fn set(&mut self, lengths: &[u8], litlen: usize) -> Result<(), Broken> {
        let (litlen, distance) = lengths.split_at(litlen);
        if litlen[256] == 0 {
            return Err(Broken::NoEnd);
        }
        LITLEN.build(&mut self.litlen, litlen)?;
        DISTANCE.build(&mut self.distance, distance)
    }

    /// The entry of the literal or length that `bits` start with, if its code is no longer than
    /// the root.
    #[inline(always)]
    pub(crate) fn litlen(&self, bits: u64) -> u32 {
        self.litlen[bits as usize & ((1 << LITLEN.root) - 1)]
    }

    #[inline(always)]
    pub(crate) fn distance(&self, bits: u64) -> u64 {
        self.distance[bits as usize & ((1 << DISTANCE.root) - 1)]
    }

    /// The entry in the sub-table that `entry` leads to; `bits` are those after the root's.
    #[inline(always)]
    pub(crate) fn long_litlen(&self, entry: u32, bits: u64) -> u32 {
        self.litlen[within(entry, bits) & (self.litlen.len() - 1)]
    }

    #[inline(always)]
    pub(crate) fn long_distance(&self, entry: u64, bits: u64) -> u64 {
        self.distance[within(entry as u32, bits) & (self.distance.len() - 1)]
    }
}

#[inline(always)]
fn within(entry: u32, bits: u64) -> usize {
    (entry >> 16) as usize + (bits as usize & ((1 << (entry >> 8 & 15)) - 1))
}

/// The length that `entry` stands for, which was found for `bits`.
#[inline(always)]
pub(crate) fn length(entry: u32, bits: u64) -> usize {
    let extra = bits.wrapping_shr(entry >> 8) as u32 & (entry >> 25);
    (entry >> 16 & 511) as usize + extra as usize
}

/// The distance that `entry` stands for, which was found for `bits`.
#[inline(always)]
pub(crate) fn distance(entry: u64, bits: u64) -> usize {
    let extra = bits.wrapping_shr(entry as u32 >> 8) & (entry >> 32 & 0xffff);
    (entry >> 48) as usize + extra as usize
}

/// What codes stand for, and how their table is made.
pub(crate) struct Alphabet<E, const N: usize> {
    /// How many bits choose an entry that is not in a sub-table.
    root: u32,
    /// The entries of the symbols, without the bits of their codes.
    meaning: [E; N],
    /// Whether zlib accepts that there is no code at all, or a single code of one bit.
    sparse: bool,
    /// What is said of a code that is not complete.
    broken: Broken,
}

/// The table for the precode, whose codes have no more than 7 bits.
pub(crate) type Precode = [u32; 1 << PRECODE.root];

pub(crate) static LITLEN: Alphabet<u32, 288> = Alphabet {
    root: 11,
    meaning: {
        let mut meaning = [EXCEPTION; 288];
        let mut symbol = 0;
        while symbol < 256 {
            meaning[symbol as usize] = LITERAL | symbol << 16;
            symbol += 1;
        }
        meaning[256] = EXCEPTION | END;
        let (mut symbol, mut base) = (257, 3);
        while symbol < 285 {
            let extra = if symbol < 265 { 0 } else { (symbol - 261) / 4 };
            meaning[symbol as usize] = ((1 << extra) - 1) << 25 | base << 16 | extra;
            base += 1 << extra;
            symbol += 1;
        }
        meaning[285] = 258 << 16;
        meaning
    },
    sparse: true,
    broken: Broken::LiteralCode,
};

pub(crate) static DISTANCE: Alphabet<u64, 32> = Alphabet {
    root: 8,
    meaning: {
        let mut meaning = [EXCEPTION as u64; 32];
        let (mut symbol, mut base) = (0, 1);
        while symbol < 30 {
            let extra = if symbol < 4 { 0 } else { symbol / 2 - 1 };
            meaning[symbol as usize] = base << 48 | ((1 << extra) - 1) << 32 | extra;
            base += 1 << extra;
            symbol += 1;
        }
        meaning
    },
    sparse: true,
    broken: Broken::DistanceCode,
};

pub(crate) static PRECODE: Alphabet<u32, 19> = Alphabet {
    root: 7,
    meaning: {
        let mut meaning = [0; 19];
        let mut symbol = 0;
        while symbol < 19 {
            meaning[symbol as usize] = symbol << 16;
            symbol += 1;
        }
        meaning
    },
    sparse: false,
    broken: Broken::LengthCode,
};

impl<E: Copy + From<u32> + Add<Output = E>, const N: usize> Alphabet<E, N> {
    /// Builds the table for the code in which symbol `i` has `lengths[i]` bits, as zlib accepts
    /// it. What is not a code, where the alphabet allows that, becomes an exception of one bit.
    pub(crate) fn build(&self, table: &mut [E], lengths: &[u8]) -> Result<(), Broken> {
        let mut count = [0; 16];
        for &length in lengths {
            count[usize::from(length & 15)] += 1;
        }
        count[0] = 0;
        let free = free(&count).ok_or(self.broken)?;
        let mut sorted = [0; N];
        let total = sort(lengths, &count, &mut sorted);
        let root = &mut table[..1 << self.root];
        if free == 0 {
            self.fill(table, &count, &sorted[..total]);
        } else if self.sparse && total == usize::from(count[1]) && total <= 1 {
            root.fill((EXCEPTION | 0x101).into());
            for &symbol in &sorted[..total] {
                let entry = self.entry(symbol, 1);
                root.iter_mut().step_by(2).for_each(|place| *place = entry);
            }
        } else {
            return Err(self.broken);
        }
        Ok(())
    }

    /// The entry of a symbol whose code has `length` bits, or so many after the root's.
    fn entry(&self, symbol: u16, length: u32) -> E {
        self.meaning[usize::from(symbol)] + (length * 0x101).into()
    }

    /// Fills the table for a complete code, of which there are `count[i]` symbols with `i` bits.
    fn fill(&self, table: &mut [E], count: &[u16; 16], sorted: &[u16]) {
        let mut sorted = sorted.iter();
        let mut code = 0;
        for length in 1..=self.root {
            // What is there holds for both values of one bit more.
            let half = 1 << (length - 1);
            table.copy_within(..half, half);
            for &symbol in sorted.by_ref().take(count[length as usize].into()) {
                table[code] = self.entry(symbol, length);
                code = next(code, length);
            }
        }
        let low = (1 << self.root) - 1;
        let (mut start, mut end, mut prefix) = (0, 1 << self.root, usize::MAX);
        for length in self.root + 1..16 {
            let more = length - self.root;
            for left in (1..=count[length as usize]).rev() {
                let Some(&symbol) = sorted.next() else { return };
                if code & low != prefix {
                    prefix = code & low;
                    let bits = self.subtable_bits(count, length, left);
                    (start, end) = (end, end + (1 << bits));
                    let lead = EXCEPTION | SUBTABLE | (start as u32) << 16 | bits << 8 | self.root;
                    table[prefix] = lead.into();
                }
                let entry = self.entry(symbol, more);
                let places = table[start + (code >> self.root)..end].iter_mut();
                places.step_by(1 << more).for_each(|place| *place = entry);
                code = next(code, length);
            }
        }
    }

    /// How many bits choose in the sub-table that begins where `left` codes of `length` bits are
    /// left: as many as it takes to use up what the root's bits stand for.
    fn subtable_bits(&self, count: &[u16; 16], length: u32, left: u16) -> u32 {
        let (mut bits, mut used) = (length - self.root, u32::from(left));
        while used < 1 << bits {
            bits += 1;
            used = 2 * used + u32::from(count[(self.root + bits) as usize]);
        }
        bits
    }
}

/// How much of the code space is left, in codes of 15 bits; `None` if there are too many codes.
fn free(count: &[u16; 16]) -> Option<u32> {
    count[1..].iter().try_fold(1, |free: u32, &count| (2 * free).checked_sub(count.into()))
}

/// Puts the symbols that have a code in the order of their codes, and returns how many there are.
fn sort(lengths: &[u8], count: &[u16; 16], sorted: &mut [u16]) -> usize {
    let (mut places, mut total) = ([0; 16], 0);
    for (place, &count) in places.iter_mut().zip(count) {
        *place = total;
        total += usize::from(count);
    }
    for (symbol, &length) in lengths.iter().enumerate() {
        if length != 0 {
            let place = &mut places[usize::from(length & 15)];
            sorted[*place] = symbol as u16;
            *place += 1;
        }
    }
    total
}

/// The code after `code` among those of `length` bits. Codes come with their first bit lowest, so
/// it is counted from the highest bit downwards.
fn next(code: usize, length: u32) -> usize {
    let zeros = !code & ((1 << length) - 1);
    let bit = 1 << zeros.checked_ilog2().unwrap_or(0);
    code & (bit - 1) | bit
}
