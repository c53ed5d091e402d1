//! The official redis image, hardened from one repository of a real registry into another.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use aho_corasick::AhoCorasick;
use immut_testkit::{fixtures, peers};
use serde_json::Value;

use crate::common::{
    CONFINED, DockerRegistry, FOLDER, Podman, Run, cosign_says, cosigns, digest, immut, json_file,
    key, must, registry, run, text, validates,
};

const START: [&str; 4] = ["--entrypoint", r#"["redis-server"]"#, "--cmd", r#"["--save",""]"#];

/// The hardening that the tests look at.
struct Redis {
    registry: &'static DockerRegistry,
    /// The fixture's layout.
    layout: PathBuf,
    /// In the registry, by digest.
    source: String,
    key: PathBuf,
    run: Run,
    receipt: PathBuf,
    digest_file: PathBuf,
    github_output: PathBuf,
    /// The registry's log before and after.
    log: (usize, usize),
}

impl Redis {
    fn new() -> Option<Self> {
        let layout = fixtures::folder()?.join("9-built/redis-bookworm-oci");
        let (registry, skopeo) = (registry()?, peers::require("skopeo")?);
        let index = json_file(&layout.join("index.json"));
        let digest = index["manifests"][0]["digest"].as_str().expect("a digest");
        let to = format!("docker://{}/src/redis:7", registry.host);
        let from = format!("oci:{}:7", layout.display());
        must(&skopeo, &["copy", "--preserve-digests", "--dest-tls-verify=false", &from, &to]);
        let folder = &FOLDER.folder;
        let mut redis = Self {
            registry,
            source: format!("{}/src/redis@{digest}", registry.host),
            key: key(folder, "redis"),
            run: run(&["--version"]),
            receipt: folder.join("receipt.json"),
            digest_file: folder.join("digest"),
            github_output: folder.join("github-output"),
            log: (registry.log().len(), 0),
            layout,
        };
        fs::write(&redis.github_output, "before=1\n").expect("written");
        redis.run = redis.harden("out/redis");
        redis.log.1 = registry.log().len();
        assert_eq!(redis.run.code, Some(0), "{}", redis.run);
        Some(redis)
    }

    fn harden(&self, repository: &str) -> Run {
        let to = format!("{}/{repository}", self.registry.host);
        let mut command = immut(&["harden", &self.source, "--to", &to, "--tag", "v1"]);
        command.arg("--key").arg(&self.key).args(START);
        command.arg("--receipt").arg(&self.receipt).arg("--digest-file").arg(&self.digest_file);
        Run::of(command.env("GITHUB_OUTPUT", &self.github_output))
    }

    /// `HOST/out/redis@sha256:...`.
    fn result(&self) -> &str {
        self.run.line()
    }

    fn requests(&self) -> Vec<(String, String, u16)> {
        self.registry.log()[self.log.0..self.log.1].to_vec()
    }
}

fn redis() -> Option<&'static Redis> {
    static REDIS: LazyLock<Option<Redis>> = LazyLock::new(Redis::new);
    REDIS.as_ref()
}

/// Without `--entrypoint` it is refused with the chain, and nothing is published.
#[test]
fn a_shell_entrypoint_is_refused_with_its_chain_and_nothing_is_published() {
    let Some(redis) = redis() else { return };
    let to = format!("{}/refused/redis", redis.registry.host);
    let refused =
        run(&["harden", &redis.source, "--to", &to, "--tag", "v1", "--key", text(&redis.key)])
            .code(4);
    assert_eq!(refused.stdout, "");
    let chain = refused.stderr.lines().find(|line| line.contains("#!")).unwrap_or_default();
    let places: Vec<_> = ["docker-entrypoint.sh", "#!/bin/sh", "/usr/bin/dash"]
        .iter()
        .map(|part| {
            chain.find(part).unwrap_or_else(|| panic!("{part} is not in the chain: {refused}"))
        })
        .collect();
    assert!(places.is_sorted(), "{chain}");
    let refused =
        refused.says(&["nothing was published", r#"--entrypoint '["redis-server"]' --cmd '[]'"#]);
    assert!(!redis.registry.has("refused"), "{refused}");
}

/// The product is one line, and the last line of the talk is a command that works.
#[test]
fn stdout_is_the_digest_and_the_talk_ends_with_a_cosign_command_that_works() {
    let Some(redis) = redis() else { return };
    let digest = redis.result().strip_prefix(&format!("{}/out/redis@sha256:", redis.registry.host));
    assert_eq!(digest.expect("a pinned reference").len(), 64);
    for cosign in cosigns() {
        cosign_says(&cosign, redis.run.last()).code(0);
    }
    run(&["verify", redis.result(), "--key", text(&redis.key.with_extension("pub"))]).code(0);
    let tagged = format!("{}/out/redis:v1", redis.registry.host);
    let verified =
        run(&["verify", &tagged, "--key", text(&redis.key.with_extension("pub"))]).code(0);
    assert_eq!(verified.line(), redis.result());
}

/// Another key is refused by cosign 2, cosign 3 and `immut verify`.
#[test]
fn another_key_is_refused_by_everybody() {
    let Some(redis) = redis() else { return };
    let other = key(&FOLDER.folder, "another").with_extension("pub");
    let right = redis.key.with_extension("pub");
    let command = redis.run.last().replace(text(&right), text(&other));
    assert_ne!(command, redis.run.last());
    for cosign in cosigns() {
        assert_ne!(cosign_says(&cosign, &command).code, Some(0), "{}", cosign.display());
    }
    run(&["verify", redis.result(), "--key", text(&other)]).code(6).says(&["not with this key"]);
}

/// `--digest-file`, `GITHUB_OUTPUT` and `--receipt`.
#[test]
fn the_files_say_what_stdout_says() {
    let Some(redis) = redis() else { return };
    assert_eq!(fs::read_to_string(&redis.digest_file).expect("a file").trim(), redis.run.digest());
    let outputs = fs::read_to_string(&redis.github_output).expect("a file");
    let expected = format!("before=1\ndigest={}\nimage={}\n", redis.run.digest(), redis.result());
    assert!(outputs.starts_with(&expected), "{outputs}");
    let receipt = json_file(&redis.receipt);
    assert_eq!(receipt["resultDigest"], redis.run.digest());
    assert_eq!(receipt["source"], redis.source);
    if workspace_has("docs/receipt.schema.json") {
        validates(&receipt, "receipt.schema.json");
    }
}

fn workspace_has(path: &str) -> bool {
    crate::common::workspace(path).is_file()
}

/// The pushed image is whole and its user is a number.
#[test]
fn crane_and_skopeo_find_a_whole_image_with_a_numeric_user() {
    let Some(redis) = redis() else { return };
    if let Some(crane) = peers::require("crane") {
        must(&crane, &["validate", "--remote", redis.result()]);
    }
    let Some(skopeo) = peers::require("skopeo") else { return };
    let image = format!("docker://{}", redis.result());
    let printed = must(&skopeo, &["inspect", "--config", "--tls-verify=false", &image]);
    let config: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"][0], "redis-server");
    let raw = must(&skopeo, &["inspect", "--raw", "--tls-verify=false", &image]);
    let manifest: Value = serde_json::from_str(&raw).expect("JSON");
    let base = &manifest["annotations"]["org.opencontainers.image.base.digest"];
    assert_eq!(base, digest(&redis.source));
    let copy = FOLDER.folder.join("skopeo-copy");
    let to = format!("oci:{}:copy", copy.display());
    must(&skopeo, &["copy", "--src-tls-verify=false", &image, &to]);
}

/// Layers are put together from the blocks of the old ones.
#[test]
fn most_of_the_rewritten_layers_is_copied() {
    let Some(redis) = redis() else { return };
    let receipt = json_file(&redis.receipt);
    let layers = receipt["platforms"][0]["layers"].as_array().expect("layers");
    let rewritten: Vec<&Value> =
        layers.iter().filter(|layer| layer["outcome"] == "rewritten").collect();
    assert!(!rewritten.is_empty(), "{receipt}");
    let sum = |what: &str| {
        rewritten.iter().map(|one| one["encoding"][what].as_u64().expect("bytes")).sum::<u64>()
    };
    assert!(rewritten.iter().all(|one| one["encoding"]["method"] == "blocks"), "{rewritten:?}");
    assert!(sum("copied") > 9 * sum("encoded"), "{rewritten:?}");
}

/// It starts read-only, without capabilities, as that user, and has no shell.
#[test]
fn redis_answers_in_a_confined_container_that_has_no_shell() {
    let (Some(redis), Some(podman)) = (redis(), Podman::find()) else { return };
    podman.run(&["pull", "-q", "--tls-verify=false", redis.result()]).code(0);
    let run = [&["run", "-d", "--name=redis", "--tmpfs=/data"][..], &CONFINED, &[redis.result()]]
        .concat();
    podman.run(&run).code(0);
    let answered = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(100));
        podman.run(&["exec", "redis", "redis-cli", "ping"]).stdout.trim() == "PONG"
    });
    let logs = podman.run(&["logs", "redis"]);
    let user = podman.run(&["top", "redis", "huser", "user"]);
    let shell =
        [&["run", "--rm", "--entrypoint=/bin/sh"][..], &CONFINED, &[redis.result(), "-c", "true"]]
            .concat();
    let shell = podman.run(&shell);
    let running = podman.run(&["exec", "redis", "redis-cli", "ping"]);
    podman.run(&["rm", "-f", "-t", "1", "redis"]);
    assert!(answered, "{logs}");
    assert!(user.stdout.contains("65532"), "{user}");
    let shell = shell.code(127);
    assert!(shell.stderr.to_lowercase().contains("no such file"), "{shell}");
    assert_eq!(running.stdout.trim(), "PONG", "{running}");
}

/// What is removed is gone from the bytes, not only from the view.
#[test]
fn the_content_of_removed_files_is_in_no_layer() {
    let Some(redis) = redis() else { return };
    let tools = ["crane", "gzip", "tar"].map(peers::require);
    let [Some(crane), Some(gzip), Some(tar)] = &tools else { return };
    let (removed, kept) = contents(redis, tar);
    assert!(removed.len() > 100, "{}", removed.len());
    let pieces: BTreeSet<&[u8]> = removed.iter().flat_map(|content| pieces(content)).collect();
    let pieces: Vec<&[u8]> = pieces.into_iter().collect();
    // Licences and the like have the same text in files that stay.
    let all = AhoCorasick::new(&pieces).expect("an automaton");
    let shared: BTreeSet<usize> = kept.iter().flat_map(|content| found(&all, content)).collect();
    let only = |index: &usize| !shared.contains(index);
    let sought: Vec<&[u8]> = (0..pieces.len()).filter(only).map(|index| pieces[index]).collect();
    assert!(sought.len() > 500, "{} of {}", sought.len(), pieces.len());
    let sought = AhoCorasick::new(&sought).expect("an automaton");

    let manifest: Value =
        serde_json::from_str(&must(crane, &["manifest", redis.result()])).expect("JSON");
    let repository = redis.result().split_once('@').expect("pinned").0;
    for layer in manifest["layers"].as_array().expect("layers") {
        let blob = format!("{repository}@{}", layer["digest"].as_str().expect("a digest"));
        let pull = Command::new(crane).args(["blob", &blob]).stdout(Stdio::piped()).spawn();
        let mut pull = pull.expect("crane");
        let mut unzip = Command::new(gzip);
        let unzip = unzip.arg("-dc").stdin(pull.stdout.take().expect("piped"));
        let unzipped = unzip.output().expect("gzip");
        assert!(pull.wait().expect("crane").success() && unzipped.status.success());
        assert!(found(&sought, &unzipped.stdout).is_empty(), "in {blob}");
    }
}

/// The contents of the source's files, read with GNU tar: those the receipt says are removed, and
/// the others.
fn contents(redis: &Redis, tar: &Path) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let receipt = json_file(&redis.receipt);
    let receipt = &receipt["platforms"][0];
    let (mut removed, mut kept) = (Vec::new(), Vec::new());
    for (number, layer) in (1..).zip(receipt["layers"].as_array().expect("layers")) {
        let blob = layer["source"].as_str().expect("a digest").replace(':', "/");
        let blob = redis.layout.join("blobs").join(blob);
        let folder = tempfile::tempdir_in(&FOLDER.folder).expect("a folder");
        must(tar, &["-xzf", text(&blob), "-C", text(folder.path()), "--no-same-owner"]);
        for gone in receipt["removed"].as_array().expect("a list") {
            let path = folder.path().join(&gone["path"].as_str().expect("a path")[1..]);
            if gone["layer"] == number && gone["kind"] == "file" {
                let content = fs::read(&path).expect("the removed file");
                assert_eq!(gone["size"], content.len(), "{gone}");
                fs::remove_file(path).expect("removed");
                removed.push(content);
            }
        }
        files(folder.path(), &mut kept);
    }
    (removed, kept)
}

fn files(folder: &Path, into: &mut Vec<Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        match entry.file_type().expect("a type") {
            kind if kind.is_dir() => files(&entry.path(), into),
            kind if kind.is_file() => into.push(fs::read(entry.path()).expect("a file")),
            _ => {}
        }
    }
}

/// Pieces of 64 bytes from several places of a content; none that says nothing.
fn pieces(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    let places = [0, 1, 2, 3, 5, 7].map(|part| part * content.len() / 8);
    let pieces = places.into_iter().filter_map(|place| content.get(place..place + 64));
    pieces.filter(|piece| piece.iter().collect::<BTreeSet<_>>().len() > 8)
}

/// Which of the pieces are in a content.
fn found(pieces: &AhoCorasick, content: &[u8]) -> Vec<usize> {
    let matches = pieces.find_overlapping_iter(content);
    matches.map(|one| one.pattern().as_usize()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Blobs that did not change are mounted from the source's repository, not sent.
#[test]
fn unchanged_layers_are_mounted_across_repositories() {
    let Some(redis) = redis() else { return };
    let receipt = json_file(&redis.receipt);
    let layers = receipt["platforms"][0]["layers"].as_array().expect("layers");
    let untouched: Vec<&str> = layers
        .iter()
        .filter(|layer| layer["outcome"] == "untouched")
        .map(|layer| layer["source"].as_str().expect("a digest"))
        .collect();
    assert!(!untouched.is_empty());
    let requests = redis.requests();
    for digest in untouched {
        let about = |part: &str| {
            let spelled = [digest.to_owned(), digest.replace(':', "%3A")];
            let of_digest = |target: &str| spelled.iter().any(|one| target.contains(one));
            let found =
                requests.iter().filter(move |one| of_digest(&one.1) && one.1.contains(part));
            found.cloned().collect::<Vec<_>>()
        };
        let mounts = about("from=src");
        assert!(
            mounts.iter().any(|(method, _, status)| method == "POST" && *status == 201),
            "{requests:#?}"
        );
        assert!(!about("uploads/").iter().any(|(method, ..)| method == "PUT"), "{requests:#?}");
    }
}

/// A second run pushes nothing, signs nothing, and has the same digest.
#[test]
fn the_second_run_pushes_nothing_new() {
    let Some(redis) = redis() else { return };
    // A repository of its own, for the log is everybody's.
    let first = redis.harden("again/redis").code(0);
    let log = redis.registry.log().len();
    let second = redis.harden("again/redis").code(0);
    let second = second.says(&["was there already", "8 blobs there already"]);
    assert_eq!(first.line(), second.line());
    assert!(second.line().ends_with(redis.run.digest()), "{second}");
    let requests = redis.registry.log()[log..].to_vec();
    let written: Vec<_> = requests
        .iter()
        .filter(|(method, target, _)| {
            target.contains("again/redis") && !["GET", "HEAD"].contains(&method.as_str())
        })
        .collect();
    assert!(written.is_empty(), "{written:#?}");
    assert!(!second.stderr.contains(", sent "), "{second}");
}
