//! A cache without the libraries that go.

use super::{ENTRY, HEADER, LONGEST_NAME, NEW, either, new_entries, number, string};

/// Where the new format has its number of entries.
const COUNT: usize = 20;

/// The file without entries whose paths `goes` says yes to; none if it has no such entry, or is in the
/// old format alone, which loaders since glibc 2.2 do not read where there is the new one.
///
/// Entries that stay move up, in their order. What only the others named becomes zeros, and everything
/// else keeps its place, for places of strings and extensions count from the beginning.
pub(crate) fn trimmed(content: &[u8], goes: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let (start, little) = [true, false].into_iter().find_map(|little| {
        let start = if content.starts_with(NEW) { 0 } else { either(content, little).ok()?.0 };
        new_entries(content.get(start..)?, little).ok()?;
        content[start..].starts_with(NEW).then_some((start, little))
    })?;
    let old = &content[start..];
    let count = number(old, COUNT, little) as usize;
    let table = &old[HEADER..HEADER + count * ENTRY];
    let path = |entry: &&[u8]| string(old, number(entry, 8, little), crate::path::MAX_LEN);
    let (gone, left): (Vec<&[u8]>, Vec<&[u8]>) =
        table.chunks_exact(ENTRY).partition(|entry| path(entry).is_some_and(&goes));
    if gone.is_empty() {
        return None;
    }
    let mut content = content.to_vec();
    let new = &mut content[start..];
    for (at, text) in gone.iter().flat_map(|entry| texts(old, entry, little)) {
        new[at..at + text.len()].fill(0);
    }
    // The names that stay may be the ends of others.
    for (at, text) in left.iter().flat_map(|entry| texts(old, entry, little)) {
        new[at..at + text.len()].copy_from_slice(text);
    }
    let left_count = u32::try_from(left.len()).ok()?;
    let left_count = if little { left_count.to_le_bytes() } else { left_count.to_be_bytes() };
    new[COUNT..COUNT + 4].copy_from_slice(&left_count);
    let mut table = left.concat();
    table.resize(count * ENTRY, 0);
    new[HEADER..HEADER + table.len()].copy_from_slice(&table);
    Some(content)
}

/// Name and path of an entry, with their places.
fn texts<'a>(file: &'a [u8], entry: &[u8], little: bool) -> [(usize, &'a [u8]); 2] {
    [(4, LONGEST_NAME), (8, crate::path::MAX_LEN)].map(|(field, longest)| {
        let at = number(entry, field, little);
        string(file, at, longest).map_or((0, &[][..]), |text| (at as usize, text))
    })
}

#[cfg(test)]
mod tests {
    use super::super::Cache;
    use super::super::tests::Caching;
    use super::trimmed;

    fn caching() -> Caching {
        Caching::default()
            .entry("libz.so.1", "/lib/v3/libz.so.1", 0x303, 1 << 62)
            .entry("libz.so.1", "/lib/libz.so.1", 0x303, 0)
            .entry("liba.so", "/lib/liba.so", 0x303, 0)
    }

    #[test]
    fn entries_go_with_their_names_and_others_stay() {
        for little in [true, false] {
            let new = caching().bytes(little);
            let old = [&b"ld.so-1.7.0\0"[..], &[0; 4]].concat();
            for bytes in [new.clone(), [&old[..], &new].concat()] {
                let v3 = b"/lib/v3/libz.so.1";
                let left = trimmed(&bytes, |path| path == v3).expect("one goes");
                assert_eq!(left.len(), bytes.len());
                assert!(!left.windows(v3.len()).any(|part| part == v3));
                let cache = Cache::parse(left.clone(), little).expect("a cache");
                let paths: Vec<&[u8]> = cache.find(b"libz.so.1").map(|it| it.path).collect();
                assert_eq!(paths, [b"/lib/libz.so.1"]);
                assert_eq!(cache.find(b"liba.so").count(), 1);
                assert_eq!(trimmed(&left, |path| path == v3), None);
            }
        }
    }

    #[test]
    fn what_is_no_cache_is_left_alone() {
        for bytes in [&b""[..], b"ld.so-1.7.0\0\x01\0\0\0", b"glibc-ld.so.cache1.1"] {
            assert_eq!(trimmed(bytes, |_| true), None);
        }
        assert_eq!(trimmed(&caching().bytes(true), |_| false), None);
    }
}
