//! Streams written bit by bit.

#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
    bits: usize,
}

impl Writer {
    /// Goes on after the first `bits` bits of a stream.
    pub(crate) fn after(stream: &[u8], bits: usize) -> Self {
        let mut bytes = stream[..bits.div_ceil(8)].to_vec();
        if let Some(last) = bytes.last_mut() {
            *last &= 0xff >> (bits.wrapping_neg() % 8);
        }
        Self { bytes, bits }
    }

    /// Writes `count` bits, the lowest first.
    pub(crate) fn bits(&mut self, value: usize, count: usize) {
        for bit in (0..count).map(|index| (value >> index & 1) as u8) {
            if self.bits.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().expect("not empty") |= bit << (self.bits % 8);
            self.bits += 1;
        }
    }

    /// Writes zeros up to a whole byte.
    pub(crate) fn align(&mut self) {
        self.bits = 8 * self.bytes.len();
    }
}
