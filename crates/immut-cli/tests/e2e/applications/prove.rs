//! An application from its recipe to containers that answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use immut_testkit::peers;
use serde_json::Value;

use super::build::{Built, build};
use super::probe::{Numbers, Unpacked};
use super::recipes::App;
use super::run::{Container, load, volume};
use crate::common::{CONFINED, FOLDER, Podman, json_file, run, text};

/// What was seen of an application.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) app: &'static App,
    /// Package and version, of the packages that the page names.
    pub(super) versions: String,
    /// Before it was hardened.
    pub(super) before: Numbers,
    /// After, in each of [`PROFILES`].
    pub(super) after: Vec<Hardened>,
}

/// What was made of an application in a profile.
#[derive(Debug)]
pub(super) struct Hardened {
    pub(super) numbers: Numbers,
    /// `uid:gid` or a uid, as the image says.
    pub(super) user: String,
    /// What has to be writable: the path and what is mounted there.
    pub(super) writable: Vec<(String, String)>,
}

/// The profiles, each of which leaves less.
pub(super) const PROFILES: [&str; 3] = ["baseline", "distroless", "minimal"];

/// What was seen of an application, once in each run of the tests; none, with a word about it, where
/// something is missing that it takes.
pub(super) fn proven(app: &'static App) -> Option<Arc<Proof>> {
    type Slot = Arc<OnceLock<Option<Arc<Proof>>>>;
    static PROOFS: Mutex<BTreeMap<&str, Slot>> = Mutex::new(BTreeMap::new());
    let slot = Arc::clone(PROOFS.lock().expect("whole").entry(app.name).or_default());
    slot.get_or_init(|| Proof::new(app).map(Arc::new)).clone()
}

impl Proof {
    fn new(app: &'static App) -> Option<Self> {
        for program in ["curl", "dpkg-query", "find", "getcap", "grep", "nsenter", "tar"] {
            peers::require(program)?;
        }
        let podman = Podman::find()?;
        let built = build(app)?;
        let stand = Stand::new(app, &podman, &built)?;
        stand.refuses();
        let unpacked = Unpacked::new(&podman, &stand.image);
        let (before, versions) = (unpacked.numbers(&built), unpacked.versions(app.packages));
        stand.starts();
        let after: Vec<Hardened> = PROFILES.map(|profile| stand.hardens(profile)).into();
        let is_same = |other: &Hardened| {
            (&other.user, &other.writable) == (&after[0].user, &after[0].writable)
        };
        assert!(after.iter().all(is_same), "{after:#?}");
        Some(Self { app, versions, before, after })
    }
}

/// An application, and what is used to try it.
struct Stand<'a> {
    app: &'static App,
    podman: &'a Podman,
    /// What is not hardened.
    built: &'a Built,
    /// The same in podman's store.
    image: String,
    folder: PathBuf,
}

impl<'a> Stand<'a> {
    fn new(app: &'static App, podman: &'a Podman, built: &'a Built) -> Option<Self> {
        let folder = FOLDER.folder.join("applications").join(app.name);
        fs::create_dir_all(&folder).expect("a folder");
        Some(Self { app, podman, built, image: load(&built.at)?, folder })
    }

    /// Without more words it is hardened, or refused for the reason that is expected.
    fn refuses(&self) {
        let source = self.built.source();
        let planned = run(&["plan", &source, "--progress", "none"]);
        match &self.app.refused {
            None => drop(planned.code(0)),
            Some(refused) => {
                let planned = planned.code(4);
                let said = [&*planned.stdout, &planned.stderr].concat();
                for part in [refused.why, refused.suggests] {
                    assert!(said.contains(part), "{part:?} is not said: {said}");
                }
            }
        }
    }

    /// It starts and answers as it is.
    fn starts(&self) {
        let paths: Vec<String> = self.app.data.iter().map(|data| data.path.to_owned()).collect();
        let volumes = self.volumes("unhardened", &paths);
        let volumes: Vec<&str> = volumes.iter().map(String::as_str).collect();
        let container =
            Container::start(self.podman, &self.image, &[&AS_IT_IS[..], &volumes].concat());
        container.answers(self.app.before, &self.image);
    }

    /// Hardened in that profile it starts, confined, as another user than root, answers, and has
    /// nothing in it for an attacker.
    fn hardens(&self, profile: &str) -> Hardened {
        let layout = self.folder.join("hardened");
        let receipt = self.folder.join(format!("{profile}.json"));
        let (source, to) = (self.built.source(), format!("oci:{}:{profile}", layout.display()));
        let harden = ["harden", &source, "--to", &to, "--no-sign", "--profile", profile];
        let more = ["--receipt", text(&receipt), "--progress", "none"];
        run(&[&harden[..], &more, self.app.with].concat()).code(0);
        run(&["check", &to]).code(0);

        let made = Built::find(&layout, profile).expect("it was hardened");
        let image = load(&made.at).expect("skopeo");
        let writable = writable(&json_file(&receipt)["platforms"][0]);
        self.starts_confined(&image, profile, &writable);
        let unpacked = Unpacked::new(self.podman, &image);
        unpacked.is_hardened();
        let user = self.podman.run(&["image", "inspect", "--format={{.Config.User}}", &image]);
        self.podman.run(&["image", "rm", "--force", &image]).code(0);
        Hardened { numbers: unpacked.numbers(&made), user: user.line().to_owned(), writable }
    }

    fn starts_confined(&self, image: &str, profile: &str, writable: &[(String, String)]) {
        let of = |kind: &str| {
            let paths = writable.iter().filter(move |one| one.1 == kind).map(|one| one.0.clone());
            paths.collect::<Vec<_>>()
        };
        let memory =
            of("tmpfs").into_iter().map(|path| format!("--mount=type=tmpfs,dst={path},U=true"));
        let mounts: Vec<String> = memory.chain(self.volumes(profile, &of("volume"))).collect();
        let mounts: Vec<&str> = mounts.iter().map(String::as_str).collect();
        let container = Container::start(self.podman, image, &[&CONFINED[..], &mounts].concat());
        container.answers(self.app.after, &self.image);
        let users = container.users();
        assert!(!users.is_empty() && !users.contains(&0), "{users:?}");
    }

    /// Arguments that mount a folder at each path, filled as the application wants it.
    fn volumes(&self, name: &str, paths: &[String]) -> Vec<String> {
        let numbered = paths.iter().enumerate();
        let mounted = numbered.map(|(number, path)| {
            let folder = self.folder.join(format!("{name}-{number}"));
            fs::create_dir(&folder).expect("a folder");
            let volume = volume(&folder, path);
            if let Some(data) = self.app.data.as_ref().filter(|data| data.path == path) {
                let fixed = ["run", "--rm", "--network=none", "--pull=never", &volume, &self.image];
                self.podman.run(&[&fixed[..], data.made_by].concat()).code(0);
            }
            volume
        });
        mounted.collect()
    }
}

/// What the receipt says has to be writable.
fn writable(platform: &Value) -> Vec<(String, String)> {
    let paths = platform["writable"].as_array().cloned().unwrap_or_default();
    let word = |value: &Value| value.as_str().expect("text").to_owned();
    paths.iter().map(|one| (word(&one["path"]), word(&one["kind"]))).collect()
}

/// How an image is started that is not hardened: it has no network but its own, either.
const AS_IT_IS: [&str; 3] = ["--network=none", "--pull=never", "--log-driver=k8s-file"];
