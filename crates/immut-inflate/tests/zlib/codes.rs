//! Blocks with codes that no encoder would choose, now and then invalid, and with random content.

use crate::random::Random;
use crate::writer::Writer;

/// A stream of a few blocks, which may or may not have an end.
pub(crate) fn arbitrary(random: &mut Random) -> Vec<u8> {
    let mut writer = Writer::default();
    for _ in 0..=random.below(3) {
        writer.bits(random.one_in(4).into(), 1);
        match random.below(12) {
            0 => {
                stored(&mut writer, random);
                continue;
            }
            1 => writer.bits(1, 2),
            _ => header(&mut writer, random),
        }
        for _ in 0..random.below_power(12) {
            writer.bits(random.below(256), 8);
        }
    }
    writer.bytes
}

fn stored(writer: &mut Writer, random: &mut Random) {
    writer.bits(0, 2);
    writer.align();
    let size = random.below(300);
    writer.bits(size | (!size & 0xffff) << 16, 32);
    for _ in 0..size {
        writer.bits(random.below(256), 8);
    }
}

/// The header of a block with codes of its own (RFC 1951, 3.2.7).
fn header(writer: &mut Writer, random: &mut Random) {
    let most = if random.one_in(20) { (32, 32) } else { (30, 30) };
    let (litlen, distance) = (257 + random.below(most.0), 1 + random.below(most.1));
    let wanted = 2 + random.below(litlen - 2);
    let mut all = lengths(random, wanted, litlen, 15);
    if all[256] == 0 && !random.one_in(20) {
        let other = all.iter().position(|&length| length != 0).expect("not all are unused");
        all.swap(other, 256);
    }
    let wanted = if random.one_in(6) { 1 } else { 1 + random.below(distance) };
    if random.one_in(20) {
        all.resize(litlen + distance, 0);
    } else {
        all.extend(lengths(random, wanted, distance, 15));
    }
    let precode = precode(random, &all);
    writer.bits(2, 2);
    writer.bits(litlen - 257, 5);
    writer.bits(distance - 1, 5);
    writer.bits(15, 4);
    for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15] {
        writer.bits(precode[symbol].into(), 3);
    }
    write_lengths(writer, &precode, &all);
}

/// The lengths of a code for about `wanted` of `total` symbols, of up to `longest` bits. It is
/// complete, but for one time in twelve.
fn lengths(random: &mut Random, wanted: usize, total: usize, longest: u8) -> Vec<u8> {
    let mut leaves = vec![0];
    let deep = random.one_in(3);
    while leaves.len() < wanted && leaves.iter().any(|&length| length < longest) {
        let last = deep && !random.one_in(4);
        let index = if last { leaves.len() - 1 } else { random.below(leaves.len()) };
        if leaves[index] < longest {
            leaves[index] += 1;
            leaves.push(leaves[index]);
        }
    }
    if leaves.len() == 1 {
        leaves[0] = 1;
    }
    if random.one_in(12) {
        let index = random.below(leaves.len());
        leaves[index] = random.below(usize::from(longest) + 1) as u8;
    }
    let mut lengths = vec![0; total];
    for length in leaves {
        let start = random.below(total);
        let mut symbols = (start..total).chain(0..start);
        let unused = symbols.find(|&symbol| lengths[symbol] == 0).expect("there are enough");
        lengths[unused] = length;
    }
    lengths
}

/// The lengths of the code that `lengths` are written in; one time in twenty it lacks some.
fn precode(random: &mut Random, lengths: &[u8]) -> Vec<u8> {
    let wanted = 2 + random.below(18);
    let precode = self::lengths(random, wanted, 19, 7);
    let lacks = lengths.iter().any(|&length| precode[usize::from(length)] == 0);
    if lacks && !random.one_in(20) {
        return [[4; 13].as_slice(), &[5; 6]].concat();
    }
    precode
}

/// Writes code lengths, with repetitions where `precode` can say them.
fn write_lengths(writer: &mut Writer, precode: &[u8], lengths: &[u8]) {
    let codes = codes(precode);
    let mut at = 0;
    while at < lengths.len() {
        let length = lengths[at];
        let run = lengths[at..].iter().take_while(|&&it| it == length).count();
        let repeats = at > 0 && lengths[at - 1] == length;
        // Symbol, how many lengths it stands for at least and at most, and its extra bits.
        let ways =
            [(18, 11, 138, 7, length == 0), (17, 3, 10, 3, length == 0), (16, 3, 6, 2, repeats)];
        let way = ways.iter().find(|way| way.4 && run >= way.1 && precode[way.0] != 0);
        let (symbol, least, most, extra, _) = *way.unwrap_or(&(length.into(), 1, 1, 0, true));
        let count = run.min(most);
        writer.bits(codes[symbol], precode[symbol].into());
        writer.bits(count - least, extra);
        at += count;
    }
}

/// The codes of these lengths (RFC 1951, 3.2.2), with the first bit lowest.
fn codes(lengths: &[u8]) -> Vec<usize> {
    let mut codes = vec![0; lengths.len()];
    let mut next = 0_usize;
    for length in 1..8 {
        next <<= 1;
        for (code, _) in codes.iter_mut().zip(lengths).filter(|(_, it)| **it == length) {
            *code = next.reverse_bits() >> (usize::BITS - u32::from(length));
            next += 1;
        }
    }
    codes
}
