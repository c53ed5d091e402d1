use super::{Cache, Error};
use crate::needs::elf::tests::Random;

/// A cache to be written.
#[derive(Default, Clone)]
pub(crate) struct Caching {
    entries: Vec<(&'static str, &'static str, u32, u64)>,
}

impl Caching {
    pub(crate) fn entry(
        mut self,
        name: &'static str,
        path: &'static str,
        flags: u32,
        hwcap: u64,
    ) -> Self {
        self.entries.push((name, path, flags, hwcap));
        self
    }

    pub(crate) fn bytes(&self, little: bool) -> Vec<u8> {
        let word = |value: u32| if little { value.to_le_bytes() } else { value.to_be_bytes() };
        let mut strings = Vec::new();
        let base = 48 + 24 * self.entries.len();
        let mut add = |text: &str| {
            let at = u32::try_from(base + strings.len()).expect("a small cache");
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
            word(at)
        };
        let mut table = Vec::new();
        for (name, path, flags, hwcap) in &self.entries {
            table.extend(word(*flags));
            table.extend(add(name));
            table.extend(add(path));
            table.extend([0; 4]);
            table.extend(if little { hwcap.to_le_bytes() } else { hwcap.to_be_bytes() });
        }
        let mut bytes = b"glibc-ld.so.cache1.1".to_vec();
        bytes.extend(word(u32::try_from(self.entries.len()).expect("a few")));
        bytes.extend(word(u32::try_from(strings.len()).expect("a few")));
        bytes.extend([if little { 2 } else { 3 }, 0, 0, 0]);
        bytes.extend([0; 16]);
        bytes.extend(table);
        bytes.extend(strings);
        bytes
    }
}

fn caching() -> Caching {
    Caching::default()
        .entry("libz.so.1", "/lib/v3/libz.so.1", 0x303, 1 << 62)
        .entry("libz.so.1", "/lib/libz.so.1", 0x303, 0)
        .entry("liba.so", "/lib32/liba.so", 3, 0)
}

fn paths(cache: &Cache, name: &str) -> Vec<(String, u32, bool)> {
    let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    let found = cache.find(name.as_bytes());
    found.map(|it| (text(it.path), it.flags, it.variant)).collect()
}

#[test]
fn both_formats_are_read_in_both_byte_orders() {
    for little in [true, false] {
        let new = caching().bytes(little);
        let count = if little { [3, 0, 0, 0] } else { [0, 0, 0, 3] };
        // 16 bytes of header and 3 entries of 12 end at 52, which is aligned to 4 but not to 8.
        let old = [&b"ld.so-1.7.0\0"[..], &count, &[0; 36]].concat();
        let aligned = [&old[..], &[0; 4], &new].concat();
        for bytes in [new.clone(), [&old[..], &new].concat(), aligned] {
            let cache = Cache::parse(bytes, little).expect("a cache");
            let expected = [
                ("/lib/v3/libz.so.1".to_owned(), 0x303, true),
                ("/lib/libz.so.1".to_owned(), 0x303, false),
            ];
            assert_eq!(paths(&cache, "libz.so.1"), expected);
            assert_eq!(paths(&cache, "liba.so"), [("/lib32/liba.so".to_owned(), 3, false)]);
            assert!(paths(&cache, "libz.so").is_empty());
        }
    }
}

#[test]
fn the_old_format_is_read_alone() {
    let numbers = |numbers: &[u32]| -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    };
    let entries = numbers(&[2, 3, 0, 5, 3, 0, 99]);
    let strings = b"liba\0/lib/liba\0";
    let bytes = [&b"ld.so-1.7.0\0"[..], &entries, strings].concat();
    let cache = Cache::parse(bytes.clone(), true).expect("a cache");
    assert_eq!(paths(&cache, "liba"), [("/lib/liba".to_owned(), 3, false)], "one path is too far");
    assert_eq!(Cache::parse(bytes[..30].to_vec(), true).err(), Some(Error::Truncated));
    assert_eq!(Cache::parse(bytes[..14].to_vec(), true).err(), Some(Error::Truncated));
}

#[test]
fn broken_caches_are_told() {
    let bytes = caching().bytes(true);
    let error = |bytes: &[u8], little| Cache::parse(bytes.to_vec(), little).err();
    assert_eq!(error(b"", true), Some(Error::Format));
    assert_eq!(error(b"ld.so-1.7.0\0\xff\xff\xff\xff", true), Some(Error::Truncated));
    assert_eq!(error(&bytes[..60], true), Some(Error::Truncated));
    assert_eq!(error(&bytes, false), Some(Error::ByteOrder));
}

#[test]
fn no_bytes_make_it_panic() {
    let original = caching().bytes(true);
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for _ in 0..20_000 {
        let mut bytes = original.clone();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            bytes[at] = u8::try_from(random.below(256)).expect("a byte");
        }
        bytes.truncate(original.len() - random.below(2) * random.below(original.len()));
        if let Ok(cache) = Cache::parse(bytes, true) {
            assert!(paths(&cache, "libz.so.1").len() <= 3);
        }
    }
}

#[test]
fn this_machines_cache_is_read_whole_or_broken() {
    let Ok(original) = std::fs::read("/etc/ld.so.cache") else { return };
    let cache = Cache::parse(original.clone(), cfg!(target_endian = "little")).expect("a cache");
    let found = paths(&cache, "libc.so.6");
    assert!(found.iter().any(|(path, _, variant)| path.ends_with("/libc.so.6") && !variant));
    let mut random = Random(0x1234_5678_9abc_def1);
    for _ in 0..300 {
        let mut bytes = original.clone();
        let head = bytes.len().min(4096);
        for _ in 0..=random.below(16) {
            let at = random.below(head);
            bytes[at] = u8::try_from(random.below(256)).expect("a byte");
        }
        bytes.truncate(original.len() - random.below(2) * random.below(original.len()));
        if let Ok(cache) = Cache::parse(bytes, cfg!(target_endian = "little")) {
            assert!(paths(&cache, "libc.so.6").len() <= original.len() / 24);
        }
    }
}
