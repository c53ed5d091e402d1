//! `check`: Source -> Inventory -> Closure -> what keeps the image from starting.

use crate::error::{Error, LeftOut};
use crate::image::Platform;
use crate::inventory::Contents;
use crate::name::Digest;
use crate::needs::{Closure, Files, Learned, Look};
use crate::options::Options;
use crate::plan::{Conflict, obstacles};
use crate::planning::{Seen, see_image};
use crate::select::read;
use crate::store::{Layout, Source};

/// Whether one image can start, and what its start needs.
#[derive(Debug)]
pub struct Checked {
    /// The platform.
    pub platform: Platform,
    /// The digest of its manifest.
    pub digest: Digest,
    /// What its start needs.
    pub closure: Closure,
    /// What keeps it from starting; none that could be seen, if it is empty.
    pub conflicts: Vec<Conflict>,
    /// What could not be seen or proven.
    pub unseen: Vec<String>,
}

/// A check of an image: its platforms, and what was left out.
#[derive(Debug)]
pub struct Check {
    /// For each platform.
    pub platforms: Vec<Checked>,
    /// Lines of the index that were not looked into.
    pub left_out: Vec<LeftOut>,
}

/// Says whether an image can start as it is: its programs, their interpreters, loaders and libraries
/// are there, for the right processor, and its user may use them. Nothing is written but to the stage.
///
/// ```
/// # use immut_testkit::{Recipe, contents};
/// use immut_core::{Options, store::Layout};
/// let folder = tempfile::tempdir()?;
/// let image = Recipe::new().layer(|l| l.file("/start.sh", 0o755, "#!/bin/sh\nexec /app\n"))
///     .user("7").entrypoint(&["/start.sh"]).write(&folder.path().join("image"));
/// let source = Layout::open(&folder.path().join("image"))?;
/// let stage = Layout::temporary(&folder.path().join("stage"))?;
/// let check = immut_core::check(&image.digest.parse()?, &source, &stage, &Options::default())?;
/// let conflict = &check.platforms[0].conflicts[0];
/// assert_eq!(conflict.problem.to_string(), "cannot start: the interpreter /bin/sh is not in the image");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn check(
    digest: &Digest,
    source: &dyn Source,
    stage: &Layout,
    options: &Options,
) -> Result<Check, Error> {
    options.choices.check(&options.catalog)?;
    let (seen, beside) = see_image(&read(digest, source)?, source, Some(stage), options)?;
    let platforms = seen.into_iter().map(|one| checked(one, stage, options));
    Ok(Check { platforms: platforms.collect::<Result<_, _>>()?, left_out: beside.left_out })
}

fn checked(seen: Seen, stage: &Layout, options: &Options) -> Result<Checked, Error> {
    let (subject, learned) = (seen.subject(), Learned::default());
    let files = Files::new(Contents::new(&subject, stage), &learned);
    let (mut closure, against) = obstacles(&subject, &options.choices, &files);
    closure.tell_shell_users(&Look::new(&seen.inventory, &seen.config, &files));
    files.check()?;
    let unseen = closure.unseen().chain(&against.unseen).chain(seen.inventory.unseen());
    let unseen = unseen.cloned().collect();
    let (platform, digest) = (seen.platform, seen.manifest.digest());
    Ok(Checked { platform, digest, closure, conflicts: against.conflicts, unseen })
}
