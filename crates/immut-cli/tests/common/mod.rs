//! What the tests of the command line share: the program, real peers, and one registry.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use immut_testkit::contents;
use immut_testkit::peers;
use immut_testkit::recipe::Recipe;
use serde_json::{Value, json};

/// The password of the keys that the tests make.
pub(crate) const PASSWORD: &str = "pw";

/// `immut`, with nothing of the caller's settings in its environment.
pub(crate) fn immut<S: AsRef<OsStr>>(arguments: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_immut"));
    command.args(arguments).stdin(Stdio::null());
    for variable in
        ["GITHUB_OUTPUT", "SOURCE_DATE_EPOCH", "CLICOLOR_FORCE", "HTTPS_PROXY", "HTTP_PROXY"]
    {
        command.env_remove(variable);
    }
    command.env("COSIGN_PASSWORD", PASSWORD).env("DOCKER_CONFIG", "/nonexistent");
    command.env("REGISTRY_AUTH_FILE", "/nonexistent");
    command
}

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self::from(output)
    }

    /// Ends the test unless the program ended like that.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Ends the test unless the talk has all these parts.
    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not said: {self}");
        }
        self
    }

    /// The product: one line, the only one on stdout.
    #[track_caller]
    pub(crate) fn line(&self) -> &str {
        let line = self.stdout.strip_suffix('\n').unwrap_or_else(|| panic!("no line: {self}"));
        assert!(!line.is_empty() && !line.contains('\n'), "not one line: {self}");
        line
    }

    /// The digest at the end of the product.
    #[track_caller]
    pub(crate) fn digest(&self) -> &str {
        digest(self.line())
    }

    /// The last line of the talk.
    pub(crate) fn last(&self) -> &str {
        self.stderr.lines().last().unwrap_or_default()
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {:?}\nstdout: {}\nstderr: {}", self.code, self.stdout, self.stderr)
    }
}

/// Runs `immut`.
pub(crate) fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Run {
    Run::of(&mut immut(arguments))
}

/// Runs a program of others, away from the user's settings.
pub(crate) fn peer<S: AsRef<OsStr>>(program: &Path, arguments: &[S]) -> Run {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command.env("COSIGN_PASSWORD", PASSWORD).env("DOCKER_CONFIG", "/nonexistent");
    Run::of(&mut command)
}

/// Runs a program of others that must succeed; returns its stdout.
#[track_caller]
pub(crate) fn must<S: AsRef<OsStr>>(program: &Path, arguments: &[S]) -> String {
    peer(program, arguments).code(0).stdout
}

/// The real cosigns that are here.
pub(crate) fn cosigns() -> Vec<PathBuf> {
    ["cosign2", "cosign3"].into_iter().filter_map(peers::require).collect()
}

/// Runs the command that `immut` printed, with that cosign, as a shell runs it.
pub(crate) fn cosign_says(cosign: &Path, command: &str) -> Run {
    let rest =
        command.strip_prefix("cosign ").unwrap_or_else(|| panic!("no cosign command: {command}"));
    peer(Path::new("/bin/sh"), &["-c", &format!("{} {rest}", cosign.display())])
}

/// A key pair with [`PASSWORD`], `NAME.key` and `NAME.pub` in that folder.
pub(crate) fn key(folder: &Path, name: &str) -> PathBuf {
    run(&["key".as_ref(), "generate".as_ref(), folder.join(name).as_os_str()]).code(0);
    folder.join(format!("{name}.key"))
}

/// The digest at the end of `...@sha256:...`.
#[track_caller]
pub(crate) fn digest(reference: &str) -> &str {
    reference.split_once('@').unwrap_or_else(|| panic!("no digest: {reference}")).1
}

/// A path as text.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are text")
}

/// The permission bits of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o7777
}

/// A file as JSON.
pub(crate) fn json_file(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

/// A file that the workspace has.
pub(crate) fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Ends the test unless the document is what the schema in `docs` says.
#[track_caller]
pub(crate) fn validates(document: &Value, schema: &str) {
    let schema = json_file(&workspace("docs").join(schema));
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

/// An image with a shell and a setuid program, that starts without either.
pub(crate) fn small() -> Recipe {
    let passwd = "root:x:0:0:root:/root:/bin/bash\n";
    Recipe::new()
        .layer(|l| {
            l.dir("/bin", 0o755)
                .file("/bin/bash", 0o755, contents::bash())
                .symlink("/bin/sh", "bash")
                .dir("/etc", 0o755)
                .file("/etc/passwd", 0o644, passwd)
                .file("/etc/group", 0o644, "root:x:0:\n")
        })
        .layer(|l| {
            l.file("/app", 0o755, contents::program()).file("/helper", 0o4755, contents::program())
        })
        .entrypoint(&["/app"])
        .name("latest")
}

/// What lives as long as the test program: a folder, and a real registry.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) folder: PathBuf,
    _keeper: Child,
}

/// The folder that is removed when the test program ends; statics are never dropped, so a shell
/// waits for the end of its input. podman wants a short path, whatever `TMPDIR` says.
pub(crate) static FOLDER: LazyLock<Shared> = LazyLock::new(|| {
    let folder =
        tempfile::Builder::new().prefix("immut-e2e-").tempdir_in("/tmp").expect("a folder").keep();
    let script =
        r#"cat >/dev/null; umount "$1/podman/overlay" 2>/dev/null; rm -rf --one-file-system "$1""#;
    let keeper = keep(script, &[text(&folder)]);
    Shared { folder, _keeper: keeper }
});

/// Runs a script whose input ends when this program does.
fn keep(script: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script, "sh"]).args(arguments).stdin(Stdio::piped());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a shell")
}

/// A real registry without a referrers API, `docker-registry`; one for all tests.
#[derive(Debug)]
pub(crate) struct DockerRegistry {
    pub(crate) host: String,
    folder: PathBuf,
    _keeper: Child,
}

/// The registry; none, with a word about it, where it is not installed.
pub(crate) fn registry() -> Option<&'static DockerRegistry> {
    static REGISTRY: LazyLock<Option<DockerRegistry>> =
        LazyLock::new(|| DockerRegistry::start("registry", None));
    REGISTRY.as_ref()
}

impl DockerRegistry {
    /// Starts one with a folder of that name, and TLS if there is a certificate and its key.
    pub(crate) fn start(name: &str, tls: Option<(String, String)>) -> Option<Self> {
        let program = peers::require("docker-registry")?;
        let folder = FOLDER.folder.join(name);
        fs::create_dir(&folder).expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let host = port.expect("a free port").to_string();
        let mut http = json!({ "addr": host });
        if let Some((certificate, key)) = tls {
            http["tls"] = json!({ "certificate": certificate, "key": key });
        }
        let config = json!({
            "version": 0.1, "log": { "level": "error" }, "http": http,
            "storage": { "filesystem": { "rootdirectory": folder } },
        });
        fs::write(folder.join("config.yml"), config.to_string()).expect("written"); // JSON is YAML
        let script =
            r#""$1" serve "$2/config.yml" >"$2/log" 2>&1 & pid=$!; cat >/dev/null; kill $pid"#;
        let keeper = keep(script, &[text(&program), text(&folder)]);
        let started = Self { host, folder, _keeper: keeper };
        for _ in 0..200 {
            if TcpStream::connect(&started.host).is_ok() {
                return Some(started);
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("docker-registry does not listen at {}", started.host);
    }

    /// The requests so far: method, target, status.
    pub(crate) fn log(&self) -> Vec<(String, String, u16)> {
        let mut text = String::new();
        let mut file = fs::File::open(self.folder.join("log")).expect("a log");
        file.read_to_string(&mut text).expect("text");
        text.lines().filter_map(request).collect()
    }

    /// Whether anything was ever written to that repository.
    pub(crate) fn has(&self, repository: &str) -> bool {
        self.folder.join("docker/registry/v2/repositories").join(repository).exists()
    }
}

/// A line of the access log: `HOST - - [TIME] "METHOD TARGET HTTP/1.1" STATUS ...`.
fn request(line: &str) -> Option<(String, String, u16)> {
    let (_, rest) = line.split_once("] \"")?;
    let (request, rest) = rest.split_once("\" ")?;
    let mut words = request.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    Some((method, target, rest.split(' ').next()?.parse().ok()?))
}

/// podman with a storage of its own.
#[derive(Debug)]
pub(crate) struct Podman(PathBuf);

impl Podman {
    /// None, with a word about it, where podman or runc is not installed.
    pub(crate) fn find() -> Option<Self> {
        peers::require("runc")?;
        peers::require("podman").map(Self)
    }

    /// The command up to the subcommand.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.0);
        let own = peers::find("crane")
            .and_then(|crane| Some(crane.parent()?.parent()?.join("containers.conf")));
        if let Some(own) =
            own.filter(|own| own.is_file() && std::env::var_os("CONTAINERS_CONF").is_none())
        {
            command.env("CONTAINERS_CONF", own);
        }
        let folder = FOLDER.folder.join("podman");
        command.arg("--root").arg(&folder).arg("--runroot").arg(folder.join("run"));
        command.args(["--runtime", "runc", "--cgroup-manager", "cgroupfs"]);
        command
    }

    /// Runs a subcommand.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.command().args(arguments).stdin(Stdio::null()))
    }

    /// Loads the image of a docker archive, and gives its name.
    pub(crate) fn load(&self, archive: &Path) -> String {
        let loaded = self.run(&["load", "-q", "-i", text(archive)]).code(0);
        loaded.stdout.trim().trim_start_matches("Loaded image: ").to_owned()
    }

    /// Ends the test unless the web server of `testdata` starts from the image, confined, as the user
    /// that hardening set.
    #[track_caller]
    pub(crate) fn serves(&self, image: &str, name: &str) {
        let started = [&["run", "-d", "--name", name][..], &CONFINED, &[image]].concat();
        self.run(&started).code(0);
        let serves = (0..100).any(|_| {
            thread::sleep(Duration::from_millis(100));
            let logs = self.run(&["logs", name]);
            logs.stderr.contains("server started") || logs.stdout.contains("server started")
        });
        let (logs, user) = (self.run(&["logs", name]), self.run(&["top", name, "huser"]));
        self.run(&["rm", "-f", "-t", "1", name]);
        assert!(serves, "{logs}");
        assert!(user.stdout.contains("65532"), "{user}");
    }
}

/// What a hardened container has to be content with.
pub(crate) const CONFINED: [&str; 7] = [
    "--network=none",
    "--read-only",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--read-only-tmpfs=false",
    "--pull=never",
    "--log-driver=k8s-file",
];
