//! What programs load or read by name: rules of a catalog, and language runtimes as wholes.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::super::loaded::{Loaded, Wanted};
use super::super::loader::Process;
use super::budget::Spent;
use super::{Origin, Walk};
use crate::inventory::{Content, Kind};
use crate::needs::{Access, Hop, Look};
use crate::path::RootPath;

static LOADED: LazyLock<Loaded> = LazyLock::new(Loaded::builtin);

/// The most folders with libraries that rules look into; a Debian image with all its tools has some ten.
const MOST_FOLDERS: usize = 64;
/// Where loaders look in any case.
const LIBRARY_FOLDERS: [&str; 4] = ["/lib", "/usr/lib", "/lib64", "/usr/lib64"];

impl Walk<'_> {
    /// What a needed file brings with it, asked for each of its names.
    pub(super) fn by_name(&mut self, need: usize) {
        let one = &self.start.needs[need];
        if one.access == Access::Named || one.is_folder(self.look.inventory) {
            return;
        }
        let look = self.look;
        let names = self.names[need].clone();
        let libs: Vec<RootPath> = self.library_folders.iter().cloned().collect();
        let has = |glob: &str| !look.matching(glob).is_empty();
        let mut seen = BTreeSet::new();
        for name in &names {
            for wanted in LOADED.wanted(name, &libs, &has) {
                let what = (wanted.rule.id.clone(), wanted.paths.clone(), wanted.runs.clone());
                let new = seen.insert(what);
                if new && self.spend(Spent::Rules, 1) {
                    self.wanted(need, &wanted);
                }
            }
        }
    }

    fn wanted(&mut self, need: usize, wanted: &Wanted<'static>) {
        let pointer = self.start.pointer(need);
        let why = vec![Hop::Loaded(wanted.rule.id.clone())];
        let origin = Origin { why, ..Origin::from(need, false) };
        let found: BTreeSet<RootPath> =
            wanted.paths.iter().flat_map(|glob| self.look.matching(glob)).collect();
        if found.is_empty() && wanted.rule.hard {
            let path = &self.start.needs[need].path;
            self.unseen(format!(
                "{pointer}: {path} has nothing of what it loads by name ({}: {})",
                wanted.rule.id, wanted.rule.title
            ));
        }
        let mut libraries = Vec::new();
        for path in found {
            let Some(inode) = self.look.inventory.lookup(&path) else { continue };
            if inode.kind == Kind::Directory {
                self.tree(pointer, &path, &origin);
                libraries.extend(self.look.binaries_in(&path));
            } else if self.need(pointer, &path, Access::Read, &origin).is_some()
                && matches!(inode.content, Content::Elf(_))
            {
                libraries.push(path);
            }
        }
        self.opened(pointer, need, &libraries);
        for program in wanted.runs.iter().flat_map(|glob| self.look.matching(glob)) {
            if self.look.executable(&program.to_string()).is_some() {
                self.need(pointer, &program, Access::Execute, &origin);
            }
        }
        self.command_keys.extend(wanted.rule.commands.iter().map(String::as_str));
        for place in wanted.settings.iter().flat_map(|glob| self.look.matching(glob)) {
            self.configured(need, &place, &origin);
        }
    }

    /// What libraries need that a program opens. They may be opened, so what they lack is no gap.
    pub(super) fn opened(&mut self, pointer: &'static str, need: usize, libraries: &[RootPath]) {
        if libraries.is_empty() {
            return;
        }
        let (look, program) = (self.look, self.program_of(need));
        let environment = self.environment();
        let path = self.start.needs[program].path.clone();
        if !self.spend(Spent::Programs, 1) {
            return;
        }
        let Some(mut process) = Process::start(look, &path, &environment) else { return };
        let before = process.libraries().len();
        for library in libraries {
            let name = [b"/", library.as_bytes()].concat();
            process.open(&name, 0);
        }
        let origin = Origin::from(need, false);
        if !process.is_complete() {
            self.unseen(format!("{path} opens more libraries than are followed"));
        }
        if !self.spend(Spent::Libraries, process.libraries().len()) {
            return;
        }
        for library in &process.libraries()[before..] {
            if library.place.is_some() {
                self.library(pointer, library, &origin);
            }
        }
    }

    /// The program by which a need came: the last on the way that is executed.
    fn program_of(&self, mut need: usize) -> usize {
        while self.start.needs[need].access < Access::Execute {
            match self.start.first(need).from {
                Some(from) => need = from,
                None => break,
            }
        }
        need
    }

    /// Notes where a library lies, for rules that look beside libraries.
    pub(super) fn lies_beside_libraries(&mut self, file: &RootPath) {
        let library = file.file_name().windows(3).any(|part| part == b".so");
        let room = self.library_folders.len() < MOST_FOLDERS;
        self.library_folders.extend(file.parent().filter(|_| library && room));
    }
}

/// The folders where loaders look in any case, as far as the image has them.
pub(super) fn usual_folders(look: &Look<'_>) -> BTreeSet<RootPath> {
    let usual = LIBRARY_FOLDERS.iter().filter_map(|folder| folder.parse().ok());
    usual.filter(|folder| look.inventory.resolve(folder).found.is_some()).collect()
}
