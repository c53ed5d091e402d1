//! [`Tally`]: what a package loses, and whether that is all of it.

use super::Fate;

/// Files of a package that were there, that stay, and that were missing already, by what they are for.
#[derive(Debug, Default)]
pub(super) struct Tally {
    before: [u64; 3],
    after: [u64; 3],
    missing: [u64; 3],
}

/// What a file of a package is for, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// It does what the package is there for.
    Work,
    /// The package manager calls it configuration.
    Configuration,
    /// People or the tools of a distribution read it, copyright files among them.
    Reading,
}

impl Use {
    /// Of a path as a database lists it; `configuration` is sorted.
    pub(super) fn of(path: &[u8], configuration: &[&[u8]]) -> Self {
        let path = relative(path);
        if configuration.binary_search(&path).is_ok() {
            Self::Configuration
        } else if READING.iter().any(|folder| path.starts_with(folder)) {
            Self::Reading
        } else {
            Self::Work
        }
    }
}

impl Tally {
    pub(super) fn count(&mut self, of: Use, goes: bool) {
        self.before[of as usize] += 1;
        self.after[of as usize] += u64::from(!goes);
    }

    /// Counts a file that is not there although the database says so.
    pub(super) fn miss(&mut self, of: Use) {
        self.missing[of as usize] += 1;
    }

    /// Whether nothing was left of it before.
    pub(super) fn was_gone(&self) -> bool {
        self.best().is_some_and(|best| self.before[best] == 0)
    }

    fn best(&self) -> Option<usize> {
        self.before.iter().zip(&self.missing).position(|(before, missing)| before + missing > 0)
    }

    /// A package is what the best of its files are: without any of these it is gone, even where its
    /// configuration or its copyright file stays. What people read does not count as a part that is
    /// missing.
    pub(super) fn fate(&self) -> Fate {
        let Some(best) = self.best() else { return Fate::Kept };
        let needed = ..Use::Reading as usize;
        let misses = self.missing[needed].iter().any(|count| *count > 0);
        if self.after[best] == 0 {
            Fate::Removed
        } else if self.before[needed] == self.after[needed] && !misses {
            Fate::Kept
        } else {
            Fate::Partly
        }
    }
}

/// A listed path as names in an image are: without a slash in front.
pub(super) fn relative(path: &[u8]) -> &[u8] {
    path.strip_prefix(b"/").unwrap_or(path)
}

const READING: [&[u8]; 11] = [
    b"usr/lib/.build-id/",
    b"usr/share/bug/",
    b"usr/share/debianutils/shells.d/",
    b"usr/share/doc-base/",
    b"usr/share/doc/",
    b"usr/share/info/",
    b"usr/share/licenses/",
    b"usr/share/lintian/",
    b"usr/share/locale/",
    b"usr/share/man/",
    b"usr/share/menu/",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(files: &[(Use, bool)]) -> Fate {
        let mut tally = Tally::default();
        for (of, goes) in files {
            tally.count(*of, *goes);
        }
        tally.fate()
    }

    #[test]
    fn a_package_is_what_the_best_of_its_files_are() {
        use Use::{Configuration, Reading, Work};
        assert_eq!(fate(&[]), Fate::Kept);
        assert_eq!(fate(&[(Work, true), (Configuration, false), (Reading, false)]), Fate::Removed);
        assert_eq!(fate(&[(Work, true), (Work, false)]), Fate::Partly);
        assert_eq!(fate(&[(Work, false), (Configuration, true)]), Fate::Partly);
        assert_eq!(fate(&[(Work, false), (Reading, true)]), Fate::Kept);
        assert_eq!(fate(&[(Configuration, true), (Reading, false)]), Fate::Removed);
        assert_eq!(fate(&[(Reading, true), (Reading, false)]), Fate::Kept);
        assert_eq!(fate(&[(Reading, true)]), Fate::Removed);
    }

    #[test]
    fn files_are_for_work_unless_a_list_or_a_folder_says_otherwise() {
        let configuration: [&[u8]; 2] = [b"etc/a", b"etc/b"];
        for (path, of) in [
            ("/etc/b", Use::Configuration),
            ("etc/a", Use::Configuration),
            ("/etc/c", Use::Work),
            ("/usr/share/doc/x/copyright", Use::Reading),
            ("/usr/share/docs", Use::Work),
        ] {
            assert_eq!(Use::of(path.as_bytes(), &configuration), of, "{path}");
        }
    }
}
