//! What is refused, with which exit code and which words; nothing is published by any of it.

use std::fs;
use std::io::Write;

use immut_testkit::contents;
use immut_testkit::recipe::{Encoding, Fault, LayerRecipe, Recipe};
use immut_testkit::registry::Registry;
use tempfile::{TempDir, tempdir};

use crate::common::{Run, digest, immut, run, small, text};

struct Scene {
    folder: TempDir,
    registry: Registry,
}

impl Scene {
    fn new() -> Self {
        Self { folder: tempdir().expect("a folder"), registry: Registry::start() }
    }

    fn image(&self, recipe: &Recipe) -> String {
        recipe.write(&self.folder.path().join("image")).reference()
    }

    /// Hardens, and nothing may be written.
    #[track_caller]
    fn refused(&self, image: &str, more: &[&str], code: i32, words: &[&str]) -> Run {
        let to = format!("{}/out/app:v1", self.registry.host());
        let run = Run::of(immut(&["harden", image, "--to", &to, "--no-sign"]).args(more));
        let run = run.code(code).says(words);
        assert_eq!(run.stdout, "", "{run}");
        assert!(run.stderr.contains("error: "), "{run}");
        let writes = self.registry.log();
        let writes: Vec<_> =
            writes.iter().filter(|line| !["GET", "HEAD"].contains(&line.method.as_str())).collect();
        assert!(writes.is_empty(), "{writes:#?}");
        run
    }
}

/// Wrong use is 2, with words that help.
#[test]
fn wrong_use_is_exit_code_2() {
    let scene = Scene::new();
    let image = scene.image(&small());
    let tagged = format!("oci:{}:latest", text(&scene.folder.path().join("image")));
    scene.refused(&tagged, &[], 2, &["no reference by digest", digest(&image)]);
    scene.refused(
        &image,
        &["--entrypoint", "redis-server"],
        2,
        &["no JSON list of strings", r#"'["redis-server""#],
    );
    scene.refused(&image, &["--frobnicate"], 2, &["unexpected argument '--frobnicate'"]);
    scene.refused(&image, &["--tag", "not a tag"], 2, &["is no tag"]);
    scene.refused(&image, &["--tag", "sha256-12"], 2, &["signatures"]);
    scene.refused(&image, &["--platform", "linux"], 2, &["OS/ARCHITECTURE"]);
    scene.refused(&image, &["--user", "redis"], 2, &["in numbers"]);
    scene.refused(&image, &["--user", "0"], 2, &["is root"]);
    scene.refused(&image, &["--keep", "bin/sh"], 2, &["neither an absolute path nor rule:ID"]);
    scene.refused(&image, &["--keep", "rule:shel"], 2, &["no rule shel"]);
    scene.refused(
        &image,
        &["--profile", "paranoid"],
        2,
        &["neither a profile (baseline, distroless, minimal) nor a file"],
    );
    scene.refused("oci:/no/such/layout@sha256:00", &[], 2, &["sha256"]);
    scene.refused("docker-daemon:x", &[], 2, &["docker save", "docker-archive:FILE"]);
    scene.refused("docker-archive:x.tar", &[], 7, &["x.tar"]);
    scene.refused("Redis Server", &[], 2, &["is no image reference"]);
    run(&["rules", "shel"]).code(2).says(&["`immut rules` lists them"]);
    run(&["harden", &image]).code(2).says(&["--to <DEST>", "--key <FILE>"]);
    let mut command = immut(&["audit", &image]);
    Run::of(command.env("SOURCE_DATE_EPOCH", "yesterday"))
        .code(2)
        .says(&["SOURCE_DATE_EPOCH", "yesterday"]);
}

/// Broken and hostile layers are 3, and the layer, the entry and the reason are said.
#[test]
fn broken_and_hostile_images_are_exit_code_3() {
    let app = |l: LayerRecipe| l.file("/app", 0o755, contents::program());
    let wrong = |fault| Recipe::new().layer(app).fault(fault).entrypoint(&["/app"]);
    let plain = Recipe::new().layer_as(Encoding::Plain, app).entrypoint(&["/app"]);
    let named = |path: &str| {
        Recipe::new().layer(app).layer(|l| l.file(path, 0o644, "x")).entrypoint(&["/app"])
    };
    for (recipe, words) in [
        (plain.fault(Fault::Content), &["layer 1", "wrong content for sha256:"][..]),
        (wrong(Fault::Content), &["layer 1", "wrong content for sha256:"]),
        (wrong(Fault::DiffId), &["layer 1", "sha256:"]),
        (wrong(Fault::Truncated(40)), &["layer 1", "40 bytes instead of"]),
        (wrong(Fault::EncodedTruncated(40)), &["layer 1"]),
        (wrong(Fault::Missing), &["is not in"]),
        (wrong(Fault::Trailing(b"tail".to_vec())), &["layer 1"]),
        (Recipe::new().tar_layer(Encoding::Plain, b"BZh91AY&SY no archive".to_vec()), &["layer 1"]),
        (named("/a/../../etc/passwd"), &["layer 2", "..", "passwd"]),
    ] {
        let scene = Scene::new();
        let image = scene.image(&recipe);
        scene.refused(&image, &[], 3, words);
        run(&["audit", &image]).code(3);
        run(&["plan", &image]).code(3);
    }
    let scene = Scene::new();
    let windows = scene.image(&small().platform("windows", "amd64"));
    scene.refused(&windows, &[], 3, &["Windows image"]);
    let artifact = small()
        .manifest(|json| json["artifactType"] = "application/vnd.cncf.helm.config.v1+json".into());
    let artifact = artifact.manifest(|json| {
        json["config"] = serde_json::json!({
            "mediaType": "application/vnd.cncf.helm.config.v1+json", "size": 2,
            "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        });
    });
    let scene = Scene::new();
    scene.refused(&scene.image(&artifact), &[], 3, &["application/vnd.cncf.helm.config.v1+json"]);
    let broken = scene.folder.path().join("image/index.json");
    fs::write(broken, "{").expect("written");
    run(&["audit", &format!("oci:{}:x", text(&scene.folder.path().join("image")))])
        .code(3)
        .says(&["index.json"]);
}

/// A start that needs a shell is 4, in `plan` too.
#[test]
fn conflicts_are_exit_code_4_in_plan_too() {
    let scene = Scene::new();
    let script = small()
        .layer(|l| l.file("/start.sh", 0o755, "#!/bin/sh\nexec /app\n"))
        .entrypoint(&["/start.sh"]);
    let image = scene.image(&script);
    let words = ["/start.sh", "#!/bin/sh", "/bin/bash", "nothing was published", "--keep"];
    scene.refused(&image, &[], 4, &words);
    let plan = run(&["plan", &image]).code(4);
    assert!(
        plan.stdout.contains("harden would refuse (exit 4)") && plan.stdout.contains("#!/bin/sh"),
        "{plan}"
    );
}

/// Registries that are not there, or have no such image, are 5.
#[test]
fn registries_are_exit_code_5() {
    let scene = Scene::new();
    let digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let nobody = nobody.expect("a port");
    scene.refused(
        &format!("{nobody}/a/b@{digest}"),
        &[],
        5,
        &["no answer from", &nobody.to_string()],
    );
    scene.refused(&format!("{}/no/such@{digest}", scene.registry.host()), &[], 5, &["is not in"]);
    run(&["audit", &format!("{}/no/such:v1", scene.registry.host())])
        .code(5)
        .says(&["tag v1 is not in"]);
    let image = scene.image(&small());
    let to = format!("{nobody}/out/app");
    run(&["harden", &image, "--to", &to, "--no-sign"]).code(5).says(&["publish the image"]);
}

/// `--fail-on` is 1 at or above the severity, and 0 below it or without it.
#[test]
fn findings_are_exit_code_1_only_when_asked() {
    let scene = Scene::new();
    let image = scene.image(&small());
    run(&["audit", &image]).code(0);
    run(&["audit", &image, "--fail-on", "high"]).code(1);
    run(&["audit", &image, "--fail-on", "critical"]).code(0);
    run(&["audit", &image, "--fail-on", "terrible"])
        .code(2)
        .says(&["info, low, medium, high, critical"]);
}

/// Files that cannot be written are 7, before anything is published.
#[test]
fn files_that_cannot_be_written_are_exit_code_7() {
    let scene = Scene::new();
    let image = scene.image(&small());
    let folder = text(scene.folder.path());
    for flag in ["--receipt", "--digest-file"] {
        scene.refused(&image, &[flag, "/no/such/folder/file"], 7, &["write /no/such/folder/file"]);
        scene.refused(&image, &[flag, folder], 7, &["write", "directory"]);
    }
    let to = format!("{}/out/app:v1", scene.registry.host());
    let mut command = immut(&["harden", &image, "--to", &to, "--no-sign"]);
    Run::of(command.env("GITHUB_OUTPUT", "/no/such/file")).code(7).says(&["write /no/such/file"]);
    assert!(scene.registry.tags("out/app").is_empty());
    assert!(
        scene.folder.path().read_dir().expect("a folder").count() == 1,
        "drafts are left behind"
    );
}

/// A receipt can go to a pipe, which is not replaced by a file.
#[test]
fn a_receipt_can_be_written_to_a_pipe() {
    let scene = Scene::new();
    let image = scene.image(&small());
    let to = format!("oci:{}", text(&scene.folder.path().join("out")));
    let done =
        run(&["harden", &image, "--to", &to, "--no-sign", "--receipt", "/dev/stderr"]).code(0);
    done.says(&["\"resultDigest\""]);
    let link = scene.folder.path().join("link.json");
    let mut real = fs::File::create(scene.folder.path().join("real.json")).expect("a file");
    real.write_all(b"old").expect("written");
    std::os::unix::fs::symlink("real.json", &link).expect("a link");
    run(&["harden", &image, "--to", &to, "--no-sign", "--receipt", text(&link)]).code(0);
    assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
    assert!(fs::read_to_string(link).expect("a receipt").contains("resultDigest"));
}
