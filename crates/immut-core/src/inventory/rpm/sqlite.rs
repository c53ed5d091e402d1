//! SQLite's file format, as far as the table of packages needs it.
//!
//! <https://www.sqlite.org/fileformat.html>. What a write-ahead log beside the file has is not read;
//! scanners do not either.

use super::source::{CIRCLE, Pages, Source, number};
use super::{Error, See};

pub(super) const MAGIC: &[u8] = b"SQLite format 3\0";

/// Shows the column `blob` of each row of the table `Packages`.
pub(super) fn each_blob(source: &mut Source<'_>, see: &mut See<'_>) -> Result<(), Error> {
    let mut database = Database::open(source)?;
    let (mut root, mut rows) = (None, 0);
    // The tables are rows of a table themselves: type, name, name of the table, first page.
    database.each_row(1, &mut |row| {
        rows += 1;
        let row = row.filter(|_| rows <= MOST_TABLES).ok_or(Error::TooLarge)?;
        if column(row, 0) == Some(b"table") && column(row, 1) == Some(b"Packages") {
            root = column(row, 3).and_then(unsigned);
        }
        Ok(())
    })?;
    let root = root.ok_or(Error::Broken("it has no table of packages"))?;
    // Columns: the row's number, and the header.
    database.each_row(root, &mut |row| see(row.and_then(|row| column(row, 1))))
}

/// More tables and indexes are no database of rpm, which has some fifty.
const MOST_TABLES: usize = 10_000;

struct Database<'s, 'a> {
    source: &'s mut Source<'a>,
    pages: Pages,
    /// Bytes of a page that are used.
    usable: usize,
}

/// What the first byte of a page says: a table's pages are inner ones or leaves.
const INNER: u8 = 5;
const LEAF: u8 = 13;
/// The first page begins with the database's own header.
const HEADER: usize = 100;
/// Pages have at least so many bytes in use.
const LEAST: usize = 480;

impl<'s, 'a> Database<'s, 'a> {
    fn open(source: &'s mut Source<'a>) -> Result<Self, Error> {
        let header = source.take(0, HEADER)?;
        let size = match u16::from_be_bytes(number(&header, 16)?) {
            1 => 1 << 16,
            size => usize::from(size),
        };
        let usable = size.checked_sub(usize::from(header[20])).filter(|usable| *usable >= LEAST);
        let usable = usable.filter(|_| size.is_power_of_two());
        let usable = usable.ok_or(Error::Broken("its pages have no size that there is"))?;
        let pages = Pages::of(source, size);
        Ok(Self { source, pages, usable })
    }

    /// A page, counted from 1.
    fn page(&mut self, number: u32) -> Result<Vec<u8>, Error> {
        let index = number.checked_sub(1).ok_or(Error::Broken("it names a page 0"))?;
        self.pages.take(self.source, index)
    }

    /// Shows the rows of a table, in order; none stands for one that is too large.
    fn each_row(&mut self, root: u32, see: &mut See<'_>) -> Result<(), Error> {
        let mut waiting = vec![root];
        while let Some(number) = waiting.pop() {
            let page = self.page(number)?;
            let start = if number == 1 { HEADER } else { 0 };
            match page[start] {
                INNER => {
                    waiting.extend(children(&page, start)?.into_iter().rev());
                    if waiting.len() > self.pages.left() {
                        return Err(CIRCLE);
                    }
                }
                LEAF => {
                    for cell in cells(&page, start, 8)? {
                        let row = self.row(&page, cell)?;
                        see(row.as_deref())?;
                    }
                }
                _ => return Err(Error::Broken("a page of a table is none")),
            }
        }
        Ok(())
    }

    /// The row of a cell, which goes on in further pages where it is long.
    fn row(&mut self, page: &[u8], cell: usize) -> Result<Option<Vec<u8>>, Error> {
        let past = Error::Broken("a row lies past the end of its page");
        let rest = page.get(cell..).unwrap_or_default();
        let parts = varint(rest).and_then(|(size, rest)| Some((size, varint(rest)?.1)));
        let Some((size, rest)) = parts else { return Err(past) };
        let Some(length) = self.source.header(size)? else { return Ok(None) };
        let here = self.local(length);
        let Some((here, rest)) = rest.split_at_checked(here) else { return Err(past) };
        let mut row = Vec::with_capacity(length);
        row.extend_from_slice(here);
        let mut pointer = if row.len() < length { number(rest, 0)? } else { [0; 4] };
        while row.len() < length {
            let page = self.page(u32::from_be_bytes(pointer))?;
            pointer = number(&page, 0)?;
            let more = (length - row.len()).min(self.usable - 4);
            row.extend_from_slice(&page[4..4 + more]);
        }
        Ok(Some(row))
    }

    /// How many bytes of a row lie in its leaf.
    fn local(&self, length: usize) -> usize {
        let most = self.usable - 35;
        if length <= most {
            return length;
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let fits = least + (length - least) % (self.usable - 4);
        if fits <= most { fits } else { least }
    }
}

/// Where the cells of a page begin; its header has so many bytes.
fn cells(page: &[u8], start: usize, header: usize) -> Result<Vec<usize>, Error> {
    let count = usize::from(u16::from_be_bytes(number(page, start + 3)?));
    let cell = |index| number(page, start + header + 2 * index).map(u16::from_be_bytes);
    (0..count).map(|index| cell(index).map(usize::from)).collect()
}

/// The pages beneath an inner page, in order.
fn children(page: &[u8], start: usize) -> Result<Vec<u32>, Error> {
    let cells = cells(page, start, 12)?.into_iter().chain([start + 8]);
    cells.map(|cell| number(page, cell).map(u32::from_be_bytes)).collect()
}

/// A number of up to nine bytes, and what follows.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(9) {
        if index == 8 {
            return Some((value << 8 | u64::from(*byte), &bytes[9..]));
        }
        value = value << 7 | u64::from(*byte & 0x7f);
        if *byte < 0x80 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

/// A column of a row.
fn column(row: &[u8], wanted: usize) -> Option<&[u8]> {
    let (size, types) = varint(row)?;
    let (header, mut content) = row.split_at_checked(usize::try_from(size).ok()?)?;
    let mut types = header.get(row.len() - types.len()..)?;
    for index in 0.. {
        let (kind, rest) = varint(types)?;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            _ => (kind - 12) / 2,
        };
        let (value, after) = content.split_at_checked(usize::try_from(length).ok()?)?;
        if index == wanted {
            return Some(value);
        }
        (types, content) = (rest, after);
    }
    None
}

/// A number of a column, which takes as few bytes as it can.
fn unsigned(bytes: &[u8]) -> Option<u32> {
    let value = bytes.iter().try_fold(0_u64, |value, byte| {
        value.checked_mul(1 << 8).map(|value| value | u64::from(*byte))
    });
    u32::try_from(value?).ok()
}
