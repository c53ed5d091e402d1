//! An image made of a list: files, texts and links.

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::Arc;

use immut_testkit::elf::Build;

use super::super::{FileSystem, Found};
use crate::needs::elf::Elf;
use crate::path::RootPath;

#[derive(Default)]
pub(crate) struct Image(HashMap<RootPath, Node>);

enum Node {
    Folder,
    File(Vec<u8>),
    Link(&'static str),
}

pub(crate) fn path(text: &str) -> RootPath {
    text.parse().expect("a path")
}

impl Image {
    pub(crate) fn elf(self, at: &str, build: &Build) -> Self {
        self.file(at, build.bytes())
    }

    pub(crate) fn file(self, at: &str, content: impl Into<Vec<u8>>) -> Self {
        self.node(at, Node::File(content.into()))
    }

    pub(crate) fn link(self, at: &str, target: &'static str) -> Self {
        self.node(at, Node::Link(target))
    }

    fn node(mut self, at: &str, node: Node) -> Self {
        let at = path(at);
        let mut parent = at.parent();
        while let Some(folder) = parent {
            parent = folder.parent();
            self.0.entry(folder).or_insert(Node::Folder);
        }
        self.0.insert(at, node);
        self
    }
}

impl FileSystem for Image {
    fn resolve(&self, path: &RootPath) -> Option<Found> {
        let mut links = Vec::new();
        let mut here = RootPath::root();
        let mut rest: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
        while let Some(name) = rest.pop() {
            let next = here.join(&name);
            match self.0.get(&next)? {
                Node::Link(target) if links.len() < 40 => {
                    let target = next.link_target(target.as_bytes());
                    links.push(next);
                    here = RootPath::root();
                    rest.extend(target.components().rev().map(<[u8]>::to_vec));
                }
                Node::Link(_) => return None,
                Node::File(_) if !rest.is_empty() => return None,
                _ => here = next,
            }
        }
        Some(Found { links, file: here })
    }

    fn elf(&self, file: &RootPath) -> Option<Arc<Elf>> {
        Elf::read(Cursor::new(self.text(file)?)).ok().map(Arc::new)
    }

    fn text(&self, file: &RootPath) -> Option<Vec<u8>> {
        match self.0.get(file)? {
            Node::File(content) => Some(content.clone()),
            _ => None,
        }
    }

    fn list(&self, directory: &RootPath) -> Vec<RootPath> {
        let inside = |path: &&RootPath| path.parent().as_ref() == Some(directory);
        self.0.keys().filter(inside).cloned().collect()
    }
}
