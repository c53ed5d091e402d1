//! Where the fields of ELF's structures lie in each class (System V ABI, chapters 4 and 5).

use super::machine::Machine;

/// The class and byte order by which numbers are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) wide: bool,
    pub(super) little: bool,
}

/// `e_ident`, which tells the layout.
pub(super) const IDENT: usize = 16;

/// The fields of the file header that matter here.
pub(super) struct Header {
    pub(super) machine: Machine,
    pub(super) kind: u16,
    /// Where the program headers are.
    pub(super) segments: u64,
    pub(super) segment_size: usize,
    pub(super) segment_count: usize,
}

/// A program header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) kind: u32,
    pub(super) offset: u64,
    pub(super) address: u64,
    /// Its bytes in the file.
    pub(super) size: u64,
}

/// A symbol of the dynamic symbol table.
pub(super) struct Symbol {
    /// Where its name is in the string table.
    pub(super) name: u64,
    /// Whether it is a function (or of no type) that another file has to define.
    pub(super) imported: bool,
}

impl Layout {
    pub(super) fn header_size(self) -> usize {
        if self.wide { 64 } else { 52 }
    }

    pub(super) fn header(self, bytes: &[u8]) -> Header {
        let (segments, sizes) = if self.wide { (32, 54) } else { (28, 42) };
        Header {
            machine: Machine { wide: self.wide, little: self.little, number: self.half(bytes, 18) },
            kind: self.half(bytes, 16),
            segments: self.address(bytes, segments),
            segment_size: self.half(bytes, sizes).into(),
            segment_count: self.half(bytes, sizes + 2).into(),
        }
    }

    pub(super) fn segment_size(self) -> usize {
        if self.wide { 56 } else { 32 }
    }

    pub(super) fn segment(self, bytes: &[u8]) -> Segment {
        let (offset, address, size) = if self.wide { (8, 16, 32) } else { (4, 8, 16) };
        Segment {
            kind: self.word(bytes, 0),
            offset: self.address(bytes, offset),
            address: self.address(bytes, address),
            size: self.address(bytes, size),
        }
    }

    pub(super) fn dynamic_size(self) -> usize {
        if self.wide { 16 } else { 8 }
    }

    /// Tag and value of an entry of the dynamic section.
    pub(super) fn dynamic(self, bytes: &[u8]) -> (u64, u64) {
        (self.address(bytes, 0), self.address(bytes, self.dynamic_size() / 2))
    }

    pub(super) fn symbol_size(self) -> usize {
        if self.wide { 24 } else { 16 }
    }

    pub(super) fn symbol(self, bytes: &[u8]) -> Symbol {
        const UNDEFINED: u16 = 0;
        const BINDINGS: [u8; 2] = [1, 2]; // global, weak
        const TYPES: [u8; 2] = [0, 2]; // none, function
        let (info, section) = if self.wide { (4, 6) } else { (12, 14) };
        Symbol {
            name: self.word(bytes, 0).into(),
            imported: self.half(bytes, section) == UNDEFINED
                && BINDINGS.contains(&(bytes[info] >> 4))
                && TYPES.contains(&(bytes[info] & 0xf)),
        }
    }

    fn address(self, bytes: &[u8], at: usize) -> u64 {
        if self.wide { self.number(bytes, at) } else { self.word(bytes, at).into() }
    }

    fn half(self, bytes: &[u8], at: usize) -> u16 {
        let bytes = [bytes[at], bytes[at + 1]];
        if self.little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
    }

    fn word(self, bytes: &[u8], at: usize) -> u32 {
        let bytes = std::array::from_fn(|index| bytes[at + index]);
        if self.little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
    }

    fn number(self, bytes: &[u8], at: usize) -> u64 {
        let bytes = std::array::from_fn(|index| bytes[at + index]);
        if self.little { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) }
    }
}
