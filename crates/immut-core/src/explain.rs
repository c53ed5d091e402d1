//! `explain`: why a path of an image stays or goes, and who needs it.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::error::Error;
use crate::finding::Finding;
use crate::image::Platform;
use crate::inventory::{Inventory, Kind};
use crate::name::Digest;
use crate::needs::{Edge, Hop, Start};
use crate::options::Options;
use crate::path::RootPath;
use crate::plan::{Action, Because, Conflict, Plan, Problem};
use crate::planning::{Planned, plan};
use crate::rules::Base;
use crate::store::{Layout, Source};

/// The most hops that are told of a path, in one start; people read some ten.
const MOST_HOPS: usize = 1000;

/// Why a path of one image stays or goes.
#[derive(Debug)]
pub struct Explanation {
    /// The platform.
    pub platform: Platform,
    /// The path as it was asked for.
    pub path: RootPath,
    /// What is there; none: nothing, in the merged view.
    pub there: Option<There>,
    /// Layers that hold it hidden, from 0.
    pub hidden: BTreeSet<usize>,
    /// The steps that are about it, with the rules; those too that only drop what of it is hidden.
    pub steps: Vec<(Action, Because)>,
    /// What rules found of it, or of a directory above that goes.
    pub findings: Vec<Finding>,
    /// What speaks against the plan because of it, in words.
    pub conflicts: Vec<String>,
    /// Who needs it, and who needs that.
    pub needed: Vec<Needed>,
    /// The part of the base that it is of, which stays in every profile.
    pub base: Option<String>,
}

/// What becomes of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is not in the image, not hidden either.
    Absent,
    /// It goes.
    Goes,
    /// It stays, and a step changes it.
    Changes,
    /// It stays as it is.
    Stays,
}

/// What is at a path.
#[derive(Debug)]
pub struct There {
    /// The links on the way.
    pub links: Vec<RootPath>,
    /// The name at the end.
    pub path: RootPath,
    /// `file`, `directory`, `link` or `special`.
    pub kind: &'static str,
    /// Bytes of a regular file.
    pub size: u64,
    /// Permission bits.
    pub mode: u16,
    /// Owner and group.
    pub owner: (u32, u32),
    /// The layer that holds it, from 0; none for a directory that no layer mentions.
    pub layer: Option<usize>,
}

/// One way in which something is needed.
#[derive(Debug)]
pub struct Needed {
    /// The part of the config that it comes from.
    pub pointer: &'static str,
    /// The file that needs it; none: the config itself.
    pub by: Option<RootPath>,
    /// The evidence.
    pub why: Vec<Hop>,
    /// Who needs that file.
    pub needed: Vec<Needed>,
}

/// Says of paths of an image why they stay or go, for each platform, in that order.
///
/// ```
/// # use immut_testkit::{Recipe, contents};
/// use immut_core::{Options, store::Layout};
/// let folder = tempfile::tempdir()?;
/// let image = Recipe::new().layer(|l| l.file("/start", 0o755, "#!/run\n").file("/run", 0o755, contents::program()))
///     .user("7").entrypoint(&["/start"]).write(&folder.path().join("image"));
/// let source = Layout::open(&folder.path().join("image"))?;
/// let stage = Layout::temporary(&folder.path().join("stage"))?;
/// let (digest, paths) = (image.digest.parse()?, ["/run".parse()?]);
/// let explained = immut_core::explain(&digest, &source, &stage, &paths, &Options::default())?;
/// assert!(explained[0].steps.is_empty());
/// assert_eq!(explained[0].needed[0].by, Some("/start".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn explain(
    digest: &Digest,
    source: &dyn Source,
    stage: &Layout,
    paths: &[RootPath],
    options: &Options,
) -> Result<Vec<Explanation>, Error> {
    let planning = plan(digest, source, stage, options)?;
    let each = |one| paths.iter().map(move |path| of(one, path));
    Ok(planning.platforms.iter().flat_map(each).collect())
}

impl Explanation {
    /// What becomes of it: of what is there in the merged view, and only where nothing is, of what is
    /// hidden. Layers below and a later one can hold the same path, and the hidden go alone.
    pub fn fate(&self) -> Fate {
        if self.there.is_none() && self.hidden.is_empty() {
            return Fate::Absent;
        }
        let layer = self.there.as_ref().map(|there| there.layer);
        let fate = |action: &Action| match action {
            Action::Remove { .. } => Fate::Goes,
            Action::DropHidden { .. } if layer.is_none() => Fate::Goes,
            Action::DropTable { entry, .. } if layer == Some(Some(entry.layer as usize)) => {
                Fate::Goes
            }
            Action::DropHidden { .. } | Action::DropMarker { .. } | Action::DropTable { .. } => {
                Fate::Stays
            }
            _ => Fate::Changes,
        };
        let fates: Vec<Fate> = self.steps.iter().map(|(action, _)| fate(action)).collect();
        let first = [Fate::Goes, Fate::Changes].into_iter().find(|fate| fates.contains(fate));
        first.unwrap_or(Fate::Stays)
    }
}

impl Fate {
    /// As JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Goes => "goes",
            Self::Changes => "changes",
            Self::Stays => "stays",
        }
    }
}

fn of(planned: &Planned, path: &RootPath) -> Explanation {
    let Planned { platform, inventory, findings, plan, .. } = planned;
    let there = there(inventory, path);
    let mut names = vec![path.clone()];
    names.extend(there.iter().map(|there| there.path.clone()));
    let concerns = |of: &RootPath| names.iter().any(|name| name.is_within(of));
    let hidden = inventory.entries().filter(|(id, entry)| {
        entry.path == *path && entry.inode.is_some() && inventory.is_hidden(*id)
    });
    let steps = plan.steps.iter().filter(|step| step.action.path().is_some_and(concerns));
    let found = findings.iter().filter(|finding| finding.subject.path().is_some_and(concerns));
    let conflicts = plan.conflicts.iter().filter(|conflict| is_about(conflict, &names));
    let base = Base::builtin();
    Explanation {
        platform: platform.clone(),
        path: path.clone(),
        hidden: hidden.map(|(id, _)| id.layer as usize).collect(),
        steps: steps.map(|step| (step.action.clone(), step.because.clone())).collect(),
        findings: found.cloned().collect(),
        conflicts: conflicts.map(|one| one.problem.to_string()).collect(),
        needed: needed(plan, inventory, &names),
        base: names.iter().find_map(|name| base.part_of(name)).map(|part| part.id.clone()),
        there,
    }
}

/// Whether a conflict arises because of one of the names.
fn is_about(conflict: &Conflict, names: &[RootPath]) -> bool {
    match &conflict.problem {
        Problem::Removed { path, .. } | Problem::Denied { path, .. } => names.contains(path),
        Problem::Broken { .. } => conflict.chain.iter().any(|hop| match hop {
            Hop::File(path) | Hop::Link(path) => names.contains(path),
            _ => false,
        }),
        Problem::NoSuchUser { .. } => false,
    }
}

fn there(inventory: &Inventory, path: &RootPath) -> Option<There> {
    let resolution = inventory.resolve(path);
    let found = resolution.found?;
    let name = inventory.names().get(&found);
    let inode = inventory.lookup(&found)?;
    let kind = match inode.kind {
        Kind::Directory => "directory",
        Kind::Symlink(_) => "link",
        Kind::File => "file",
        _ => "special",
    };
    Some(There {
        links: resolution.links,
        kind,
        size: inode.size,
        mode: inode.mode,
        owner: (inode.uid, inode.gid),
        layer: name.and_then(|name| name.entry).map(|id| id.layer as usize),
        path: found,
    })
}

/// Who needs one of the names.
fn needed(plan: &Plan, inventory: &Inventory, names: &[RootPath]) -> Vec<Needed> {
    let of_start = |start: &Start| {
        let leads = |edge: &&Edge| {
            let folder = start.needs[edge.to].is_folder(inventory);
            names.iter().any(|name| {
                edge.leads_to(start, name) || folder && name.is_within(&start.needs[edge.to].path)
            })
        };
        let mut ways = Ways::of(start);
        let edges = start.edges.iter().filter(leads).take(MOST_HOPS);
        edges.map(|edge| ways.up(edge, &mut HashSet::new())).collect::<Vec<_>>()
    };
    let mut all: Vec<Needed> = plan.closure.starts.iter().flat_map(of_start).collect();
    all.dedup_by(|a, b| (a.pointer, &a.by, &a.why) == (b.pointer, &b.by, &b.why));
    all
}

/// Ways up to the config, in one start.
struct Ways<'a> {
    start: &'a Start,
    /// The edges that lead to each need.
    above: HashMap<usize, Vec<&'a Edge>>,
    /// How many more hops are told.
    left: usize,
}

impl<'a> Ways<'a> {
    fn of(start: &'a Start) -> Self {
        let mut above: HashMap<usize, Vec<&Edge>> = HashMap::new();
        for edge in &start.edges {
            above.entry(edge.to).or_default().push(edge);
        }
        Self { start, above, left: MOST_HOPS }
    }

    /// From an edge up to the config; what was shown already is not followed again.
    fn up(&mut self, edge: &Edge, shown: &mut HashSet<usize>) -> Needed {
        let new = edge.from.filter(|from| shown.insert(*from));
        let above = new.and_then(|need| self.above.get(&need)).cloned().unwrap_or_default();
        let mut needed = Vec::new();
        for edge in above {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            needed.push(self.up(edge, shown));
        }
        let by = edge.from.map(|from| self.start.needs[from].path.clone());
        Needed { pointer: edge.pointer, by, why: edge.why.clone(), needed }
    }
}
