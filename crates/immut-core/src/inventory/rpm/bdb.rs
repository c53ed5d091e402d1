//! Hashes of Berkeley DB, as `src/dbinc/db_page.h` of its version 5.3 has them: pages of keys and
//! values, with long values in pages of their own.

use super::source::{Pages, Source, number};
use super::{Error, See};

/// The magic of a hash, in the byte order of the machine that wrote it.
const MAGIC: u32 = 0x0006_1561;
/// What the byte in each page says that it is.
const META: u8 = 8;
const HASHES: [u8; 2] = [2, 13];
const OVERFLOW: u8 = 7;
/// Where the byte is, and how many bytes come before the content.
const KIND: usize = 25;
const HEADER: usize = 26;
/// What the first byte of a key or value says that it is.
const HERE: u8 = 1;
const ELSEWHERE: u8 = 3;

/// Whether a file begins as such a hash.
pub(super) fn is_hash(start: &[u8]) -> bool {
    order(start).is_some()
}

/// The byte order of its numbers.
#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

fn order(start: &[u8]) -> Option<Order> {
    let magic = number(start, 12).ok()?;
    [Order::Little, Order::Big].into_iter().find(|order| order.wide(magic) == MAGIC)
}

impl Order {
    fn wide(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    fn short(self, bytes: [u8; 2]) -> usize {
        usize::from(match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        })
    }
}

pub(super) fn each_blob(source: &mut Source<'_>, see: &mut See<'_>) -> Result<(), Error> {
    let meta = source.take(0, 72)?;
    let order = order(&meta).ok_or(Error::Broken("it is no hash"))?;
    let size = order.wide(number(&meta, 20)?) as usize;
    let encrypted = meta[24] != 0;
    if !size.is_power_of_two()
        || !(512..=1 << 16).contains(&size)
        || encrypted
        || meta[KIND] != META
    {
        return Err(Error::Broken("it is a hash of a kind that rpm does not have"));
    }
    let last = order.wide(number(&meta, 32)?);
    let mut hash = Hash { order, pages: Pages::of(source, size), source };
    if last >= hash.pages.count {
        return Err(Error::Broken("it ends too early"));
    }
    for index in 1..=last {
        // What `pages` counts are those of long values alone.
        let page = hash.source.take(u64::from(index) * size as u64, size)?;
        if HASHES.contains(&page[KIND]) {
            hash.each_value(&page, see)?;
        }
    }
    Ok(())
}

struct Hash<'s, 'a> {
    order: Order,
    source: &'s mut Source<'a>,
    /// Pages of long values.
    pages: Pages,
}

impl Hash<'_, '_> {
    /// Shows the values of a page, whose keys and values take turns.
    fn each_value(&mut self, page: &[u8], see: &mut See<'_>) -> Result<(), Error> {
        let count = self.order.short(number(page, 20)?);
        for pair in 0..count / 2 {
            let (key, value) = (self.item(page, 2 * pair)?, self.item(page, 2 * pair + 1)?);
            // The value of key 0 is the number of the next package.
            if key.strip_prefix(&[HERE]).is_some_and(|key| key == [0; 4]) {
                continue;
            }
            match value.first() {
                Some(&HERE) => {
                    let known = self.source.header(value.len() as u64 - 1)?;
                    see(known.map(|_| &value[1..]))?;
                }
                Some(&ELSEWHERE) => see(self.long(value)?.as_deref())?,
                _ => see(None)?,
            }
        }
        Ok(())
    }

    /// A key or value, which begins with its kind. They lie from the end of the page to its front.
    fn item<'p>(&self, page: &'p [u8], index: usize) -> Result<&'p [u8], Error> {
        let place = |index| number(page, HEADER + 2 * index).map(|place| self.order.short(place));
        let start = place(index)?;
        let end = index.checked_sub(1).map_or(Ok(page.len()), place)?;
        page.get(start..end).ok_or(Error::Broken("a record lies past the end of its page"))
    }

    /// A value in pages of its own.
    fn long(&mut self, item: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let mut next = self.order.wide(number(item, 4)?);
        let length = self.order.wide(number(item, 8)?);
        let Some(length) = self.source.header(u64::from(length))? else { return Ok(None) };
        let mut value = Vec::with_capacity(length);
        while value.len() < length {
            let page = self.pages.take(self.source, next)?;
            let here = self.order.short(number(&page, 22)?);
            let here = page.get(HEADER..HEADER + here).filter(|_| page[KIND] == OVERFLOW);
            value.extend_from_slice(here.ok_or(Error::Broken("a page of a long record is none"))?);
            next = self.order.wide(number(&page, 16)?);
        }
        value.truncate(length);
        Ok(Some(value))
    }
}
