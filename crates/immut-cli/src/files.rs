//! Files that the user asked for: the receipt, the digest, the outputs of a CI step.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use immut_core::store::Unfinished;

use crate::exit::Failure;

/// A file that will be written when the work is done.
///
/// It is tried out first: an image must not be published whose receipt cannot be written.
#[derive(Debug)]
pub(crate) struct Output {
    /// As the user wrote it, for messages.
    asked: PathBuf,
    /// With links followed.
    path: PathBuf,
    replaced: bool,
}

impl Output {
    /// A file whose old content is replaced as a whole.
    pub(crate) fn replaced(path: &Path) -> Result<Self, Failure> {
        let asked = path.to_owned();
        let real = fs::canonicalize(path).unwrap_or_else(|_| asked.clone());
        // A pipe or a terminal (`--receipt /dev/stderr`) is written to, never replaced.
        let special = fs::metadata(&real).is_ok_and(|file| !file.is_file() && !file.is_dir());
        let output = Self { asked, path: real, replaced: !special };
        output.try_out().map_err(|source| output.failed(source))?;
        Ok(output)
    }

    /// A file that grows.
    pub(crate) fn appended(path: &Path) -> Result<Self, Failure> {
        let output = Self { asked: path.to_owned(), path: path.to_owned(), replaced: false };
        output.append("").map_err(|source| output.failed(source))?;
        Ok(output)
    }

    /// Writes all of the text; a file that is replaced has all of it or is as it was.
    pub(crate) fn write(&self, text: &str) -> Result<(), Failure> {
        let written = if self.replaced { self.replace(text) } else { self.append(text) };
        written.map_err(|source| self.failed(source))
    }

    fn try_out(&self) -> io::Result<()> {
        if !self.replaced {
            return self.append("");
        }
        if self.path.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        self.draft().map(drop)
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        let draft = self.draft()?;
        draft.handle().write_all(text.as_bytes())?;
        draft.claim()?;
        draft.place_at(&self.path)
    }

    /// A file beside the real one, made as any program makes files: the umask says who may read it.
    fn draft(&self) -> io::Result<Unfinished> {
        let name = self.path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_string_lossy();
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        Unfinished::file(folder.unwrap_or(Path::new(".")), &name)
    }

    fn append(&self, text: &str) -> io::Result<()> {
        OpenOptions::new().append(true).create(true).open(&self.path)?.write_all(text.as_bytes())
    }

    fn failed(&self, source: io::Error) -> Failure {
        Failure::Local { action: "write", path: self.asked.display().to_string(), source }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_leftovers_of_killed_runs_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("plain"), "").expect("written");
        fs::write(at("receipt"), "old").expect("written");
        fs::write(at(".immut-receipt-1-0"), "half").expect("written");
        std::os::unix::fs::symlink("receipt", at("link")).expect("linked");
        let output = Output::replaced(&at("link")).expect("can be written");
        assert_eq!(fs::read_to_string(at("receipt")).expect("a file"), "old");
        output.write("new").expect("written");
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["link", "plain", "receipt"]);
        assert_eq!(fs::read_to_string(at("receipt")).expect("a file"), "new");
        let mode = |name| fs::metadata(at(name)).expect("a file").permissions().mode();
        assert_eq!(mode("receipt"), mode("plain"), "the umask decides");
    }

    #[test]
    fn what_is_no_file_is_written_to_and_stays() {
        let output = Output::replaced(Path::new("/dev/null")).expect("can be written");
        output.write("text").expect("written");
        assert!(fs::metadata("/dev/null").expect("there").file_type().is_char_device());
        assert!(Output::replaced(Path::new("/")).is_err());
    }
}
