//! From a recipe to a hardened image and what is seen of it.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use immut_core::finding::RuleId;
use immut_core::name::{Digest, PinnedRef};
use immut_core::plan::{Action, Conflict, Plan};
use immut_core::rules::{Catalog, Keep, Profile};
use immut_core::store::{Layout, Source};
use immut_core::{Error, Hardened, Options, Planned, Planning};
use immut_testkit::model::{self, Tree, View};
use immut_testkit::recipe::{IndexRecipe, Recipe};
use serde_json::Value;

/// An image in a layout, `image` in a folder of its own.
pub(crate) struct Scene {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) digest: Digest,
}

impl Scene {
    pub(crate) fn of(recipe: &Recipe) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let built = recipe.clone().name("it").write(&folder.path().join("image"));
        Self { folder, digest: built.digest.parse().expect("a digest") }
    }

    pub(crate) fn of_index(recipe: &IndexRecipe) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let built = recipe.clone().name("it").write(&folder.path().join("image"));
        Self { folder, digest: built.digest.parse().expect("a digest") }
    }

    pub(crate) fn source(&self) -> Layout {
        Layout::open(&self.folder.path().join("image")).expect("a layout")
    }

    pub(crate) fn pinned(&self) -> PinnedRef {
        let image = self.folder.path().join("image");
        format!("oci:{}@{}", image.display(), self.digest).parse().expect("a reference")
    }

    pub(crate) fn plans(&self, options: &Options) -> Result<Vec<Planned>, Error> {
        Ok(plan(&self.digest, &self.source(), options)?.platforms)
    }

    pub(crate) fn plan(&self, options: &Options) -> Planned {
        let mut plans = self.plans(options).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(plans.len(), 1, "one platform");
        plans.remove(0)
    }

    /// Hardens into the folder `stage`.
    pub(crate) fn try_harden(self, options: &Options) -> Result<Done, Error> {
        let stage = Layout::create(&self.folder.path().join("stage")).expect("a stage");
        let hardened = immut_core::harden(&self.pinned(), &self.source(), &stage, options)?;
        Ok(Done { scene: self, stage, hardened })
    }

    pub(crate) fn harden(self, options: &Options) -> Done {
        self.try_harden(options).unwrap_or_else(|error| panic!("{}", told(&error)))
    }
}

/// Plans with a stage of its own.
pub(crate) fn plan(
    digest: &Digest,
    source: &dyn Source,
    options: &Options,
) -> Result<Planning, Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let stage = Layout::temporary(folder.path()).expect("a stage");
    immut_core::plan(digest, source, &stage, options)
}

/// An error with its conflicts.
pub(crate) fn told(error: &Error) -> String {
    match error {
        Error::Conflicts(refused) => {
            let conflicts = refused.iter().flat_map(|one| &one.plan.conflicts);
            conflicts.map(describe).collect::<Vec<_>>().join("\n")
        }
        other => other.to_string(),
    }
}

/// A conflict in one line: pointer, problem, chain.
pub(crate) fn describe(conflict: &Conflict) -> String {
    let chain: Vec<String> = conflict.chain.iter().map(ToString::to_string).collect();
    format!("{} {} [{}]", conflict.pointer, conflict.problem, chain.join(" -> "))
}

/// A hardened image in its stage.
pub(crate) struct Done {
    pub(crate) scene: Scene,
    pub(crate) stage: Layout,
    pub(crate) hardened: Hardened,
}

impl Done {
    /// The only platform's manifest.
    pub(crate) fn manifest(&self) -> Value {
        self.hardened.platforms[0].rewritten.manifest.json().clone()
    }

    pub(crate) fn config(&self) -> Value {
        let bytes = self.hardened.platforms[0].rewritten.config.to_bytes();
        serde_json::from_slice(&bytes).expect("JSON")
    }

    /// The archives of the only platform's layers.
    pub(crate) fn tars(&self) -> Vec<Vec<u8>> {
        let layers = self.hardened.platforms[0].rewritten.manifest.layers();
        layers.iter().map(|layer| archive(&self.stage, layer)).collect()
    }

    pub(crate) fn view(&self) -> View {
        Tree::of_tars(&self.tars()).view()
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.view().into_keys().collect()
    }

    pub(crate) fn text(&self, path: &str) -> String {
        match self.view().remove(path).map(|seen| seen.item) {
            Some(model::Item::File(bytes)) => String::from_utf8(bytes).expect("text"),
            other => panic!("{path}: {other:?}"),
        }
    }

    /// Hardens the result.
    pub(crate) fn again(&self, options: &Options) -> Hardened {
        self.again_in("again", options)
    }

    /// Hardens the result in a stage of that name.
    pub(crate) fn again_in(&self, stage: &str, options: &Options) -> Hardened {
        let digest = self.hardened.digest();
        let pinned = format!("oci:{}@{digest}", self.stage.folder().display());
        let stage = Layout::create(&self.scene.folder.path().join(stage)).expect("a stage");
        immut_core::harden(&pinned.parse().expect("a reference"), &self.stage, &stage, options)
            .unwrap_or_else(|error| panic!("{}", told(&error)))
    }

    /// The result's view after umoci has unpacked it.
    pub(crate) fn unpacked_by(&self, umoci: &Path) -> View {
        use immut_core::store::Sink;
        let result = &self.hardened.result;
        self.stage.tag("it", result).expect("named");
        let bundle = self.scene.folder.path().join("bundle");
        unpack(umoci, self.stage.folder(), &bundle)
    }
}

/// The image that the parent of this test names; run by hand, without one, it says that it is
/// skipped.
pub(crate) fn child_image() -> Option<String> {
    let image = std::env::var("IMMUT_TEST_IMAGE").ok();
    if image.is_none() {
        println!("skipped: IMMUT_TEST_IMAGE, which the parent of this test sets, names no image");
    }
    image
}

/// What umoci unpacks from the image named `it` of a layout.
pub(crate) fn unpack(umoci: &Path, layout: &Path, bundle: &Path) -> View {
    let image = format!("{}:it", layout.display());
    run(Command::new(umoci).args(["unpack", "--rootless", "--image", &image]).arg(bundle));
    model::walk(&bundle.join("rootfs"))
}

pub(crate) fn run(command: &mut Command) {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn archive(stage: &Layout, layer: &immut_core::image::Descriptor) -> Vec<u8> {
    let mut blob = Vec::new();
    stage.open(layer).expect("a blob").read_to_end(&mut blob).expect("its bytes");
    decode(&blob)
}

/// A layer's archive.
pub(crate) fn decode(blob: &[u8]) -> Vec<u8> {
    try_decode(blob).unwrap_or_else(|| blob.to_vec())
}

/// What is in a gzip or zstd stream; none if it is neither or broken.
pub(crate) fn try_decode(blob: &[u8]) -> Option<Vec<u8>> {
    let mut tar = Vec::new();
    match blob {
        [0x1f, 0x8b, ..] => {
            flate2::read::MultiGzDecoder::new(blob).read_to_end(&mut tar).ok()?;
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => tar = zstd::decode_all(blob).ok()?,
        _ => return None,
    }
    Some(tar)
}

/// The rules of all steps.
pub(crate) fn rules_of(plan: &Plan) -> BTreeSet<&str> {
    plan.steps.iter().flat_map(|step| step.because.iter()).map(RuleId::as_str).collect()
}

/// The names that steps remove.
pub(crate) fn removed(plan: &Plan) -> Vec<String> {
    let name = |action: &Action| match action {
        Action::Remove { path } => Some(path.to_string()),
        _ => None,
    };
    let mut names: Vec<String> = plan.steps.iter().filter_map(|step| name(&step.action)).collect();
    names.sort();
    names
}

/// A built-in profile.
pub(crate) fn profile(name: &str) -> Options {
    let mut options = Options::default();
    options.choices.profile = Profile::named(name).expect("a built-in profile");
    options
}

pub(crate) fn keeping(keep: &[&str]) -> Options {
    let mut options = Options::default();
    let parsed = keep.iter().map(|text| text.parse::<Keep>().expect("a keep"));
    options.choices.profile.keep.extend(parsed);
    options
}

#[expect(clippy::unnecessary_wraps, reason = "as choices take it")]
pub(crate) fn words(words: &[&str]) -> Option<Vec<String>> {
    Some(words.iter().map(|word| (*word).to_owned()).collect())
}

/// A catalog whose only rule removes those paths.
pub(crate) fn removing(asked: &[String]) -> Options {
    let paths: Vec<String> = asked.iter().map(|path| format!("'/{path}'")).collect();
    let rule = format!(
        "[[rule]]\nid='gone'\ntitle='t'\nseverity='low'\nremedy='remove'\nmatcher='files'\nwhy='w'\n\
         [[rule.places]]\nfamily='f'\npresent=['/{MARK}']\npaths=[{}]\n",
        paths.join(",")
    );
    let catalog = Catalog::parse(&[&rule], "executables=[]").expect("a catalog");
    Options { catalog, jobs: 2, ..Options::default() }
}

/// The file in whose presence it does.
pub(crate) const MARK: &str = "mark";

/// A fixture below the shared folder.
pub(crate) fn fixture(path: &str) -> Option<PathBuf> {
    immut_testkit::fixtures::folder().map(|folder| folder.join(path))
}
