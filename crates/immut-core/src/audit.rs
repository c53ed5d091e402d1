//! `audit`: Source -> Inventory -> Findings.

use crate::error::{Error, LeftOut};
use crate::finding::Finding;
use crate::image::Platform;
use crate::name::Digest;
use crate::options::Options;
use crate::plan::{Kept, Totals, kept, totals};
use crate::planning::{Seen, see_image};
use crate::rules::examine;
use crate::select::read;
use crate::store::Source;

/// What was found in one image.
#[derive(Debug)]
pub struct Audited {
    /// The platform.
    pub platform: Platform,
    /// The digest of its manifest.
    pub digest: Digest,
    /// What was found, but for what is kept.
    pub findings: Vec<Finding>,
    /// What was found and is kept.
    pub kept: Vec<Kept>,
    /// Its files.
    pub totals: Totals,
    /// What could not be seen.
    pub unseen: Vec<String>,
}

/// An audit of an image: its platforms, and what was left out.
#[derive(Debug)]
pub struct Audit {
    /// For each platform.
    pub platforms: Vec<Audited>,
    /// Lines of the index that were not looked into.
    pub left_out: Vec<LeftOut>,
}

/// Says what rules find in an image; nothing is written.
///
/// ```
/// # use immut_testkit::{Recipe, contents};
/// use immut_core::{Options, store::Layout};
/// let folder = tempfile::tempdir()?;
/// let image = Recipe::new().layer(|l| l.file("/bin/bash", 0o755, contents::bash()))
///     .user("7").write(&folder.path().join("image"));
/// let source = Layout::open(&folder.path().join("image"))?;
/// let audit = immut_core::audit(&image.digest.parse()?, &source, &Options::default())?;
/// assert_eq!(audit.platforms[0].findings[0].rule.as_str(), "shell");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn audit(digest: &Digest, source: &dyn Source, options: &Options) -> Result<Audit, Error> {
    options.choices.check(&options.catalog)?;
    let (seen, beside) = see_image(&read(digest, source)?, source, None, options)?;
    let platforms = seen.into_iter().map(|one| audited(one, options)).collect();
    Ok(Audit { platforms, left_out: beside.left_out })
}

fn audited(seen: Seen, options: &Options) -> Audited {
    let mut findings = examine(&options.catalog, &seen.subject());
    let kept = kept(&options.catalog, &seen.inventory, &findings, &options.choices);
    findings.retain(|finding| {
        let same = |kept: &Kept| {
            kept.rule == finding.rule
                && finding.subject.path().is_some_and(|path| *path == kept.path)
        };
        !options.choices.profile.keeps_rule(&finding.rule) && !kept.iter().any(same)
    });
    Audited {
        platform: seen.platform,
        digest: seen.manifest.digest(),
        findings,
        kept,
        totals: totals(&seen.inventory, seen.inventory.names()),
        unseen: seen.inventory.unseen().to_vec(),
    }
}
