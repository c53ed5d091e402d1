//! apk's database: one file with a record for each package, and in it the package's files.

use super::owned::Owned;
use super::paragraph::split;
use super::tally::{Tally, Use};
use super::{Edits, Fate, MOST, Package, View};

/// Before and since version 3.
const DATABASES: [&str; 2] = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];

pub(super) fn edit(view: View<'_>, edits: &mut Edits) {
    let mut seen = None;
    for (path, inode) in DATABASES.iter().filter_map(|path| view.file(path)) {
        // With a merged /usr both names are the same file.
        if seen.replace(path.clone()).as_ref() == Some(&path) {
            continue;
        }
        let text = view.text(inode);
        let records = text.as_deref().map(split).filter(|records| records.len() <= MOST);
        let Some(records) = records else {
            edits.unseen.push(format!("{path}: the database is too large to be looked at"));
            continue;
        };
        let mut new = Vec::new();
        let mut unreadable = 0;
        for record in &records {
            let Some(package) = package(record) else {
                unreadable += usize::from(!record.trim_ascii().is_empty());
                new.extend_from_slice(record);
                continue;
            };
            new.extend(edit_record(view, record, package, edits));
        }
        edits.unreadable(unreadable, &path);
        if text.is_some_and(|text| text != new) {
            edits.contents.push((path, new));
        }
    }
}

/// The files of the packages whose records stay.
pub(super) fn owned(view: View<'_>, all: &mut Vec<Owned>) {
    let mut seen = None;
    for (path, inode) in DATABASES.iter().filter_map(|path| view.file(path)) {
        if seen.replace(path.clone()).as_ref() == Some(&path) {
            continue;
        }
        let text = view.text(inode).unwrap_or_default();
        for record in split(&text).into_iter().take(MOST) {
            let paths = files(record);
            let owned = |package| Owned::of(view, package, paths.iter().map(Vec::as_slice));
            all.extend(package(record).map(owned));
        }
    }
}

/// The files that a record lists.
fn files(record: &[u8]) -> Vec<Vec<u8>> {
    let mut folder: &[u8] = b"";
    let mut files = Vec::new();
    for line in lines(record) {
        if let Some(name) = value(line, b'F') {
            folder = name;
        } else if let Some(name) = value(line, b'R') {
            files.push([folder, b"/", name].concat());
        }
    }
    files
}

/// A line of a record: `P:` names the package, `F:` a folder, `R:` a file in the folder before it.
fn value(line: &[u8], field: u8) -> Option<&[u8]> {
    let value = line.strip_prefix(&[field, b':'])?;
    Some(value.strip_suffix(b"\n").unwrap_or(value))
}

fn lines(record: &[u8]) -> impl Iterator<Item = &[u8]> {
    record.split_inclusive(|byte| *byte == b'\n')
}

fn package(record: &[u8]) -> Option<Package> {
    let text = |field| {
        let value = lines(record).find_map(|line| value(line, field))?;
        str::from_utf8(value).ok().filter(|text| !text.is_empty()).map(str::to_owned)
    };
    Some(Package { name: text(b'P')?, version: text(b'V')?, database: "apk" })
}

fn edit_record(view: View<'_>, record: &[u8], package: Package, edits: &mut Edits) -> Vec<u8> {
    let fate = if view.draft.removes() { fate(view, record) } else { Fate::Kept };
    let was_marked = fate == Fate::Kept && is_marked(record);
    edits.add(package, if was_marked { Fate::Partly } else { fate });
    match fate {
        Fate::Kept => record.to_vec(),
        Fate::Partly => marked(&stripped(view, record)),
        Fate::Removed => Vec::new(),
    }
}

fn fate(view: View<'_>, record: &[u8]) -> Fate {
    let mut tally = Tally::default();
    for path in files(record) {
        // What apk protects unless told otherwise: apk-protected_paths(5).
        let protected = path.starts_with(b"etc/");
        let of = if protected { Use::Configuration } else { Use::of(&path, &[]) };
        view.count(&mut tally, &path, of);
    }
    tally.fate()
}

/// The record without the files and folders that go.
fn stripped(view: View<'_>, record: &[u8]) -> Vec<u8> {
    let mut new = Vec::new();
    let mut folder: &[u8] = b"";
    let mut gone = false;
    for line in lines(record) {
        if let Some(name) = value(line, b'F') {
            (folder, gone) = (name, view.loses(name));
        } else if let Some(name) = value(line, b'R') {
            gone = view.loses(&[folder, b"/", name].concat());
        } else if !matches!(line, [b'M' | b'Z' | b'a', b':', ..]) {
            gone = false;
        }
        if !gone {
            new.extend_from_slice(line);
        }
    }
    new
}

fn is_marked(record: &[u8]) -> bool {
    let flags = lines(record).find_map(|line| value(line, b'f'));
    flags.is_some_and(|flags| flags.contains(&BROKEN))
}

/// The record with the flag (`f:`) that apk itself has for packages whose files are not all as they
/// should be. A field that it does not know would stop apk.
fn marked(record: &[u8]) -> Vec<u8> {
    if is_marked(record) {
        return record.to_vec();
    }
    let start = |begins: &[u8]| {
        let mut at = 0;
        lines(record).find_map(|line| {
            let here = at;
            at += line.len();
            line.starts_with(begins).then_some(here)
        })
    };
    if let Some(flags) = start(b"f:") {
        let (before, after) = record.split_at(flags + 2);
        return [before, &[BROKEN], after].concat();
    }
    let (before, after) = record.split_at(start(b"F:").unwrap_or(0));
    [before, &[b'f', b':', BROKEN, b'\n'], after].concat()
}

const BROKEN: u8 = b'f';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_a_flag_before_the_files_and_comes_once() {
        let once = marked(b"P:a\nV:1\nF:bin\nR:x\n\n");
        assert_eq!(once, b"P:a\nV:1\nf:f\nF:bin\nR:x\n\n");
        assert_eq!(marked(&once), once);
        assert_eq!(marked(b"P:a\nf:x\nF:bin\n"), b"P:a\nf:fx\nF:bin\n");
    }
}
