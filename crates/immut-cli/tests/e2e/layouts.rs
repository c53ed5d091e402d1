//! OCI layouts as destinations, and the session of the README.

use std::fs;
use std::path::Path;
use std::process::Command;

use immut_testkit::peers;
use tempfile::tempdir;

use crate::common::{
    Podman, Run, cosign_says, cosigns, immut, json_file, key, mode, must, run, small, text,
    workspace,
};

/// The README's first command works in a fresh folder, twice, and the result runs.
#[test]
fn the_first_session_of_the_readme_works_twice() {
    let folder = tempdir().expect("a folder");
    let index = json_file(&workspace("testdata/demo/index.json"));
    let source = format!(
        "oci:testdata/demo@{}",
        index["manifests"][0]["digest"].as_str().expect("a digest")
    );
    let (out, key) = (folder.path().join("demo-hardened"), folder.path().join("demo.key"));
    let to = format!("oci:{}", out.display());
    let harden = || {
        let arguments = ["harden", &source, "--to", &to, "--key", text(&key), "--generate-key"];
        let mut command = immut(&arguments);
        Run::of(command.current_dir(workspace("")).env_remove("COSIGN_PASSWORD"))
    };
    let first = harden().code(0).says(&["A NEW KEY PAIR WAS MADE", "password is empty"]);
    assert!(first.line().starts_with(&format!("{to}@sha256:")), "{first}");
    assert_eq!((mode(&key), mode(&key.with_extension("pub"))), (0o600, 0o644));
    let made = fs::read(&key).expect("a key");
    let second = harden().code(0).says(&["was there already"]);
    assert!(!second.stderr.contains("A NEW KEY PAIR"), "{second}");
    assert_eq!(first.line(), second.line());
    assert_eq!(fs::read(&key).expect("a key"), made);
    for cosign in cosigns() {
        cosign_says(&cosign, second.last()).code(0);
    }
    let audit = run(&["audit", &to, "--fail-on", "info"]).code(0);
    assert!(audit.stdout.contains("no findings"), "{audit}");
    unpacked_without_a_shell(&to);
    serves(&to);
}

/// umoci, which nobody here wrote, finds no shell.
fn unpacked_without_a_shell(image: &str) {
    let Some(umoci) = peers::require("umoci") else { return };
    let folder = tempdir().expect("a folder");
    let bundle = folder.path().join("bundle");
    let image = format!("{}:latest", image.strip_prefix("oci:").expect("a layout"));
    must(&umoci, &["unpack", "--rootless", "--image", &image, text(&bundle)]);
    let root = bundle.join("rootfs");
    assert!(root.join("usr/sbin/lighttpd").is_file());
    for name in ["sh", "bash", "dash", "busybox", "dpkg", "apt"] {
        for place in ["bin", "usr/bin", "usr/sbin", "usr/local/bin"] {
            assert!(fs::symlink_metadata(root.join(place).join(name)).is_err(), "/{place}/{name}");
        }
    }
    let privileged =
        Run::of(Command::new("find").arg(&root).args(["-type", "f", "-perm", "/6000"]));
    assert_eq!(privileged.code(0).stdout, "");
}

/// podman starts it from the layout, read-only, as the user of its config.
fn serves(image: &str) {
    let Some(podman) = Podman::find() else { return };
    // podman makes a name of the path, and names are lowercase: so the path is relative.
    let folder = Path::new(image.strip_prefix("oci:").expect("a layout"));
    let mut pull = podman.command();
    pull.args(["pull", "-q", "oci:demo-hardened:latest"])
        .current_dir(folder.parent().expect("a folder"));
    let pulled = Run::of(&mut pull).code(0);
    podman.serves(pulled.line(), "demo");
}

/// The image is the first of `index.json` under its name; cosign and skopeo accept it;
/// a layout that is there is added to.
#[test]
fn a_layout_is_added_to_and_its_image_comes_before_its_signatures() {
    let folder = tempdir().expect("a folder");
    let image = small().write(&folder.path().join("image")).reference();
    let key = key(folder.path(), "k");
    let to = |name: &str| format!("oci:{}:{name}", folder.path().join("out").display());
    let harden =
        |name: &str| run(&["harden", &image, "--to", &to(name), "--key", text(&key)]).code(0);
    let one = harden("one");
    let lines = json_file(&folder.path().join("out/index.json"));
    let annotation = "org.opencontainers.image.ref.name";
    assert_eq!(lines["manifests"][0]["annotations"][annotation], "one", "{lines}");
    harden("two");
    for cosign in cosigns() {
        cosign_says(&cosign, one.last()).code(0);
    }
    if let Some(skopeo) = peers::require("skopeo") {
        for name in ["one", "two"] {
            must(&skopeo, &["inspect", &to(name)]);
        }
    }
    let verified = run(&["verify", &to("two"), "--key", text(&key.with_extension("pub"))]).code(0);
    assert_eq!(verified.line(), one.line());
    let unknown = run(&["audit", &to("three")]).code(2);
    unknown.says(&["an image named three is not in", "out:one@sha256:", "out:two@sha256:"]);
}

/// A folder with something else in it is refused before the work, and left alone.
#[test]
fn a_folder_that_is_no_layout_is_refused() {
    let folder = tempdir().expect("a folder");
    let image = small().write(&folder.path().join("image")).reference();
    let taken = folder.path().join("taken");
    fs::create_dir(&taken).expect("a folder");
    fs::write(taken.join("thesis.txt"), "years").expect("written");
    let to = format!("oci:{}", taken.display());
    let refused = run(&["harden", &image, "--to", &to, "--no-sign", "--progress", "json"]);
    let refused = refused.code(2).says(&["something else in it"]);
    assert!(!refused.stderr.contains("\"event\""), "{refused}");
    assert_eq!(fs::read_dir(&taken).expect("a folder").count(), 1);
    let to = format!("oci:{}", taken.join("thesis.txt").display());
    run(&["harden", &image, "--to", &to, "--no-sign"]).code(2).says(&["is a file"]);
}
