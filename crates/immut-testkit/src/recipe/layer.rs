//! [`LayerRecipe`]: one layer's tar archive, entry by entry.

use std::fmt::Write;

use tar::{EntryType, Header};

use crate::contents::{self, Package};

/// A layer's tar archive under construction; entries are written in the order of the calls.
///
/// Paths are given as people write them (`/usr/bin/sh`); [`Naming`] says how the archive has them.
/// No parent directory is added on its own.
///
/// ```
/// use immut_testkit::recipe::LayerRecipe;
/// let tar = LayerRecipe::new().dir("/bin", 0o755).file("/bin/sh", 0o4755, "#!").into_tar();
/// assert_eq!(&tar[..5], b"bin/\0");
/// ```
#[derive(Debug, Clone)]
pub struct LayerRecipe {
    tar: Vec<u8>,
    owner: (u64, u64),
    mtime: u64,
    naming: Naming,
    long_names: LongNames,
    /// PAX records of the next entry.
    records: Vec<u8>,
    /// What follows the entries; `None` for the two zero blocks of every proper archive.
    end: Option<Vec<u8>>,
}

/// How an archive spells `/usr/bin/sh`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// `usr/bin/sh`, as all builders do.
    Plain,
    /// `./usr/bin/sh`, as `tar -C root .` does.
    DotSlash,
    /// `/usr/bin/sh`.
    Absolute,
    /// Exactly as the call has it, without a slash added after a directory's name.
    Verbatim,
}

/// How an archive holds names and link targets that do not fit in 100 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongNames {
    /// PAX records `path` and `linkpath`.
    Pax,
    /// PAX records, for short names too.
    AlwaysPax,
    /// GNU entries of type `L` and `K`, in GNU headers.
    Gnu,
    /// The prefix field of ustar for names of up to 255 bytes, PAX for the rest.
    Prefix,
}

/// What an entry is, beside its name.
#[derive(Clone, Copy)]
struct Entry<'a> {
    kind: EntryType,
    mode: u32,
    link: &'a [u8],
    device: (u32, u32),
    content: &'a [u8],
}

impl LayerRecipe {
    /// An empty archive: root's files, [`Naming::Plain`], [`LongNames::Pax`].
    pub fn new() -> Self {
        Self {
            tar: Vec::new(),
            owner: (0, 0),
            mtime: MTIME,
            naming: Naming::Plain,
            long_names: LongNames::Pax,
            records: Vec::new(),
            end: None,
        }
    }

    /// The archive's bytes.
    pub fn into_tar(mut self) -> Vec<u8> {
        self.tar.extend(self.end.unwrap_or_else(|| vec![0; 2 * BLOCK]));
        self.tar
    }

    /// A directory.
    #[must_use]
    pub fn dir(self, path: impl AsRef<[u8]>, mode: u32) -> Self {
        self.entry(path.as_ref(), Entry::new(EntryType::Directory, mode))
    }

    /// A regular file.
    #[must_use]
    pub fn file(self, path: impl AsRef<[u8]>, mode: u32, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref();
        self.entry(path.as_ref(), Entry { content, ..Entry::new(EntryType::Regular, mode) })
    }

    /// A hardlink to `target`, with root's 0644 in its own header; see [`Self::hardlink_as`].
    #[must_use]
    pub fn hardlink(self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.hardlink_as(path, target, 0o644)
    }

    /// A hardlink with a mode of its own, which engines apply to the inode.
    #[must_use]
    pub fn hardlink_as(self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>, mode: u32) -> Self {
        let link = self.spell(target.as_ref(), false);
        self.entry(path.as_ref(), Entry { link: &link, ..Entry::new(EntryType::Link, mode) })
    }

    /// A symbolic link; `target` is written as it stands.
    #[must_use]
    pub fn symlink(self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        let link = target.as_ref();
        self.entry(path.as_ref(), Entry { link, ..Entry::new(EntryType::Symlink, 0o777) })
    }

    /// A named pipe.
    #[must_use]
    pub fn fifo(self, path: impl AsRef<[u8]>) -> Self {
        self.entry(path.as_ref(), Entry::new(EntryType::Fifo, 0o644))
    }

    /// A character device.
    #[must_use]
    pub fn device(self, path: impl AsRef<[u8]>, major: u32, minor: u32) -> Self {
        let device = (major, minor);
        self.entry(path.as_ref(), Entry { device, ..Entry::new(EntryType::Char, 0o666) })
    }

    /// A block device.
    #[must_use]
    pub fn block_device(self, path: impl AsRef<[u8]>, major: u32, minor: u32) -> Self {
        let device = (major, minor);
        self.entry(path.as_ref(), Entry { device, ..Entry::new(EntryType::Block, 0o660) })
    }

    /// A whiteout: `/etc/.wh.x` for `/etc/x`.
    #[must_use]
    pub fn whiteout(self, path: impl AsRef<[u8]>) -> Self {
        let path = path.as_ref();
        let name = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let marker = [&path[..name], b".wh.", &path[name..]].concat();
        self.entry(&marker, Entry::new(EntryType::Regular, 0))
    }

    /// Makes a directory opaque: `/etc/.wh..wh..opq` for `/etc`.
    #[must_use]
    pub fn opaque(self, directory: impl AsRef<[u8]>) -> Self {
        let directory = directory.as_ref();
        let slash: &[u8] =
            if directory.ends_with(b"/") || directory.is_empty() { b"" } else { b"/" };
        let marker = [directory, slash, b".wh..wh..opq"].concat();
        self.entry(&marker, Entry::new(EntryType::Regular, 0))
    }

    /// The owner of the entries that follow.
    #[must_use]
    pub fn owned(mut self, uid: u64, gid: u64) -> Self {
        self.owner = (uid, gid);
        self
    }

    /// The modification time of the entries that follow, in seconds since 1970.
    #[must_use]
    pub fn mtime(mut self, seconds: u64) -> Self {
        self.mtime = seconds;
        self
    }

    /// How the names that follow are spelled.
    #[must_use]
    pub fn naming(mut self, naming: Naming) -> Self {
        self.naming = naming;
        self
    }

    /// How the long names that follow are held.
    #[must_use]
    pub fn long_names(mut self, long_names: LongNames) -> Self {
        self.long_names = long_names;
        self
    }

    /// An extended attribute of the next entry, as `SCHILY.xattr.` has it: the bytes themselves.
    #[must_use]
    pub fn xattr(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.pax(&format!("SCHILY.xattr.{name}"), value)
    }

    /// An extended attribute of the next entry, as `LIBARCHIVE.xattr.` has it: in base64.
    #[must_use]
    pub fn libarchive_xattr(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = contents::base64(value.as_ref());
        self.pax(&format!("LIBARCHIVE.xattr.{name}"), value.trim_end_matches('='))
    }

    /// Any PAX record of the next entry.
    #[must_use]
    pub fn pax(mut self, key: &str, value: impl AsRef<[u8]>) -> Self {
        self.records.extend(pax_record(key, value.as_ref()));
        self
    }

    /// A PAX global header: one record for all entries that follow.
    #[must_use]
    pub fn global_pax(mut self, key: &str, value: impl AsRef<[u8]>) -> Self {
        let records = pax_record(key, value.as_ref());
        self.helper(EntryType::XGlobalHeader, b"pax_global_header", &records);
        self
    }

    /// A sparse file in GNU's old form: `parts` are (offset, bytes), at most four.
    #[must_use]
    pub fn gnu_sparse(mut self, path: impl AsRef<[u8]>, size: u64, parts: &[(u64, &[u8])]) -> Self {
        assert!(parts.len() <= 4, "more parts need extension headers");
        let content = parts.iter().flat_map(|(_, bytes)| *bytes).copied().collect::<Vec<u8>>();
        let mut header = self.header(EntryType::GNUSparse, 0o644, LongNames::Gnu);
        put_field(&mut header.as_old_mut().name, &self.spell(path.as_ref(), false));
        header.set_size(content.len() as u64);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.set_real_size(size);
        for (slot, (offset, bytes)) in gnu.sparse.iter_mut().zip(parts) {
            put_octal(&mut slot.offset, *offset);
            put_octal(&mut slot.numbytes, bytes.len() as u64);
        }
        self.finish(header, &content);
        self
    }

    /// A sparse file in GNU's PAX form 1.0: the map is at the start of the content.
    #[must_use]
    pub fn pax_sparse(mut self, path: impl AsRef<[u8]>, size: u64, parts: &[(u64, &[u8])]) -> Self {
        let mut content = format!("{}\n", parts.len());
        for (offset, bytes) in parts {
            writeln!(content, "{offset}\n{}", bytes.len()).unwrap();
        }
        let mut content = content.into_bytes();
        content.resize(content.len().next_multiple_of(BLOCK), 0);
        content.extend(parts.iter().flat_map(|(_, bytes)| *bytes));
        let name = self.spell(path.as_ref(), false);
        self = self
            .pax("GNU.sparse.major", "1")
            .pax("GNU.sparse.minor", "0")
            .pax("GNU.sparse.name", &name)
            .pax("GNU.sparse.realsize", size.to_string());
        self.file([b"/GNUSparseFile.0/", name.as_slice()].concat(), 0o644, content)
    }

    /// Any bytes, where the next header would be.
    #[must_use]
    pub fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.tar.extend_from_slice(bytes.as_ref());
        self
    }

    /// What follows the last entry, in place of two blocks of zeros: `&[]` for an archive without
    /// an end, or zeros and garbage.
    #[must_use]
    pub fn ending(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.end = Some(bytes.as_ref().to_vec());
        self
    }

    /// A package database as dpkg has it; see [`contents::dpkg_status`].
    #[must_use]
    pub fn dpkg(self, packages: &[Package<'_>]) -> Self {
        let status = contents::dpkg_status(packages);
        let layer = self.file("/var/lib/dpkg/status", 0o644, status);
        packages.iter().fold(layer, |layer, package| {
            let path = format!("/var/lib/dpkg/info/{}.list", package.name);
            layer.file(path, 0o644, contents::dpkg_list(package))
        })
    }

    /// A package database as apk has it; see [`contents::apk_installed`].
    #[must_use]
    pub fn apk(self, packages: &[Package<'_>]) -> Self {
        self.file("/lib/apk/db/installed", 0o644, contents::apk_installed(packages))
    }

    /// A package database as rpm has it on SUSE; see [`crate::rpm::packages_db`].
    #[must_use]
    pub fn rpm(self, packages: &[Package<'_>]) -> Self {
        let database = crate::rpm::packages_db(packages);
        self.file("/usr/lib/sysimage/rpm/Packages.db", 0o644, database)
    }

    fn entry(mut self, path: &[u8], entry: Entry<'_>) -> Self {
        let name = self.spell(path, entry.kind == EntryType::Directory);
        let mut header = self.header(entry.kind, entry.mode, self.long_names);
        header.set_size(entry.content.len() as u64);
        if entry.kind == EntryType::Char || entry.kind == EntryType::Block {
            header.set_device_major(entry.device.0).unwrap();
            header.set_device_minor(entry.device.1).unwrap();
        }
        self.put_name(&mut header, &name);
        self.put_link(&mut header, entry.link);
        let records = std::mem::take(&mut self.records);
        if !records.is_empty() {
            self.helper(EntryType::XHeader, b"PaxHeaders.0/entry", &records);
        }
        self.finish(header, entry.content);
        self
    }

    fn spell(&self, path: &[u8], directory: bool) -> Vec<u8> {
        let bare = path.strip_prefix(b"/").unwrap_or(path);
        let mut name = match self.naming {
            Naming::Verbatim => return path.to_vec(),
            Naming::Plain if bare.is_empty() => b"./".to_vec(),
            Naming::Plain => bare.to_vec(),
            Naming::DotSlash => [b"./", bare].concat(),
            Naming::Absolute => [b"/", bare].concat(),
        };
        if directory && !name.ends_with(b"/") {
            name.push(b'/');
        }
        name
    }

    fn header(&self, kind: EntryType, mode: u32, names: LongNames) -> Header {
        let mut header =
            if names == LongNames::Gnu { Header::new_gnu() } else { Header::new_ustar() };
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(self.owner.0);
        header.set_gid(self.owner.1);
        header.set_mtime(self.mtime);
        header
    }

    fn put_name(&mut self, header: &mut Header, name: &[u8]) {
        let long = name.len() > 100;
        match self.long_names {
            LongNames::Gnu if long => self.gnu_long(EntryType::GNULongName, name),
            LongNames::Prefix if long => {
                if let Some(slash) = prefix_length(name) {
                    let ustar = header.as_ustar_mut().unwrap();
                    put_field(&mut ustar.prefix, &name[..slash]);
                    put_field(&mut ustar.name, &name[slash + 1..]);
                    return;
                }
                self.records.extend(pax_record("path", name));
            }
            LongNames::Pax if long => self.records.extend(pax_record("path", name)),
            LongNames::AlwaysPax => self.records.extend(pax_record("path", name)),
            _ => {}
        }
        put_field(&mut header.as_old_mut().name, name);
    }

    fn put_link(&mut self, header: &mut Header, link: &[u8]) {
        let long = link.len() > 100;
        match self.long_names {
            LongNames::Gnu if long => self.gnu_long(EntryType::GNULongLink, link),
            LongNames::AlwaysPax if !link.is_empty() => {
                self.records.extend(pax_record("linkpath", link));
            }
            _ if long => self.records.extend(pax_record("linkpath", link)),
            _ => {}
        }
        put_field(&mut header.as_old_mut().linkname, link);
    }

    fn gnu_long(&mut self, kind: EntryType, name: &[u8]) {
        self.helper(kind, b"././@LongLink", &[name, b"\0"].concat());
    }

    /// An entry that says something of others.
    fn helper(&mut self, kind: EntryType, name: &[u8], content: &[u8]) {
        let mut header = self.header(kind, 0o644, self.long_names);
        put_field(&mut header.as_old_mut().name, name);
        header.set_size(content.len() as u64);
        self.finish(header, content);
    }

    fn finish(&mut self, mut header: Header, content: &[u8]) {
        header.set_cksum();
        self.tar.extend_from_slice(header.as_bytes());
        self.tar.extend_from_slice(content);
        self.tar.resize(self.tar.len().next_multiple_of(BLOCK), 0);
    }
}

impl Default for LayerRecipe {
    fn default() -> Self {
        Self::new()
    }
}

impl Entry<'_> {
    fn new(kind: EntryType, mode: u32) -> Self {
        Self { kind, mode, link: b"", device: (0, 0), content: b"" }
    }
}

/// One PAX record, `LENGTH KEY=VALUE\n`, where the length counts its own digits.
pub fn pax_record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
    let mut length = rest.len();
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    [length.to_string().as_bytes(), &rest].concat()
}

/// Where ustar may cut a name: at most 155 bytes before a slash, at most 100 after it.
fn prefix_length(name: &[u8]) -> Option<usize> {
    let fits = |slash: &usize| name[*slash] == b'/' && *slash <= 155 && name.len() - slash <= 101;
    (1..name.len().saturating_sub(1)).find(fits)
}

/// Fills a field from its start; what is too long is cut.
fn put_field(field: &mut [u8], value: &[u8]) {
    let length = value.len().min(field.len());
    field.fill(0);
    field[..length].copy_from_slice(&value[..length]);
}

fn put_octal(field: &mut [u8], value: u64) {
    let digits = format!("{value:0width$o}", width = field.len() - 1);
    put_field(field, digits.as_bytes());
}

const BLOCK: usize = 512;
/// 2024-01-01T00:00:00Z.
const MTIME: u64 = 1_704_067_200;
