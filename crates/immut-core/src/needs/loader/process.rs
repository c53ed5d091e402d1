//! A program with all that its loader brings into the process: [`Process`].

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::glibc::{self, Glibc};
use super::hunt::{Ground, Hunt, Trophy};
use super::musl::{self, Musl};
use super::{
    Environment, Family, FileSystem, Found, How, Interpreter, Library, Loaded, Place, Role,
};
use crate::needs::elf::Elf;
use crate::path::RootPath;

/// Files in a process. Large desktop programs have some hundreds.
const MOST_LOADED: usize = 4096;
/// Requests for libraries in a process.
const MOST_LIBRARIES: usize = 1 << 16;
/// The library that Alpine's gcompat puts into programs of glibc; its `ld-linux` only starts musl's
/// loader with it.
const GCOMPAT: &str = "/lib/libgcompat.so.0";

/// A program and the libraries of its start, found as the loader of the image does it.
pub(crate) struct Process<'a> {
    ground: Ground<'a>,
    rules: Rules,
    family: Family,
    interpreter: Option<Interpreter>,
    loaded: Vec<Loaded>,
    libraries: Vec<Library>,
    /// Files by the names that stand for them.
    names: HashMap<Vec<u8>, usize>,
    /// Files by where they are.
    places: HashMap<RootPath, usize>,
    /// The first file whose own needs were not looked at.
    next: usize,
    complete: bool,
    unseen: Vec<String>,
}

enum Rules {
    Glibc(Glibc),
    Musl(Musl),
}

impl<'a> Process<'a> {
    /// Starts a program: follows breadth first what it needs, and what that needs. None if the path
    /// leads to no ELF file. A library in the place of the program is taken to be loaded alone.
    pub(crate) fn start(
        files: &'a dyn FileSystem,
        program: &RootPath,
        environment: &'a Environment,
    ) -> Option<Self> {
        let found = files.resolve(program)?;
        let elf = files.elf(&found.file)?;
        let interpreter = interpreter(files, &elf, environment);
        let loader = interpreter.as_ref().and_then(|it| it.found.clone());
        let loader_elf = loader.as_ref().and_then(|found| files.elf(&found.file));
        let (family, gcompat) = family(files, &elf, interpreter.as_ref(), loader_elf.as_deref());
        let mut unseen = Vec::new();
        let rules = if family == Family::Musl {
            let name = interpreter.as_ref().and_then(|it| RootPath::parse(&it.name).ok());
            let name = name.unwrap_or_else(|| RootPath::root().join(b"lib").join(b"ld-musl"));
            Rules::Musl(Musl::of(files, &name, elf.machine))
        } else {
            let cache = family != Family::Uclibc;
            Rules::Glibc(Glibc::of(files, elf.machine, loader_elf.as_deref(), cache, &mut unseen))
        };
        let mut process = Self {
            ground: Ground::new(files, environment, elf.machine, family != Family::Musl),
            rules,
            family,
            interpreter,
            loaded: Vec::new(),
            libraries: Vec::new(),
            names: HashMap::new(),
            places: HashMap::new(),
            next: 0,
            complete: true,
            unseen,
        };
        let path = found.file.clone();
        process.load(Loaded { path, found, elf, first_for: None });
        process.load_loader(loader, loader_elf);
        process.preload(gcompat);
        process.follow();
        Some(process)
    }

    /// The loader that the program names; none if it is static or a library.
    pub(crate) fn interpreter(&self) -> Option<&Interpreter> {
        self.interpreter.as_ref()
    }

    /// Whose rules its loader follows.
    #[cfg(test)]
    pub(crate) fn family(&self) -> Family {
        self.family
    }

    /// The files in the process: the program first, its loader, then libraries as they came.
    #[cfg(test)]
    pub(crate) fn loaded(&self) -> &[Loaded] {
        &self.loaded
    }

    /// Each request for a library, in the order of the loader.
    pub(crate) fn libraries(&self) -> &[Library] {
        &self.libraries
    }

    /// Whether all was followed; false if there was more than any real program has.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete && self.ground.is_complete()
    }

    /// What of the loader's configuration could not be used, in words.
    pub(crate) fn unseen(&self) -> &[String] {
        &self.unseen
    }

    /// Opens a library by name or path as `dlopen` does, called by a file of the process (an index
    /// into [`Self::loaded`], 0 for the program), with all it needs. Returns the index of its
    /// request in [`Self::libraries`]; what it needs comes after it. None if there are too many.
    pub(crate) fn open(&mut self, name: &[u8], caller: usize) -> Option<usize> {
        let index = self.libraries.len();
        self.require(name.to_vec(), caller.min(self.loaded.len() - 1), Role::Opened);
        self.follow();
        (index < self.libraries.len()).then_some(index)
    }

    /// A static program brings its own code only.
    fn load_loader(&mut self, found: Option<Found>, elf: Option<Arc<Elf>>) {
        let (Some(found), Some(elf)) = (found, elf) else { return };
        let path = found.file.clone();
        let index = self.load(Loaded { path, found, elf, first_for: None });
        if let Some((index, interpreter)) = index.zip(self.interpreter.as_ref()) {
            self.names.entry(interpreter.name.clone()).or_insert(index);
        }
    }

    fn preload(&mut self, gcompat: bool) {
        if self.interpreter.is_none() {
            return;
        }
        let mut names: Vec<Vec<u8>> = Vec::new();
        if gcompat {
            names.push(GCOMPAT.into());
            let musl = self.ground.machine.musl_name();
            names.extend(musl.map(|name| format!("/lib/ld-musl-{name}.so.1").into_bytes()));
        }
        names.extend(glibc::names(&self.ground.environment.preload));
        if self.family != Family::Musl {
            names.extend(glibc::preloaded(self.ground.files));
        }
        for name in names {
            self.require(name, 0, Role::Preload);
        }
    }

    fn follow(&mut self) {
        while let Some(file) = self.loaded.get(self.next) {
            let elf = Arc::clone(&file.elf);
            let owner = self.next;
            self.next += 1;
            // The loader is there before all and brings nothing.
            if owner == 1 && file.first_for.is_none() {
                continue;
            }
            for name in &elf.needed {
                self.require(name.clone(), owner, Role::Needed);
            }
            if self.family != Family::Musl {
                for name in &elf.filter {
                    self.require(name.clone(), owner, Role::Filter);
                }
                for name in &elf.auxiliary {
                    self.require(name.clone(), owner, Role::Auxiliary);
                }
            }
        }
    }

    fn require(&mut self, name: Vec<u8>, owner: usize, role: Role) {
        if self.libraries.len() >= MOST_LIBRARIES {
            self.complete = false;
            return;
        }
        let mut uncached = None;
        let trophy = if let Some(place) = self.here_already(&name) {
            Trophy { place: Some(place), ..Trophy::default() }
        } else {
            let mut hunt = Hunt::new(&mut self.ground, &name);
            let _: ControlFlow<()> = match &self.rules {
                Rules::Glibc(glibc) => glibc.hunt(&mut hunt, &self.loaded, owner),
                Rules::Musl(musl) => musl.hunt(&mut hunt, &self.loaded, owner),
            };
            let trophy = hunt.trophy;
            if let (None, Rules::Glibc(glibc)) = (&trophy.place, &self.rules)
                && self.family == Family::Glibc
            {
                uncached = glibc.uncached(&mut Hunt::new(&mut self.ground, &name));
            }
            trophy
        };
        self.bring(&name, owner, &trophy);
        self.libraries.push(Library {
            name,
            role,
            needed_by: self.loaded[owner].found.file.clone(),
            place: trophy.place,
            variants: trophy.variants,
            looked: trophy.looked,
            uncached,
        });
    }

    /// The file that a name stands for without a search.
    fn here_already(&self, name: &[u8]) -> Option<Place> {
        let (index, how) = match (self.names.get(name), &self.rules) {
            (_, Rules::Musl(_)) if musl::is_own(name) => (self.loader()?, How::Loader),
            (Some(index), _) => (*index, How::Already),
            _ => return None,
        };
        let file = &self.loaded[index];
        Some(Place { path: file.path.clone(), found: file.found.clone(), how })
    }

    fn loader(&self) -> Option<usize> {
        self.loaded.get(1).filter(|file| file.first_for.is_none()).map(|_| 1)
    }

    /// Loads what a search has brought, unless it is there; the first name wins.
    fn bring(&mut self, name: &[u8], owner: usize, trophy: &Trophy) {
        for place in trophy.place.iter().chain(&trophy.variants) {
            let index = match self.places.get(&place.found.file) {
                Some(index) => Some(*index),
                None => self.ground.files.elf(&place.found.file).and_then(|elf| {
                    let (path, found) = (place.path.clone(), place.found.clone());
                    self.load(Loaded { path, found, elf, first_for: Some(owner) })
                }),
            };
            // musl knows files that it searched by that name alone.
            let searched = !name.contains(&b'/') || matches!(self.rules, Rules::Glibc(_));
            if let Some(index) = index.filter(|_| searched) {
                self.names.entry(name.to_vec()).or_insert(index);
            }
        }
    }

    fn load(&mut self, file: Loaded) -> Option<usize> {
        if self.loaded.len() >= MOST_LOADED {
            self.complete = false;
            return None;
        }
        let index = self.loaded.len();
        self.places.entry(file.found.file.clone()).or_insert(index);
        if let (Rules::Glibc(_), Some(soname)) = (&self.rules, &file.elf.soname) {
            self.names.entry(soname.clone()).or_insert(index);
        }
        self.loaded.push(file);
        Some(index)
    }
}

/// A file and those that it was loaded for, up to the program.
pub(super) fn ancestors(loaded: &[Loaded], file: usize) -> impl Iterator<Item = &Loaded> {
    std::iter::successors(loaded.get(file), |file| loaded.get(file.first_for?))
}

fn interpreter(
    files: &dyn FileSystem,
    elf: &Elf,
    environment: &Environment,
) -> Option<Interpreter> {
    let name = elf.interpreter.clone()?;
    let path = environment.working_dir.join(b"x").link_target(&name);
    Some(Interpreter { found: files.resolve(&path), name })
}

/// Whose loader it is, and whether it is gcompat's. What the loader says of itself counts more than
/// the name by which it is asked for.
fn family(
    files: &dyn FileSystem,
    program: &Elf,
    interpreter: Option<&Interpreter>,
    loader: Option<&Elf>,
) -> (Family, bool) {
    let Some(interpreter) = interpreter else {
        let family = if musl::is_needed_by(program) { Family::Musl } else { Family::Glibc };
        return (family, false);
    };
    let soname = loader.and_then(|elf| elf.soname.as_deref()).unwrap_or_default();
    if soname.starts_with(b"libc.musl-") || soname == b"libc.so" {
        return (Family::Musl, false);
    }
    let name = interpreter.name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let named = |starts: &[&[u8]]| starts.iter().any(|start| name.starts_with(start));
    if named(&[b"ld-musl-"]) {
        (Family::Musl, false)
    } else if named(&[b"ld-uClibc", b"ld64-uClibc"]) {
        (Family::Uclibc, false)
    } else if named(&[b"ld-linux", b"ld64.so", b"ld.so.", b"ld-2."]) {
        let gcompat = soname.is_empty()
            && loader.is_some()
            && GCOMPAT.parse().is_ok_and(|path| files.resolve(&path).is_some());
        (if gcompat { Family::Musl } else { Family::Glibc }, gcompat)
    } else {
        (Family::Unknown, false)
    }
}
