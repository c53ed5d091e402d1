//! Compressed data: literals and matches (RFC 1951, 3.2.5).

use crate::bits::FastBits;
use crate::table::{self, END, EXCEPTION, LITERAL, SUBTABLE};
use crate::{Broken, Inflate, LIMIT, SIZE, State};

impl Inflate {
    /// Goes on in compressed data; whether there was enough input.
    pub(crate) fn compressed(&mut self, input: &[u8], at: &mut usize) -> Result<bool, Broken> {
        self.fast(input, at)?;
        self.bits.refill(input, at);
        Ok(self.out > LIMIT || matches!(self.state, State::End) || self.careful()?)
    }

    /// Decodes while there is plenty of input and room, up to the end of the block.
    ///
    /// A round decodes three literals, or up to two and a match. `entry` is what its bits start
    /// with: it was looked up in the round before, so that the load is over when it is needed.
    #[inline(never)]
    #[expect(clippy::too_many_lines, reason = "its state has to stay in registers")]
    fn fast(&mut self, input: &[u8], at: &mut usize) -> Result<(), Broken> {
        let (buffer, tables) = (&mut *self.buffer, &*self.tables);
        let mut out = self.out;
        let mut result = Ok(());

        let mut rest = &input[*at..];
        let Some(window) = rest.first_chunk::<24>() else { return Ok(()) };
        let (mut bits, offset) = FastBits::from(self.bits).refill(window, 0);
        rest = &rest[offset..];
        let mut entry = tables.litlen(bits.word);
        while out <= LIMIT
            && let Some(window) = rest.first_chunk::<24>()
        {
            let mut offset = 0;
            let mut before = bits.word;
            bits = bits.drop(entry);
            // What can come next is looked up, and a literal written, before it is known which
            // of it is needed: after a mispredicted branch it is then at hand.
            let mut next = tables.litlen(bits.word);
            let mut far = tables.distance(bits.word);
            buffer[out] = (entry >> 16) as u8;
            if entry & LITERAL != 0 {
                out += 1;
                entry = next;
                before = bits.word;
                bits = bits.drop(entry);
                next = tables.litlen(bits.word);
                far = tables.distance(bits.word);
                buffer[out] = (entry >> 16) as u8;
                if entry & LITERAL != 0 {
                    out += 1;
                    entry = next;
                    before = bits.word;
                    bits = bits.drop(entry);
                    next = tables.litlen(bits.word);
                    far = tables.distance(bits.word);
                    buffer[out] = (entry >> 16) as u8;
                    if entry & LITERAL != 0 {
                        out += 1;
                        entry = next;
                        (bits, offset) = bits.refill(window, offset);
                        rest = &rest[offset..];
                        continue;
                    }
                }
                // At least 14 bits were left, by 11 for a literal and 20 for a length; 8 of them
                // sufficed for `far`.
                (bits, offset) = bits.refill(window, offset);
            }
            if entry & EXCEPTION != 0 {
                if entry & SUBTABLE != 0 {
                    entry = tables.long_litlen(entry, bits.word);
                    before = bits.word;
                    bits = bits.drop(entry);
                    if entry & LITERAL != 0 {
                        buffer[out] = (entry >> 16) as u8;
                        out += 1;
                        entry = tables.litlen(bits.word);
                        (bits, offset) = bits.refill(window, offset);
                        rest = &rest[offset..];
                        continue;
                    }
                    far = tables.distance(bits.word);
                    (bits, offset) = bits.refill(window, offset);
                }
                if entry & EXCEPTION != 0 {
                    if entry & END != 0 {
                        rest = &rest[offset..];
                        self.state = State::End;
                    } else {
                        result = Err(Broken::Literal);
                    }
                    break;
                }
            }
            let length = table::length(entry, before);
            // At least 40 bits are left, as a length without sub-table has up to 16: enough for a
            // distance, with up to 28, and 11 to look up what comes next.
            if far as u32 & EXCEPTION != 0 {
                if far as u32 & SUBTABLE != 0 {
                    bits = bits.drop(far as u32);
                    far = tables.long_distance(far, bits.word);
                }
                if far as u32 & EXCEPTION != 0 {
                    result = Err(Broken::Distance);
                    break;
                }
            }
            before = bits.word;
            bits = bits.drop(far as u32);
            let distance = table::distance(far, before);
            if distance > out {
                result = Err(Broken::TooFarBack);
                break;
            }
            entry = tables.litlen(bits.word);
            (bits, offset) = bits.refill(window, offset);
            rest = &rest[offset..];
            copy_match(buffer, out, distance, length);
            out += length;
        }
        *at = input.len() - rest.len();
        self.bits = bits.into();
        self.out = out;
        result
    }

    /// Decodes one literal or match, or the end of the block, from what `bits` has. Needs room.
    fn careful(&mut self) -> Result<bool, Broken> {
        let tables = &*self.tables;
        let (mut bits, mut used) = (self.bits.word, 0);
        let mut entry = tables.litlen(bits);
        if entry & SUBTABLE != 0 {
            used += entry & 63;
            bits >>= entry & 63;
            entry = tables.long_litlen(entry, bits);
        }
        used += entry & 63;
        if used > self.bits.held {
            return Ok(false);
        }
        if entry & EXCEPTION != 0 {
            if entry & END == 0 {
                return Err(Broken::Literal);
            }
            self.state = State::End;
        } else if entry & LITERAL != 0 {
            self.buffer[self.out] = (entry >> 16) as u8;
            self.out += 1;
        } else {
            let length = table::length(entry, bits);
            bits >>= entry & 63;
            let mut far = tables.distance(bits);
            if far as u32 & SUBTABLE != 0 {
                used += far as u32 & 63;
                bits >>= far as u32 & 63;
                far = tables.long_distance(far, bits);
            }
            used += far as u32 & 63;
            if used > self.bits.held {
                return Ok(false);
            }
            if far as u32 & EXCEPTION != 0 {
                return Err(Broken::Distance);
            }
            let distance = table::distance(far, bits);
            if distance > self.out {
                return Err(Broken::TooFarBack);
            }
            copy_match(&mut self.buffer, self.out, distance, length);
            self.out += length;
        }
        self.bits.take(used);
        Ok(true)
    }
}

/// Copies `length` bytes, up to 258, from `distance` back to `out`, where there is room: up to 300
/// bytes are written.
#[inline(always)]
fn copy_match(buffer: &mut [u8; SIZE], out: usize, distance: usize, length: usize) {
    let from = out - distance;
    if distance >= 16 {
        copy_chunk(buffer, from, out);
        copy_chunk(buffer, from + 16, out + 16);
        let mut done = 32;
        while done < length {
            copy_chunk(buffer, from + done, out + done);
            done += 16;
        }
    } else if distance == 1 {
        let byte = buffer[from];
        let room: &mut [u8; 272] = buffer[out..].first_chunk_mut().expect("in bounds");
        room[..32].fill(byte);
        if length > 32 {
            room[32..].fill(byte);
        }
    } else {
        // What was copied makes the distance longer.
        let (mut to, mut distance) = (out, distance);
        while distance < 16 {
            copy_chunk(buffer, from, to);
            to += distance;
            distance *= 2;
        }
        while to < out + length {
            copy_chunk(buffer, to - distance, to);
            to += 16;
        }
    }
}

/// `get` leaves one check for each side where an index would leave two.
#[inline(always)]
fn copy_chunk(buffer: &mut [u8; SIZE], from: usize, to: usize) {
    let chunk: [u8; 16] = *buffer.get(from..).and_then(<[u8]>::first_chunk).expect("in bounds");
    *buffer.get_mut(to..).and_then(<[u8]>::first_chunk_mut).expect("in bounds") = chunk;
}
