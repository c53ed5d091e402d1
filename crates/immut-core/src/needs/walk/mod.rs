//! From a start to what it needs, need by need.

mod application;
mod binary;
mod budget;
mod by_name;
mod command;
mod script;
mod settings;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use super::facts::Facts;
use super::{Access, Closure, Edge, Gap, Hop, Look, Need, Start, pointer};
use crate::image::Healthcheck;
use crate::inventory::{Kind, Resolution};
use crate::path::RootPath;
use budget::Budget;
use command::Word;
pub(super) use command::unwrap_in_place;

/// The most files that one start is followed through; a JVM with all its libraries has some hundred.
const MOST_NEEDS: usize = 20_000;
/// The most ways between them.
const MOST_EDGES: usize = 200_000;
/// The longest way from the config to a file; real ones have some ten hops.
const DEEPEST: usize = 100;
/// The most that is remarked on one start.
const MOST_REMARKS: usize = 1000;

impl Closure {
    /// What the config's commands need, commands that start the image in other ways, and what is kept
    /// whatever it is for.
    pub(crate) fn of(look: &Look<'_>, others: &[Vec<String>], kept: &[RootPath]) -> Self {
        let (entrypoint, cmd) = (look.config.entrypoint(), look.config.cmd());
        let words = entrypoint.iter().map(|word| Word::new(pointer::ENTRYPOINT, word));
        let words: Vec<Word> =
            words.chain(cmd.iter().map(|word| Word::new(pointer::CMD, word))).collect();
        let mut starts = vec![Walk::new(look).run(|walk| walk.start(&words))];
        match look.config.healthcheck() {
            Healthcheck::Exec(words) => {
                let words: Vec<Word> =
                    words.iter().map(|word| Word::new(pointer::HEALTHCHECK, word)).collect();
                starts.push(Walk::new(look).run(|walk| walk.exec(&words, &Origin::config())));
            }
            Healthcheck::Shell(command) => {
                starts.push(
                    Walk::new(look).run(|walk| walk.shell_form(pointer::HEALTHCHECK, &command)),
                );
            }
            Healthcheck::None => {}
        }
        for words in others {
            let words: Vec<Word> =
                words.iter().map(|word| Word::new(pointer::START_WITH, word)).collect();
            starts.push(Walk::new(look).run(|walk| walk.exec(&words, &Origin::config())));
        }
        if !kept.is_empty() {
            starts.extend(Self::of_kept(look, kept).starts);
        }
        Self { starts }
    }

    /// What files and directories need that are kept whatever they are for.
    pub(crate) fn of_kept(look: &Look<'_>, kept: &[RootPath]) -> Self {
        Self { starts: vec![Walk::new(look).run(|walk| walk.kept(kept))] }
    }

    /// What an application needs by its profile: it is read, whatever it is.
    pub(crate) fn of_profile(look: &Look<'_>, name: &str, paths: &[RootPath]) -> Self {
        Self { starts: vec![Walk::new(look).run(|walk| walk.profiled(name, paths))] }
    }

    /// What could not be seen or proven, of all starts.
    pub fn unseen(&self) -> impl Iterator<Item = &String> {
        self.starts.iter().flat_map(|start| &start.unseen)
    }

    /// What may run a shell later on, of all starts.
    pub fn may_need_shell(&self) -> BTreeSet<&String> {
        self.starts.iter().flat_map(|start| &start.may_need_shell).collect()
    }
}

/// Where a need comes from.
#[derive(Debug, Clone)]
struct Origin {
    /// The need that leads to it; none: the config.
    from: Option<usize>,
    /// Evidence that comes before that of the need itself.
    why: Vec<Hop>,
    /// Whether it is led to by more than words of a script.
    certain: bool,
    /// Whether the words are only the first of a command: only running tells the others.
    cut: bool,
    /// How many programs on the way here only run what their arguments say.
    wrappers: usize,
}

impl Origin {
    fn config() -> Self {
        Self { from: None, why: Vec::new(), certain: true, cut: false, wrappers: 0 }
    }

    /// From a need on.
    fn from(need: usize, certain: bool) -> Self {
        Self { from: Some(need), certain, ..Self::config() }
    }

    /// The same with one more piece of evidence.
    fn because(&self, hop: Hop) -> Self {
        let mut origin = self.clone();
        origin.why.push(hop);
        origin
    }
}

/// One start that is being followed.
struct Walk<'a> {
    look: &'a Look<'a>,
    start: Start,
    /// Needs by their names.
    ids: HashMap<RootPath, usize>,
    /// Needs that were not looked into yet, or are asked for more than when they were.
    queue: VecDeque<usize>,
    /// Edges that are there: from, to, the path as it was asked for, and what for.
    ways: HashSet<(Option<usize>, usize, RootPath, Access)>,
    /// Texts that a shell reads and that were followed.
    texts: HashSet<usize>,
    /// Configuration that was not read yet.
    unread: VecDeque<usize>,
    /// Configuration that was read.
    settled: HashSet<usize>,
    /// Settings whose values are command lines, of the programs that were found so far.
    command_keys: BTreeSet<&'static str>,
    /// The words that a program was started with, its own first.
    arguments: HashMap<usize, Vec<Word>>,
    /// The part of the config whose program has the working directory and the variables around it.
    surrounded: Option<&'static str>,
    /// The names that each need is asked for by, links on the way among them.
    names: Vec<BTreeSet<RootPath>>,
    /// Folders where needed libraries lie, and where loaders look in any case.
    library_folders: BTreeSet<RootPath>,
    budget: Budget,
}

impl<'a> Walk<'a> {
    fn new(look: &'a Look<'a>) -> Self {
        Self {
            look,
            start: Start::default(),
            ids: HashMap::new(),
            queue: VecDeque::new(),
            ways: HashSet::new(),
            texts: HashSet::new(),
            unread: VecDeque::new(),
            settled: HashSet::new(),
            command_keys: BTreeSet::new(),
            arguments: HashMap::new(),
            surrounded: None,
            names: Vec::new(),
            library_folders: by_name::usual_folders(look),
            budget: Budget::default(),
        }
    }

    /// Follows everything from where `begin` begins.
    fn run(mut self, begin: impl FnOnce(&mut Self)) -> Start {
        begin(&mut self);
        let mut followed = 0;
        while !(self.queue.is_empty() && self.unread.is_empty())
            || followed < self.start.needs.len()
        {
            while let Some(need) = self.queue.pop_front() {
                self.look_into(need);
            }
            if let Some(pointer) = self.surrounded.take() {
                self.surroundings(pointer);
            }
            while followed < self.start.needs.len() {
                self.by_name(followed);
                followed += 1;
            }
            if let Some(need) = self.unread.pop_front() {
                self.settings(need);
            }
        }
        self.start
    }

    fn start(&mut self, words: &[Word]) {
        if words.is_empty() {
            self.unseen("the image has no entrypoint and no cmd, so its start is not known".into());
        }
        self.exec(words, &Origin::config());
        self.surrounded = words.first().map(|word| word.pointer);
    }

    /// What is kept may be used by somebody: its programs are run, the rest is read.
    fn kept(&mut self, paths: &[RootPath]) {
        for path in paths {
            let why = Origin::config().because(Hop::Word(path.to_string()));
            let origin = Origin { certain: false, ..why };
            let Some(found) = self.look.inventory.resolve(path).found else { continue };
            let Some(inode) = self.look.inventory.lookup(&found) else { continue };
            match inode.kind {
                Kind::Directory => {
                    let Some(need) = self.tree(pointer::KEEP, path, &origin) else { continue };
                    for binary in self.look.binaries_in(&found) {
                        self.need(pointer::KEEP, &binary, Access::Read, &Origin::from(need, false));
                    }
                }
                _ if inode.mode & 0o111 != 0 => {
                    self.need(pointer::KEEP, path, Access::Execute, &origin);
                }
                _ => {
                    self.need(pointer::KEEP, path, Access::Read, &origin);
                }
            }
        }
    }

    fn profiled(&mut self, name: &str, paths: &[RootPath]) {
        let why = Origin::config().because(Hop::Profile(name.to_owned()));
        let origin = Origin { certain: false, ..why };
        for path in paths {
            if self.need(pointer::APP, path, Access::Read, &origin).is_some() {
                continue;
            }
            let Some(need) = self.tree(pointer::APP, path, &origin) else { continue };
            let tree = self.start.needs[need].path.clone();
            for binary in self.look.binaries_in(&tree) {
                self.need(pointer::APP, &binary, Access::Read, &Origin::from(need, false));
            }
        }
    }

    /// Adds a need, or one more way to it; none if it is not there, which is for the caller to tell.
    fn need(
        &mut self,
        pointer: &'static str,
        path: &RootPath,
        access: Access,
        origin: &Origin,
    ) -> Option<usize> {
        let (resolution, _) = self.look.file(path)?;
        self.add(pointer, path, resolution, access, origin)
    }

    /// Adds a directory with all that lies in it.
    fn tree(&mut self, pointer: &'static str, path: &RootPath, origin: &Origin) -> Option<usize> {
        let resolution = self.look.inventory.resolve(path);
        self.add(pointer, path, resolution, Access::Read, origin)
    }

    fn add(
        &mut self,
        pointer: &'static str,
        path: &RootPath,
        resolution: Resolution,
        access: Access,
        origin: &Origin,
    ) -> Option<usize> {
        let file = resolution.found?;
        if self.start.needs.len() >= MOST_NEEDS {
            self.unseen(format!(
                "the start needs more than {MOST_NEEDS} files; the rest is not followed"
            ));
            return None;
        }
        let depth = origin.from.map_or(0, |from| self.start.needs[from].depth + 1);
        if depth > DEEPEST || self.start.edges.len() >= MOST_EDGES {
            self.unseen(format!("{file} is needed by so long a way that it is not followed"));
            return None;
        }
        let (new, first) = (self.start.needs.len(), self.start.edges.len());
        let to = *self.ids.entry(file.clone()).or_insert(new);
        if to == new {
            let (access, certain) = (Access::Named, false);
            self.lies_beside_libraries(&file);
            self.names.push(BTreeSet::from([file.clone()]));
            self.start.needs.push(Need { path: file, access, certain, first, depth });
        }
        let need = &mut self.start.needs[to];
        if to == new || need.access < access || (origin.certain && !need.certain) {
            // What is done with a file says more than that it is named.
            need.first = if need.access == Access::Named { first } else { need.first };
            need.access = need.access.max(access);
            need.certain |= origin.certain;
            self.queue.push_back(to);
        }
        if !self.ways.insert((origin.from, to, path.clone(), access)) {
            return Some(to);
        }
        self.names[to].extend(resolution.links.iter().chain([path]).cloned());
        let edge = Edge {
            pointer,
            from: origin.from,
            to,
            why: origin.why.clone(),
            asked: path.clone(),
            links: resolution.links,
        };
        self.start.edges.push(edge);
        Some(to)
    }

    /// Something is not there, or not fit. Where the start may do without it, that is only told.
    fn gap(&mut self, pointer: &'static str, problem: String, origin: &Origin) {
        let told = if origin.certain { self.start.gaps.len() } else { self.start.unseen.len() };
        if told >= MOST_REMARKS {
            return;
        }
        let mut chain = origin.from.map(|from| self.start.chain(from)).unwrap_or_default();
        chain.extend(origin.why.iter().cloned());
        let gap = Gap { pointer, problem, chain };
        if !origin.certain {
            let chain: Vec<String> = gap.chain.iter().map(Hop::to_string).collect();
            self.unseen(format!("{pointer}: {} [{}]", gap.problem, chain.join(" -> ")));
        } else if !self.start.gaps.contains(&gap) {
            self.start.gaps.push(gap);
        }
    }

    fn unseen(&mut self, text: String) {
        if self.start.unseen.len() < MOST_REMARKS {
            self.start.unseen.insert(text);
        }
    }

    /// What a file needs itself.
    fn look_into(&mut self, need: usize) {
        let Need { path, access, certain, .. } = self.start.needs[need].clone();
        if access == Access::Named {
            return;
        }
        if self.look.inventory.lookup(&path).is_some_and(|inode| inode.kind == Kind::Directory) {
            return;
        }
        let origin = Origin::from(need, certain);
        match self.look.facts(&path) {
            Some(Facts::Elf(elf)) => self.binary(need, &elf, &origin),
            Some(Facts::Text(text)) if text.starts_with(b"#!") && access >= Access::Execute => {
                self.script(need, &text, &origin);
            }
            Some(Facts::Text(text)) if access >= Access::Execute => {
                self.no_format(need, &text, &origin);
            }
            Some(Facts::Broken(reason)) => {
                let problem = format!("{path} is no whole ELF file: {reason}");
                self.gap(self.start.pointer(need), problem, &origin);
            }
            Some(Facts::Text(_)) => {}
            None => self.unseen(format!("{path}, which the start needs, could not be looked into")),
        }
    }

    /// A file that is executed, and that the kernel has no use for.
    fn no_format(&mut self, need: usize, text: &[u8], origin: &Origin) {
        let path = self.start.needs[need].path.clone();
        let problem = match text {
            [] => format!("{path} is empty, so it cannot be executed"),
            [0xef, 0xbb, 0xbf, b'#', b'!', ..] => format!(
                "{path} begins with a byte order mark, so the kernel does not see its first line #!"
            ),
            text if text.contains(&0) => {
                // The kernel can be told of further formats (binfmt_misc).
                let format = format!(
                    "{path} is neither an ELF file nor a script; whether it runs depends on the host"
                );
                return self.unseen(format);
            }
            _ => format!("{path} is neither an ELF file nor a script with a first line #!"),
        };
        self.gap(self.start.pointer(need), problem, origin);
    }
}
