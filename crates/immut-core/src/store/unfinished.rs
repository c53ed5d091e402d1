//! Files and folders that are not complete yet: they get their name when they are.
//!
//! Whatever ends a process before that, nobody takes them for the real thing. An error removes them,
//! a signal does if the program calls [`discard_unfinished`], and what a killed process left is
//! removed by the next one that writes to the same place: each process holds a lock on what it is
//! writing, so what is not locked belongs to nobody any more.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How the names of unfinished things begin.
pub(super) const PREFIX: &str = ".immut-";

/// All that this process has not finished; none once it is ending.
static ALL: Mutex<Option<BTreeSet<PathBuf>>> = Mutex::new(Some(BTreeSet::new()));
/// The number of the next one.
static NEXT: AtomicU64 = AtomicU64::new(0);
/// What gets its place at this moment.
static CLAIMED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Removes everything that this process has not finished: drafts of layouts and archives, and
/// stages. For a program that is about to end because of a signal: nothing can be begun afterwards.
///
/// ```
/// use immut_core::store::{Layout, Unfinished, discard_unfinished};
/// let folder = tempfile::tempdir()?;
/// let stage = Unfinished::folder(folder.path(), "stage", 0o700)?;
/// assert!(stage.path().is_dir());
/// discard_unfinished();
/// assert!(Layout::temporary(stage.path()).is_err());
/// assert!(!stage.path().exists());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn discard_unfinished() {
    let paths = all().take().unwrap_or_default();
    // Other threads may still be writing there.
    until(|| paths.iter().filter(|path| remove(path).is_err() || path.exists()).count() == 0);
    // What gets its place is let finish: it is a matter of milliseconds.
    until(|| claimed().is_empty());
}

/// A file or folder that is removed unless it gets its place, see [`Unfinished::place_at`].
#[derive(Debug)]
pub struct Unfinished {
    path: PathBuf,
    /// Locked as long as this process is writing.
    lock: File,
}

impl Unfinished {
    /// A new folder in `parent`, which is for something called `name`.
    ///
    /// `mode` are its permission bits, of which the umask takes some away.
    pub fn folder(parent: &Path, name: &str, mode: u32) -> io::Result<Self> {
        Self::new(parent, name, |path| {
            DirBuilder::new().mode(mode).create(path)?;
            File::open(path)
        })
    }

    /// A new file in `parent`, for something called `name`; it can be read and written through
    /// [`Unfinished::handle`].
    pub fn file(parent: &Path, name: &str) -> io::Result<Self> {
        Self::new(parent, name, |path| {
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o666).open(path)
        })
    }

    fn new(
        parent: &Path,
        name: &str,
        make: impl Fn(&Path) -> io::Result<File>,
    ) -> io::Result<Self> {
        // A name may be as long as the file system allows, and ours is longer.
        let name: String = name.chars().take(LONGEST_NAME).collect();
        let prefix = format!("{PREFIX}{name}-");
        // Held until ours is locked: nobody may take it for a leftover before.
        let _entered = enter(parent, &[(parent, &prefix)]);
        loop {
            // Never the same name twice: what was placed must not take a later one along when it goes.
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("{prefix}{}-{number}", std::process::id()));
            let mut all = all();
            let Some(all) = all.as_mut() else { return Err(ending()) };
            match make(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(lock) => {
                    all.insert(path.clone());
                    lock.try_lock().ok();
                    return Ok(Self { path, lock });
                }
            }
        }
    }

    /// Where it lies for now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file, or the open folder.
    pub fn handle(&self) -> &File {
        &self.lock
    }

    /// Takes it out of the reach of [`discard_unfinished`], for the moment in which it gets its place:
    /// what is half removed must not be placed. Fails when it is being removed already.
    pub fn claim(&self) -> io::Result<()> {
        let mut all = all();
        let was_there = all.as_mut().is_some_and(|all| all.remove(&self.path));
        if !was_there {
            return Err(ending());
        }
        claimed().insert(self.path.clone());
        Ok(())
    }

    /// Removes what is left of it. Known until it is gone: a signal that comes meanwhile waits for that.
    pub(super) fn give_up(&self) {
        remove(&self.path).ok();
        if let Some(all) = all().as_mut() {
            all.remove(&self.path);
        }
        claimed().remove(&self.path);
    }

    /// Gives it its place: a file there is replaced, a folder there has to be empty. It has to be
    /// claimed before.
    pub fn place_at(&self, place: &Path) -> io::Result<()> {
        fs::rename(&self.path, place)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// Enters a folder to write in it: while the file that is given back lives, nobody else sweeps there.
/// If nobody else is in it, leftovers go first: what begins so in these folders and is not locked.
///
/// None where the file system has no locks; then nothing is removed either.
pub(super) fn enter(folder: &Path, leftovers: &[(&Path, &str)]) -> Option<File> {
    let lock = File::open(folder).ok()?;
    if lock.try_lock().is_ok() {
        for (folder, prefix) in leftovers {
            sweep(folder, prefix);
        }
        lock.unlock().ok()?;
    }
    // Somebody may be sweeping at this moment: whoever writes unseen would be swept by the next.
    let began = Instant::now();
    loop {
        match lock.try_lock_shared() {
            Ok(()) => return Some(lock),
            Err(TryLockError::WouldBlock) if began.elapsed() < LONGEST_SWEEP => {
                thread::sleep(PAUSE);
            }
            Err(_) => return None,
        }
    }
}

/// Makes a folder and those above it, unless the process is ending: what was removed must not come
/// back.
pub(super) fn create_folders(folder: &Path) -> io::Result<()> {
    match all().as_ref() {
        Some(_) => fs::create_dir_all(folder),
        None => Err(ending()),
    }
}

/// Removes what begins with `prefix`, goes on as we name things, and is locked by nobody.
fn sweep(folder: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let ours =
            entry.file_name().to_str().and_then(|name| name.strip_prefix(prefix)).is_some_and(
                |rest| {
                    rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                        && !rest.is_empty()
                },
            );
        let plain = entry.file_type().is_ok_and(|kind| kind.is_file() || kind.is_dir());
        let path = entry.path();
        if ours && plain && File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
            remove(&path).ok();
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

/// An exclusive lock on a file, for as long as what is given back lives; none where the file system
/// has no locks. Whoever may read the file can hold it too, so the wait has an end.
pub(super) fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = File::open(path)?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::Error(_)) => return Ok(None),
            Err(TryLockError::WouldBlock) if began.elapsed() < LONGEST_LOCK => {
                thread::sleep(PAUSE);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other("another process has held its lock for a minute"));
            }
        }
    }
}

fn until(done: impl Fn() -> bool) {
    for _ in 0..ATTEMPTS {
        if done() {
            return;
        }
        thread::sleep(PAUSE);
    }
}

fn claimed() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    CLAIMED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ending() -> io::Error {
    io::Error::new(io::ErrorKind::Interrupted, "the process is ending")
}

fn all() -> MutexGuard<'static, Option<BTreeSet<PathBuf>>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A foreign lock on the folder must not stop us.
const LONGEST_SWEEP: Duration = Duration::from_secs(10);
const LONGEST_LOCK: Duration = Duration::from_mins(1);
/// Letters of a name that are kept in the name of its draft.
const LONGEST_NAME: usize = 40;
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder").flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn what_is_given_up_vanishes_and_what_is_placed_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(Unfinished::folder(folder.path(), "x", 0o755).expect("made"));
        drop(Unfinished::file(folder.path(), "x").expect("made"));
        assert_eq!(names(folder.path()), Vec::<String>::new());
        let file = Unfinished::file(folder.path(), "x").expect("made");
        file.claim().expect("ours");
        file.place_at(&folder.path().join("x")).expect("placed");
        assert!(file.claim().is_err());
        drop(file);
        assert_eq!(names(folder.path()), ["x"]);
    }

    #[test]
    fn leftovers_go_and_what_is_being_written_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        for leftover in [".immut-x-1-0", ".immut-x-1-1", ".immut-other-1-0"] {
            fs::create_dir_all(folder.path().join(leftover).join("blobs")).expect("a folder");
        }
        let first = Unfinished::folder(folder.path(), "x", 0o755).expect("made");
        let second = Unfinished::folder(folder.path(), "x", 0o755).expect("made");
        assert!(first.path().is_dir() && second.path().is_dir());
        let ours = [first.path(), second.path()]
            .map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned());
        let (mut left, mut expected) = (names(folder.path()), ours.to_vec());
        expected.push(".immut-other-1-0".to_owned());
        left.sort();
        expected.sort();
        assert_eq!(left, expected);
    }
}
