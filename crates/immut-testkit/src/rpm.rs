//! Databases of rpm, written by hand: headers as rpm exports them, and the file NDB that holds them.

use crate::contents::Package;

/// `Packages.db` of those packages; versions are `[EPOCH:]VERSION-RELEASE`. What lies in `/etc` is
/// configuration, what lies in `/usr/share/doc` documentation.
pub fn packages_db(packages: &[Package<'_>]) -> Vec<u8> {
    let headers: Vec<Vec<u8>> = packages.iter().map(header).collect();
    ndb(&headers)
}

/// A header as databases have it.
pub fn header(package: &Package<'_>) -> Vec<u8> {
    let (epoch, version) = match package.version.split_once(':') {
        Some((epoch, version)) => (Some(epoch.parse::<u32>().unwrap()), version),
        None => (None, package.version),
    };
    let (version, release) = version.rsplit_once('-').unwrap();
    let files = package.files.iter().map(|file| file.trim_end_matches('/'));
    let (folders, names): (Vec<&str>, Vec<&str>) =
        files.map(|file| file.split_at(file.rfind('/').unwrap() + 1)).unzip();
    let mut known: Vec<&str> = folders.clone();
    known.sort_unstable();
    known.dedup();
    let index = |folder: &&str| u32::try_from(known.binary_search(folder).unwrap()).unwrap();
    let mut fields = Fields::default();
    fields.text(1000, package.name);
    fields.text(1001, version);
    fields.text(1002, release);
    if let Some(epoch) = epoch {
        fields.wide(1003, [epoch]);
    }
    if !names.is_empty() {
        fields.add(1029, 1, names.len(), &vec![0; names.len()]);
        let modes = package.files.iter().flat_map(|file| mode(file).to_be_bytes());
        fields.add(1030, 3, names.len(), &modes.collect::<Vec<_>>());
        fields.wide(1037, package.files.iter().map(|file| flags(file)));
        fields.wide(1116, folders.iter().map(index));
        fields.texts(1117, &names);
        fields.texts(1118, &known);
    }
    fields.finish()
}

fn mode(file: &str) -> u16 {
    if file.ends_with('/') { 0o040_755 } else { 0o100_755 }
}

fn flags(file: &str) -> u32 {
    u32::from(file.starts_with("/etc/")) | u32::from(file.starts_with("/usr/share/doc/")) << 1
}

/// The fields of a header: an index with tag, type, place and count of each, and their data.
#[derive(Default)]
struct Fields {
    index: Vec<u8>,
    data: Vec<u8>,
}

impl Fields {
    fn add(&mut self, tag: u32, kind: u32, count: usize, data: &[u8]) {
        let aligned = match kind {
            3 => 2,
            4 => 4,
            _ => 1,
        };
        self.data.resize(self.data.len().next_multiple_of(aligned), 0);
        let [at, count] = [self.data.len(), count].map(|number| u32::try_from(number).unwrap());
        self.index.extend([tag, kind, at, count].map(u32::to_be_bytes).as_flattened());
        self.data.extend(data);
    }

    fn text(&mut self, tag: u32, text: &str) {
        self.add(tag, 6, 1, &[text.as_bytes(), &[0]].concat());
    }

    fn texts(&mut self, tag: u32, texts: &[&str]) {
        let ended = texts.iter().flat_map(|text| [text.as_bytes(), &[0]]);
        self.add(tag, 8, texts.len(), &ended.collect::<Vec<_>>().concat());
    }

    fn wide(&mut self, tag: u32, numbers: impl IntoIterator<Item = u32>) {
        let data: Vec<u8> = numbers.into_iter().flat_map(u32::to_be_bytes).collect();
        self.add(tag, 4, data.len() / 4, &data);
    }

    fn finish(self) -> Vec<u8> {
        let sizes = [self.index.len() / 16, self.data.len()];
        let sizes = sizes.map(|size| u32::try_from(size).unwrap().to_be_bytes());
        [sizes.as_flattened(), &self.index, &self.data].concat()
    }
}

/// Headers in NDB (`lib/backend/ndb/rpmpkg.c` of rpm), some of its slots left free.
pub fn ndb(headers: &[Vec<u8>]) -> Vec<u8> {
    const PAGE: usize = 4096;
    let slots = 2 + 2 * headers.len();
    let pages = (16 * slots).div_ceil(PAGE);
    let words = |words: [u32; 4]| words.map(u32::to_le_bytes).as_flattened().to_vec();
    let number = |number: usize| u32::try_from(number).unwrap();
    let magic = |text: &[u8; 4]| u32::from_le_bytes(*text);
    let mut slots = words([magic(b"RpmP"), 0, 1, number(pages)]);
    slots.extend(words([number(headers.len()) + 1, 0, 0, 0]));
    let mut blobs = Vec::new();
    for (index, header) in headers.iter().enumerate() {
        let blocks = (16 + header.len() + 12).div_ceil(16);
        let at = (PAGE * pages + blobs.len()) / 16;
        let package = number(index) + 1;
        slots.extend(words([magic(b"Slot"), 0, 0, 0]));
        slots.extend(words([magic(b"Slot"), package, number(at), number(blocks)]));
        let start = blobs.len();
        blobs.extend(words([magic(b"BlbS"), package, 1, number(header.len())]));
        blobs.extend(header);
        blobs.resize(start + 16 * blocks - 12, 0);
        let sum = adler32(&blobs[start..]);
        blobs.extend(
            [sum, number(header.len()), magic(b"BlbE")].map(u32::to_le_bytes).as_flattened(),
        );
    }
    while slots.len() < PAGE * pages {
        slots.extend(words([magic(b"Slot"), 0, 0, 0]));
    }
    [slots, blobs].concat()
}

fn adler32(bytes: &[u8]) -> u32 {
    let add = |(a, b), byte: &u8| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    };
    let (a, b) = bytes.iter().fold((1, 0), add);
    b << 16 | a
}
