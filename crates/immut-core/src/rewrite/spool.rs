//! [`Spool`]: files put aside whose bytes later hardlinks take over.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::layer::copy_content;
use crate::archive::{Archive, Member};
use crate::inventory::EntryId;

/// Members put aside in one file, as an archive has them: neither the memory nor the number of open
/// files depends on how many there are. Often one is needed, sometimes thousands; and each for as
/// long as layers are written, since the name that has the bytes may be hidden again before the next
/// link comes. One is put or read at a time: layers with carried files go one after the other.
#[derive(Default)]
pub(super) struct Spool(Mutex<Put>);

#[derive(Default)]
struct Put {
    file: Option<File>,
    /// Where each member begins.
    places: HashMap<EntryId, u64>,
}

impl Spool {
    /// Puts a member aside; its content comes from the archive, which stands at it.
    pub(super) fn put<R: Read>(
        &self,
        id: EntryId,
        member: &Member,
        archive: &mut Archive<R>,
        folder: &Path,
    ) -> io::Result<()> {
        let mut put = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = match put.file.take() {
            Some(file) => file,
            None => tempfile::tempfile_in(folder)?,
        };
        let place = file.seek(SeekFrom::End(0))?;
        let mut out = BufWriter::new(&mut file);
        out.write_all(&member.head.to_bytes())?;
        copy_content(archive, &mut out, member.stored)?;
        out.flush()?;
        drop(out);
        put.places.insert(id, place);
        put.file = Some(file);
        Ok(())
    }

    /// A member, and an archive that stands at its content.
    pub(super) fn get(&self, id: EntryId) -> io::Result<(Member, Archive<impl Read>)> {
        let missing = || io::Error::other("a carried file was not put aside");
        let put = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = put.places.get(&id).ok_or_else(missing)?;
        let mut file = put.file.as_ref().ok_or_else(missing)?.try_clone()?;
        file.seek(SeekFrom::Start(*place))?;
        let mut archive = Archive::new(BufReader::new(file));
        let member = archive.next().map_err(io::Error::other)?.ok_or_else(missing)?;
        Ok((member, archive))
    }
}
