//! [`Lines`]: files that list a package's files, a line for each.

use super::tally::{Tally, Use, relative};
use super::{Fate, View};

/// What a line of a list looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    /// A path, in newer lists of opkg with more after a tab.
    Paths,
    /// A checksum and a path, as `md5sum` writes them.
    Sums,
    /// pacman's: a path, or in the section `%BACKUP%` a path, a tab and a checksum.
    Sections,
}

impl Lines {
    /// What becomes of the package whose list it is; `configuration` is sorted.
    pub(super) fn fate(self, view: View<'_>, list: &[u8], configuration: &[&[u8]]) -> Fate {
        let mut tally = Tally::default();
        let lines = list.split(|byte| *byte == b'\n');
        for path in lines.filter(|line| !self.is_backup(line)).filter_map(|line| self.path(line)) {
            view.count(&mut tally, path, Use::of(path, configuration));
        }
        tally.fate()
    }

    /// The paths that the list itself says are configuration, sorted.
    pub(super) fn configuration(self, list: &[u8]) -> Vec<&[u8]> {
        let lines = list.split(|byte| *byte == b'\n').filter(|line| self.is_backup(line));
        let mut paths: Vec<&[u8]> =
            lines.filter_map(|line| self.path(line)).map(relative).collect();
        paths.sort_unstable();
        paths
    }

    /// The list without lines about what goes.
    pub(super) fn without_lost(self, view: View<'_>, list: &[u8]) -> Vec<u8> {
        let lines = list.split_inclusive(|byte| *byte == b'\n');
        let stays = lines.filter(|line| {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            !self.path(line).is_some_and(|path| view.loses(path))
        });
        stays.flatten().copied().collect()
    }

    /// The paths of a list.
    pub(super) fn paths(self, list: &[u8]) -> impl Iterator<Item = &[u8]> {
        list.split(|byte| *byte == b'\n').filter_map(move |line| self.path(line))
    }

    fn path(self, line: &[u8]) -> Option<&[u8]> {
        let path = match self {
            Self::Sums => line.get(32..)?.strip_prefix(b"  ")?,
            Self::Sections if line.starts_with(b"%") => return None,
            Self::Paths | Self::Sections => before_tab(line),
        };
        (!path.is_empty()).then_some(path)
    }

    fn is_backup(self, line: &[u8]) -> bool {
        self == Self::Sections && line.contains(&b'\t')
    }
}

fn before_tab(line: &[u8]) -> &[u8] {
    line.split(|byte| *byte == b'\t').next().unwrap_or_default()
}
