//! proptest strategies for stacks of layers, and a [`Census`] of what they contain.
//!
//! Names come from a small alphabet, so that layers collide. What is generated is valid for real
//! tools, whose answers differ where the format is silent. So, in each stack:
//!
//! - an ancestor that is no directory, or is a link, gets an explicit directory entry first, since
//!   some engines follow a lower layer's links and others replace them;
//! - no path changes between directory and other kinds within one layer, since GNU tar refuses
//!   that;
//! - a whiteout comes before any entry of its layer at or beneath its path, and its parent is a
//!   directory, since umoci deletes in stream order and makes missing parents;
//! - a whiteout or an opaque marker does not hide the target of a hardlink of its own layer;
//! - what comes before an opaque marker of its layer, beneath it, has its directories in that layer
//!   too, since umoci keeps a lower directory above such an entry, with its mode;
//! - a hardlink's header says of the inode what the target's header said.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::model::{Entry, Item, Tree, View, is_beneath};
use crate::recipe::{Encoding, LayerRecipe, LongNames, Recipe};

/// A stack of layers, lowest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// The layers' entries, in their archive's order.
    pub layers: Vec<Vec<Entry>>,
}

/// How many of each peculiarity stacks contain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// Hardlinks whose target is a lower layer's.
    pub cross_layer_hardlinks: usize,
    /// Hardlinks within a layer.
    pub hardlinks: usize,
    /// Files that a later layer made directories.
    pub file_to_directory: usize,
    /// Directories that a later layer made files.
    pub directory_to_file: usize,
    /// Links that a later layer made directories.
    pub link_to_directory: usize,
    /// Directories that a later layer made links.
    pub directory_to_link: usize,
    /// Opaque markers beneath which their layer adds something.
    pub opaque_with_readds: usize,
    /// Opaque markers that hid something.
    pub opaque_hiding: usize,
    /// Whiteouts that removed something.
    pub whiteouts: usize,
    /// Whiteouts of what is not there.
    pub whiteouts_of_nothing: usize,
    /// Paths that a layer whites out and adds again.
    pub whiteouts_with_readds: usize,
    /// Names twice in one layer.
    pub duplicates: usize,
    /// Entries, no directories, that the top does not show.
    pub hidden: usize,
    /// Files with setuid or setgid.
    pub setuid: usize,
}

/// Stacks of one to four layers with everything that this module describes.
pub fn stacks() -> impl Strategy<Value = Stack> {
    vec(vec(any_step(), 1..12), 1..=4).prop_map(|layers| Stack::build(&layers))
}

/// Stacks of one layer without markers, which plain tar reads.
///
/// No link is replaced by a later entry: GNU tar writes absolute links last, over what followed.
/// No directory has setgid: GNU tar lets some of the directories beneath inherit it.
pub fn plain_layers() -> impl Strategy<Value = Stack> {
    let step = any_step().prop_filter("not for plain tar", |step| match step {
        Step::Whiteout { .. } | Step::Opaque { .. } => false,
        Step::Directory { mode, .. } => mode & 0o2000 == 0,
        _ => true,
    });
    let stack = vec(step, 1..24).prop_map(|steps| Stack::build(&[steps]));
    stack.prop_filter("a link is replaced", |stack| !replaces_link(&stack.layers[0]))
}

impl Stack {
    /// The layers' archives.
    pub fn tars(&self) -> Vec<Vec<u8>> {
        let layers = self.layers.iter().zip(LONG_NAMES.iter().cycle());
        let write = |(layer, long_names): (&Vec<Entry>, &LongNames)| {
            write_layer(LayerRecipe::new().long_names(*long_names), layer).into_tar()
        };
        layers.map(write).collect()
    }

    /// The image of these layers.
    pub fn recipe(&self) -> Recipe {
        let add = |recipe: Recipe, tar| recipe.tar_layer(Encoding::Gzip, tar);
        self.tars().into_iter().fold(Recipe::new(), add)
    }

    /// What the model says is seen.
    pub fn view(&self) -> View {
        Tree::of(&self.layers).view()
    }

    /// What it contains.
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        let mut lower = Tree::default();
        let top = Tree::of(&self.layers);
        for (number, layer) in self.layers.iter().enumerate() {
            for (place, entry) in layer.iter().enumerate() {
                census.count(&lower, layer, entry);
                let again = layer[..place].iter().any(|e| e.path == entry.path && is_addition(e));
                census.duplicates += usize::from(again && is_addition(entry));
                let shown = top.layer_of(&entry.path) == Some(number);
                let counted = is_addition(entry) && entry.item != Item::Directory;
                census.hidden += usize::from(counted && !shown);
            }
            lower.apply(layer);
        }
        census
    }

    /// Makes the steps of each layer valid entries; steps that cannot be are left out.
    fn build(layers: &[Vec<Step>]) -> Self {
        let mut built = Vec::new();
        for steps in layers {
            let mut layer = Builder { lower: Tree::of(&built), entries: Vec::new() };
            for step in steps {
                layer.take(step);
            }
            built.push(layer.entries);
        }
        Self { layers: built }
    }
}

impl Census {
    /// Adds another census to this one.
    pub fn add(&mut self, other: &Self) {
        self.cross_layer_hardlinks += other.cross_layer_hardlinks;
        self.hardlinks += other.hardlinks;
        self.file_to_directory += other.file_to_directory;
        self.directory_to_file += other.directory_to_file;
        self.link_to_directory += other.link_to_directory;
        self.directory_to_link += other.directory_to_link;
        self.opaque_with_readds += other.opaque_with_readds;
        self.opaque_hiding += other.opaque_hiding;
        self.whiteouts += other.whiteouts;
        self.whiteouts_of_nothing += other.whiteouts_of_nothing;
        self.whiteouts_with_readds += other.whiteouts_with_readds;
        self.duplicates += other.duplicates;
        self.hidden += other.hidden;
        self.setuid += other.setuid;
    }

    /// What was never counted.
    pub fn missing(&self) -> Vec<&'static str> {
        let counts = [
            ("cross-layer hardlinks", self.cross_layer_hardlinks),
            ("hardlinks", self.hardlinks),
            ("file to directory", self.file_to_directory),
            ("directory to file", self.directory_to_file),
            ("link to directory", self.link_to_directory),
            ("directory to link", self.directory_to_link),
            ("opaque with re-adds", self.opaque_with_readds),
            ("opaque that hides", self.opaque_hiding),
            ("whiteouts", self.whiteouts),
            ("whiteouts of nothing", self.whiteouts_of_nothing),
            ("whiteouts with re-adds", self.whiteouts_with_readds),
            ("duplicates", self.duplicates),
            ("hidden", self.hidden),
            ("setuid", self.setuid),
        ];
        counts.into_iter().filter(|(_, count)| *count == 0).map(|(name, _)| name).collect()
    }

    fn count(&mut self, lower: &Tree, layer: &[Entry], entry: &Entry) {
        let below = lower.item(&entry.path);
        let adds =
            |path: &dyn Fn(&str) -> bool| layer.iter().any(|e| is_addition(e) && path(&e.path));
        let one = usize::from;
        match &entry.item {
            Item::Directory => {
                self.file_to_directory += one(matches!(below, Some(Item::File(_))));
                self.link_to_directory += one(matches!(below, Some(Item::Symlink(_))));
            }
            Item::File(_) => {
                self.directory_to_file += one(below == Some(&Item::Directory));
                self.setuid += one(entry.mode & 0o6000 != 0);
            }
            Item::Symlink(_) => self.directory_to_link += one(below == Some(&Item::Directory)),
            Item::Hardlink(target) => {
                let own = adds(&|path| path == target);
                self.cross_layer_hardlinks += one(!own);
                self.hardlinks += one(own);
            }
            Item::Whiteout => {
                self.whiteouts += one(below.is_some());
                self.whiteouts_of_nothing += one(below.is_none());
                self.whiteouts_with_readds += one(adds(&|path| path == entry.path));
            }
            Item::Opaque => {
                let beneath = |path: &str| is_beneath(path, &entry.path);
                self.opaque_with_readds += one(adds(&beneath));
                self.opaque_hiding += one(lower.paths().any(beneath));
            }
            Item::Fifo | Item::Device => {}
        }
    }
}

/// A wish; the [`Builder`] makes entries of it that are valid where it comes.
#[derive(Debug, Clone)]
enum Step {
    Directory {
        path: String,
        mode: u32,
    },
    File {
        path: String,
        mode: u32,
        owner: u64,
        content: u8,
    },
    Symlink {
        path: String,
        target: String,
    },
    Fifo {
        path: String,
    },
    /// To one of the files that are there; which one is a matter of `choice`.
    Hardlink {
        path: String,
        choice: usize,
    },
    Whiteout {
        path: String,
    },
    Opaque {
        path: String,
        readd: bool,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    let file_mode = prop::sample::select(vec![0o644, 0o755, 0o4755, 0o2755, 0o600]);
    let directory_mode = prop::sample::select(vec![0o755, 0o700, 0o2755, 0o1777]);
    // The last does not fit in octal digits.
    let owner = prop::sample::select(vec![0_u64, 1000, 3_000_000]);
    let target = prop_oneof![any_path(), any_path().prop_map(|path| format!("/{path}"))];
    prop_oneof![
        3 => (any_path(), directory_mode).prop_map(|(path, mode)| Step::Directory { path, mode }),
        6 => (any_path(), file_mode, owner, any::<u8>())
            .prop_map(|(path, mode, owner, content)| Step::File { path, mode, owner, content }),
        2 => (any_path(), target).prop_map(|(path, target)| Step::Symlink { path, target }),
        1 => any_path().prop_map(|path| Step::Fifo { path }),
        4 => (any_path(), any::<usize>())
            .prop_map(|(path, choice)| Step::Hardlink { path, choice }),
        3 => any_path().prop_map(|path| Step::Whiteout { path }),
        2 => (any_path(), any::<bool>()).prop_map(|(path, readd)| Step::Opaque { path, readd }),
    ]
}

/// `a`, `b/c`, `c/a/b`: one to three [`NAMES`].
pub fn any_path() -> impl Strategy<Value = String> {
    vec(prop::sample::select(NAMES.to_vec()), 1..=3).prop_map(|names| names.join("/"))
}

/// Few names, so that layers collide; with the last, paths have more than 100 and 255 bytes.
pub const NAMES: [&str; 3] = ["a", "b", LONG];

const LONG: &str =
    "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";

fn replaces_link(layer: &[Entry]) -> bool {
    layer.iter().enumerate().any(|(place, entry)| {
        let is_link = matches!(entry.item, Item::Symlink(_));
        is_link && layer[place + 1..].iter().any(|later| later.path == entry.path)
    })
}

/// One layer under construction.
struct Builder {
    lower: Tree,
    entries: Vec<Entry>,
}

impl Builder {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Directory { path, mode } => self.add(path, Item::Directory, *mode, 0),
            Step::File { path, mode, owner, content } => {
                self.add(path, Item::File(vec![*content; usize::from(*content)]), *mode, *owner);
            }
            Step::Symlink { path, target } => {
                self.add(path, Item::Symlink(target.clone()), 0o777, 0);
            }
            Step::Fifo { path } => self.add(path, Item::Fifo, 0o644, 0),
            Step::Hardlink { path, choice } => self.add_hardlink(path, *choice),
            Step::Whiteout { path } => self.white_out(path),
            Step::Opaque { path, readd } => self.make_opaque(path, *readd),
        }
    }

    fn add(&mut self, path: &str, item: Item, mode: u32, owner: u64) {
        if self.may_add(path, item == Item::Directory) {
            self.make_ancestors(path);
            self.push(path, item, mode, (owner, owner));
        }
    }

    fn add_hardlink(&mut self, path: &str, choice: usize) {
        if !self.may_add(path, false) {
            return;
        }
        let now = self.now();
        let lost = |file: &str| file == path || is_beneath(file, path) || is_beneath(path, file);
        let is_file = |file: &&str| matches!(now.item(file), Some(Item::File(_)));
        let files = now.paths().filter(is_file).filter(|file| !lost(file)).collect::<Vec<_>>();
        if files.is_empty() {
            return;
        }
        let target = files[choice % files.len()];
        let (mode, owner) = now.metadata(target).expect("it is there");
        self.make_ancestors(path);
        self.push(path, Item::Hardlink(target.to_owned()), mode, owner);
    }

    fn white_out(&mut self, path: &str) {
        let taken = |other: &str| other == path || is_beneath(other, path);
        if self.mentions().any(taken) || !self.may_add(path, true) {
            return;
        }
        self.make_ancestors(path);
        self.push(path, Item::Whiteout, 0, (0, 0));
    }

    fn make_opaque(&mut self, path: &str, readd: bool) {
        let hides_target = self.targets().any(|target| is_beneath(target, path));
        if hides_target || self.relies_on_lower(path) || !self.may_add(path, true) {
            return;
        }
        self.make_ancestors(path);
        self.push(path, Item::Directory, 0o755, (0, 0));
        self.push(path, Item::Opaque, 0, (0, 0));
        if readd {
            self.add(&format!("{path}/a"), Item::File(b"again".to_vec()), 0o644, 0);
        }
    }

    /// Whether an entry beneath `directory` has a directory above it that only lower layers name.
    fn relies_on_lower(&self, directory: &str) -> bool {
        let own = |path: &str| self.entries.iter().any(|e| is_addition(e) && e.path == path);
        self.entries.iter().filter(|entry| is_beneath(&entry.path, directory)).any(|entry| {
            let above = entry.path.match_indices('/').map(|(slash, _)| &entry.path[..slash]);
            above.filter(|parent| is_beneath(parent, directory)).any(|parent| !own(parent))
        })
    }

    /// Whether this layer has made nothing that contradicts a new entry at `path`.
    fn may_add(&self, path: &str, directory: bool) -> bool {
        self.entries.iter().filter(|entry| is_addition(entry)).all(|entry| {
            let is_directory = entry.item == Item::Directory;
            let same = entry.path != path || is_directory == directory;
            let above = !is_beneath(path, &entry.path) || is_directory;
            let beneath = !is_beneath(&entry.path, path) || directory;
            same && above && beneath
        })
    }

    /// Explicit entries for the ancestors that are not directories yet.
    fn make_ancestors(&mut self, path: &str) {
        for (slash, _) in path.match_indices('/') {
            if self.now().item(&path[..slash]) != Some(&Item::Directory) {
                self.push(&path[..slash], Item::Directory, 0o755, (0, 0));
            }
        }
    }

    fn push(&mut self, path: &str, item: Item, mode: u32, owner: (u64, u64)) {
        self.entries.push(Entry { path: path.to_owned(), item, mode, owner });
    }

    /// The tree with the entries so far.
    fn now(&self) -> Tree {
        let mut tree = self.lower.clone();
        tree.apply(&self.entries);
        tree
    }

    fn targets(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter_map(|entry| match &entry.item {
            Item::Hardlink(target) => Some(target.as_str()),
            _ => None,
        })
    }

    /// All paths that this layer needs or makes.
    fn mentions(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.path.as_str()).chain(self.targets())
    }
}

/// How the layers hold long names, one after the other.
const LONG_NAMES: [LongNames; 4] =
    [LongNames::Pax, LongNames::Gnu, LongNames::Prefix, LongNames::AlwaysPax];

fn is_addition(entry: &Entry) -> bool {
    !matches!(entry.item, Item::Whiteout | Item::Opaque)
}

fn write_layer(layer: LayerRecipe, entries: &[Entry]) -> LayerRecipe {
    entries.iter().fold(layer, |layer, entry| {
        let (path, mode) = (&entry.path, entry.mode);
        let layer = layer.owned(entry.owner.0, entry.owner.1);
        match &entry.item {
            Item::Directory => layer.dir(path, mode),
            Item::File(content) => layer.file(path, mode, content),
            Item::Hardlink(target) => layer.hardlink_as(path, target, mode),
            Item::Symlink(target) => layer.symlink(path, target),
            Item::Fifo => layer.fifo(path),
            Item::Device => layer.device(path, 1, 3),
            Item::Whiteout => layer.whiteout(path),
            Item::Opaque => layer.opaque(path),
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::*;

    #[test]
    fn the_generator_makes_each_peculiarity() {
        let mut runner = TestRunner::deterministic();
        let mut census = Census::default();
        for _ in 0..200 {
            census.add(&stacks().new_tree(&mut runner).unwrap().current().census());
        }
        assert_eq!(census.missing(), [""; 0], "{census:?}");
    }

    proptest! {
        #[test]
        fn stacks_survive_the_way_through_archives(stack in stacks()) {
            prop_assert_eq!(Tree::of_tars(&stack.tars()).view(), stack.view());
        }
    }
}
