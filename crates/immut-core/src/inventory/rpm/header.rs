//! [`Package`]: what a header of rpm says of a package.
//!
//! Headers in databases lack the first eight bytes that those in files of packages have:
//! <https://rpm.org/docs/4.20.x/manual/format_header.html>.

use crate::path::MAX_LEN;

/// A package, as its header has it.
#[derive(Debug)]
pub(crate) struct Package<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// `[EPOCH:]VERSION-RELEASE`.
    pub(crate) version: String,
    files: Files<'a>,
}

/// A file of a package.
#[derive(Debug)]
pub(crate) struct File {
    /// Its absolute path.
    pub(crate) path: Vec<u8>,
    /// `RPMTAG_FILEFLAGS`.
    flags: u32,
    /// `RPMTAG_FILEMODES`.
    mode: u16,
    /// `RPMTAG_FILESTATES`.
    state: u8,
}

impl File {
    pub(crate) fn is_configuration(&self) -> bool {
        self.flags & 1 != 0
    }

    pub(crate) fn is_documentation(&self) -> bool {
        self.flags & 1 << 1 != 0
    }

    /// Whether it came with the package: it is not made later on (`%ghost`), nor was it left out, as
    /// documentation and languages can be.
    pub(crate) fn is_installed(&self) -> bool {
        let left_out = matches!(self.state, NOT_INSTALLED | NET_SHARED | WRONG_COLOR);
        self.flags & 1 << 6 == 0 && !left_out
    }

    /// Whether it need not be there (`missingok`).
    pub(crate) fn is_optional(&self) -> bool {
        self.flags & 1 << 3 != 0
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }
}

/// States of a file that is not there.
const NOT_INSTALLED: u8 = 2;
const NET_SHARED: u8 = 3;
const WRONG_COLOR: u8 = 4;

/// More files are no package that anybody has; the largest of texlive have a hundred thousand.
const MOST: usize = 500_000;

/// Tags and types of fields.
const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const OLD_NAMES: u32 = 1027;
const STATES: u32 = 1029;
const MODES: u32 = 1030;
const FLAGS: u32 = 1037;
const FOLDER_INDEXES: u32 = 1116;
const BASE_NAMES: u32 = 1117;
const FOLDERS: u32 = 1118;
const CHAR: u32 = 1;
const SHORT: u32 = 3;
const WIDE: u32 = 4;
const STRING: u32 = 6;
const STRINGS: u32 = 8;

impl<'a> Package<'a> {
    /// Of a header; none if it is broken.
    pub(super) fn read(header: &'a [u8]) -> Option<Self> {
        let header = Header::read(header)?;
        let name = header.string(NAME)?;
        if name.is_empty() || name.contains('/') {
            return None;
        }
        let epoch = header.numbers::<4>(EPOCH, WIDE)?.next().map(u32::from_be_bytes);
        let (version, release) = (header.string(VERSION)?, header.string(RELEASE)?);
        let version = match epoch {
            Some(epoch) => format!("{epoch}:{version}-{release}"),
            None => format!("{version}-{release}"),
        };
        Some(Self { name, version, files: Files::read(&header)? })
    }

    /// Its files, in order.
    pub(crate) fn files(&self) -> impl Iterator<Item = File> {
        self.files.iter()
    }
}

/// The index of a header, and the data of its fields.
struct Header<'a> {
    index: &'a [u8],
    data: &'a [u8],
}

impl<'a> Header<'a> {
    fn read(blob: &'a [u8]) -> Option<Self> {
        let fields = u32::from_be_bytes(*blob.first_chunk()?) as usize;
        let size = u32::from_be_bytes(*blob.get(4..)?.first_chunk()?) as usize;
        let (index, data) = blob.get(8..)?.split_at_checked(fields.checked_mul(ENTRY)?)?;
        (data.len() == size).then_some(Self { index, data })
    }

    /// How many values a field has and where they begin; no values if there is no such field. What was
    /// added later stands behind, and holds.
    fn field(&self, tag: u32, kind: u32) -> Option<(usize, &'a [u8])> {
        let word = |entry: &[u8], at: usize| {
            entry
                .get(at..)
                .and_then(|word| word.first_chunk())
                .map(|word| u32::from_be_bytes(*word))
        };
        let mut entries = self.index.chunks_exact(ENTRY).rev();
        let Some(entry) = entries.find(|entry| word(entry, 0) == Some(tag)) else {
            return Some((0, b""));
        };
        let (found, at, count) = (word(entry, 4)?, word(entry, 8)?, word(entry, 12)?);
        let data = self.data.get(at as usize..).filter(|_| found == kind)?;
        Some((count as usize, data))
    }

    fn string(&self, tag: u32) -> Option<&'a str> {
        let (count, data) = self.field(tag, STRING)?;
        let end = memchr::memchr(0, data).filter(|_| count == 1)?;
        str::from_utf8(&data[..end]).ok()
    }

    /// Strings, none of which is longer than a path may be.
    fn strings(&self, tag: u32) -> Option<Strings<'a>> {
        let (count, data) = self.field(tag, STRINGS)?;
        let mut strings = Strings { data, left: count };
        let whole = strings.by_ref().filter(|string| string.len() <= MAX_LEN).count() == count;
        (count <= MOST && whole).then_some(Strings { data, left: count })
    }

    /// Numbers of so many bytes.
    fn numbers<const N: usize>(&self, tag: u32, kind: u32) -> Option<Numbers<'a, N>> {
        let (count, data) = self.field(tag, kind)?;
        let values = data.get(..count.checked_mul(N)?)?.as_chunks::<N>().0;
        Some(values.iter().copied())
    }
}

type Numbers<'a, const N: usize> = std::iter::Copied<std::slice::Iter<'a, [u8; N]>>;

/// Bytes of an entry of the index.
const ENTRY: usize = 16;

/// Strings that end with a NUL each.
#[derive(Debug, Clone)]
struct Strings<'a> {
    data: &'a [u8],
    left: usize,
}

impl<'a> Iterator for Strings<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let end = memchr::memchr(0, self.data)?;
        let string = &self.data[..end];
        self.data = &self.data[end + 1..];
        Some(string)
    }
}

/// The files of a package: names in folders, or in old headers whole paths.
#[derive(Debug)]
struct Files<'a> {
    names: Strings<'a>,
    /// For each name the folder that it is in.
    indexes: Numbers<'a, 4>,
    folders: Vec<&'a [u8]>,
    flags: Numbers<'a, 4>,
    modes: Numbers<'a, 2>,
    states: Numbers<'a, 1>,
}

impl<'a> Files<'a> {
    /// None if the fields do not fit each other.
    fn read(header: &Header<'a>) -> Option<Self> {
        let (mut names, mut indexes) =
            (header.strings(BASE_NAMES)?, header.numbers(FOLDER_INDEXES, WIDE)?);
        let mut folders: Vec<&[u8]> = header.strings(FOLDERS)?.collect();
        let old = header.strings(OLD_NAMES)?;
        if names.left == 0 && old.left > 0 {
            (names, indexes, folders) = (old, [].iter().copied(), Vec::new());
        } else if indexes.len() != names.left
            || !indexes.clone().all(|index| (u32::from_be_bytes(index) as usize) < folders.len())
        {
            return None;
        }
        let flags = header.numbers(FLAGS, WIDE)?;
        let modes = header.numbers(MODES, SHORT)?;
        let states = header.numbers(STATES, CHAR)?;
        Some(Self { names, indexes, folders, flags, modes, states })
    }

    fn iter(&self) -> impl Iterator<Item = File> {
        let Self { names, indexes, folders, flags, modes, states } = self;
        let mut indexes = indexes.clone();
        let (mut flags, mut modes, mut states) = (flags.clone(), modes.clone(), states.clone());
        names.clone().map(move |name| {
            let index = indexes.next().map(|index| u32::from_be_bytes(index) as usize);
            let folder = index.and_then(|index| folders.get(index)).copied().unwrap_or_default();
            File {
                path: [folder, name].concat(),
                flags: flags.next().map_or(0, u32::from_be_bytes),
                mode: modes.next().map_or(0, u16::from_be_bytes),
                state: states.next().map_or(0, |[state]| state),
            }
        })
    }
}
