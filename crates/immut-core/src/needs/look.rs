//! [`Look`]: an image's files as its start sees them.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use globset::GlobBuilder;
use serde::Deserialize;

use super::elf::Elf;
use super::facts::{Facts, Learned};
use super::loader;
use crate::image::RuntimeConfig;
use crate::inventory::{
    self, Content, Contents, EntryId, FileContent, Inode, Inventory, Kind, Resolution,
};
use crate::path::RootPath;

/// Where `PATH` is not set, engines look here.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The most folders of `PATH` that are looked into; real ones have some ten.
const MOST_FOLDERS: usize = 200;

/// The contents of an image's files, and what was learned of them already.
#[derive(Debug)]
pub struct Files<'a> {
    contents: Contents<'a>,
    learned: &'a Learned,
    failure: Mutex<Option<inventory::Error>>,
}

impl<'a> Files<'a> {
    /// Of the files of an image.
    pub fn new(contents: Contents<'a>, learned: &'a Learned) -> Self {
        Self { contents, learned, failure: Mutex::default() }
    }

    /// The error that reading a file ended in, if one did: then nothing that was proven counts.
    pub fn check(self) -> Result<(), inventory::Error> {
        let failure = self.failure.into_inner().unwrap_or_else(PoisonError::into_inner);
        failure.map_or(Ok(()), Err)
    }

    /// Shows the content of a regular file; none if there is none, if it is sparse, or after an error.
    pub(crate) fn see<T>(
        &self,
        inode: &Inode,
        see: impl FnOnce(&mut dyn FileContent) -> std::io::Result<T>,
    ) -> Option<T> {
        let layer = inode.carrier.map_or(0, |id| id.layer as usize + 1);
        let seen = self.contents.see(inode, see);
        let failed = |error| {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            None
        };
        match seen {
            Ok(Some(Ok(value))) => Some(value),
            Ok(Some(Err(source))) => failed(inventory::Error::Read { layer, source }),
            Ok(None) => None,
            Err(error) => failed(error),
        }
    }

    /// Shows the contents of many small files one after the other, in the order in which the layers
    /// have them.
    pub(crate) fn see_each<K>(
        &self,
        wanted: impl IntoIterator<Item = (EntryId, K)>,
        see: impl FnMut(K, &[u8]),
    ) {
        if let Err(error) = self.contents.see_each(wanted, see) {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }

    fn facts(&self, inode: &Inode) -> Option<Facts> {
        let fingerprint = inode.fingerprint?;
        if let Some(facts) = self.learned.get(fingerprint) {
            return Some(facts);
        }
        let facts = self.see(inode, Facts::of)?;
        self.learned.put(fingerprint, facts.clone());
        Some(facts)
    }
}

/// An image's files as its start sees them: with its `PATH` and its working directory.
#[derive(Clone, Copy)]
pub(crate) struct Look<'a> {
    pub(crate) inventory: &'a Inventory,
    pub(crate) config: &'a RuntimeConfig,
    pub(super) files: &'a Files<'a>,
    /// Configuration that will say something else, by its name.
    edited: Option<&'a BTreeMap<RootPath, Vec<u8>>>,
}

impl<'a> Look<'a> {
    pub(crate) fn new(
        inventory: &'a Inventory,
        config: &'a RuntimeConfig,
        files: &'a Files<'a>,
    ) -> Self {
        Self { inventory, config, files, edited: None }
    }

    /// The same where configuration says something else.
    pub(crate) fn edited(self, edited: &'a BTreeMap<RootPath, Vec<u8>>) -> Self {
        Self { edited: Some(edited), ..self }
    }

    /// What a text says, as it will be; none if the file is none.
    pub(super) fn text_of(&self, file: &RootPath) -> Option<Arc<[u8]>> {
        let edited = self.edited.and_then(|edited| edited.get(file));
        match edited {
            Some(text) => Some(text.as_slice().into()),
            None => match self.facts(file)? {
                Facts::Text(text) => Some(text),
                Facts::Elf(_) | Facts::Broken(_) => None,
            },
        }
    }

    /// What was learned of contents already.
    pub(super) fn learned(&self) -> &'a Learned {
        self.files.learned
    }

    /// Shows the contents of many small files, see [`Files::see_each`].
    pub(crate) fn see_each<K>(
        &self,
        wanted: impl IntoIterator<Item = (EntryId, K)>,
        see: impl FnMut(K, &[u8]),
    ) {
        self.files.see_each(wanted, see);
    }

    /// Follows a path to a regular file.
    pub(super) fn file(&self, path: &RootPath) -> Option<(Resolution, &'a Inode)> {
        let resolution = self.inventory.resolve(path);
        let inode = self.inventory.lookup(resolution.found.as_ref()?)?;
        (inode.kind == Kind::File).then_some((resolution, inode))
    }

    pub(super) fn facts(&self, file: &RootPath) -> Option<Facts> {
        self.files.facts(self.inventory.lookup(file)?)
    }

    /// The executable that the first word of a command means.
    pub(crate) fn executable(&self, word: &str) -> Option<RootPath> {
        let runs = |path: &RootPath| {
            let (_, inode) = self.file(path)?;
            (inode.mode & 0o111 != 0).then(|| path.clone())
        };
        self.candidates(word).iter().find_map(runs)
    }

    /// Whether the first word of a command means a program that is no script.
    pub(crate) fn is_binary(&self, word: &str) -> bool {
        let found = self.executable(word).and_then(|path| self.inventory.resolve(&path).found);
        let inode = found.and_then(|found| self.inventory.lookup(&found));
        inode.is_some_and(|inode| matches!(inode.content, Content::Elf(_)))
    }

    /// Where the first word of a command is looked for, in order.
    pub(super) fn candidates(&self, word: &str) -> Vec<RootPath> {
        if word.is_empty() {
            return Vec::new();
        }
        if word.contains('/') {
            return self.in_working_dir(word).into_iter().collect();
        }
        let path = self.config.env("PATH").filter(|path| !path.is_empty());
        let path = path.as_deref().unwrap_or(DEFAULT_PATH);
        let folders =
            path.split(':').take(MOST_FOLDERS).filter_map(|folder| self.in_working_dir(folder));
        folders.map(|folder| folder.join(word.as_bytes())).collect()
    }

    /// A path of the config, which is relative to the working directory unless it is absolute.
    pub(crate) fn in_working_dir(&self, path: &str) -> Option<RootPath> {
        let base: RootPath = self.config.working_dir().parse().ok()?;
        Some(base.join(b"x").link_target(path.as_bytes()))
    }

    /// A file that a shell sources by a name without a slash.
    pub(super) fn in_path(&self, name: &str) -> Option<RootPath> {
        self.candidates(name).into_iter().find(|path| self.file(path).is_some())
    }

    /// The image's variables, as `NAME=value`.
    pub(super) fn variables(&self) -> Vec<String> {
        self.config.inner("Env").and_then(|env| Vec::deserialize(env).ok()).unwrap_or_default()
    }

    /// A cache of libraries without those that go, with its name; none if it names none of them.
    pub(crate) fn library_cache_without(
        &self,
        cache: &RootPath,
        goes: impl Fn(&[u8]) -> bool,
    ) -> Option<(RootPath, Vec<u8>)> {
        let (resolution, inode) = self.file(cache)?;
        let path = resolution.found?;
        let Facts::Text(content) = self.facts(&path)? else { return None };
        if content.len() as u64 != inode.size {
            return None;
        }
        Some((path, loader::trimmed_cache(&content, goes)?))
    }

    /// The same by the names that match, whatever link they are, as far as they lead to something.
    pub(crate) fn names_matching(&self, glob: &str) -> Vec<String> {
        let leads = |path: &RootPath| self.inventory.resolve(path).found.is_some();
        if !glob.contains(['*', '?', '[', '{']) {
            let there = glob.parse().is_ok_and(|path| leads(&path));
            return there.then(|| glob.to_owned()).into_iter().collect();
        }
        let names = self.matching(glob).into_iter().filter(leads);
        names
            .filter_map(|path| Some(format!("/{}", str::from_utf8(path.as_bytes()).ok()?)))
            .collect()
    }

    /// Names of the merged view that a glob over paths matches: `*` stays within a component. Of a
    /// directory with all that lies in it (`/**` at the end) the directory alone.
    pub(crate) fn matching(&self, glob: &str) -> Vec<RootPath> {
        let (glob, tree) = match glob.strip_suffix("/**") {
            Some(directory) => (directory, true),
            None => (glob, false),
        };
        let fits = |path: &RootPath| {
            let kind = self.inventory.lookup(path).map(|inode| &inode.kind);
            !tree || kind.is_some_and(|kind| matches!(kind, Kind::Directory | Kind::Symlink(_)))
        };
        let literal = glob.find(['*', '?', '[', '{']).map_or(glob, |wild| &glob[..wild]);
        if literal.len() == glob.len() {
            let path = glob.parse().ok();
            let found = path.and_then(|path| self.inventory.resolve(&path).found);
            return found.filter(fits).into_iter().collect();
        }
        let Some((folder, begins)) = literal.rsplit_once('/') else { return Vec::new() };
        let found = folder.parse().ok().and_then(|folder| self.inventory.resolve(&folder).found);
        let pattern = GlobBuilder::new(&glob[folder.len() + 1..]).literal_separator(true).build();
        let (Some(folder), Ok(pattern)) = (found, pattern) else { return Vec::new() };
        // Links among the parents are followed, so the pattern is about the rest of the path.
        let start = if folder.is_root() { 0 } else { folder.as_bytes().len() + 1 };
        let slash: &[u8] = if folder.is_root() { b"" } else { b"/" };
        let prefix = [folder.as_bytes(), slash, begins.as_bytes()].concat();
        let pattern = pattern.compile_matcher();
        let matches = |path: &&RootPath| {
            str::from_utf8(&path.as_bytes()[start..]).is_ok_and(|rest| pattern.is_match(rest))
        };
        let from = (Bound::Included(prefix.as_slice()), Bound::Unbounded);
        let names = self.inventory.names().range::<[u8], _>(from).map(|(path, _)| path);
        let names = names.take_while(|path| path.as_bytes().starts_with(&prefix));
        names.filter(matches).filter(|path| fits(path)).cloned().collect()
    }

    /// The ELF files beneath a directory.
    pub(super) fn binaries_in(&self, directory: &RootPath) -> Vec<RootPath> {
        let beneath = self.inventory.beneath(directory);
        let elf = beneath.filter(|(_, name)| {
            matches!(self.inventory.inode(name.inode).content, Content::Elf(_))
        });
        elf.map(|(path, _)| path.clone()).collect()
    }
}

impl loader::FileSystem for Look<'_> {
    fn resolve(&self, path: &RootPath) -> Option<loader::Found> {
        let resolution = self.inventory.resolve(path);
        Some(loader::Found { links: resolution.links, file: resolution.found? })
    }

    fn elf(&self, file: &RootPath) -> Option<Arc<Elf>> {
        match self.facts(file)? {
            Facts::Elf(elf) => Some(elf),
            Facts::Broken(_) | Facts::Text(_) => None,
        }
    }

    fn text(&self, file: &RootPath) -> Option<Vec<u8>> {
        match self.facts(file)? {
            Facts::Text(text) => Some(text.to_vec()),
            Facts::Elf(_) | Facts::Broken(_) => None,
        }
    }

    fn list(&self, directory: &RootPath) -> Vec<RootPath> {
        let beneath = self.inventory.beneath(directory).map(|(path, _)| path);
        beneath.filter(|path| path.parent().as_ref() == Some(directory)).cloned().collect()
    }
}
