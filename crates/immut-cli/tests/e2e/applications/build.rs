//! Images from Debian's packages: mmdebstrap makes one base, and buildah builds each recipe on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};

use immut_testkit::recipe::digest_of;
use immut_testkit::{fixtures, peers};

use super::recipes::App;
use crate::common::{FOLDER, Run, json_file, must, text};

/// An image that was built.
#[derive(Debug)]
pub(super) struct Built {
    /// `DIR:NAME`: the layout, and its name there.
    pub(super) at: String,
    /// The digest of its manifest.
    pub(super) digest: String,
    /// Bytes of its layers, as they are compressed.
    pub(super) packed: u64,
}

impl Built {
    /// The image of that name in a layout; none if it is not there.
    pub(super) fn find(layout: &Path, name: &str) -> Option<Self> {
        let index = layout.join("index.json");
        let lines = index.is_file().then(|| json_file(&index))?;
        let named = |line: &&serde_json::Value| {
            line["annotations"]["org.opencontainers.image.ref.name"] == name
        };
        let line = lines["manifests"].as_array().expect("lines").iter().find(named)?.clone();
        let digest = line["digest"].as_str().expect("a digest").to_owned();
        let blob = layout.join("blobs").join(digest.replace(':', "/"));
        let layers = json_file(&blob)["layers"].as_array().expect("layers").clone();
        let packed = layers.iter().map(|layer| layer["size"].as_u64().expect("bytes")).sum();
        Some(Self { at: format!("{}:{name}", layout.display()), digest, packed })
    }

    /// The pinned reference to it.
    pub(super) fn source(&self) -> String {
        let (layout, _) = self.at.rsplit_once(':').expect("a name");
        format!("oci:{layout}@{}", self.digest)
    }
}

/// Where images are built, one at a time: apt's folders have room for one.
#[derive(Debug)]
struct Workshop {
    buildah: PathBuf,
    mmdebstrap: PathBuf,
    fixtures: PathBuf,
    folder: PathBuf,
    /// Whether this run made the base, and brought apt's lists up to date.
    base: bool,
}

/// Builds an image, or finds the one that an earlier run built from the same recipe; none, with a
/// word about it, where something is missing that it takes.
pub(super) fn build(app: &App) -> Option<Built> {
    static WORKSHOP: LazyLock<Option<Mutex<Workshop>>> =
        LazyLock::new(|| Workshop::open().map(Mutex::new));
    let mut workshop = WORKSHOP.as_ref()?.lock().expect("no build failed");
    Some(workshop.build(app))
}

/// The recipe's own files.
fn recipe(app: &App) -> PathBuf {
    RECIPES.join(app.name)
}

static RECIPES: LazyLock<PathBuf> =
    LazyLock::new(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/applications/recipes"));

impl Workshop {
    fn open() -> Option<Self> {
        let mmdebstrap = peers::require("mmdebstrap")?;
        let (buildah, fixtures) = (peers::require("buildah")?, fixtures::folder()?);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("applications");
        for part in ["apt", "lists", "programs"] {
            fs::create_dir_all(folder.join(part)).expect("a folder");
        }
        let (source, program) = (RECIPES.join("site.rs"), folder.join("programs/site"));
        let options = ["-O", "-Ctarget-feature=+crt-static", "-o", text(&program)];
        must(Path::new("rustc"), &[&options[..], &[text(&source)]].concat());
        Some(Self { buildah, mmdebstrap, fixtures, folder, base: false })
    }

    fn build(&mut self, app: &App) -> Built {
        let (layout, name) = (self.folder.join("images"), self.name(app));
        if let Some(built) = Built::find(&layout, &name) {
            return built;
        }
        self.base();
        let context = app.official.map_or_else(|| recipe(app), |of| self.fixtures.join(of));
        let contexts = [
            format!("--build-context=official={}", context.display()),
            format!("--build-context=programs={}", self.folder.join("programs").display()),
        ];
        let folder = if app.unpacks { &context } else { &recipe(app) };
        let file = recipe(app).join("Containerfile");
        let more = [&contexts[0], &contexts[1], "--file", text(&file), "--tag", &name];
        self.bud(&[&more[..], &[text(folder)]].concat());
        self.buildah(&["push", "--quiet", &name, &format!("oci:{}:{name}", layout.display())]);
        Built::find(&layout, &name).expect("it was pushed")
    }

    /// The name of an image says what it was made from, but for the base and Debian's packages, so that
    /// a later run knows whether it is still that.
    fn name(&self, app: &App) -> String {
        let official = app.official.map(|of| self.fixtures.join(of));
        let folders = [recipe(app)].into_iter().chain(official);
        let files = folders.flat_map(|folder| fs::read_dir(folder).expect("a folder"));
        let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
        files.sort();
        files.push(self.folder.join("programs/site"));
        let digest = |file: &PathBuf| digest_of(&fs::read(file).expect("read"));
        let lines = files.iter().map(|file| format!("{} {}\n", digest(file), file.display()));
        let digest = digest_of(lines.collect::<String>().as_bytes());
        format!("{}-{}", app.name, &digest["sha256:".len()..][..12])
    }

    /// The base, a Debian with apt and what is essential, once in each run that builds.
    fn base(&mut self) {
        if std::mem::replace(&mut self.base, true) {
            return;
        }
        let archive = self.folder.join("base.tar");
        if !archive.is_file() {
            let draft = self.folder.join("base-draft.tar");
            let fixed = ["--quiet", "--variant=minbase", "bookworm", text(&draft)];
            let sources = sources();
            let sources: Vec<&str> = sources.iter().map(|file| text(file)).collect();
            must(&self.mmdebstrap, &[&fixed[..], &sources].concat());
            fs::rename(draft, &archive).expect("renamed");
        }
        let file = FOLDER.folder.join("base.Containerfile");
        fs::write(&file, "FROM scratch\nADD base.tar /\nRUN apt-get -qq update\n")
            .expect("written");
        self.bud(&["--file", text(&file), "--tag", "base", text(&self.folder)]);
    }

    /// Builds with apt's lists and its cache beside the image instead of in it.
    fn bud(&self, more: &[&str]) {
        let volumes = [("apt", "/var/cache/apt"), ("lists", "/var/lib/apt/lists")]
            .map(|(here, there)| format!("--volume={}:{there}", self.folder.join(here).display()));
        let fixed = ["bud", "--quiet", "--isolation=chroot", "--network=host", "--layers=false"];
        self.buildah(&[&fixed[..], &[&volumes[0], &volumes[1]], more].concat());
    }

    fn buildah(&self, arguments: &[&str]) {
        let root = FOLDER.folder.join("podman");
        let mut command = Command::new(&self.buildah);
        command.arg("--root").arg(&root).arg("--runroot").arg(root.join("run"));
        Run::of(command.args(arguments)).code(0);
    }
}

/// The machine's own apt sources, if it has the same release: a mirror may be all that it reaches.
fn sources() -> Vec<PathBuf> {
    let folder = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten();
    let files = folder.map(|file| file.expect("a file").path());
    let all = files.chain([PathBuf::from("/etc/apt/sources.list")]);
    let about =
        |file: &PathBuf| fs::read_to_string(file).is_ok_and(|text| text.contains("bookworm"));
    all.filter(about).collect()
}
