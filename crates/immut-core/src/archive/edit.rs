//! Edits of a member's headers: mode, capability, link target, name, content. What is not edited
//! stays byte for byte.

use std::ops::Range;

use super::header::{self, GID, LINK, MODE, MTIME, NAME, OWNERS};
use super::member::{self, Head, Member};
use super::{BLOCK, Pax};
use crate::path::RootPath;

impl Head {
    /// The headers of a new file or directory, owned and dated as told.
    pub(crate) fn new(
        path: &RootPath,
        directory: bool,
        mode: u16,
        owner: (u32, u32),
        mtime: u64,
    ) -> Self {
        let kind = if directory { tar::EntryType::Directory } else { tar::EntryType::Regular };
        let mut head = Self::empty(kind);
        head.change(|header| {
            header.set_mode(u32::from(mode));
            header.set_uid(owner.0.into());
            header.set_gid(owner.1.into());
            header.set_mtime(mtime);
        });
        head.set_path(path, directory);
        head
    }

    /// Clears mode bits.
    pub(crate) fn clear_mode(&mut self, bits: u16) {
        let mode = header::number(&self.header[MODE]).unwrap_or(0) & 0o7_777_777;
        self.change(|header| header.set_mode(mode as u32 & !u32::from(bits)));
    }

    /// Sets owner and group, by number: in base-256 what does not fit in octal digits, which Go and GNU
    /// tar read in every format. Their names go, which were those of the old ones.
    pub(crate) fn set_owner(&mut self, (uid, gid): (u32, u32)) {
        const OWN: [&[u8]; 4] = [b"uid", b"gid", b"uname", b"gname"];
        self.change_pax(|pax| pax.remove(|key| OWN.contains(&key)));
        self.header[OWNERS].fill(0);
        self.change(|header| {
            header.set_uid(uid.into());
            header.set_gid(gid.into());
        });
    }

    /// Sets the size of the content.
    pub(crate) fn set_size(&mut self, size: u64) {
        self.change_pax(|pax| pax.remove(|key| key == b"size"));
        self.change(|header| header.set_size(size));
    }

    /// Drops the extended attribute `security.capability`, in both PAX spellings.
    pub(crate) fn clear_capability(&mut self) {
        self.change_pax(|pax| pax.remove(member::is_capability));
    }

    /// Points a hardlink at another name.
    pub(crate) fn set_link(&mut self, target: &RootPath) {
        self.set_link_text(target.as_bytes());
    }

    pub(super) fn set_link_text(&mut self, target: &[u8]) {
        self.extensions.retain(|extension| extension.typeflag() != b'K');
        self.change_pax(|pax| pax.remove(|key| key == b"linkpath"));
        if target.len() > 100 {
            self.change_pax(|pax| pax.set(b"linkpath", target));
        }
        self.put_text(LINK, target);
    }

    /// These headers (of a file) under the name, owner, mode and times of `link`, a hardlink to it:
    /// what the link has to become when the file's own name goes.
    pub(crate) fn carried_by(&self, link: &Member) -> Self {
        const OWN: [&[u8]; 7] = [b"mtime", b"atime", b"ctime", b"uid", b"gid", b"uname", b"gname"];
        let mut head = self.clone();
        head.extensions.retain(|extension| extension.typeflag() != b'L');
        for range in [MODE.start..GID.end, MTIME, OWNERS] {
            head.header[range.clone()].copy_from_slice(&link.head.header[range]);
        }
        head.change_pax(|pax| {
            pax.remove(|key| OWN.contains(&key));
            for key in OWN {
                if let Some(value) = link.pax.get(key) {
                    pax.set(key, value);
                }
            }
        });
        head.set_name(link.path.as_bytes());
        head
    }

    /// Sets the name; directories end in a slash, and the root is `./`.
    pub(super) fn set_path(&mut self, path: &RootPath, directory: bool) {
        let mut name = path.as_bytes().to_vec();
        if path.is_root() {
            name.push(b'.');
        }
        if directory {
            name.push(b'/');
        }
        self.set_name(&name);
    }

    fn set_name(&mut self, name: &[u8]) {
        let fits = name.len() <= 100;
        self.change_pax(|pax| {
            if pax.get(b"GNU.sparse.name").is_some() {
                pax.set(b"GNU.sparse.name", name);
            }
            pax.remove(|key| key == b"path");
            if !fits {
                pax.set(b"path", name);
            }
        });
        if let Some(prefix) = header::prefix(&self.header) {
            self.header[prefix].fill(0);
        }
        self.put_text(NAME, name);
    }

    /// Writes a text field; what does not fit is cut.
    fn put_text(&mut self, at: Range<usize>, text: &[u8]) {
        let field = &mut self.header[at];
        let (held, rest) = field.split_at_mut(text.len().min(field.len()));
        held.copy_from_slice(&text[..held.len()]);
        rest.fill(0);
        self.change(|_| ());
    }

    pub(super) fn change(&mut self, edit: impl FnOnce(&mut tar::Header)) {
        let mut header = tar::Header::from_byte_slice(&self.header).clone();
        edit(&mut header);
        header.set_cksum();
        self.header.copy_from_slice(header.as_bytes());
    }

    /// Edits the PAX records; the blocks stay as they are when no record changes.
    fn change_pax(&mut self, edit: impl FnOnce(&mut Pax)) {
        let old = self.extensions.iter().find(|extension| extension.typeflag() == b'x');
        let old = old.and_then(|one| Pax::parse(one.content())).unwrap_or_default();
        let mut records = old.clone();
        edit(&mut records);
        if records == old {
            return;
        }
        self.put_pax(&records);
    }

    /// Has these PAX records and no others.
    pub(super) fn put_pax(&mut self, records: &Pax) {
        self.extensions.retain(|extension| extension.typeflag() != b'x');
        if !records.is_empty() {
            self.extensions
                .insert(0, member::extension(b'x', "PaxHeaders/immut", &records.to_bytes()));
        }
    }

    /// Whether these are the headers of a PAX global header, which has no block of its own.
    pub(super) fn is_global(&self) -> bool {
        self.header == [0; BLOCK]
    }
}

/// Zeros to the next block after `size` bytes of content.
pub(crate) fn zero_blocks(size: u64) -> &'static [u8] {
    &[0; BLOCK][..super::padding(size)]
}
