//! Headers in one normal form, whoever wrote the old ones: the same file gives the same bytes.
//!
//! Kept is what engines unpack: name, type, link target, device, mode, owner, time of change and
//! extended attributes. Names of owner and group, other times and what tools note for themselves go.

use std::collections::BTreeMap;

use super::BLOCK;
use super::header::{self, DEVICE_MAJOR, DEVICE_MINOR, GNU_TIMES, MTIME, OWNERS, TYPEFLAG};
use super::member::{self, Head, Member, Type};
use crate::path::RootPath;

/// What headers say of an inode, whatever its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// Permission bits with setuid, setgid and sticky.
    pub(crate) mode: u16,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    /// When it was changed last.
    pub(crate) mtime: Mtime,
    /// PAX records of extended attributes.
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A time of change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mtime {
    /// Whole seconds since 1970.
    seconds: u64,
    /// As a PAX record has it, if it is no whole number of seconds since 1970.
    precise: Option<Vec<u8>>,
}

impl Attributes {
    /// What the headers of a member say.
    pub(crate) fn of(member: &Member) -> Self {
        let xattr = |key: &&[u8]| member::is_xattr(key);
        let value = |key: &[u8]| Some((key.to_vec(), member.pax.get(key)?.to_vec()));
        Self {
            mode: member.mode,
            uid: member.uid,
            gid: member.gid,
            mtime: Mtime::of(member),
            xattrs: member.pax.keys().filter(xattr).filter_map(value).collect(),
        }
    }

    /// Takes over what the headers of a further hardlink say, as engines do.
    pub(crate) fn linked(&mut self, link: Self) {
        let mut xattrs = std::mem::take(&mut self.xattrs);
        xattrs.extend(link.xattrs);
        *self = Self { xattrs, ..link };
    }

    /// Without extended attributes, which come with an inode's first name and can be large.
    pub(crate) fn plain(&self) -> Self {
        let Self { mode, uid, gid, ref mtime, .. } = *self;
        Self { mode, uid, gid, mtime: mtime.clone(), xattrs: BTreeMap::new() }
    }

    /// Drops the extended attribute `security.capability`.
    pub(crate) fn clear_capability(&mut self) {
        self.xattrs.retain(|key, _| !member::is_capability(key));
    }
}

impl Mtime {
    fn of(member: &Member) -> Self {
        let Some(record) = member.pax.get(b"mtime") else {
            let seconds = header::signed(&member.head.header[MTIME]).unwrap_or(0);
            let precise = |_| Self { seconds: 0, precise: Some(seconds.to_string().into()) };
            return u64::try_from(seconds).map_or_else(precise, Self::at);
        };
        let text = without_zeros(record);
        match super::pax::decimal(text) {
            Some(seconds) => Self::at(seconds),
            None => Self { seconds: whole(text), precise: Some(text.to_vec()) },
        }
    }

    /// Whole seconds since 1970.
    pub(crate) fn at(seconds: u64) -> Self {
        Self { seconds, precise: None }
    }
}

/// The whole seconds of a time with a fraction; 0 for one before 1970.
fn whole(text: &[u8]) -> u64 {
    let whole = text.split(|byte| *byte == b'.').next().unwrap_or_default();
    super::pax::decimal(whole).unwrap_or(0)
}

/// A fraction says nothing by the zeros at its end.
fn without_zeros(time: &[u8]) -> &[u8] {
    if !time.contains(&b'.') {
        return time;
    }
    let end = time.iter().rposition(|byte| *byte != b'0').map_or(0, |last| last + 1);
    time[..end].strip_suffix(b".").unwrap_or(&time[..end])
}

impl Head {
    /// The normal headers of a member that is no hardlink, under a name and with attributes. A sparse
    /// file keeps the form in which its pieces are told.
    pub(crate) fn normal(member: &Member, path: &RootPath, attributes: &Attributes) -> Self {
        let mut head = if member.head.header[TYPEFLAG] == b'S' {
            let mut header = member.head.header;
            GNU_TIMES.into_iter().chain([OWNERS]).for_each(|field| header[field].fill(0));
            Self { extensions: Vec::new(), header, sparse: member.head.sparse.clone() }
        } else {
            Self::empty(entry_type(member.kind))
        };
        head.change(|header| {
            header.set_size(member.stored);
            if let Some((major, minor)) = device(member) {
                let set = header.set_device_major(major).and(header.set_device_minor(minor));
                debug_assert!(set.is_ok(), "the form has fields for devices");
            }
        });
        let sparse = member.pax.iter().filter(|(key, _)| key.starts_with(b"GNU.sparse."));
        head.set_attributes(attributes, sparse);
        if member.kind == Type::Symlink {
            head.set_link_text(&member.link);
        }
        head.set_path(path, member.kind == Type::Directory);
        head
    }

    /// The normal headers of a hardlink, with attributes that are [plain](Attributes::plain).
    pub(crate) fn hardlink(path: &RootPath, target: &RootPath, attributes: &Attributes) -> Self {
        let mut head = Self::empty(tar::EntryType::Link);
        head.set_attributes(attributes, std::iter::empty());
        head.set_link_text(target.as_bytes());
        head.set_path(path, false);
        head
    }

    /// A header of a type, with nothing in it.
    pub(super) fn empty(kind: tar::EntryType) -> Self {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(0);
        let mut block = [0; BLOCK];
        block.copy_from_slice(header.as_bytes());
        Self { extensions: Vec::new(), header: block, sparse: Vec::new() }
    }

    fn set_attributes<'a>(
        &mut self,
        attributes: &'a Attributes,
        more: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) {
        let Attributes { mode, uid, gid, mtime, xattrs } = attributes;
        self.change(|header| {
            header.set_mode(u32::from(*mode));
            header.set_uid(*uid);
            header.set_gid(*gid);
            header.set_mtime(mtime.seconds);
        });
        let xattrs = xattrs.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
        let time = mtime.precise.iter().map(|time| (&b"mtime"[..], time.as_slice()));
        self.put_pax(&time.chain(xattrs).chain(more).collect());
    }
}

fn entry_type(kind: Type) -> tar::EntryType {
    match kind {
        Type::File => tar::EntryType::Regular,
        Type::Hardlink => tar::EntryType::Link,
        Type::Symlink => tar::EntryType::Symlink,
        Type::CharDevice => tar::EntryType::Char,
        Type::BlockDevice => tar::EntryType::Block,
        Type::Directory => tar::EntryType::Directory,
        Type::Fifo => tar::EntryType::Fifo,
        Type::Global => tar::EntryType::XGlobalHeader,
    }
}

/// The numbers of a device, which only these forms of headers have.
fn device(member: &Member) -> Option<(u32, u32)> {
    let block = &member.head.header;
    let device = matches!(member.kind, Type::CharDevice | Type::BlockDevice);
    if !device || !header::has_devices(block) {
        return None;
    }
    let number = |field| u32::try_from(header::number(&block[field])?).ok();
    Some((number(DEVICE_MAJOR)?, number(DEVICE_MINOR)?))
}
