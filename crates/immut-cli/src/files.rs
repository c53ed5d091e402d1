//! Files that the user asked for: the receipt, the digest, the outputs of a CI step.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

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
        self.draft("").and_then(fs::remove_file)
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        let draft = self.draft(text)?;
        fs::rename(&draft, &self.path).inspect_err(|_| drop(fs::remove_file(&draft)))
    }

    /// A file beside the real one, made as any program makes files: the umask says who may read it.
    fn draft(&self, text: &str) -> io::Result<PathBuf> {
        let name = self.path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_string_lossy();
        let draft = self.path.with_file_name(format!(".{name}.{}", std::process::id()));
        fs::write(&draft, text).inspect_err(|_| drop(fs::remove_file(&draft)))?;
        Ok(draft)
    }

    fn append(&self, text: &str) -> io::Result<()> {
        OpenOptions::new().append(true).create(true).open(&self.path)?.write_all(text.as_bytes())
    }

    fn failed(&self, source: io::Error) -> Failure {
        Failure::Local { action: "write", path: self.asked.display().to_string(), source }
    }
}
