//! A volume that was root's, written to by a hardened container.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use immut_testkit::{peers, recipe::Recipe};
use serde_json::json;

use crate::common::{CONFINED, FOLDER, Podman, Run, json_file, run, text};

/// Read-only, without capabilities, as a user that is not root, a program writes into the volume that
/// podman makes with the image's owner. The same user may not in the image as it was.
#[test]
fn a_hardened_container_writes_into_its_volume() {
    let (Some(podman), Some(recipe)) = (Podman::find(), recipe()) else { return };
    let layout = FOLDER.folder.join("volumes");
    let built = recipe.name("v1").write(&layout);
    let source = format!("oci:{}@{}", layout.display(), built.digest);
    let archive = |name: &str| FOLDER.folder.join(format!("volumes-{name}.tar"));
    let receipt = FOLDER.folder.join("volumes.json");
    let to = |name: &str| format!("docker-archive:{}:volumes:{name}", archive(name).display());
    run(&["copy", &source, &to("before")]).code(0);
    let harden = ["harden", &source, "--to", &to("after"), "--no-sign", "--writable", "/cache"];
    run(&[&harden[..], &["--receipt", text(&receipt)]].concat()).code(0);
    let receipt = &json_file(&receipt)["platforms"][0];
    let writable = json!([
        { "path": "/cache", "kind": "tmpfs", "rules": ["chosen-writable"] },
        { "path": "/data", "kind": "volume", "rules": ["volume"] },
    ]);
    assert_eq!(receipt["writable"], writable);
    let given = json!({
        "path": "/data", "change": "set-owner", "detail": "65532:65532", "rules": ["volume"],
    });
    assert!(receipt["changed"].as_array().expect("a list").contains(&given), "{receipt}");
    let touch = |name: &str, user: &str, path: &str| {
        let id = podman.load(&archive(name));
        let start = [&["run", "--rm"][..], &CONFINED, &["--user", user, &id, path]].concat();
        podman.run(&start)
    };
    let denied: fn(Run) = |run| drop(run.code(1).says(&["Permission denied"]));
    denied(touch("before", "65532:65532", "/data/written"));
    touch("after", "65532:65532", "/data/written").code(0);
    touch("after", "65532:65532", "/data/beneath/written").code(0);
    let others = touch("after", "65532:65532", "/written").code(1);
    assert!(others.stderr.contains("Read-only file system"), "{others}");
    denied(touch("after", "1234:1234", "/data/written"));
}

/// An image of this machine's `touch` with its libraries, root's, with a volume that is root's.
fn recipe() -> Option<Recipe> {
    let touch = peers::require("touch")?;
    let listed = Command::new(peers::require("ldd")?).arg(&touch).output().expect("ldd runs");
    let listed = String::from_utf8(listed.stdout).expect("text");
    let paths = listed.split_ascii_whitespace().filter(|word| word.starts_with('/'));
    let files: Vec<PathBuf> = paths.map(PathBuf::from).collect();
    assert!(!files.is_empty(), "touch is linked dynamically");
    let recipe = Recipe::new().layer(|layer| {
        let layer = layer.file("/touch", 0o755, fs::read(&touch).expect("touch"));
        let layer = layer.dir("/data", 0o755).dir("/data/beneath", 0o755);
        files.iter().fold(layer, |layer, file| {
            layer.file(text(file), 0o755, fs::read(file).expect("a library"))
        })
    });
    let volume =
        |config: &mut serde_json::Value| config["config"]["Volumes"] = json!({ "/data": {} });
    Some(recipe.entrypoint(&["/touch"]).config(volume))
}
