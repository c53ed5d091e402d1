//! rpm's own format NDB, as `lib/backend/ndb/rpmpkg.c` of rpm has it: pages of slots, each with the
//! place of a header.

use super::source::{Source, number};
use super::{Error, See};

pub(super) const MAGIC: &[u8] = b"RpmP";

/// Bytes of a page of slots, and of a slot. The database's own header is as long as two slots.
const PAGE: usize = 4096;
const SLOT: usize = 16;
const HEADER: usize = 2 * SLOT;
/// Places are counted in blocks of so many bytes.
const BLOCK: u64 = 16;
/// Bytes before and after a header.
const HEAD: u64 = 16;
const TAIL: u64 = 12;

pub(super) fn each_blob(source: &mut Source<'_>, see: &mut See<'_>) -> Result<(), Error> {
    let header = source.take(0, HEADER)?;
    let field = |at| number(&header, at).map(u32::from_le_bytes);
    let (version, pages) = (field(4)?, field(12)?);
    if version != 0 {
        return Err(Error::Broken("it is of a version that is not known"));
    }
    for page in 0..u64::from(pages) {
        let slots = source.take(page * PAGE as u64, PAGE)?;
        let skipped = if page == 0 { HEADER } else { 0 };
        for slot in slots[skipped..].chunks_exact(SLOT) {
            let field = |at| number(slot, at).map(u32::from_le_bytes);
            let (package, at, blocks) = (field(4)?, field(8)?, field(12)?);
            if !slot.starts_with(b"Slot") {
                return Err(Error::Broken("a slot of it is none"));
            }
            if package != 0 && at != 0 {
                let blob = blob(source, package, u64::from(at), u64::from(blocks))?;
                see(blob.as_deref())?;
            }
        }
    }
    Ok(())
}

/// The header at a place; none if it is too large.
fn blob(
    source: &mut Source<'_>,
    package: u32,
    at: u64,
    blocks: u64,
) -> Result<Option<Vec<u8>>, Error> {
    let head = source.take(at * BLOCK, 16)?;
    let field = |at| number(&head, at).map(u32::from_le_bytes);
    let length = u64::from(field(12)?);
    let fits = HEAD + length + TAIL <= blocks * BLOCK;
    if !head.starts_with(b"BlbS") || field(4)? != package || !fits {
        return Err(Error::Broken("a slot of it names no header"));
    }
    if (at + blocks) * BLOCK > source.size() {
        return Err(Error::Broken("it ends too early"));
    }
    let Some(length) = source.header(length)? else { return Ok(None) };
    source.take(at * BLOCK + HEAD, length).map(Some)
}
