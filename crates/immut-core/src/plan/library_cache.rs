//! `/etc/ld.so.cache` brought in step with the libraries that go.

use super::accounts::Edit;
use super::{Action, Step, because, id};
use crate::needs::{LIBRARY_CACHE, Look};
use crate::path::RootPath;

impl Edit<'_> {
    /// The cache without the libraries that go, if it names one.
    pub(super) fn library_cache(&self, look: &Look<'_>) -> Option<Step> {
        let path: RootPath = LIBRARY_CACHE.parse().ok()?;
        if self.goes(LIBRARY_CACHE) {
            return None;
        }
        let goes = |path: &[u8]| str::from_utf8(path).is_ok_and(|path| self.goes(path));
        let (path, content) = look.library_cache_without(&path, goes)?;
        let entry = self.in_place(&path);
        let action = Action::EditFile { path, entry, content };
        Some(Step { action, because: because(id("library-cache")) })
    }
}
