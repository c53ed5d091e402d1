//! One member: its headers as they stand, and what they mean.

use std::ops::Range;

use super::header::{self, TYPEFLAG};
use super::pax::decimal;
use super::sparse::Sparse;
use super::{BLOCK, Error, Pax, padding};
use crate::path::{RootPath, lossy};

/// A member's headers, byte for byte.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// PAX extended headers and GNU long names before the header.
    pub(super) extensions: Vec<Extension>,
    pub(super) header: [u8; BLOCK],
    /// Further blocks of an old GNU sparse map.
    pub(super) sparse: Vec<u8>,
}

#[derive(Debug, Clone)]
pub(super) struct Extension {
    /// Header block, content and padding.
    pub(super) raw: Vec<u8>,
    /// Bytes of content.
    pub(super) content: usize,
}

impl Extension {
    pub(super) fn typeflag(&self) -> u8 {
        self.raw[TYPEFLAG]
    }

    pub(super) fn content(&self) -> &[u8] {
        &self.raw[BLOCK..BLOCK + self.content]
    }
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    File,
    Hardlink,
    Symlink,
    CharDevice,
    BlockDevice,
    Directory,
    Fifo,
    /// A PAX global header: no file at all.
    Global,
}

/// A member of an archive.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) head: Head,
    pub(crate) kind: Type,
    pub(crate) path: RootPath,
    /// A symlink's or hardlink's target as written.
    pub(crate) link: Vec<u8>,
    /// Permission bits with setuid, setgid and sticky.
    pub(crate) mode: u16,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    /// Bytes of content in the archive.
    pub(crate) stored: u64,
    /// Bytes of the file; more than `stored` for a sparse one.
    pub(crate) size: u64,
    pub(crate) sparse: Option<Sparse>,
    pub(crate) pax: Pax,
}

impl Member {
    pub(super) fn new(head: Head) -> Result<Self, Error> {
        let name = header::name(&head.header);
        let refuse = refusal(&name);
        let pax = head.pax().map_err(&refuse)?;
        let name = head.name(&pax).map_err(&refuse)?;
        let refuse = refusal(&name);
        let number = |key: &[u8], field: Range<usize>, what: &str| {
            let field = || header::number(&head.header[field]);
            pax.get(key)
                .map_or_else(field, decimal)
                .ok_or_else(|| refuse(&format!("its {what} is no number")))
        };
        let typeflag = head.header[TYPEFLAG];
        let kind = kind(typeflag, &name).ok_or_else(|| {
            let flag = char::from(typeflag);
            refuse(&format!("its type {flag:?} is not one of a container layer"))
        })?;
        let size = number(b"size", header::SIZE, "size")?;
        let stored = if kind == Type::File { size } else { 0 };
        let sparse = match typeflag {
            b'S' => Sparse::old(&head.header, &head.sparse, stored).map(Some),
            _ => Sparse::of_pax(&pax, stored),
        };
        let sparse = sparse.map_err(&refuse)?;
        if sparse.is_some() && kind != Type::File {
            return Err(refuse("it is sparse, and no regular file"));
        }
        let mode = header::number(&head.header[header::MODE]);
        let mode = mode.ok_or_else(|| refuse("its mode is no number"))?;
        Ok(Self {
            kind,
            path: RootPath::parse(&name).map_err(|error| refuse(&error.to_string()))?,
            link: head.link(&pax).map_err(&refuse)?,
            mode: (mode & 0o7777) as u16,
            uid: number(b"uid", header::UID, "uid")?,
            gid: number(b"gid", header::GID, "gid")?,
            stored,
            size: sparse.as_ref().map_or(stored, |sparse| sparse.size),
            sparse,
            pax,
            head,
        })
    }

    /// Whether it has the extended attribute `security.capability`, in either PAX spelling.
    pub(crate) fn has_capability(&self) -> bool {
        self.pax.keys().any(is_capability)
    }
}

impl Head {
    /// All header bytes, as they come before the content.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BLOCK);
        for extension in &self.extensions {
            bytes.extend_from_slice(&extension.raw);
        }
        if !self.is_global() {
            bytes.extend_from_slice(&self.header);
        }
        bytes.extend_from_slice(&self.sparse);
        bytes
    }

    /// The records of its PAX header. Of several, Go reads the last and others all of them.
    fn pax(&self) -> Result<Pax, &'static str> {
        let mut headers = self.extensions.iter().filter(|one| one.typeflag() == b'x');
        let Some(one) = headers.next() else { return Ok(Pax::default()) };
        if headers.next().is_some() {
            return Err("it has several PAX headers, and engines disagree on which counts");
        }
        let pax = Pax::parse(one.content()).ok_or("its PAX records are malformed")?;
        let texts: [&[u8]; 3] = [b"linkpath", b"uname", b"gname"];
        if texts.iter().filter_map(|key| pax.get(key)).any(|value| value.contains(&0)) {
            return Err("a name in its PAX records holds a NUL byte");
        }
        Ok(pax)
    }

    /// `GNU.sparse.name` counts where the records are those of a sparse file, which is checked.
    fn name(&self, pax: &Pax) -> Result<Vec<u8>, &'static str> {
        let long =
            self.long(b'L', pax.get(b"path"), "its GNU long name and its PAX path differ")?;
        let sparse = pax.get(b"GNU.sparse.name").filter(|_| self.header[TYPEFLAG] != b'S');
        Ok(sparse.or(long).map_or_else(|| header::name(&self.header), <[u8]>::to_vec))
    }

    fn link(&self, pax: &Pax) -> Result<Vec<u8>, &'static str> {
        let differ = "its GNU long link target and its PAX link path differ";
        let long = self.long(b'K', pax.get(b"linkpath"), differ)?;
        Ok(long.unwrap_or_else(|| header::text(&self.header[header::LINK])).to_vec())
    }

    /// What stands in place of a field: a GNU long name, which ends at its first NUL, or a PAX
    /// record. Of two that differ Go takes the one and GNU tar the other.
    fn long<'a>(
        &'a self,
        typeflag: u8,
        record: Option<&'a [u8]>,
        differ: &'static str,
    ) -> Result<Option<&'a [u8]>, &'static str> {
        let gnu = self.extensions.iter().rev().find(|one| one.typeflag() == typeflag);
        let gnu = gnu.map(|one| header::text(one.content())).filter(|name| !name.is_empty());
        match (gnu, record) {
            (Some(gnu), Some(record)) if gnu != record => Err(differ),
            _ => Ok(gnu.or(record)),
        }
    }
}

/// A refusal of the entry with that name, once its reason is known.
fn refusal(name: &[u8]) -> impl Fn(&str) -> Error {
    move |reason| Error::Entry { name: lossy(name), reason: reason.to_owned() }
}

/// A PAX global header as a member without a place; records that would rename or resize all that
/// follows are refused, since engines disagree on them.
pub(super) fn global(extension: Extension) -> Result<Member, Error> {
    let refuse =
        |reason: &str| Error::Entry { name: "PAX global header".into(), reason: reason.into() };
    let pax = Pax::parse(extension.content()).ok_or_else(|| refuse("its records are malformed"))?;
    let changes = |key: &[u8]| {
        matches!(key, b"path" | b"linkpath" | b"size" | b"uid" | b"gid")
            || key.starts_with(b"GNU.sparse.")
            || is_xattr(key)
    };
    if pax.keys().any(changes) {
        return Err(refuse("it changes names, sizes, owners or attributes of all entries"));
    }
    Ok(Member {
        head: Head { extensions: vec![extension], header: [0; BLOCK], sparse: Vec::new() },
        kind: Type::Global,
        path: RootPath::root(),
        link: Vec::new(),
        mode: 0,
        uid: 0,
        gid: 0,
        stored: 0,
        size: 0,
        sparse: None,
        pax,
    })
}

/// Whether a PAX record is an extended attribute, in star's spelling or libarchive's.
pub(super) fn is_xattr(key: &[u8]) -> bool {
    key.starts_with(b"SCHILY.xattr.") || key.starts_with(b"LIBARCHIVE.xattr.")
}

pub(super) fn is_capability(key: &[u8]) -> bool {
    key == b"SCHILY.xattr.security.capability" || key == b"LIBARCHIVE.xattr.security.capability"
}

/// The type that engines see; none for one that they refuse.
fn kind(typeflag: u8, name: &[u8]) -> Option<Type> {
    Some(match typeflag {
        0 if name.ends_with(b"/") => Type::Directory,
        0 | b'0' | b'7' | b'S' => Type::File,
        b'1' => Type::Hardlink,
        b'2' => Type::Symlink,
        b'3' => Type::CharDevice,
        b'4' => Type::BlockDevice,
        b'5' => Type::Directory,
        b'6' => Type::Fifo,
        _ => return None,
    })
}

/// The header blocks of an extension with that content.
pub(super) fn extension(typeflag: u8, name: &str, content: &[u8]) -> Extension {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::new(typeflag));
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    header.as_mut_bytes()[..name.len().min(100)]
        .copy_from_slice(&name.as_bytes()[..name.len().min(100)]);
    header.set_cksum();
    let mut raw = header.as_bytes().to_vec();
    raw.extend_from_slice(content);
    raw.resize(raw.len() + padding(content.len() as u64), 0);
    Extension { raw, content: content.len() }
}
