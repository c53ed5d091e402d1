//! The fields of a header block, read as Go's `archive/tar` reads them, since that is what engines
//! go by: which bytes of the magic decide about a prefix, and which numbers are none.

use std::ops::Range;

use super::BLOCK;

pub(super) const NAME: Range<usize> = 0..100;
pub(super) const MODE: Range<usize> = 100..108;
pub(super) const UID: Range<usize> = 108..116;
pub(super) const GID: Range<usize> = 116..124;
pub(super) const SIZE: Range<usize> = 124..136;
pub(super) const MTIME: Range<usize> = 136..148;
const CHECKSUM: Range<usize> = 148..156;
pub(super) const TYPEFLAG: usize = 156;
pub(super) const LINK: Range<usize> = 157..257;
const MAGIC: Range<usize> = 257..265;
/// The names of owner and group.
pub(super) const OWNERS: Range<usize> = 265..329;
/// The numbers of a device.
pub(super) const DEVICE_MAJOR: Range<usize> = 329..337;
pub(super) const DEVICE_MINOR: Range<usize> = 337..345;
const PREFIX: Range<usize> = 345..500;
/// star's prefix is shorter: times follow it.
const STAR_PREFIX: Range<usize> = 345..476;
const STAR_TRAILER: Range<usize> = 508..512;
/// Access and change time of a GNU header, where ustar has its prefix.
pub(super) const GNU_TIMES: [Range<usize>; 2] = [345..357, 357..369];
/// The map of an old GNU sparse file.
pub(super) const GNU_SPARSE: Range<usize> = 386..482;
/// Whether further blocks of that map follow.
pub(super) const GNU_IS_EXTENDED: usize = 482;
/// The same in such a further block, after its pieces.
pub(super) const SPARSE_IS_EXTENDED: usize = 504;
pub(super) const GNU_REAL_SIZE: Range<usize> = 483..495;

/// A number: octal digits, or base-256 if the first bit is set. A field without a digit is 0; none
/// for what is negative, no number, or more than 63 bits hold.
pub(super) fn number(field: &[u8]) -> Option<u64> {
    signed(field).and_then(|number| u64::try_from(number).ok())
}

/// A number that may be below zero.
pub(super) fn signed(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => base_256(field),
        _ => octal(field),
    }
}

fn octal(field: &[u8]) -> Option<i64> {
    let blank = |byte: &u8| matches!(byte, 0 | b' ');
    let Some(first) = field.iter().position(|byte| !blank(byte)) else { return Some(0) };
    let last = field.iter().rposition(|byte| !blank(byte))?;
    let number = text(&field[first..=last]).iter().try_fold(0_u64, |number, digit| match digit {
        b'0'..=b'7' => number.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    });
    number.and_then(|number| i64::try_from(number).ok())
}

/// Two's complement, the highest byte first; its first bit only says that it is one.
fn base_256(field: &[u8]) -> Option<i64> {
    let invert = if field[0] & 0x40 == 0 { 0 } else { 0xff };
    let mut number = 0_u64;
    for (index, byte) in field.iter().enumerate() {
        if number >> 56 != 0 {
            return None;
        }
        let byte = byte ^ invert;
        number = number << 8 | u64::from(if index == 0 { byte & 0x7f } else { byte });
    }
    let number = i64::try_from(number).ok()?;
    Some(if invert == 0 { number } else { !number })
}

/// A text, which ends at its first NUL or with its field.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The name with its prefix.
pub(super) fn name(block: &[u8; BLOCK]) -> Vec<u8> {
    let name = text(&block[NAME]);
    match prefix(block).map(|field| text(&block[field])) {
        Some(prefix) if !prefix.is_empty() => [prefix, b"/", name].concat(),
        _ => name.to_vec(),
    }
}

/// Where the header has a prefix.
///
/// GNU headers have none, but Go wrote it there until 1.8, and with it Docker: layers of those years
/// have such headers. They are told by times that are none.
pub(super) fn prefix(block: &[u8; BLOCK]) -> Option<Range<usize>> {
    let magic = &block[MAGIC];
    if magic.starts_with(b"ustar\0") {
        return Some(if block[STAR_TRAILER] == *b"tar\0" { STAR_PREFIX } else { PREFIX });
    }
    let broken = |field: Range<usize>| {
        let field = &block[field];
        let is_time = field[0] & 0x80 != 0 && base_256(field).is_some() || octal(field).is_some();
        field[0] != 0 && !is_time
    };
    let by_old_go = is_gnu(block) && GNU_TIMES.into_iter().any(broken);
    (by_old_go && text(&block[PREFIX]).is_ascii()).then_some(PREFIX)
}

/// Whether it is a GNU header.
pub(super) fn is_gnu(block: &[u8; BLOCK]) -> bool {
    block[MAGIC] == *b"ustar  \0"
}

/// Whether it has fields for the numbers of a device.
pub(super) fn has_devices(block: &[u8; BLOCK]) -> bool {
    block[MAGIC].starts_with(b"ustar")
}

/// Historic writers summed signed bytes, so both sums are accepted, as engines do.
pub(super) fn checksum_holds(block: &[u8; BLOCK]) -> bool {
    let Some(written) = number(&block[CHECKSUM]) else { return false };
    let byte_at = |index: usize| if CHECKSUM.contains(&index) { b' ' } else { block[index] };
    let unsigned: u64 = (0..BLOCK).map(|index| u64::from(byte_at(index))).sum();
    let signed: i64 = (0..BLOCK).map(|index| i64::from(byte_at(index).cast_signed())).sum();
    written == unsigned || i64::try_from(written) == Ok(signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_both_ways_of_writing_them() {
        for (field, number) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0 12\0\0\0", Some(0o12)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"7777777\x007", Some(0o7_777_777)),
            (b"12 34\0\0\0", None),
            (b"+000644\0", None),
            (b"-1\0\0\0\0\0\0", None),
            (b"\x80\0\0\0\x12\x34\x56\x78", Some(0x1234_5678)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX.cast_unsigned())),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"\x80\0\0\x01\0\0\0\0\0\0\0\0", None),
            (b"777777777777", Some(0o777_777_777_777)),
        ] {
            assert_eq!(super::number(field), number, "{field:?}");
        }
    }

    fn block(name: &[u8], magic: &[u8], prefix: &[u8]) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        block[..name.len()].copy_from_slice(name);
        block[MAGIC.start..MAGIC.start + magic.len()].copy_from_slice(magic);
        block[PREFIX.start..PREFIX.start + prefix.len()].copy_from_slice(prefix);
        block
    }

    #[test]
    fn a_prefix_counts_where_go_has_it_count() {
        let times = b"14576042634\x0014576042634\0";
        for (magic, prefix, read) in [
            (&b"ustar\x0000"[..], &b"usr/bin"[..], &b"usr/bin/bash"[..]),
            (b"ustar\x0099", b"usr/bin", b"usr/bin/bash"),
            (b"", b"usr/bin", b"bash"),
            (b"ustar  \0", times, b"bash"),
            (b"ustar  \0", b"\x80\0\0\0\0\0\0\0\0\0\0\x01", b"bash"),
            (b"ustar  \0", b"usr/bin", b"usr/bin/bash"),
            (b"ustar  \0", b"usr/b\xedn", b"bash"),
            (b"ustar  \0", b"", b"bash"),
        ] {
            assert_eq!(name(&block(b"bash", magic, prefix)), read, "{magic:?} {prefix:?}");
        }
        let mut star = block(b"bash", b"ustar\x0000", &[b'p'; 155]);
        star[STAR_TRAILER].copy_from_slice(b"tar\0");
        assert_eq!(name(&star).len(), STAR_PREFIX.len() + 1 + 4);
    }
}
