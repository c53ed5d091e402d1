//! Input as a string of bits (RFC 1951, 3.1.1).

/// Bits that were read ahead of their use: the lowest comes first.
#[derive(Clone, Copy, Default)]
pub(crate) struct Bits {
    /// Zero above those that are held.
    pub(crate) word: u64,
    pub(crate) held: u32,
}

impl Bits {
    /// Reads whole bytes from `input[*at..]` while they fit: there are 56 bits then, if there is
    /// as much input.
    pub(crate) fn refill(&mut self, input: &[u8], at: &mut usize) {
        while self.held < 56
            && let Some(&byte) = input.get(*at)
        {
            self.word |= u64::from(byte) << self.held;
            self.held += 8;
            *at += 1;
        }
    }

    /// Takes `count` bits, fewer than 64, if there are as many.
    pub(crate) fn take(&mut self, count: u32) -> Option<u32> {
        (count <= self.held).then(|| {
            let value = self.word & ((1 << count) - 1);
            self.word >>= count;
            self.held -= count;
            value as u32
        })
    }

    /// Gives whole bytes back, up to `most`, and returns how many.
    pub(crate) fn give_back(&mut self, most: usize) -> usize {
        let bytes = (self.held / 8).min(most.min(8) as u32);
        self.held -= 8 * bytes;
        self.word &= (1 << self.held) - 1;
        bytes as usize
    }
}

/// [`Bits`] for the inner loop, which asks for nothing and checks nothing: at least 56 are held
/// after each [`refill`](Self::refill), and no more of them are dropped until the next.
///
/// Above those held are not zeros but the bits that follow in the input. Reading these once more
/// changes nothing, so a refill is one load without a branch.
#[derive(Clone, Copy)]
pub(crate) struct FastBits {
    pub(crate) word: u64,
    /// Only the low 6 bits of this number count, so [`drop`](Self::drop) need not mask.
    held: u32,
}

impl FastBits {
    /// Reads what fits from `input[*at..]`, which has 8 bytes.
    #[inline(always)]
    pub(crate) fn refill<const N: usize>(self, input: &[u8; N], at: usize) -> (Self, usize) {
        let next = u64::from_le_bytes(*input[at..].first_chunk().expect("8 bytes are there"));
        let word = self.word | next.wrapping_shl(self.held);
        (Self { word, held: self.held | 0b11_1000 }, at + 7 - (self.held as usize >> 3 & 7))
    }

    /// Drops as many bits as the low 6 bits of a table's `entry` say.
    #[inline(always)]
    pub(crate) fn drop(self, entry: u32) -> Self {
        Self { word: self.word.wrapping_shr(entry), held: self.held.wrapping_sub(entry) }
    }
}

impl From<Bits> for FastBits {
    fn from(Bits { word, held }: Bits) -> Self {
        Self { word, held }
    }
}

impl From<FastBits> for Bits {
    fn from(FastBits { word, held }: FastBits) -> Self {
        let held = held & 63;
        Self { word: word & ((1 << held) - 1), held }
    }
}
