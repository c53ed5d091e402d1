//! Every recorded image, through the program: it works, or it is refused with that exit code and
//! those words; nothing panics, takes more than 256 MiB, or hangs.
//!
//! A recording without a row fails the test, so a new one is looked at.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use immut_testkit::fixtures;
use immut_testkit::peers;
use immut_testkit::recipe::{Encoding, Recipe};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::common::{Run, immut, json_file, must, peer, text};

/// How a recording becomes an image that can be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// It is a layout: `oci:PATH`, and what follows.
    Layout(&'static str),
    /// It is a layout whose blobs are links, kept as the text of their targets.
    Linked,
    /// It is an archive that docker saved: `docker-archive:PATH`, and what follows.
    Docker(&'static str),
    /// It is a layout in an archive.
    Oci,
    /// It is a layer's archive, made into an image.
    Layer,
    /// It is the `manifest.json` of an archive that docker saved, without the rest.
    ManifestJson,
    /// It is no image.
    No,
}

use Form::{Docker, Layer, Layout, Linked, ManifestJson, No, Oci};

/// A recording (a file, or a folder with all beneath it), its form, the exit code of `plan`, and what
/// `plan` says.
type Row = (&'static str, Form, i32, &'static [&'static str]);

const ROWS: &[Row] = &[
    ("1-rootfs/alpine-minirootfs-3.12.12-x86_64.tar.gz", Layer, 0, &["people-tool, shell\n"]),
    ("1-rootfs/alpine-minirootfs-3.15.11-x86_64.tar.gz", Layer, 0, &["people-tool, shell\n"]),
    ("1-rootfs/alpine-minirootfs-3.20.3-aarch64.tar.gz", Layer, 0, &["people-tool, shell\n"]),
    ("1-rootfs/alpine-minirootfs-3.20.3-x86_64.tar.gz", Layer, 0, &["people-tool, shell\n"]),
    ("1-rootfs/busybox-hardlinks-test23767.runc-config.json", No, 0, &["the config of a runtime"]),
    ("1-rootfs/busybox-hardlinks-test23767.tar", Layer, 0, &["people-tool, shell\n"]),
    ("1-rootfs/busybox-latest-glibc-amd64.tar.gz", Layer, 0, &["people-tool, shell\n"]),
    ("1-rootfs/busybox-latest-musl-amd64.tar.gz", Layer, 0, &["people-tool, shell\n"]),
    ("1-rootfs/busybox-latest-uclibc-arm64v8.tar.gz", Layer, 0, &["people-tool, shell\n"]),
    ("1-rootfs/docker-nano-php-latest.tar.xz", Layer, 0, &["after   80 files"]),
    ("1-rootfs/tinycore-11.0-x86.tar.gz", Layer, 0, &["because of shell"]),
    ("2-images/apko/base_image", Layout(""), 2, &["has 2 images, so name one of them"]),
    (
        "2-images/apko/base_image",
        Layout(APKO_AMD64),
        4,
        &["linux/amd64", "/bin/sh is not in the image"],
    ),
    (
        "2-images/apko/base_image",
        Layout(APKO_ARM64),
        4,
        &["linux/arm64", "/bin/sh is not in the image"],
    ),
    (BUSYBOX, Layout(""), 3, &["gave wrong content for sha256:a34ce920"]),
    (BUSYBOX, Linked, 4, &["linux/amd64", "Cmd needs /bin/sh, which rule shell removes"]),
    ("2-images/claircore-layers/concat.tar", Layer, 0, &["after   2 files"]),
    ("2-images/claircore-layers/layer-with-cpe.tar", Layer, 0, &["after   1 files"]),
    ("2-images/claircore-layers/rhcos-layer-with-embedded-cs.tar", Layer, 0, &["after   1 files"]),
    ("2-images/container-diff/la-croix-update.tar", Layer, 0, &["after   1 files"]),
    ("2-images/container-diff/la-croix-wh.tar", Layer, 0, &["after   1 files"]),
    ("2-images/container-diff/la-croix1.tar", Layer, 0, &["after   3 files"]),
    (
        "2-images/dive/test-docker-image.tar",
        Docker(""),
        4,
        &["Cmd needs /bin/sh, which rule shell removes"],
    ),
    // It has the name of another recording's kind, and the bytes of the next but two.
    ("2-images/dive/test-estargz-image.tar", Docker(""), 3, &["it has no manifest.json"]),
    ("2-images/dive/test-estargz-image.tar", Layer, 0, &["after   1 files"]),
    ("2-images/dive/test-oci-gzip-image.tar", Oci, 0, &["linux/arm64"]),
    ("2-images/dive/test-oci-gzip-image.tar", Docker(""), 3, &["named oci-archive:FILE"]),
    ("2-images/dive/test-oci-zstd-image.tar", Oci, 0, &["linux/arm64"]),
    ("2-images/dive/test-uncompressed-image.tar", Oci, 3, &["it has no file oci-layout"]),
    ("2-images/dive/test-uncompressed-image.tar", Layer, 0, &["after   1 files"]),
    ("2-images/go-containerregistry/crane/content.tar", Layer, 0, &["after   2 files"]),
    ("2-images/go-containerregistry/crane/content.tar.zst", Layer, 0, &["after   2 files"]),
    (GGCR_INDEX, Layout(""), 2, &["has 4 images, so name one of them"]),
    (GGCR_INDEX, Layout(":1"), 0, &["linux/amd64"]),
    (GGCR_INDEX, Layout(":2"), 0, &["linux/amd64"]),
    (GGCR_INDEX, Layout(":3"), 0, &["linux/amd64"]),
    (GGCR_INDEX, Layout(":4"), 0, &["linux/amd64"]),
    (
        "2-images/go-containerregistry/layout/testdata/test_index_one_image",
        Layout(""),
        0,
        &["linux/amd64"],
    ),
    ("2-images/go-containerregistry/mutate/testdata/source_image.tar", Docker(""), 0, &["amd64"]),
    ("2-images/go-containerregistry/mutate/testdata/whiteout_image.tar", Docker(""), 0, &["amd64"]),
    (
        "2-images/go-containerregistry/tarball/testdata/hello-world-v25.tar",
        Docker(""),
        0,
        &["linux/arm64"],
    ),
    (GGCR_BUNDLE, Docker(""), 2, &["has 2 images, so name one of them"]),
    (GGCR_BUNDLE, Docker(":test_image_1"), 0, &["linux/amd64"]),
    (GGCR_BUNDLE, Docker(":test_image_2"), 0, &["linux/amd64"]),
    ("2-images/go-containerregistry/tarball/testdata/test_image_1.tar", Docker(""), 0, &["amd64"]),
    (
        "2-images/go-containerregistry/tarball/testdata/test_load_manifest.tar",
        Docker(""),
        0,
        &["linux/amd64"],
    ),
    ("2-images/osv-scalibr/basic.tar", Docker(""), 0, &["linux/amd64"]),
    ("2-images/osv-scalibr/multiple-files.tar", Docker(""), 0, &["linux/amd64"]),
    ("2-images/osv-scalibr/overwrite-file.tar", Docker(""), 0, &["linux/amd64"]),
    ("2-images/osv-scalibr/single-file.tar", Docker(""), 0, &["linux/amd64"]),
    ("2-images/osv-scalibr/symlink-basic.tar", Docker(""), 0, &["linux/amd64"]),
    ("2-images/regclient/layer-wh.tar", Layer, 0, &["after   2 files"]),
    ("2-images/regclient/layer.tar", Layer, 0, &["after   3 files"]),
    ("2-images/stereoscope-docker-manifests/engine-config.json", No, 0, &["a config alone"]),
    (
        "2-images/stereoscope-docker-manifests/no-descriptors.json",
        ManifestJson,
        2,
        &["lists no images"],
    ),
    (
        "2-images/stereoscope-docker-manifests/single-blank-manifest.json",
        ManifestJson,
        3,
        &["manifest.json has no config"],
    ),
    (
        "2-images/stereoscope-docker-manifests/valid-multi-manifest-with-tags.json",
        ManifestJson,
        3,
        &["manifest.json names 881a352c", "is not in it"],
    ),
    (
        "2-images/stereoscope/multiplatform_oci_dir",
        Layout(""),
        0,
        &["\nlinux/amd64\n", "\nlinux/arm64\n"],
    ),
    ("2-images/stereoscope/no_manifests", Layout(""), 2, &["it has no file oci-layout"]),
    ("2-images/stereoscope/valid_oci_dir", Layout(""), 0, &["linux/amd64"]),
    ("2-images/stereoscope/valid_oci_dir", Layout(":1.0"), 0, &["linux/amd64"]),
    (
        "2-images/trivy/alpine-310.tar.gz",
        Docker(""),
        4,
        &["Cmd needs /bin/busybox, which rule shell removes"],
    ),
    ("2-images/trivy/test.oci", Layout(""), 0, &["linux/amd64"]),
    ("2-images/trivy/test_bad_index_json.oci", Layout(""), 3, &["index.json is not usable"]),
];

const APKO_AMD64: &str = "@sha256:2ef91a9967f2e1759ea49a8c01cf6a45dd9f9af71fe09bcf2b86175bc4a71314";
const APKO_ARM64: &str = "@sha256:5a99438a9ced8193f1d71209d0b558fdc0b184aee5cf258e5f7aa9a6ab0f0671";
const BUSYBOX: &str = "2-images/busybox-oci-layout-latest-musl-amd64";
const GGCR_INDEX: &str = "2-images/go-containerregistry/layout/testdata/test_index";
const GGCR_BUNDLE: &str = "2-images/go-containerregistry/tarball/testdata/test_bundle.tar";

/// The most memory that a run may have, in KiB of data: 256 MiB.
const MEMORY: u32 = 256 << 10;
/// Seconds after which a run hangs; it is no measure of speed.
const PATIENCE: u32 = 10;

/// The table of fixtures, with no panic and nothing over 10 s or 256 MiB.
#[test]
fn every_recorded_image_works_or_is_refused_as_the_table_says() {
    holds("2-images");
}

/// The same for root file systems.
#[test]
fn every_recorded_root_works_as_the_table_says() {
    holds("1-rootfs");
}

/// Ends the test unless the rows of that folder are true.
fn holds(beneath: &str) {
    let Some(recordings) = fixtures::folder() else { return };
    let mut wrong = Vec::new();
    for row in ROWS.iter().filter(|row| Path::new(row.0).starts_with(beneath)) {
        let folder = tempdir().expect("a folder");
        if let Some(image) = image(row, &recordings, &folder) {
            wrong.extend(outcomes(row, &image, &folder));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_recording_has_a_row() {
    let Some(recordings) = fixtures::folder() else { return };
    let mut files = Vec::new();
    for folder in ["1-rootfs", "2-images"] {
        beneath(&recordings.join(folder), &mut files);
    }
    assert!(files.len() > 90, "{} files", files.len());
    let covers = |row: &Row, file: &Path| file.starts_with(recordings.join(row.0));
    let missing: Vec<_> =
        files.iter().filter(|file| !ROWS.iter().any(|row| covers(row, file))).collect();
    assert!(missing.is_empty(), "no row in the table: {missing:#?}");
    let stale: Vec<_> =
        ROWS.iter().filter(|row| !files.iter().any(|file| covers(row, file))).collect();
    assert!(stale.is_empty(), "no such recording: {stale:#?}");
}

/// The guard of the table does what it says.
#[test]
fn a_run_that_takes_too_much_memory_fails() {
    let Some(recordings) = fixtures::folder() else { return };
    let image = format!("docker-archive:{}/2-images/trivy/alpine-310.tar.gz", recordings.display());
    let starved = guarded(&["plan", &image], 4 << 10);
    assert!(!matches!(starved.code, Some(0..=7)), "{starved}");
}

fn beneath(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { beneath(&path, files) } else { files.push(path) }
    }
}

/// The name of a row's image; none if it is no image, or if what unpacks it is not here.
fn image((path, form, ..): &Row, recordings: &Path, folder: &TempDir) -> Option<String> {
    let (place, made) = (recordings.join(path), folder.path().join("image"));
    let place = text(&place);
    Some(match form {
        Layout(rest) => format!("oci:{place}{rest}"),
        Docker(rest) => format!("docker-archive:{place}{rest}"),
        Oci => format!("oci-archive:{place}"),
        Linked => {
            relinked(Path::new(place), &made);
            format!("oci:{}", text(&made))
        }
        Layer => {
            let tar = fixtures::archive(Path::new(place))?;
            Recipe::new().tar_layer(Encoding::Gzip, tar).write(&made).reference()
        }
        ManifestJson => {
            fs::create_dir(&made).expect("a folder");
            fs::copy(place, made.join("manifest.json")).expect("copied");
            let archive = folder.path().join("saved.tar");
            must(Path::new("tar"), &["-C", text(&made), "-cf", text(&archive), "manifest.json"]);
            format!("docker-archive:{}", text(&archive))
        }
        No => return None,
    })
}

/// Copies a layout, and makes links again of what was recorded as the text of their targets.
fn relinked(layout: &Path, to: &Path) {
    let mut files = Vec::new();
    beneath(layout, &mut files);
    for file in files {
        let copy = to.join(file.strip_prefix(layout).expect("beneath"));
        fs::create_dir_all(copy.parent().expect("a folder")).expect("made");
        let content = fs::read(&file).expect("a file");
        match std::str::from_utf8(&content) {
            Ok(target) if target.starts_with("../") => {
                std::os::unix::fs::symlink(target, copy).expect("a link");
            }
            _ => fs::write(copy, content).expect("written"),
        }
    }
}

/// What is not as the row says, of `plan`, `audit` and `harden`.
fn outcomes(row: &Row, image: &str, folder: &TempDir) -> Vec<String> {
    let (path, form, code, words) = row;
    let mut wrong = Vec::new();
    let mut check = |what: &str, run: &Run, code: i32, words: &[&str]| {
        let said = format!("{}{}", run.stdout, run.stderr);
        let missing = words.iter().find(|word| !said.contains(*word));
        if run.code != Some(code) || missing.is_some() || said.contains("panicked") {
            wrong.push(format!("{path} {form:?}: {what} should exit {code} with {words:?}: {run}"));
        }
    };
    let plan = guarded(&["plan", image], MEMORY);
    check("plan", &plan, *code, words);
    let audit = guarded(&["audit", image, "--format", "json"], MEMORY);
    check("audit", &audit, if *code == 4 { 0 } else { *code }, &[]);
    if !matches!(code, 0 | 4) {
        return wrong;
    }
    let pinned = pinned(&audit);
    let to = format!("oci:{}:it", text(&folder.path().join("out")));
    let harden = guarded(&["harden", &pinned, "--to", &to, "--no-sign"], MEMORY);
    check("harden", &harden, *code, &[]);
    if *code == 0 && harden.code == Some(0) {
        let again = guarded(&["plan", &to], MEMORY);
        check("plan of the result", &again, 0, &["nothing to do: the digest stays"]);
        let index = json_file(&folder.path().join("out/index.json"));
        // skopeo reads only OCI's own documents from a layout.
        let own = index["manifests"][0]["mediaType"].to_string().contains("vnd.oci");
        if let Some(skopeo) = peers::require("skopeo").filter(|_| own) {
            check("skopeo inspect", &peer(&skopeo, &["inspect", "--raw", &to]), 0, &[]);
        }
    }
    wrong
}

/// The image by digest, which `harden` asks for.
fn pinned(audit: &Run) -> String {
    let json: Value = serde_json::from_str(&audit.stdout).unwrap_or_default();
    json["image"].as_str().unwrap_or_default().to_owned()
}

/// Runs `immut` with no more memory than that, in KiB, and no longer than is patient.
fn guarded(arguments: &[&str], memory: u32) -> Run {
    let script = format!(r#"ulimit -d {memory} && exec timeout {PATIENCE} "$0" "$@""#);
    let program = immut::<&str>(&[]);
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(script).arg(program.get_program()).args(arguments);
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Run::of(command.stdin(std::process::Stdio::null()))
}
