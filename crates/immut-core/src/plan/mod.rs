//! What will be done to an image, as pure data: a [`Plan`] of [`Step`]s and [`Conflict`]s.
//!
//! A plan with conflicts cannot be carried out: [`Plan::settle`] is the only way to a
//! [`SettledPlan`], and `rewrite` takes nothing else.

mod accounts;
mod against;
mod app;
mod build;
mod choices;
mod conflicts;
mod convert;
mod drops;
mod keeping;
mod layering;
mod library_cache;
mod lowest;
mod needed;
mod packages;
mod places;
mod reach;
mod remarks;
mod removed;
mod surplus;
mod tables;
mod unreadable;
mod user;
mod writable;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

pub use app::{Applied, Change, EditedFile, Restart};
pub use build::Error;
pub(crate) use build::{kept, totals};
pub use choices::{Choices, Healthcheck, Recoding};
pub(crate) use conflicts::obstacles;
pub(crate) use layering::spread;
pub use layering::{Bundle, Layering};
pub use packages::{Package, Packages};
pub(crate) use places::{ANNOTATION, annotation};
pub use removed::Removed;
pub use writable::Writable;

pub use crate::apps::Mount;

use crate::finding::RuleId;
use crate::inventory::EntryId;
use crate::name::Digest;
use crate::needs::{Closure, Hop};
use crate::path::RootPath;

/// What will be done to one image, and what speaks against it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The digest of the manifest that it is for.
    pub source: Digest,
    /// What will be done. Empty: the image stays as it is, with its digest.
    pub steps: Vec<Step>,
    /// What would break.
    pub conflicts: Vec<Conflict>,
    /// What the start needs, as it will be.
    pub closure: Closure,
    /// What the app profile did, if one was applied.
    pub app: Option<Applied>,
    /// What a rule found and the user keeps.
    pub kept: Vec<Kept>,
    /// Scripts that stay although their interpreter goes; nothing that the start needs.
    pub orphaned: Vec<RootPath>,
    /// What changes for whoever runs the image.
    pub notes: Vec<String>,
    /// What could not be seen or proven.
    pub unseen: Vec<String>,
    /// What has to be writable under a read-only root, in order.
    pub writable: Vec<Writable>,
    /// What becomes of the packages that the image's databases name.
    pub packages: Packages,
    /// The merged view before.
    pub before: Totals,
    /// The merged view after.
    pub after: Totals,
}

/// Files of a merged view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Names of anything but directories.
    pub files: u64,
    /// Bytes of regular files, each once.
    pub bytes: u64,
}

/// The rules that something is because of; never empty. Shared, since one rule can be why thousands
/// of entries go.
pub type Because = Arc<BTreeSet<RuleId>>;

/// One change, with the rules it is because of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The change.
    pub action: Action,
    /// Why.
    pub because: Because,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// The name goes, with all beneath it, in every layer.
    Remove {
        /// The name.
        path: RootPath,
    },
    /// A hidden entry goes from its layer.
    DropHidden {
        /// Which.
        entry: EntryId,
        /// Its name.
        path: RootPath,
    },
    /// A whiteout or opaque marker that hides nothing any more goes.
    DropMarker {
        /// Which.
        entry: EntryId,
        /// What it hid.
        path: RootPath,
    },
    /// A table of contents or a landmark of a lazily pulled layer (eStargz) goes, since its layer is
    /// written anew.
    DropTable {
        /// Which.
        entry: EntryId,
        /// Its name.
        path: RootPath,
    },
    /// Mode bits are cleared, in every header that names the inode.
    ClearMode {
        /// A name of it.
        path: RootPath,
        /// The bits.
        bits: u16,
    },
    /// `security.capability` goes, from every header that names the inode.
    ClearCapability {
        /// A name of it.
        path: RootPath,
    },
    /// A name and all that lies beneath it change their owner, in every header that names their inodes;
    /// links themselves, not what they lead to. Files that have a name elsewhere too, devices and
    /// FIFOs keep theirs. The names of user and group go from these headers, for programs that go by
    /// names; engines go by numbers.
    SetOwner {
        /// The name.
        path: RootPath,
        /// Owner and group.
        owner: (u32, u32),
    },
    /// A hardlink becomes the regular file, since the name that carried the bytes goes.
    Carry {
        /// The hardlink.
        entry: EntryId,
        /// Its name.
        path: RootPath,
        /// The entry with the bytes.
        from: EntryId,
    },
    /// A hardlink gets another target, since its target goes.
    Relink {
        /// The hardlink.
        entry: EntryId,
        /// Its name.
        path: RootPath,
        /// Another name of the inode.
        target: RootPath,
    },
    /// A layer that the removal empties is left out.
    DropEmptied {
        /// Which, from 0.
        layer: usize,
    },
    /// A layer that was not compressed is.
    Compress {
        /// Which, from 0.
        layer: usize,
    },
    /// The files are laid out in these layers, the lowest first, in place of those that were.
    Arrange {
        /// The layers.
        bundles: Vec<Bundle>,
    },
    /// A file gets new content.
    EditFile {
        /// Which.
        path: RootPath,
        /// Its entry, if it is edited in place; else it comes in a layer on top.
        entry: Option<EntryId>,
        /// The new content.
        content: Vec<u8>,
    },
    /// A directory comes.
    AddDirectory {
        /// Which.
        path: RootPath,
        /// Permission bits.
        mode: u16,
        /// Owner and group.
        owner: (u32, u32),
        /// The layer at whose end it comes, from 0; else a layer on top.
        layer: Option<usize>,
    },
    /// The user changes.
    SetUser {
        /// As the config had it.
        from: String,
        /// In numbers.
        to: String,
    },
    /// The entrypoint changes.
    SetEntrypoint {
        /// The new one.
        to: Vec<String>,
    },
    /// The default arguments change.
    SetCmd {
        /// The new ones.
        to: Vec<String>,
    },
    /// An environment variable gets a value.
    SetVariable {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// The working directory changes.
    SetWorkingDir {
        /// The new one.
        to: String,
    },
    /// The health check changes; none: it goes.
    SetHealthcheck {
        /// The new one, as Docker's config has it.
        to: Option<Value>,
    },
    /// A port that the image exposes is another.
    MovePort {
        /// The old one.
        from: u16,
        /// The new one.
        to: u16,
    },
}

/// Something that a rule found and the user keeps.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kept {
    /// The name.
    pub path: RootPath,
    /// The rule that found it.
    pub rule: RuleId,
}

/// Why an image would not start as planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The part of the config that needs it, such as `/config/Entrypoint`.
    pub pointer: &'static str,
    /// What is wrong, as a sentence fragment.
    pub problem: Problem,
    /// How the need arises, from the config to the file.
    pub chain: Vec<Hop>,
    /// Why the command of the shell form was not converted to the exec form.
    pub unconverted: Option<String>,
    /// The flags that would settle it, best first.
    pub settle: Vec<String>,
}

/// What speaks against a plan.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Problem {
    /// The start needs a name that is to be removed.
    Removed {
        /// The name.
        path: RootPath,
        /// The rules that remove it.
        because: Because,
    },
    /// The user cannot reach, read or execute a file, or enter a directory.
    Denied {
        /// The user.
        user: String,
        /// What it cannot do, such as `execute`.
        right: &'static str,
        /// Where it fails.
        path: RootPath,
        /// The mode there.
        mode: u16,
        /// The owner and group there.
        owner: (u32, u32),
    },
    /// The start needs something that is not there, or not fit.
    Broken {
        /// What is wrong, as a sentence fragment.
        what: String,
    },
    /// The config names a user that the image does not know.
    NoSuchUser {
        /// As the config has it.
        user: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed { path, because } => {
                let rules = because.iter().map(RuleId::as_str).collect::<Vec<_>>().join(", ");
                write!(f, "needs {path}, which rule {rules} removes")
            }
            Self::Denied { user, right, path, mode, owner: (uid, gid) } => {
                write!(f, "user {user} may not {right} {path} (mode {mode:04o}, owner {uid}:{gid})")
            }
            Self::Broken { what } => write!(f, "cannot start: {what}"),
            Self::NoSuchUser { user } => {
                write!(f, "user {user:?} is not in the image's /etc/passwd and /etc/group")
            }
        }
    }
}

/// A plan without conflicts.
#[derive(Debug, Clone)]
pub struct SettledPlan(Plan);

impl Plan {
    /// The plan, if nothing speaks against it; else the plan back.
    ///
    /// ```
    /// # use immut_testkit::{Recipe, contents};
    /// # use immut_core::{Options, store::Layout};
    /// let folder = tempfile::tempdir()?;
    /// let image = Recipe::new().layer(|l| l.file("/app", 0o755, contents::program())).user("7").entrypoint(&["/app"])
    ///     .write(&folder.path().join("image"));
    /// let source = Layout::open(&folder.path().join("image"))?;
    /// let (digest, stage) = (image.digest.parse()?, Layout::temporary(&folder.path().join("stage"))?);
    /// let planning = immut_core::plan(&digest, &source, &stage, &Options::default())?;
    /// assert!(planning.platforms.into_iter().all(|one| one.plan.settle().is_ok()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[expect(clippy::result_large_err, reason = "a refused plan is the product, not an exception")]
    pub fn settle(self) -> Result<SettledPlan, Self> {
        if self.conflicts.is_empty() { Ok(SettledPlan(self)) } else { Err(self) }
    }

    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl Action {
    /// The file that it is about; none for the config and whole layers.
    pub fn path(&self) -> Option<&RootPath> {
        match self {
            Self::Remove { path }
            | Self::DropHidden { path, .. }
            | Self::DropMarker { path, .. }
            | Self::DropTable { path, .. }
            | Self::ClearMode { path, .. }
            | Self::ClearCapability { path }
            | Self::SetOwner { path, .. }
            | Self::Carry { path, .. }
            | Self::Relink { path, .. }
            | Self::EditFile { path, .. }
            | Self::AddDirectory { path, .. } => Some(path),
            Self::DropEmptied { .. }
            | Self::Compress { .. }
            | Self::Arrange { .. }
            | Self::SetUser { .. }
            | Self::SetEntrypoint { .. }
            | Self::SetCmd { .. }
            | Self::SetVariable { .. }
            | Self::SetWorkingDir { .. }
            | Self::SetHealthcheck { .. }
            | Self::MovePort { .. } => None,
        }
    }
}

impl SettledPlan {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.0
    }

    /// The plan, when it was carried out.
    pub fn into_plan(self) -> Plan {
        self.0
    }
}

/// A command line as JSON, the way flags take it.
pub fn command_line(words: &[String]) -> String {
    Value::from(words).to_string()
}

/// A rule of the built-in catalog that plans refer to.
fn id(rule: &str) -> RuleId {
    rule.parse().expect("rule ids in code are valid")
}

/// That rule alone.
fn because(rule: RuleId) -> Because {
    Because::new(BTreeSet::from([rule]))
}

#[cfg(test)]
mod tests;
