//! Deflate (RFC 1951), block by block as one likes. Matches are taken as far back as they can be.

use std::collections::HashMap;

/// A deflate stream under construction.
#[derive(Debug)]
pub struct Stream<'a> {
    data: &'a [u8],
    at: usize,
    bits: Bits,
    /// Where four bytes were seen: the first place that is still within reach, or a later one.
    seen: HashMap<[u8; 4], usize>,
}

/// A block of a stream.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    /// What it is.
    pub shape: Shape,
    /// Bytes of the data; as many as there are, if there are fewer.
    pub length: usize,
    /// Whether it is the last one.
    pub last: bool,
}

/// A block's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Bytes as they are; several blocks, if there are more than 65535.
    Stored,
    /// Fixed codes.
    Fixed,
    /// Dynamic codes: complete ones for all symbols, the same for all data.
    Dynamic,
}

/// The farthest that a match refers back.
const WINDOW: usize = 32 << 10;

impl<'a> Stream<'a> {
    /// A stream of that data without blocks.
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, bits: Bits::default(), seen: HashMap::new() }
    }

    /// How many bytes of the data have no block yet.
    pub fn left(&self) -> usize {
        self.data.len() - self.at
    }

    /// The next block.
    pub fn block(&mut self, block: Block) {
        let end = self.data.len().min(self.at + block.length);
        if block.shape == Shape::Stored {
            self.stored(end, block.last);
            return;
        }
        self.begin(block.shape, block.last);
        while self.at < end {
            self.symbol(block.shape, end);
        }
        self.end(block.shape);
    }

    /// A block with dynamic codes of so many symbols, and its end.
    pub fn symbols(&mut self, count: usize) {
        self.begin(Shape::Dynamic, false);
        for _ in 0..count {
            if self.left() > 0 {
                self.symbol(Shape::Dynamic, self.data.len());
            }
        }
        self.end(Shape::Dynamic);
    }

    /// The stream's bytes; its last block has to be one.
    pub fn finish(mut self) -> Vec<u8> {
        self.bits.align();
        self.bits.out
    }

    fn stored(&mut self, end: usize, last: bool) {
        loop {
            let length = (end - self.at).min(65_535);
            let final_piece = self.at + length == end;
            self.bits.put(u32::from(last && final_piece), 3);
            self.bits.align();
            let count = length as u16;
            self.bits.out.extend(count.to_le_bytes());
            self.bits.out.extend((!count).to_le_bytes());
            self.bits.out.extend(&self.data[self.at..self.at + length]);
            self.at += length;
            if final_piece {
                return;
            }
        }
    }

    fn begin(&mut self, shape: Shape, last: bool) {
        let kind = if shape == Shape::Fixed { 1 } else { 2 };
        self.bits.put(u32::from(last) | kind << 1, 3);
        if shape == Shape::Dynamic {
            // 286 literals and lengths, 30 distances, 12 lengths of code lengths.
            self.bits.put(29, 5);
            self.bits.put(29, 5);
            self.bits.put(8, 4);
            for number in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4] {
                self.bits.put(if [4, 5, 8, 9].contains(&number) { 2 } else { 0 }, 3);
            }
            let literals = (0..286).map(|symbol| if symbol < SHORT { 2 } else { 3 });
            let distances = (0..30).map(|symbol| u32::from(symbol >= 2));
            literals.chain(distances).for_each(|code| self.bits.put_code(code, 2));
        }
    }

    fn end(&mut self, shape: Shape) {
        self.literal(shape, 256);
    }

    /// A match, or a byte as it is.
    fn symbol(&mut self, shape: Shape, end: usize) {
        let Some((distance, length)) = self.find(end) else {
            self.literal(shape, self.data[self.at].into());
            self.at += 1;
            return;
        };
        let (symbol, extra, bits) = length_code(length);
        self.literal(shape, symbol);
        self.bits.put(extra, bits);
        let (symbol, extra, bits) = distance_code(distance);
        match shape {
            Shape::Dynamic if symbol < 2 => self.bits.put_code(symbol, 4),
            Shape::Dynamic => self.bits.put_code(symbol - 2 + 4, 5),
            _ => self.bits.put_code(symbol, 5),
        }
        self.bits.put(extra, bits);
        self.at += length;
    }

    fn find(&mut self, end: usize) -> Option<(usize, usize)> {
        let rest = &self.data[self.at..end];
        let key = *rest.first_chunk::<4>()?;
        let from = self.seen.get(&key).copied().filter(|from| self.at - from <= WINDOW);
        let Some(from) = from else {
            self.seen.insert(key, self.at);
            return None;
        };
        let same = |(one, other): &(&u8, &u8)| one == other;
        let length = self.data[from..].iter().zip(rest).take(258).take_while(same).count();
        Some((self.at - from, length))
    }

    fn literal(&mut self, shape: Shape, symbol: u32) {
        match (shape, symbol) {
            (Shape::Dynamic, 0..SHORT) => self.bits.put_code(symbol, 8),
            (Shape::Dynamic, _) => self.bits.put_code(2 * SHORT + symbol - SHORT, 9),
            (_, 0..=143) => self.bits.put_code(0x30 + symbol, 8),
            (_, 144..=255) => self.bits.put_code(0x190 + symbol - 144, 9),
            (_, 256..=279) => self.bits.put_code(symbol - 256, 7),
            _ => self.bits.put_code(0xc0 + symbol - 280, 8),
        }
    }
}

/// So many literals have codes of 8 bits in [`Shape::Dynamic`], and the other 60 of 9.
const SHORT: u32 = 226;

/// Symbol, extra bits and their number, for a length from 3 to 258.
fn length_code(length: usize) -> (u32, u32, u32) {
    let over = length as u32 - 3;
    match over {
        255 => (285, 0, 0),
        0..8 => (257 + over, 0, 0),
        _ => {
            let bits = over.ilog2() - 2;
            (257 + 4 * bits + (over >> bits), over & ((1 << bits) - 1), bits)
        }
    }
}

/// The same for a distance from 1 to 32768.
fn distance_code(distance: usize) -> (u32, u32, u32) {
    let over = distance as u32 - 1;
    if over < 4 {
        return (over, 0, 0);
    }
    let bits = over.ilog2() - 1;
    (2 * bits + (over >> bits), over & ((1 << bits) - 1), bits)
}

#[derive(Debug, Default)]
struct Bits {
    out: Vec<u8>,
    partial: u64,
    count: u32,
}

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        self.partial |= u64::from(value) << self.count;
        self.count += count;
        while self.count >= 8 {
            self.out.push(self.partial as u8);
            self.partial >>= 8;
            self.count -= 8;
        }
    }

    /// Codes begin with their highest bit.
    fn put_code(&mut self, code: u32, count: u32) {
        self.put(code.reverse_bits() >> (32 - count), count);
    }

    fn align(&mut self) {
        if self.count > 0 {
            self.put(0, 8 - self.count);
        }
    }
}
