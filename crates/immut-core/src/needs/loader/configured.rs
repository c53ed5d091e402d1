//! The folders that `/etc/ld.so.conf` names, of which ldconfig makes the cache (ldconfig(8)).

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::GlobBuilder;

use super::FileSystem;
use crate::path::RootPath;

/// Files that are read; real images have a handful.
const MOST_FILES: usize = 256;
/// Folders that are named.
const MOST_FOLDERS: usize = 1024;

/// The folders that `/etc/ld.so.conf` and what it includes name, each once.
pub(super) fn folders(files: &dyn FileSystem) -> Vec<RootPath> {
    let mut folders = Vec::new();
    let mut seen = BTreeSet::new();
    let mut todo: Vec<RootPath> = "/etc/ld.so.conf".parse().into_iter().collect();
    while let Some(path) = todo.pop() {
        let Some(found) = files.resolve(&path) else { continue };
        if seen.len() >= MOST_FILES || !seen.insert(found.file.clone()) {
            continue;
        }
        let text = files.text(&found.file).unwrap_or_default();
        for line in text.split(|byte| *byte == b'\n') {
            let line = before_comment(line).trim_ascii();
            if let Some(patterns) = include(line) {
                let words = patterns.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
                let room = MOST_FILES.saturating_sub(todo.len());
                todo.extend(words.flat_map(|word| included(files, &path, word)).take(room));
            } else if line.starts_with(b"/") && folders.len() < MOST_FOLDERS {
                folders.extend(RootPath::parse(line).ok().filter(|path| !folders.contains(path)));
            }
        }
    }
    folders
}

fn before_comment(line: &[u8]) -> &[u8] {
    &line[..memchr::memchr(b'#', line).unwrap_or(line.len())]
}

fn include(line: &[u8]) -> Option<&[u8]> {
    line.strip_prefix(b"include").filter(|rest| rest.first().is_some_and(u8::is_ascii_whitespace))
}

/// The files that an include names. Wildcards are for the last component; others name nothing.
fn included(files: &dyn FileSystem, by: &RootPath, pattern: &[u8]) -> Vec<RootPath> {
    let pattern = by.link_target(pattern);
    let Some(directory) = pattern.parent() else { return Vec::new() };
    let Ok(glob) = std::str::from_utf8(pattern.file_name()) else { return Vec::new() };
    let Ok(glob) = GlobBuilder::new(glob).literal_separator(true).build() else {
        return Vec::new();
    };
    let glob = glob.compile_matcher();
    let Some(found) = files.resolve(&directory) else { return Vec::new() };
    let names = files.list(&found.file).into_iter();
    names.filter(|path| glob.is_match(Path::new(OsStr::from_bytes(path.file_name())))).collect()
}
