//! Runs that are killed at any moment, or find no room: the destination is as it was, or complete,
//! and the next run finishes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use immut_testkit::recipe::{LayerRecipe, Recipe};
use immut_testkit::registry::Registry;
use immut_testkit::{contents, peers};
use tempfile::{TempDir, tempdir};

use crate::common::{Run, immut, key, run, text};

/// How many runs are killed.
const KILLS: usize = 100;
const KINDS: [Kind; 5] =
    [Kind::NewLayout, Kind::OldLayout, Kind::NewArchive, Kind::OldArchive, Kind::Registry];

/// Where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    NewLayout,
    OldLayout,
    NewArchive,
    OldArchive,
    Registry,
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Self::NewLayout => "a new layout",
            Self::OldLayout => "a layout that is there",
            Self::NewArchive => "a new archive",
            Self::OldArchive => "an archive that is there",
            Self::Registry => "a registry",
        }
    }
}

/// What a killed run left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    AsItWas,
    Complete,
}

struct Scene {
    folder: TempDir,
    kind: Kind,
    registry: Registry,
    image: String,
    before: Vec<(PathBuf, Vec<u8>)>,
}

impl Scene {
    fn new(kind: Kind, image: &str) -> Self {
        let folder = tempdir().expect("a folder");
        for name in ["to", "stages"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let registry = Registry::start();
        let mut scene =
            Self { folder, kind, registry, image: image.to_owned(), before: Vec::new() };
        match kind {
            Kind::OldLayout => {
                let old = Recipe::new().layer(|l| l.file("/old", 0o644, "old")).name("old");
                old.write(&scene.to().join("out"));
            }
            Kind::OldArchive => {
                let old = LayerRecipe::new().file("/old", 0o644, "old").into_tar();
                fs::write(scene.to().join("out"), old).expect("written");
            }
            _ => {}
        }
        scene.before = files(&scene.to());
        scene
    }

    fn to(&self) -> PathBuf {
        self.folder.path().join("to")
    }

    fn stages(&self) -> PathBuf {
        self.folder.path().join("stages")
    }

    fn reference(&self) -> String {
        let out = self.to().join("out");
        match self.kind {
            Kind::NewLayout | Kind::OldLayout => format!("oci:{}:v1", out.display()),
            Kind::NewArchive | Kind::OldArchive => format!("oci-archive:{}:v1", out.display()),
            Kind::Registry => format!("{}/out/app:v1", self.registry.host()),
        }
    }

    fn command(&self, key: &Path) -> Command {
        let mut command =
            immut(&["harden", &self.image, "--to", &self.reference(), "--key", text(key)]);
        command.env("TMPDIR", self.stages()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Ends the test if the destination is neither as it was nor complete.
    fn look(&self, key: &Path, run: &Run) -> Left {
        let now = files(&self.to());
        let named = match self.kind {
            Kind::Registry => self.registry.tags("out/app").contains_key("v1"),
            // Blobs that nothing names may have come; the rest is as it was.
            Kind::OldLayout => {
                let same = |(path, old): &(PathBuf, Vec<u8>)| {
                    path.ends_with("index.json") || now.contains(&(path.clone(), old.clone()))
                };
                assert!(self.before.iter().all(same), "{run}");
                index(&now) != index(&self.before)
            }
            _ => now != self.before,
        };
        if !named {
            return Left::AsItWas;
        }
        let public = key.with_extension("pub");
        let whole = run_quiet(&["verify", &self.reference(), "--key", text(&public)]);
        assert_eq!(whole.code, Some(0), "{:?} {run} {whole}", self.kind);
        let whole = run_quiet(&["audit", &self.reference(), "--fail-on", "info"]);
        assert_eq!(whole.code, Some(0), "{:?} {run} {whole}", self.kind);
        Left::Complete
    }

    /// What no name stands for: drafts and stages.
    fn litter(&self) -> Vec<PathBuf> {
        let mut litter: Vec<PathBuf> = [self.to(), self.to().join("out"), self.stages()]
            .iter()
            .flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten())
            .map(|entry| entry.path())
            .filter(|path| is_draft(path))
            .collect();
        litter.sort();
        litter
    }
}

/// The one file of a layout that names images.
fn index(files: &[(PathBuf, Vec<u8>)]) -> Option<&(PathBuf, Vec<u8>)> {
    files.iter().find(|(path, _)| path.ends_with("index.json"))
}

fn is_draft(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".immut-"))
}

fn run_quiet(arguments: &[&str]) -> Run {
    run(&[arguments, &["--progress", "none"]].concat())
}

/// Files below a folder with their content; drafts are passed over.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if is_draft(&path) {
        } else if path.is_dir() {
            all.extend(files(&path));
        } else {
            // What is being replaced at this moment has no content to compare.
            let content = fs::read(&path).unwrap_or_default();
            all.push((path, content));
        }
    }
    all.sort();
    all
}

/// When a run is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So long after its start.
    After(Duration),
    /// As soon as its draft is there.
    Draft,
    /// As soon as something is at the place.
    Place,
}

impl Moment {
    /// A seeded choice: most are moments in time, over a whole run and a little more.
    fn number(number: usize, whole: Duration) -> Self {
        match number % 10 {
            8 => Self::Draft,
            9 => Self::Place,
            _ => {
                // A step that shares no divisor with 1000 visits all of them.
                let part = u32::try_from(number * 617 % 1000).expect("small");
                Self::After(whole * part / 900)
            }
        }
    }

    fn words(self, whole: Duration) -> String {
        match self {
            Self::After(pause) => {
                let quarter = pause.as_millis() * 4 / whole.as_millis().max(1) + 1;
                if quarter > 4 {
                    "later than a whole run takes".into()
                } else {
                    format!("in quarter {quarter}")
                }
            }
            Self::Draft => "as its draft appeared".into(),
            Self::Place => "as its place changed".into(),
        }
    }

    fn wait(self, scene: &Scene, child: &mut Child) {
        let began = Instant::now();
        let over = |child: &mut Child| child.try_wait().expect("a child").is_some();
        match self {
            Self::After(pause) => thread::sleep(pause),
            Self::Draft | Self::Place => {
                while !self.has_come(scene) && !over(child) && began.elapsed().as_secs() < 60 {
                    thread::sleep(Duration::from_micros(200));
                }
            }
        }
    }

    fn has_come(self, scene: &Scene) -> bool {
        let drafts = scene.litter().iter().any(|path| !path.starts_with(scene.stages()));
        match (self, scene.kind) {
            (Self::Draft, Kind::Registry) => scene.registry.count("PUT", "/blobs/") > 0,
            (Self::Draft, _) => drafts,
            (_, Kind::Registry) => scene.registry.count("PUT", "/manifests/v1") > 0,
            (_, Kind::NewLayout | Kind::NewArchive) => scene.to().join("out").exists(),
            (_, Kind::OldLayout) => index(&files(&scene.to())) != index(&scene.before),
            (_, Kind::OldArchive) => files(&scene.to()) != scene.before,
        }
    }
}

/// A run is killed a hundred times; nothing is lost, and the next one finishes.
#[test]
fn a_run_that_is_killed_leaves_its_destination_as_it_was_or_complete() {
    let folder = tempdir().expect("a folder");
    let key = key(folder.path(), "k");
    let image = Recipe::new()
        .layer(|l| l.file("/bin/bash", 0o755, contents::bash()))
        .layer(|l| l.file("/app", 0o755, contents::program()).file("/data", 0o644, noise(2 << 20)))
        .entrypoint(&["/app"])
        .write(&folder.path().join("image"))
        .reference();
    let began = Instant::now();
    let whole = Scene::new(Kind::NewLayout, &image);
    Run::of(&mut whole.command(&key)).code(0);
    let whole = began.elapsed();
    let mut table: BTreeMap<(Kind, String), [usize; 2]> = BTreeMap::new();
    for number in 0..KILLS {
        let kind = KINDS[number % KINDS.len()];
        let round = number / KINDS.len();
        // Shifted by one in the second ten, so that each moment meets several signals.
        let signal = ["KILL", "KILL", "TERM", "INT", "KILL"][(round + round / 10) % 5];
        let scene = Scene::new(kind, &image);
        let moment = Moment::number(round, whole);
        let left = one(&scene, &key, signal, moment);
        let row = table.entry((kind, moment.words(whole))).or_default();
        row[usize::from(left == Left::Complete)] += 1;
    }
    let mut text = "| place | killed | as it was | complete |\n|---|---|---|---|\n".to_owned();
    for ((kind, moment), [as_it_was, complete]) in &table {
        writeln!(text, "| {} | {moment} | {as_it_was} | {complete} |", kind.words()).expect("text");
    }
    println!("{text}");
    for kind in KINDS {
        let rows = table.iter().filter(|((own, _), _)| *own == kind).map(|(_, row)| row);
        let [early, late] = rows.fold([0, 0], |sum, row| [sum[0] + row[0], sum[1] + row[1]]);
        assert!(early > 0 && late > 0, "{}: {early} and {late}", kind.words());
    }
}

/// Kills one run, looks at what it left, and lets another finish.
fn one(scene: &Scene, key: &Path, signal: &str, moment: Moment) -> Left {
    let mut child = scene.command(key).spawn().expect("started");
    moment.wait(scene, &mut child);
    let process = child.id().to_string();
    Command::new("kill")
        .args(["-s", signal, &process])
        .stderr(Stdio::null())
        .status()
        .expect("kill");
    let run = Run::from(child.wait_with_output().expect("ended"));
    assert!(!run.stderr.contains("error:"), "{signal} {moment:?} {run}");
    let left = scene.look(key, &run);
    if run.code == Some(0) {
        assert_eq!(left, Left::Complete, "{signal} {moment:?} {run}");
    }
    if signal != "KILL" {
        assert_eq!(scene.litter(), Vec::<PathBuf>::new(), "{signal} {moment:?} {run}");
    }
    let again = Run::of(&mut scene.command(key)).code(0);
    assert_eq!(scene.look(key, &again), Left::Complete);
    assert_eq!(scene.litter(), Vec::<PathBuf>::new(), "{signal} {moment:?} then {again}");
    left
}

/// Bytes that do not compress.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..count).map(|_| next()).collect()
}

/// Runs a script as root of a namespace of its own, where it may mount what it likes.
fn alone(script: &str, arguments: &[&str]) -> Option<Run> {
    let unshare = peers::require("unshare")?;
    let mut command = Command::new(unshare);
    command.args(["--map-root-user", "--mount", "sh", "-ec", script, "sh"]).args(arguments);
    Some(Run::of(command.env("DOCKER_CONFIG", "/nonexistent").stdin(Stdio::null())))
}

/// No room, or no permission, at the destination or in the stage: an error that says
/// where, exit code 7, and nothing is left.
#[test]
fn a_full_or_read_only_disk_is_an_error_that_leaves_nothing() {
    let folder = tempdir().expect("a folder");
    let image = Recipe::new()
        .layer(|l| {
            l.file("/bin/bash", 0o755, contents::bash()).file("/data", 0o644, noise(3 << 20))
        })
        .layer(|l| l.file("/app", 0o755, contents::program()))
        .entrypoint(&["/app"])
        .write(&folder.path().join("image"))
        .reference();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).expect("a folder");
    // What is mounted, where the stage is, where to; what is said.
    for (size, stage, to, said) in [
        ("size=1m", "/var/tmp", "oci:DISK/out", "No space left"),
        ("size=1m", "/var/tmp", "oci-archive:DISK/out.tar", "No space left"),
        ("size=1m", "/var/tmp", "docker-archive:DISK/out.tar", "No space left"),
        ("size=1m", "DISK", "oci:OUT/out", "No space left"),
        ("size=1m", "--stage=DISK/stage", "oci:OUT/out", "No space left"),
        ("ro", "/var/tmp", "oci:DISK/out", "Read-only"),
        ("ro", "/var/tmp", "oci-archive:DISK/out.tar", "Read-only"),
        ("ro", "DISK", "oci:OUT/out", "Read-only"),
    ] {
        let [stage, to] = [stage, to]
            .map(|one| one.replace("DISK", text(&disk)).replace("OUT", text(folder.path())));
        let script = r#"
            mount -t tmpfs -o "$2" tmpfs "$1"; status=0
            case $3 in --stage=*) flag=$3 ;; *) flag=; export TMPDIR="$3" ;; esac
            "$6" harden "$4" --to "$5" --no-sign ${flag:+"$flag"} --progress none || status=$?
            ls -A "$1"; exit "$status""#;
        let program = env!("CARGO_BIN_EXE_immut");
        let Some(run) = alone(script, &[text(&disk), size, &stage, &image, &to, program]) else {
            return;
        };
        let run = run.code(7).says(&["error:", said]);
        // A stage of the user's own stays, to be used again.
        let left = if stage.starts_with("--stage") { "stage\n" } else { "" };
        assert_eq!(run.stdout, left, "{size} {stage} {to}");
        assert!(!folder.path().join("out").exists());
    }
}
