//! How glibc's loader searches: [`Glibc`] (ld.so(8); glibc, `elf/dl-load.c`).

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::cache::{Cache, Cached};
use super::hunt::Hunt;
use super::process::ancestors;
use super::tokens::Tokens;
use super::{FileSystem, How, Loaded, configured};
use crate::needs::elf::{Elf, Machine};
use crate::path::RootPath;

/// What the loader of an image goes by.
#[derive(Debug, Default)]
pub(super) struct Glibc {
    cache: Option<Cache>,
    /// Flags of the entries of the cache that it takes; none if any will do.
    flags: Option<&'static [u32]>,
    default_folders: Vec<Vec<u8>>,
    /// `$LIB`.
    lib: Option<Vec<u8>>,
    /// `$PLATFORM`.
    platform: Option<&'static str>,
    /// The folders that `/etc/ld.so.conf` names, once they were asked for.
    configured: OnceCell<Vec<RootPath>>,
}

/// The default folders of a loader that does not tell, after Debian's: what other distributions have.
const USUAL_FOLDERS: [&[u8]; 4] = [b"/lib64/", b"/usr/lib64/", b"/lib/", b"/usr/lib/"];
/// The flag of entries from before the ABI was told; every loader takes them.
const PLAIN_ELF: u32 = 1;
pub(crate) const CACHE: &str = "/etc/ld.so.cache";

impl Glibc {
    /// Reads what the loader of that image goes by. What is wrong with it goes to `unseen`.
    pub(super) fn of(
        files: &dyn FileSystem,
        machine: Machine,
        loader: Option<&Elf>,
        with_cache: bool,
        unseen: &mut Vec<String>,
    ) -> Self {
        let told = loader.map(|elf| elf.default_folders.clone()).unwrap_or_default();
        let default_folders = if told.is_empty() { usual_folders(machine) } else { told };
        Self {
            cache: with_cache.then(|| read_cache(files, machine, unseen)).flatten(),
            flags: machine.cache_flags(),
            lib: default_folders.iter().find_map(|folder| lib(folder)).map(<[u8]>::to_vec),
            platform: machine.platform(),
            default_folders,
            configured: OnceCell::new(),
        }
    }

    /// Looks for a library that `loaded[owner]` asks for.
    pub(super) fn hunt(
        &self,
        hunt: &mut Hunt<'_, '_>,
        loaded: &[Loaded],
        owner: usize,
    ) -> ControlFlow<()> {
        let asks = &loaded[owner];
        if hunt.name.contains(&b'/') {
            let Some(path) = self.expand(asks, hunt.name) else { return hunt.go_on() };
            return hunt.path(How::Path, &path);
        }
        if asks.elf.runpath.is_none() {
            for file in ancestors(loaded, owner) {
                self.rpath(hunt, file)?;
            }
        }
        let library_path = hunt.ground.environment.library_path.clone();
        if !library_path.is_empty() {
            for folder in library_path.split(|byte| matches!(byte, b':' | b';')) {
                self.folder(hunt, &loaded[0], How::LibraryPath, folder)?;
            }
        }
        if let Some(runpath) = &asks.elf.runpath {
            self.folders(hunt, asks, &How::RunPath(asks.found.file.clone()), runpath)?;
        }
        self.cached(hunt, asks)?;
        if !asks.elf.no_default_folders {
            for folder in &self.default_folders {
                hunt.folder_with_variants(How::Default, folder)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// A configured folder that has the library, although the cache does not.
    pub(super) fn uncached(&self, hunt: &mut Hunt<'_, '_>) -> Option<RootPath> {
        let files = hunt.ground.files;
        for folder in self.configured.get_or_init(|| configured::folders(files)) {
            let absolute = [b"/", folder.as_bytes()].concat();
            if hunt.folder(How::Cache, &absolute).is_break() {
                break;
            }
        }
        hunt.trophy.place.take().map(|place| place.path)
    }

    fn rpath(&self, hunt: &mut Hunt<'_, '_>, file: &Loaded) -> ControlFlow<()> {
        hunt.go_on()?;
        match &file.elf.rpath {
            // A file that has both is taken to have the newer one only.
            Some(rpath) if file.elf.runpath.is_none() => {
                self.folders(hunt, file, &How::RPath(file.found.file.clone()), rpath)
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn folders(
        &self,
        hunt: &mut Hunt<'_, '_>,
        file: &Loaded,
        how: &How,
        list: &[u8],
    ) -> ControlFlow<()> {
        if list.is_empty() {
            return ControlFlow::Continue(());
        }
        for folder in list.split(|byte| *byte == b':') {
            self.folder(hunt, file, how.clone(), folder)?;
        }
        ControlFlow::Continue(())
    }

    /// Tries a folder of a list; an empty one is the working directory.
    fn folder(
        &self,
        hunt: &mut Hunt<'_, '_>,
        file: &Loaded,
        how: How,
        folder: &[u8],
    ) -> ControlFlow<()> {
        match self.expand(file, folder) {
            Some(folder) => hunt.folder_with_variants(how, &folder),
            None => hunt.go_on(),
        }
    }

    fn expand(&self, file: &Loaded, text: &[u8]) -> Option<Vec<u8>> {
        let origin = file.path.parent().unwrap_or_else(RootPath::root);
        let platform = self.platform.map(str::as_bytes);
        Tokens { origin: &origin, lib: self.lib.as_deref(), platform }.expand(text)
    }

    fn cached(&self, hunt: &mut Hunt<'_, '_>, asks: &Loaded) -> ControlFlow<()> {
        let Some(cache) = &self.cache else { return ControlFlow::Continue(()) };
        let name = hunt.name;
        let mut best: Option<(usize, Cached<'_>)> = None;
        for cached in cache.find(name) {
            hunt.go_on()?;
            let Some(rank) = self.rank(cached.flags) else { continue };
            if asks.elf.no_default_folders && self.is_default(cached.path) {
                continue;
            }
            if cached.variant {
                hunt.variant(How::Cache, cached.path);
            } else if best.is_none_or(|best| rank < best.0) {
                best = Some((rank, cached));
            }
        }
        match best {
            Some((_, cached)) => hunt.path(How::Cache, cached.path),
            None => ControlFlow::Continue(()),
        }
    }

    /// How well the flags of an entry fit: the least is taken.
    fn rank(&self, flags: u32) -> Option<usize> {
        match self.flags {
            None => Some(0),
            Some(known) if flags == PLAIN_ELF => Some(known.len()),
            Some(known) => known.iter().position(|known| *known == flags),
        }
    }

    fn is_default(&self, path: &[u8]) -> bool {
        self.default_folders.iter().any(|folder| path.starts_with(folder))
    }
}

fn read_cache(files: &dyn FileSystem, machine: Machine, unseen: &mut Vec<String>) -> Option<Cache> {
    let path: RootPath = CACHE.parse().ok()?;
    let found = files.resolve(&path)?;
    let Some(content) = files.text(&found.file) else {
        unseen.push(format!("{path} was not read"));
        return None;
    };
    match Cache::parse(content, machine.little) {
        Ok(cache) => Some(cache),
        Err(error) => {
            unseen.push(format!("{path} is not used: {error}"));
            None
        }
    }
}

fn usual_folders(machine: Machine) -> Vec<Vec<u8>> {
    let debian = machine.triplet().into_iter().flat_map(|triplet| {
        ["/lib/", "/usr/lib/"].map(|folder| format!("{folder}{triplet}/").into_bytes())
    });
    debian.chain(USUAL_FOLDERS.map(<[u8]>::to_vec)).collect()
}

/// What `$LIB` stands for by a default folder: its path without `/usr` and slashes around it.
fn lib(folder: &[u8]) -> Option<&[u8]> {
    let folder = folder.strip_suffix(b"/").unwrap_or(folder);
    let folder = folder.strip_prefix(b"/usr").unwrap_or(folder);
    folder.strip_prefix(b"/").filter(|lib| lib.starts_with(b"lib"))
}

/// The names in `/etc/ld.so.preload`: separated by blanks and colons, `#` begins a comment.
pub(super) fn preloaded(files: &dyn FileSystem) -> Vec<Vec<u8>> {
    let found = "/etc/ld.so.preload".parse().ok().and_then(|path| files.resolve(&path));
    let text = found.and_then(|found| files.text(&found.file)).unwrap_or_default();
    let lines = text.split(|byte| *byte == b'\n');
    let code = lines.map(|line| line.split(|byte| *byte == b'#').next().unwrap_or_default());
    let mut seen = BTreeSet::new();
    code.flat_map(names).filter(|name| seen.insert(name.clone())).collect()
}

/// The names of a list of preloads.
pub(super) fn names(list: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    list.split(|byte| byte.is_ascii_whitespace() || *byte == b':')
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
}
