//! One member: its headers as they stand, and what they mean.

use std::io;

use super::{BLOCK, Error, Pax, padding};
use crate::path::{RootPath, lossy};

pub(super) const TYPEFLAG: usize = 156;
/// Old GNU header: more sparse map blocks follow.
pub(super) const GNU_IS_EXTENDED: usize = 482;
/// Sparse map block: another one follows.
pub(super) const SPARSE_IS_EXTENDED: usize = 504;

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
    pub(crate) sparse: bool,
    pub(crate) pax: Pax,
}

impl Member {
    pub(super) fn new(head: Head) -> Result<Self, Error> {
        let written = lossy(&head.name(&Pax::default()));
        let refuse = |reason: String| Error::Entry { name: written.clone(), reason };
        let pax = head.pax().ok_or_else(|| refuse("its PAX records are malformed".into()))?;
        let number = |key: &[u8], field: Option<u64>, what: &str| {
            let text = pax.get(key).map(|value| std::str::from_utf8(value).ok()?.parse().ok());
            text.unwrap_or(field).ok_or_else(|| refuse(format!("its {what} is no number")))
        };
        let name = head.name(&pax);
        let kind = kind(head.header[TYPEFLAG], &name).ok_or_else(|| {
            refuse(format!(
                "its type {:?} is not one of a container layer",
                char::from(head.header[TYPEFLAG])
            ))
        })?;
        let path = RootPath::parse(&name).map_err(|error| refuse(error.to_string()))?;
        let size = number(b"size", size_field(&head.header), "size")?;
        let sparse =
            head.header[TYPEFLAG] == b'S' || pax.keys().any(|key| key.starts_with(b"GNU.sparse."));
        let stored = if kind == Type::File { size } else { 0 };
        let header = tar::Header::from_byte_slice(&head.header);
        let mode = header.mode().or_else(|error| zero_if_empty(&head.header[100..108], error));
        let mode = mode.map_err(|_| refuse("its mode is no number".into()))?;
        let uid = header.uid().or_else(|error| zero_if_empty(&head.header[108..116], error));
        let gid = header.gid().or_else(|error| zero_if_empty(&head.header[116..124], error));
        Ok(Self {
            kind,
            path,
            link: head.link(&pax),
            mode: (mode & 0o7777) as u16,
            uid: number(b"uid", uid.ok(), "uid")?,
            gid: number(b"gid", gid.ok(), "gid")?,
            stored,
            size: if sparse { head.real_size(&pax).unwrap_or(stored) } else { stored },
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

    /// The records of all its PAX headers, the last counting most.
    fn pax(&self) -> Option<Pax> {
        let mut all = Pax::default();
        for extension in self.extensions.iter().filter(|e| matches!(e.typeflag(), b'x' | b'X')) {
            all.extend(&Pax::parse(extension.content())?);
        }
        Some(all)
    }

    fn name(&self, pax: &Pax) -> Vec<u8> {
        let long = pax.get(b"GNU.sparse.name").or_else(|| pax.get(b"path"));
        long.map(<[u8]>::to_vec)
            .or_else(|| self.gnu_long(b'L'))
            .unwrap_or_else(|| tar::Header::from_byte_slice(&self.header).path_bytes().into_owned())
    }

    fn link(&self, pax: &Pax) -> Vec<u8> {
        let long = pax.get(b"linkpath").map(<[u8]>::to_vec).or_else(|| self.gnu_long(b'K'));
        long.unwrap_or_else(|| {
            let header = tar::Header::from_byte_slice(&self.header);
            header.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default()
        })
    }

    /// A GNU long name, which ends at its first NUL.
    fn gnu_long(&self, typeflag: u8) -> Option<Vec<u8>> {
        let extension = self.extensions.iter().rev().find(|e| e.typeflag() == typeflag)?;
        Some(extension.content().split(|byte| *byte == 0).next().unwrap_or_default().to_vec())
    }

    /// A sparse file's size with its holes.
    fn real_size(&self, pax: &Pax) -> Option<u64> {
        let keys: [&[u8]; 2] = [b"GNU.sparse.realsize", b"GNU.sparse.size"];
        if let Some(value) = keys.iter().find_map(|key| pax.get(key)) {
            return std::str::from_utf8(value).ok()?.parse().ok();
        }
        tar::Header::from_byte_slice(&self.header).as_gnu()?.real_size().ok()
    }
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
            || key.starts_with(b"SCHILY.xattr.")
            || key.starts_with(b"LIBARCHIVE.xattr.")
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
        sparse: false,
        pax,
    })
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

pub(super) fn size_field(header: &[u8; BLOCK]) -> Option<u64> {
    let size = tar::Header::from_byte_slice(header).entry_size();
    size.or_else(|error| zero_if_empty(&header[124..136], error)).ok()
}

/// A numeric field without a digit is 0, as engines read it.
fn zero_if_empty<N: From<u8>>(field: &[u8], error: io::Error) -> io::Result<N> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) { Ok(N::from(0)) } else { Err(error) }
}

/// Historic writers summed signed bytes, so both sums are accepted, as engines do.
pub(super) fn checksum_holds(header: &[u8; BLOCK]) -> bool {
    let Ok(written) = tar::Header::from_byte_slice(header).cksum() else { return false };
    let byte_at = |index: usize| if (148..156).contains(&index) { b' ' } else { header[index] };
    let unsigned: u32 = (0..BLOCK).map(|index| u32::from(byte_at(index))).sum();
    let signed: i64 = (0..BLOCK).map(|index| i64::from(byte_at(index).cast_signed())).sum();
    written == unsigned || i64::from(written) == signed
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
