//! The search for one library: [`Hunt`], which tries paths as the loader's rules name them.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::{Environment, FileSystem, Found, How, Looked, Miss, Place};
use crate::needs::elf::{Kind, Machine};
use crate::path::{MAX_LEN, RootPath};

/// Lookups in one process. A program of 500 libraries in 20 folders makes 10,000.
const MOST_LOOKUPS: usize = 200_000;
/// Folders of older glibc (before 2.37) for some processors, in each folder of libraries.
const LEGACY_VARIANTS: [&[u8]; 11] = [
    b"tls",
    b"haswell",
    b"avx512_1",
    b"xeon_phi",
    b"x86_64",
    b"i586",
    b"i686",
    b"sse2",
    b"cmov",
    b"vfp",
    b"neon",
];
/// The folder of glibc since 2.33 whose subfolders are each for some processors.
const VARIANTS: &[u8] = b"glibc-hwcaps";

/// What all hunts of a process share.
pub(super) struct Ground<'a> {
    pub(super) files: &'a dyn FileSystem,
    pub(super) environment: &'a Environment,
    /// What libraries have to be for.
    pub(super) machine: Machine,
    /// Whether a library for another machine is passed over, as glibc does; musl gives up.
    pub(super) passes_others: bool,
    /// The folders for some processors that lie in a folder.
    variants: HashMap<RootPath, Arc<[RootPath]>>,
    lookups: usize,
}

impl<'a> Ground<'a> {
    pub(super) fn new(
        files: &'a dyn FileSystem,
        environment: &'a Environment,
        machine: Machine,
        passes_others: bool,
    ) -> Self {
        Self { files, environment, machine, passes_others, variants: HashMap::new(), lookups: 0 }
    }

    /// Counts a step of work; false when there were too many.
    pub(super) fn step(&mut self) -> bool {
        self.lookups = self.lookups.saturating_add(1);
        self.lookups <= MOST_LOOKUPS
    }

    /// Whether all was looked for.
    pub(super) fn is_complete(&self) -> bool {
        self.lookups <= MOST_LOOKUPS
    }

    fn resolve(&mut self, path: &RootPath) -> Option<Found> {
        if self.step() { self.files.resolve(path) } else { None }
    }

    /// A path as the kernel reads it: from the working directory unless it is absolute, and `..`
    /// from where the links before it lead. The links that were followed for that come with it.
    fn reach(&mut self, path: &[u8]) -> Option<(Vec<RootPath>, RootPath)> {
        let base = match path.first() {
            Some(b'/') => RootPath::root(),
            _ => self.environment.working_dir.clone(),
        };
        if path.len() + base.as_bytes().len() > MAX_LEN || path.contains(&0) {
            return None;
        }
        let mut links = Vec::new();
        let mut here = base;
        for component in path.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => {
                    let found = self.resolve(&here)?;
                    links.extend(found.links);
                    here = found.file.parent().unwrap_or_else(RootPath::root);
                }
                name => here = here.join(name),
            }
        }
        Some((links, here))
    }

    fn try_path(&mut self, links: Vec<RootPath>, path: &RootPath) -> Result<Found, Miss> {
        let mut found = self.resolve(path).ok_or(Miss::Absent)?;
        let elf = self.files.elf(&found.file).ok_or(Miss::NoLibrary)?;
        if elf.machine != self.machine {
            return Err(Miss::OtherMachine(elf.machine));
        }
        if elf.kind == Kind::Other {
            return Err(Miss::NoLibrary);
        }
        found.links.splice(0..0, links);
        Ok(found)
    }

    /// The folders in a folder whose libraries only some processors take.
    fn variants_in(&mut self, folder: &RootPath) -> Arc<[RootPath]> {
        if let Some(known) = self.variants.get(folder) {
            return Arc::clone(known);
        }
        let mut variants = Vec::new();
        let new = folder.join(VARIANTS);
        if let Some(found) = self.resolve(&new) {
            let names = self.files.list(&found.file);
            variants.extend(names.iter().map(|path| new.join(path.file_name())));
        }
        let legacy = LEGACY_VARIANTS.map(|name| folder.join(name));
        variants.extend(legacy.into_iter().filter(|path| self.resolve(path).is_some()));
        let variants: Arc<[RootPath]> = variants.into();
        self.variants.insert(folder.clone(), Arc::clone(&variants));
        variants
    }
}

/// The search for one library. Each try says whether to go on.
pub(super) struct Hunt<'h, 'a> {
    pub(super) ground: &'h mut Ground<'a>,
    /// The name that is sought.
    pub(super) name: &'h [u8],
    pub(super) trophy: Trophy,
}

/// What a search has brought.
#[derive(Debug, Default)]
pub(super) struct Trophy {
    pub(super) place: Option<Place>,
    pub(super) variants: Vec<Place>,
    pub(super) looked: Vec<Looked>,
}

impl<'h, 'a> Hunt<'h, 'a> {
    pub(super) fn new(ground: &'h mut Ground<'a>, name: &'h [u8]) -> Self {
        Self { ground, name, trophy: Trophy::default() }
    }

    /// Tries the name in a folder.
    pub(super) fn folder(&mut self, how: How, folder: &[u8]) -> ControlFlow<()> {
        match self.ground.reach(folder) {
            Some((links, folder)) => self.at(how, links, &folder.join(self.name)),
            None => self.go_on(),
        }
    }

    /// Tries the name in a folder, and in what it has for some processors before.
    pub(super) fn folder_with_variants(&mut self, how: How, folder: &[u8]) -> ControlFlow<()> {
        let Some((links, folder)) = self.ground.reach(folder) else { return self.go_on() };
        for variant in self.ground.variants_in(&folder).iter() {
            self.variant_at(how.clone(), links.clone(), &variant.join(self.name));
        }
        self.at(how, links, &folder.join(self.name))
    }

    /// Tries a path.
    pub(super) fn path(&mut self, how: How, path: &[u8]) -> ControlFlow<()> {
        match self.ground.reach(path) {
            Some((links, path)) => self.at(how, links, &path),
            None => self.go_on(),
        }
    }

    /// Takes a path as one that some processors take, if a library is there.
    pub(super) fn variant(&mut self, how: How, path: &[u8]) {
        if let Some((links, path)) = self.ground.reach(path) {
            self.variant_at(how, links, &path);
        }
    }

    fn variant_at(&mut self, how: How, links: Vec<RootPath>, path: &RootPath) {
        if let Ok(found) = self.ground.try_path(links, path) {
            let place = Place { path: path.clone(), found, how };
            // The cache has what lies in the default folders too.
            if !self.trophy.variants.iter().any(|known| known.found.file == place.found.file) {
                self.trophy.variants.push(place);
            }
        }
    }

    fn at(&mut self, how: How, links: Vec<RootPath>, path: &RootPath) -> ControlFlow<()> {
        let path = path.clone();
        match self.ground.try_path(links, &path) {
            Ok(found) => {
                self.trophy.place = Some(Place { path, found, how });
                ControlFlow::Break(())
            }
            Err(why) => {
                self.trophy.looked.push(Looked { path, how, why });
                match why {
                    Miss::OtherMachine(_) if self.ground.passes_others => self.go_on(),
                    Miss::Absent => self.go_on(),
                    Miss::OtherMachine(_) | Miss::NoLibrary => ControlFlow::Break(()),
                }
            }
        }
    }

    /// Goes on, unless there was too much work.
    pub(super) fn go_on(&mut self) -> ControlFlow<()> {
        if self.ground.step() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}
