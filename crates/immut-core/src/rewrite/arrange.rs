//! The merged view that is left, in new layers. Every header is written in one form, in the order of
//! the names, so that a layer depends on nothing but the files that are in it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::Write;

use super::encode::{Encoder, Way, encode};
use super::fates::{Added, What};
use super::layer::{END, Scene, copy_content, io_error, member, write_content};
use super::{Error, NewLayer};
use crate::archive::{Archive, Attributes, Head, Member, Mtime, Type};
use crate::image::Compression;
use crate::inventory::{
    EntryId, IMPLIED, Inode, InodeId, Inventory, Kind, Known, Name, Raw, replay,
};
use crate::path::RootPath;
use crate::plan::{Bundle, spread};
use crate::progress::{Part, Task, Told, Work};
use crate::store::Unpacked;

/// What all new layers are made from.
pub(super) struct Arranging<'s, 'a> {
    scene: &'s Scene<'a>,
    names: BTreeMap<RootPath, Name>,
    /// The names of each layer, in order.
    layers: Vec<Vec<RootPath>>,
    added: HashMap<&'a RootPath, &'s Added<'a>>,
    /// Archives that were not put aside before: files are read in another order than they lie in.
    unpacked: HashMap<usize, Unpacked>,
    /// The time of all directories; none: each has its own.
    directories: Option<u64>,
}

/// What a name is in a new layer.
enum Piece<'p> {
    Added(&'p Added<'p>),
    /// A directory that no layer mentions.
    Implied(&'p Inode),
    /// The inode, with its content.
    Whole(InodeId, EntryId),
    /// Another name of an inode that is in the layer already.
    Link(InodeId, RootPath),
}

impl<'s, 'a> Arranging<'s, 'a> {
    pub(super) fn new(scene: &'s Scene<'a>, bundles: &[Bundle]) -> Result<Self, Error> {
        let inventory = scene.subject.inventory;
        let mut names = replay(inventory, &scene.fates.dropped()).names;
        let added: HashMap<_, _> = scene.fates.added.iter().map(|one| (one.path, one)).collect();
        for path in added.keys() {
            names.entry((*path).clone()).or_insert(Name { inode: IMPLIED, entry: None });
        }
        let layers = spread(bundles, &names);
        // A directory's time is that of its last change, which is no package's.
        let directories = bundles.iter().any(|one| !one.packages.is_empty()).then_some(0);
        let unpacked = HashMap::new();
        let mut arranging = Self { scene, names, layers, added, unpacked, directories };
        arranging.unpack()?;
        Ok(arranging)
    }

    /// How many bytes of files there are in each layer.
    pub(super) fn sizes(&self) -> Vec<u64> {
        let size = |(_, piece): (_, Piece<'_>)| match piece {
            Piece::Whole(id, _) => self.inventory().inode(id).size,
            Piece::Added(_) | Piece::Implied(_) | Piece::Link(..) => 0,
        };
        let layer = |number| self.pieces(number).map(size).fold(0, u64::saturating_add);
        (0..self.layers.len()).map(layer).collect()
    }

    /// Writes a layer.
    pub(super) fn layer(&self, number: usize, total: u64) -> Result<NewLayer, Error> {
        let Scene { subject, making, .. } = self.scene;
        let part = Part::Layer { number, of: self.layers.len() };
        let (task, platform) = (Task::Rewrite, making.reading.platform);
        let work = Work { task, platform, part, digest: subject.manifest.digest(), total };
        let mut told = Told::start(making.reading.progress, work);
        let compression = making.compression.of(Compression::Gzip);
        let way = Way { compression, old: None };
        let known = Known::new(self.inventory(), self.known_files(number));
        let old = Shelf { arranging: self, open: VecDeque::new() };
        let blob = self.scene.blob()?;
        let encoded = encode(number, way, blob, &making.reading, known, |out| {
            let (told, shared) = (&mut told, HashMap::new());
            Writer { arranging: self, old, shared, told, out, done: 0 }.run(number)
        })?;
        told.encoded(encoded.encoding);
        let new = self.scene.keep(part, encoded, compression)?;
        told.done();
        Ok(new)
    }

    fn inventory(&self) -> &'a Inventory {
        self.scene.subject.inventory
    }

    /// Puts archives aside that were not.
    fn unpack(&mut self) -> Result<(), Error> {
        let Scene { subject, stage, .. } = self.scene;
        for (number, layer) in subject.inventory.layers().iter().enumerate() {
            if layer.unpacked.is_none() {
                let mut raw = Raw::open(stage, &subject.manifest.layers()[number], layer)?;
                let unpacked = Unpacked::of(&mut raw, stage).map_err(io_error(number))?;
                raw.finish().map_err(io_error(number))?;
                self.unpacked.insert(number, unpacked);
            }
        }
        Ok(())
    }

    /// What each name of a layer is there.
    fn pieces(&self, number: usize) -> impl Iterator<Item = (&RootPath, Piece<'_>)> {
        let mut firsts: HashMap<InodeId, &RootPath> = HashMap::new();
        self.layers[number].iter().map(move |path| {
            let id = self.names[path].inode;
            let inode = self.inventory().inode(id);
            if let Some(added) = self.added.get(path) {
                return (path, Piece::Added(added));
            }
            let Some(carrier) = inode.carrier else { return (path, Piece::Implied(inode)) };
            if self.inventory().entries_of(id).len() > 1 {
                if let Some(first) = firsts.get(&id) {
                    return (path, Piece::Link(id, (*first).clone()));
                }
                firsts.insert(id, path);
            }
            (path, Piece::Whole(id, carrier))
        })
    }

    /// For each regular file of a layer, the entry whose content it has.
    fn known_files(&self, number: usize) -> Vec<Option<EntryId>> {
        let file = |(_, piece)| match piece {
            Piece::Added(Added { what: What::File(_), .. }) => Some(None),
            Piece::Whole(id, carrier) if self.inventory().inode(id).kind == Kind::File => {
                let edited = self.scene.fates.of(carrier).and_then(|fate| fate.content);
                Some(edited.is_none().then_some(carrier))
            }
            _ => None,
        };
        self.pieces(number).filter_map(file).collect()
    }

    /// What the headers of an entry say, with its fate.
    fn attributes(&self, id: EntryId, member: &Member) -> Attributes {
        let mut attributes = Attributes::of(member);
        if let Some(fate) = self.scene.fates.of(id) {
            attributes.mode &= !fate.clear;
            if fate.clear_capability {
                attributes.clear_capability();
            }
            if let Some(owner) = fate.owner {
                (attributes.uid, attributes.gid) = (owner.0.into(), owner.1.into());
            }
        }
        attributes
    }
}

/// The old archives, some of them open.
struct Shelf<'l, 's, 'a> {
    arranging: &'l Arranging<'s, 'a>,
    /// The last that was read comes first.
    open: VecDeque<(usize, Raw<'l>)>,
}

/// Archives that are open at a time: each holds a chunk in memory.
const OPEN: usize = 8;

impl<'l> Shelf<'l, '_, '_> {
    /// A member of an old layer; its content follows.
    fn member(&mut self, id: EntryId) -> Result<(Member, Archive<&mut Raw<'l>>), Error> {
        let number = id.layer as usize;
        let found = self.open.iter().position(|(layer, _)| *layer == number);
        let mut raw = match found.and_then(|at| self.open.remove(at)) {
            Some((_, raw)) => raw,
            None => self.raw(number),
        };
        let start = self.arranging.inventory().entry(id).start;
        raw.go_to(start).map_err(io_error(number))?;
        self.open.truncate(OPEN - 1);
        self.open.push_front((number, raw));
        member(&mut self.open[0].1, number)
    }

    fn raw(&self, number: usize) -> Raw<'l> {
        let aside = self.arranging.inventory().layers()[number].unpacked.as_ref();
        let unpacked = aside.unwrap_or_else(|| &self.arranging.unpacked[&number]);
        Raw::over(unpacked)
    }

    /// What is known of an inode with several names: the headers of links that stay count too.
    fn attributes(&mut self, inode: InodeId, carrier: EntryId) -> Result<Attributes, Error> {
        let arranging = self.arranging;
        let mut all = arranging.attributes(carrier, &self.member(carrier)?.0);
        let fates = arranging.scene.fates;
        for id in arranging.inventory().entries_of(inode).iter().filter(|id| **id != carrier) {
            if !fates.of(*id).is_some_and(|fate| fate.dropped) {
                all.linked(arranging.attributes(*id, &self.member(*id)?.0));
            }
        }
        Ok(all)
    }
}

/// Writes the pieces of one layer.
struct Writer<'w, 's, 'a, 'e> {
    arranging: &'w Arranging<'s, 'a>,
    old: Shelf<'w, 's, 'a>,
    /// What headers say of inodes that have several names and were written, but for extended
    /// attributes.
    shared: HashMap<InodeId, Attributes>,
    told: &'w mut Told<'a>,
    out: &'w mut Encoder<'e>,
    /// Bytes of files so far.
    done: u64,
}

impl Writer<'_, '_, '_, '_> {
    fn run(mut self, number: usize) -> Result<(), Error> {
        for (path, piece) in self.arranging.pieces(number) {
            self.piece(number, path, piece)?;
        }
        self.out.write_all(&END).map_err(io_error(number))
    }

    fn piece(&mut self, number: usize, path: &RootPath, piece: Piece<'_>) -> Result<(), Error> {
        let scene = self.arranging.scene;
        let head = match piece {
            Piece::Whole(inode, carrier) => return self.inode(path, inode, carrier),
            Piece::Added(added) => {
                return scene.write_added(added, self.out).map_err(io_error(number));
            }
            Piece::Implied(Inode { mode, uid, gid, .. }) => {
                let mtime = self.arranging.directories.unwrap_or(scene.date.epoch);
                Head::new(path, true, *mode, (*uid, *gid), mtime)
            }
            Piece::Link(inode, first) => Head::hardlink(path, &first, &self.shared[&inode]),
        };
        self.out.write_all(&head.to_bytes()).map_err(io_error(number))
    }

    fn inode(&mut self, path: &RootPath, id: InodeId, carrier: EntryId) -> Result<(), Error> {
        if self.arranging.inventory().entries_of(id).len() == 1 {
            return self.whole(path, carrier, None);
        }
        let attributes = self.old.attributes(id, carrier)?;
        self.shared.insert(id, attributes.plain());
        self.whole(path, carrier, Some(attributes))
    }

    /// Writes an inode under a name; without attributes those that its only entry has.
    fn whole(
        &mut self,
        path: &RootPath,
        carrier: EntryId,
        attributes: Option<Attributes>,
    ) -> Result<(), Error> {
        let (mut member, mut archive) = self.old.member(carrier)?;
        let mut attributes =
            attributes.unwrap_or_else(|| self.arranging.attributes(carrier, &member));
        let directory = member.kind == Type::Directory;
        if let Some(time) = self.arranging.directories.filter(|_| directory) {
            attributes.mtime = Mtime::at(time);
        }
        let content = self.arranging.scene.fates.of(carrier).and_then(|fate| fate.content);
        if let Some(content) = content {
            member.stored = content.len() as u64;
        }
        let head = Head::normal(&member, path, &attributes);
        let written = self.out.write_all(&head.to_bytes()).and_then(|()| match content {
            Some(content) => write_content(content, self.out),
            None => copy_content(&mut archive, self.out, member.stored),
        });
        written.map_err(io_error(carrier.layer as usize))?;
        self.done = self.done.saturating_add(member.size);
        self.told.reached(self.done);
        Ok(())
    }
}
