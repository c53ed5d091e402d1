//! What an ELF file needs: the loader that it names, and the libraries that this finds for it.

use super::super::elf::{Elf, Machine};
use super::super::loader::{Environment, Library, Looked, Miss, Process};
use super::budget::Spent;
use super::{MOST_REMARKS, Origin, Walk};
use crate::needs::{Access, Hop};
use crate::path::{RootPath, lossy};

impl Walk<'_> {
    /// A program that is executed, or a library that one loads.
    pub(super) fn binary(&mut self, need: usize, elf: &Elf, origin: &Origin) {
        let path = self.start.needs[need].path.clone();
        let mut can_load = self.processor(need, elf.machine, origin);
        for call in &elf.shell_calls {
            if self.start.may_need_shell.len() >= MOST_REMARKS {
                break;
            }
            self.start.may_need_shell.insert(format!("{path} can run a shell ({call})"));
        }
        if self.start.needs[need].access < Access::Execute {
            return;
        }
        let look = self.look;
        let environment = self.environment();
        if !self.spend(Spent::Programs, 1) {
            return;
        }
        let Some(process) = Process::start(look, &path, &environment) else { return };
        if !self.spend(Spent::Libraries, process.libraries().len()) {
            return;
        }
        let pointer = self.start.pointer(need);
        if let Some(interpreter) = process.interpreter() {
            let name = lossy(&interpreter.name);
            let asked = look.in_working_dir(&String::from_utf8_lossy(&interpreter.name));
            let origin = origin.because(Hop::Loader(name.clone()));
            let found = asked.and_then(|path| self.need(pointer, &path, Access::Execute, &origin));
            if found.is_none() {
                can_load = false;
                self.gap(
                    pointer,
                    format!("{path} needs the loader {name}, which is not in the image"),
                    &origin,
                );
            }
        }
        // Where nothing loads them, that some are missing says nothing.
        for library in process.libraries().iter().filter(|one| can_load || one.place.is_some()) {
            self.library(pointer, library, origin);
        }
        process.unseen().iter().for_each(|text| self.unseen(text.clone()));
        if !process.is_complete() {
            self.unseen(format!("{path} has more libraries than are followed"));
        }
    }

    pub(super) fn environment(&self) -> Environment {
        let look = self.look;
        Environment {
            library_path: look.config.env("LD_LIBRARY_PATH").unwrap_or_default().into(),
            preload: look.config.env("LD_PRELOAD").unwrap_or_default().into(),
            working_dir: look.in_working_dir(".").unwrap_or_else(RootPath::root),
        }
    }

    pub(super) fn library(&mut self, pointer: &'static str, library: &Library, program: &Origin) {
        let name = lossy(&library.name);
        let from = self.ids.get(&library.needed_by).copied().or(program.from);
        let certain = program.certain && library.role.is_required();
        let because = |by: String| {
            let why = vec![Hop::Library { name: name.clone(), by }];
            Origin { from, why, certain, ..Origin::config() }
        };
        if let Some(place) = &library.place {
            self.need(pointer, &place.path, Access::Read, &because(place.how.to_string()));
        }
        for place in &library.variants {
            let by = format!("{}, on some processors", place.how);
            let origin = Origin { certain: false, ..because(by) };
            self.need(pointer, &place.path, Access::Read, &origin);
        }
        if library.is_missing() {
            let by = &library.needed_by;
            let problem = match &library.uncached {
                Some(place) => format!(
                    "{by} needs {name}; {place} is not found, since /etc/ld.so.cache does not have it"
                ),
                None => format!("{by} needs {name}, which is not where its loader looks"),
            };
            self.gap(pointer, problem, &because(in_vain(library)));
        }
    }

    /// Whether the platform's processor runs the file.
    fn processor(&mut self, need: usize, machine: Machine, origin: &Origin) -> bool {
        let platform = self.look.config.platform().architecture;
        let Some(architecture) = machine.architecture().filter(|own| *own != platform) else {
            return true;
        };
        let path = self.start.needs[need].path.clone();
        // Most of these processors run programs of their smaller kin.
        let kin = [("amd64", "386"), ("arm64", "arm"), ("mips64le", "mipsle")];
        if platform.is_empty() || kin.contains(&(platform.as_str(), architecture)) {
            return true;
        }
        let problem = format!("{path} is for {architecture}, and the image is for {platform}");
        self.gap(self.start.pointer(need), problem, origin);
        false
    }
}

/// Where a library was looked for, the first few places.
fn in_vain(library: &Library) -> String {
    const MOST: usize = 3;
    let place = |looked: &Looked| match looked.why {
        Miss::Absent => format!("not at {} ({})", looked.path, looked.how),
        Miss::OtherMachine(machine) => format!("{} is for {machine}", looked.path),
        Miss::NoLibrary => format!("{} is no library", looked.path),
    };
    let mut places: Vec<String> = library.looked.iter().take(MOST).map(place).collect();
    if library.looked.len() > MOST {
        places.push(format!("nor at {} others", library.looked.len() - MOST));
    }
    if places.is_empty() { "not found".to_owned() } else { places.join(", ") }
}
