//! What the start of a container needs, proven from the image itself: the start closure.
//!
//! Each way in which an image is started is followed on its own ([`Start`]): words of the config,
//! programs that run what their arguments say, links, first lines of scripts and what these scripts
//! run, the loader and the libraries of ELF files, and what is loaded by name. Each step is an
//! [`Edge`] with its evidence, so a path can be explained, and a refusal shown with its chain.

mod elf;
mod exec_form;
mod facts;
mod hop;
mod loaded;
mod loader;
mod look;
mod package_script;
pub(crate) mod pointer;
mod shell;
mod shell_form;
mod shell_users;
mod walk;
mod wrappers;

use std::collections::BTreeSet;

pub(crate) use exec_form::{ExecForm, Purpose, Refusal, Suggestion};
pub use facts::Learned;
pub use hop::Hop;
pub(crate) use loader::CACHE as LIBRARY_CACHE;
pub use look::Files;
pub(crate) use look::Look;
use shell::Dialect;
pub(crate) use shell_form::ShellForm;

use crate::finding::RuleId;
use crate::inventory::{Inventory, Kind};
use crate::path::RootPath;

/// All that an image's starts need.
#[derive(Debug, Clone, Default)]
pub struct Closure {
    /// Each way in which the image is started: entrypoint with cmd, health check, others.
    pub starts: Vec<Start>,
}

/// One way in which an image is started, with what it needs.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// What is needed, in the order in which it was found.
    pub needs: Vec<Need>,
    /// How one leads to the next, in the order in which it was found.
    pub edges: Vec<Edge>,
    /// What is needed and not there, or not fit.
    pub gaps: Vec<Gap>,
    /// Programs that become another user, which only root may.
    pub switches: Vec<Switch>,
    /// What could not be seen or proven.
    pub unseen: BTreeSet<String>,
    /// What may run a shell later on, in sentence fragments.
    pub may_need_shell: BTreeSet<String>,
}

/// A file, or a whole directory, that a start needs.
#[derive(Debug, Clone)]
pub struct Need {
    /// Its name, links followed.
    pub path: RootPath,
    /// What the start does with it; the most that anything asks for.
    pub access: Access,
    /// Whether the start cannot go without it: it is led to by more than words of a script.
    pub certain: bool,
    /// The edge by which it was found first, by its place in [`Start::edges`].
    first: usize,
    /// Edges from the config to it.
    depth: usize,
}

/// What a start does with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// It is named, and may be used.
    Named,
    /// It is read, such as a library; a directory with all that lies in it.
    Read,
    /// It is executed.
    Execute,
    /// It is executed by an interpreter that reads it.
    Interpret,
}

/// How one need leads to the next.
#[derive(Debug, Clone)]
pub struct Edge {
    /// The part of the config that it comes from, such as `/config/Entrypoint`, or a flag.
    pub pointer: &'static str,
    /// The need that leads on, by its place in [`Start::needs`]; none: the config itself.
    pub from: Option<usize>,
    /// Where it leads.
    pub to: usize,
    /// The evidence.
    pub why: Vec<Hop>,
    /// The path as it was asked for.
    pub asked: RootPath,
    /// The links on the way, which are needed too.
    pub links: Vec<RootPath>,
}

/// What the start cannot go without and is not there, or not fit to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The part of the config that it comes from.
    pub pointer: &'static str,
    /// What is wrong, as a sentence fragment.
    pub problem: String,
    /// How the need arises.
    pub chain: Vec<Hop>,
}

/// A program that becomes another user before it runs what its arguments say, such as `gosu`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// The part of the config that it comes from.
    pub pointer: &'static str,
    /// The program, by its place in [`Start::needs`].
    pub need: usize,
    /// What it runs.
    pub command: Vec<String>,
}

impl Start {
    /// How the config leads to a need, by the first way that was found.
    pub fn chain(&self, need: usize) -> Vec<Hop> {
        self.chain_of(self.first(need))
    }

    /// The edge by which a need was found first.
    fn first(&self, need: usize) -> &Edge {
        &self.edges[self.needs[need].first]
    }

    /// The part of the config by which a need was found first.
    pub fn pointer(&self, need: usize) -> &'static str {
        self.first(need).pointer
    }

    /// How the config leads along an edge to its end.
    pub fn chain_of(&self, edge: &Edge) -> Vec<Hop> {
        let mut chain = edge.from.map(|from| self.chain(from)).unwrap_or_default();
        chain.extend(edge.why.iter().cloned());
        chain.extend(edge.links.iter().cloned().map(Hop::Link));
        chain.push(Hop::File(self.needs[edge.to].path.clone()));
        chain
    }
}

impl Need {
    /// Whether it is a directory, which is needed with all that lies in it.
    pub(crate) fn is_folder(&self, inventory: &Inventory) -> bool {
        let inode = inventory.lookup(&self.path);
        self.access == Access::Read && inode.is_some_and(|inode| inode.kind == Kind::Directory)
    }
}

impl Edge {
    /// Whether it leads to a path, or over it as a link.
    pub fn leads_to(&self, start: &Start, path: &RootPath) -> bool {
        start.needs[self.to].path == *path || self.links.contains(path)
    }

    /// Whether it leads to what may be read, a folder or what configuration or a variable names; what
    /// goes of it is no conflict.
    pub(crate) fn may_be_read(&self) -> bool {
        matches!(self.why.last(), Some(Hop::Folder(_) | Hop::Setting { .. } | Hop::Variable(_)))
    }

    /// Whether it is an argument that may only happen to be the name of a program, such as `start` or
    /// `passwd`: no path, and no shell's name.
    pub(crate) fn is_by_chance(&self, start: &Start) -> bool {
        let Some(Hop::Word(word)) = self.why.last() else { return false };
        let named = start.needs[self.to].access == Access::Named;
        named && !word.contains('/') && Dialect::named(word.as_bytes()).is_none()
    }
}

/// The rule by which what cannot start is refused.
pub(crate) fn broken_start() -> RuleId {
    "broken-start".parse().expect("rule ids in code are valid")
}
