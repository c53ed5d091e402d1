//! Small images for each rule of the loaders, and the loader of this machine as second opinion.

mod disk;
mod glibc;
mod image;
mod musl;
mod real;

use super::{Environment, FileSystem, How, Library, Process};
use crate::path::RootPath;
use image::path;

pub(crate) fn environment() -> Environment {
    Environment { library_path: Vec::new(), preload: Vec::new(), working_dir: RootPath::root() }
}

/// What the first file asks for by that name.
fn library<'p>(process: &'p Process<'_>, name: &str) -> &'p Library {
    let named = |library: &&Library| library.name == name.as_bytes();
    process.libraries().iter().find(named).expect("a library of that name is asked for")
}

/// Where `/app/bin/program` finds a library, and how.
fn finds(files: &dyn FileSystem, name: &str) -> Option<(String, How)> {
    finds_in(files, &environment(), name)
}

fn finds_in(
    files: &dyn FileSystem,
    environment: &Environment,
    name: &str,
) -> Option<(String, How)> {
    let process = Process::start(files, &path(PROGRAM), environment).expect("a program");
    let place = library(&process, name).place.as_ref()?;
    Some((place.found.file.to_string(), place.how.clone()))
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with what is found")]
fn found(path: &str, how: How) -> Option<(String, How)> {
    Some((path.to_owned(), how))
}

const PROGRAM: &str = "/app/bin/program";
