//! One layer, filtered and encoded in one stream.

use std::io::{self, BufReader, Read, Write};

use super::encode::Encoder;
use super::fates::{Added, Fate, Fates, What};
use super::spool::Spool;
use super::{Error, Making, NewLayer, config};
use crate::archive::{Archive, BLOCK, Head, Member, zero_blocks};
use crate::image::{Compression, Descriptor};
use crate::inventory::Subject;
use crate::inventory::{EntryId, decoder};
use crate::path::RootPath;
use crate::progress::{Part, Task, Told, Work};
use crate::store::{Layout, Source};

/// Everything a layer's rewrite looks at.
pub(super) struct Scene<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) fates: &'a Fates<'a>,
    pub(super) stage: &'a Layout,
    pub(super) date: &'a config::Date,
    pub(super) making: Making<'a>,
}

impl Scene<'_> {
    /// The layer as it will be; none if it is left out.
    pub(super) fn layer(&self, number: usize, spool: &Spool) -> Result<Option<NewLayer>, Error> {
        let old = &self.subject.manifest.layers()[number];
        let indexed = &self.subject.inventory.layers()[number];
        if !self.fates.touches(number) {
            self.lend(number, spool)?;
            return Ok(Some(NewLayer { blob: old.clone(), diff_id: indexed.diff_id }));
        }
        let mut filter = Filter {
            scene: self,
            number,
            spool,
            out: Encoder::new(indexed.compression, self.stage.scratch()?)
                .map_err(io_error(number))?,
        };
        let part = Part::Layer { number, of: self.subject.manifest.layers().len() };
        let (task, platform) = (Task::Rewrite, self.making.platform);
        let work = Work { task, platform, part, digest: old.digest, total: indexed.size };
        let mut told = Told::start(self.making.progress, work);
        filter.run(old, indexed.compression, &mut told)?;
        for added in self.fates.added.iter().filter(|added| added.layer == Some(number)) {
            self.write_added(added, &mut filter.out).map_err(io_error(number))?;
        }
        let out = filter.out;
        let new = if self.fates.empties(number) {
            None
        } else {
            Some(self.keep(out, indexed.compression, number)?)
        };
        told.done();
        Ok(new)
    }

    /// Puts aside what later layers take over from a layer that stays as it is.
    fn lend(&self, number: usize, spool: &Spool) -> Result<(), Error> {
        let layer = number_of(number);
        if !self.fates.wanted.iter().any(|id| id.layer == layer) {
            return Ok(());
        }
        let compression = self.subject.inventory.layers()[number].compression;
        let blob = self.stage.open(&self.subject.manifest.layers()[number])?;
        let mut raw = BufReader::with_capacity(1 << 16, blob);
        let archive_error = |source| Error::Archive { layer: number + 1, source };
        let mut archive = Archive::new(decoder(compression, &mut raw).map_err(io_error(number))?);
        for index in 0.. {
            let Some(member) = archive.next().map_err(archive_error)? else { break };
            let id = EntryId { layer, index };
            if self.fates.wanted.contains(&id) {
                spool
                    .put(id, &member, &mut archive, self.stage.folder())
                    .map_err(io_error(number))?;
            }
        }
        archive.finish().map_err(io_error(number))?;
        io::copy(&mut raw, &mut io::sink()).map_err(io_error(number))?;
        Ok(())
    }

    /// What is added on top, as a layer of its own.
    pub(super) fn top_layer(&self) -> Result<Option<NewLayer>, Error> {
        let number = self.subject.manifest.layers().len();
        let on_top: Vec<&Added<'_>> =
            self.fates.added.iter().filter(|added| added.layer.is_none()).collect();
        if on_top.is_empty() {
            return Ok(None);
        }
        // As the layer below, which is how whoever pulls the image can read layers.
        let below = self.subject.inventory.layers().last();
        let compression = below.map_or(Compression::Gzip, |layer| layer.compression);
        let mut out = Encoder::new(compression, self.stage.scratch()?).map_err(io_error(number))?;
        let mut written = Vec::new();
        for added in on_top {
            self.write_parents(added.path, &mut written, &mut out).map_err(io_error(number))?;
            self.write_added(added, &mut out).map_err(io_error(number))?;
            written.push(added.path.clone());
        }
        self.keep(out, compression, number).map(Some)
    }

    fn keep(
        &self,
        mut out: Encoder,
        compression: Compression,
        number: usize,
    ) -> Result<NewLayer, Error> {
        out.write_all(&[0; 2 * BLOCK]).map_err(io_error(number))?;
        let encoded = out.finish().map_err(io_error(number))?;
        self.stage.keep(encoded.scratch, &encoded.digest)?;
        let media_type = self.subject.manifest.layer_media_type(compression);
        let blob = Descriptor { media_type, digest: encoded.digest, size: encoded.size };
        Ok(NewLayer { blob, diff_id: encoded.diff_id })
    }

    /// The directories above a new file, as the image has them: a layer that left them out would
    /// give them default modes where engines keep each layer in a folder of its own.
    fn write_parents(
        &self,
        path: &RootPath,
        written: &mut Vec<RootPath>,
        out: &mut Encoder,
    ) -> io::Result<()> {
        let mut parents: Vec<RootPath> = std::iter::successors(path.parent(), RootPath::parent)
            .filter(|parent| !parent.is_root() && !written.contains(parent))
            .collect();
        parents.reverse();
        for parent in parents {
            if let Some(inode) = self.subject.inventory.lookup(&parent) {
                let what = What::Directory { mode: inode.mode, owner: (inode.uid, inode.gid) };
                self.write_added(&Added { path: &parent, layer: None, what }, out)?;
                written.push(parent);
            }
        }
        Ok(())
    }

    fn write_added(&self, added: &Added<'_>, out: &mut Encoder) -> io::Result<()> {
        match added.what {
            What::Directory { mode, owner } => {
                out.write_all(&Head::new(added.path, true, mode, owner, self.date.epoch).to_bytes())
            }
            What::File(content) => {
                let inode = self.subject.inventory.lookup(added.path);
                let (mode, owner) =
                    inode.map_or((0o644, (0, 0)), |old| (old.mode, (old.uid, old.gid)));
                let mut head = Head::new(added.path, false, mode, owner, self.date.epoch);
                head.set_size(content.len() as u64);
                out.write_all(&head.to_bytes())?;
                write_content(content, out)
            }
        }
    }
}

struct Filter<'a> {
    scene: &'a Scene<'a>,
    number: usize,
    spool: &'a Spool,
    out: Encoder,
}

impl Filter<'_> {
    fn run(
        &mut self,
        blob: &Descriptor,
        compression: Compression,
        told: &mut Told<'_>,
    ) -> Result<(), Error> {
        let layer = self.number + 1;
        let archive_error = |source| Error::Archive { layer, source };
        let mut raw = BufReader::with_capacity(1 << 16, self.scene.stage.open(blob)?);
        let mut done = 0;
        {
            let tar = decoder(compression, &mut raw).map_err(io_error(self.number))?;
            let mut archive = Archive::new(tar);
            let layer = number_of(self.number);
            for index in 0.. {
                let Some(member) = archive.next().map_err(archive_error)? else { break };
                done += member.stored;
                told.reached(done);
                self.member(EntryId { layer, index }, member, &mut archive)
                    .map_err(io_error(self.number))?;
            }
            archive.finish().map_err(io_error(self.number))?;
        }
        // The blob is checked against its digest at its end.
        io::copy(&mut raw, &mut io::sink()).map_err(io_error(self.number))?;
        Ok(())
    }

    fn member<R: Read>(
        &mut self,
        id: EntryId,
        mut member: Member,
        archive: &mut Archive<R>,
    ) -> io::Result<()> {
        let (fates, unchanged) = (self.scene.fates, Fate::default());
        let fate = fates.of(id).unwrap_or(&unchanged);
        let lent = fates.wanted.contains(&id);
        if lent {
            self.spool.put(id, &member, archive, self.scene.stage.folder())?;
        }
        if fate.dropped {
            return Ok(());
        }
        if let Some(from) = fate.carries {
            return self.carry(&member, from, fate);
        }
        edit(&mut member.head, fate);
        if let Some(content) = fate.content {
            member.head.set_size(content.len() as u64);
            self.out.write_all(&member.head.to_bytes())?;
            return write_content(content, &mut self.out);
        }
        self.out.write_all(&member.head.to_bytes())?;
        if lent {
            let (_, mut spooled) = self.spool.get(id)?;
            return copy_content(&mut spooled, &mut self.out, member.stored);
        }
        copy_content(archive, &mut self.out, member.stored)
    }

    /// Writes a hardlink as the regular file whose name went.
    fn carry(&mut self, link: &Member, from: EntryId, fate: &Fate<'_>) -> io::Result<()> {
        let (file, mut spooled) = self.spool.get(from)?;
        let mut head = file.head.carried_by(link);
        edit(&mut head, fate);
        // Attributes come with the file's headers.
        if self.scene.fates.of(from).is_some_and(|file| file.clear_capability) {
            head.clear_capability();
        }
        self.out.write_all(&head.to_bytes())?;
        copy_content(&mut spooled, &mut self.out, file.stored)
    }
}

fn edit(head: &mut Head, fate: &Fate<'_>) {
    if fate.clear != 0 {
        head.clear_mode(fate.clear);
    }
    if fate.clear_capability {
        head.clear_capability();
    }
    if let Some(target) = fate.target {
        head.set_link(target);
    }
}

/// Copies a member's content with its padding.
pub(super) fn copy_content<R: Read>(
    archive: &mut Archive<R>,
    out: &mut impl Write,
    size: u64,
) -> io::Result<()> {
    let mut buffer = [0; 1 << 14];
    loop {
        let count = archive.read_content(&mut buffer)?;
        if count == 0 {
            return out.write_all(zero_blocks(size));
        }
        out.write_all(&buffer[..count])?;
    }
}

fn write_content(content: &[u8], out: &mut Encoder) -> io::Result<()> {
    out.write_all(content)?;
    out.write_all(zero_blocks(content.len() as u64))
}

fn number_of(layer: usize) -> u32 {
    u32::try_from(layer).expect("an image has fewer than 2^32 layers")
}

fn io_error(number: usize) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { layer: number + 1, source }
}
