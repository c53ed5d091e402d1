//! `docs/images.md` is what the program says of each kind of image: this test fails when the page is
//! stale, and writes it when `IMMUT_UPDATE_DOCS` is set.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use immut_testkit::recipe::{Encoding, Fault, IndexRecipe, Recipe, descriptor, digest_of};
use immut_testkit::{contents, pages};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::common::{Run, run, text};

const IMAGE: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const HELM: &str = "application/vnd.cncf.helm.config.v1+json";
const CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// A kind of image: what it is, what happens, and one of it with more arguments for `harden`.
struct Kind {
    what: &'static str,
    happens: &'static str,
    example: Example,
    arguments: &'static [&'static str],
}

enum Example {
    Image(Recipe),
    Index(IndexRecipe),
    /// An index whose blob with that digest is missing.
    Partial(IndexRecipe, String),
}

use Example::{Image, Index, Partial};

fn kind(what: &'static str, happens: &'static str, example: Example) -> Kind {
    Kind { what, happens, example, arguments: &[] }
}

/// An image that is changed.
fn linux(architecture: &str) -> Recipe {
    let app = Recipe::new().layer(|l| l.file("/app", 0o755, contents::program()));
    let app = app.layer(|l| l.file("/bin/bash", 0o755, contents::bash()));
    app.entrypoint(&["/app"]).platform("linux", architecture)
}

/// An image with nothing to do.
fn clean(architecture: &str) -> Recipe {
    let app = Recipe::new().layer(|l| l.file("/app", 0o755, contents::program()));
    app.entrypoint(&["/app"]).user("7").platform("linux", architecture)
}

fn both() -> IndexRecipe {
    IndexRecipe::new().image(&linux("amd64")).image(&linux("arm64"))
}

fn one() -> IndexRecipe {
    IndexRecipe::new().image(&linux("amd64"))
}

/// A line without a platform.
fn beside(index: IndexRecipe, recipe: &Recipe) -> IndexRecipe {
    index.image_with(recipe, |line| {
        line.as_object_mut().expect("a line").remove("platform");
    })
}

fn faulty(media_type: &str) -> Recipe {
    linux("arm64").fault(Fault::MediaType(media_type.to_owned()))
}

/// The page's sections.
fn sections() -> Vec<(&'static str, Vec<Kind>)> {
    vec![
        ("Images", images()),
        ("Several platforms", platforms()),
        ("What lies beside images", companions()),
        ("What is no image", artifacts()),
        ("Layers", layers()),
        ("Documents", documents()),
    ]
}

fn images() -> Vec<Kind> {
    vec![
        kind("an image of OCI or of Docker (schema 2)", "is hardened", Image(linux("amd64"))),
        kind("one with nothing to do", "keeps its digest", Image(clean("amd64"))),
        kind("one without layers", "gets a user", Image(Recipe::new())),
        kind("one for Windows", "is refused", Image(linux("amd64").platform("windows", "amd64"))),
        kind("one for WebAssembly", "is refused", Image(linux("amd64").platform("wasi", "wasm"))),
    ]
}

fn platforms() -> Vec<Kind> {
    let inner = IndexRecipe::new().image(&linux("arm64"));
    let tower = (0..5).fold(one(), |inner, _| IndexRecipe::new().nested(&inner));
    let arm64 = linux("arm64").build();
    let layer = arm64.layers[0].descriptor["digest"].as_str().expect("a digest").to_owned();
    let windows = || one().image(&linux("amd64").platform("windows", "amd64"));
    vec![
        kind(
            "an index, or a manifest list of Docker",
            "each Linux platform is hardened",
            Index(both()),
        ),
        kind(
            "one with manifests of both families",
            "each stays what it is",
            Index(one().image(&linux("arm64").docker())),
        ),
        kind(
            "an index inside an index",
            "is brought up to date in its place",
            Index(one().nested(&inner)),
        ),
        kind("a tower of more than four", "is refused", Index(tower)),
        kind("the same manifest twice", "is worked on once", Index(both().image(&linux("amd64")))),
        kind("Windows beside Linux", "is left out", Index(windows())),
        Kind {
            arguments: &["--platform", "windows/amd64"],
            ..kind("Windows, when it was asked for", "is refused", Index(windows()))
        },
        Kind {
            arguments: &["--platform", "linux/s390x"],
            ..kind("a platform that is not there", "is refused", Index(both()))
        },
        kind(
            "a partial copy: a manifest is not there",
            "is left out",
            Partial(both(), arm64.digest),
        ),
        kind("a partial copy: a layer is not there", "is refused", Partial(both(), layer)),
    ]
}

fn companions() -> Vec<Kind> {
    let chart = Recipe::artifact(None, HELM, CHART);
    let words = b"words";
    vec![
        kind(
            "an attestation of an image that does not change",
            "stays",
            Index(IndexRecipe::new().image(&clean("amd64")).attestation(0)),
        ),
        kind("an attestation of an image that changes", "is left out", Index(one().attestation(0))),
        kind("an artifact, such as a Helm chart", "is left out", Index(beside(one(), &chart))),
        kind(
            "an unknown media type",
            "is left out",
            Index(one().blob(words).line(descriptor("text/plain", words))),
        ),
        kind(
            "a platform with layers that cannot be read",
            "is left out",
            Index(one().image(&faulty(ENCRYPTED))),
        ),
    ]
}

fn artifacts() -> Vec<Kind> {
    let empty = "application/vnd.oci.empty.v1+json";
    let bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
    let spdx = "application/spdx+json";
    let of = |what, artifact: Option<&str>, config: &str, layer: &str| {
        kind(what, "is refused", Image(Recipe::artifact(artifact, config, layer)))
    };
    vec![
        of("a Helm chart", None, HELM, CHART),
        of("a WebAssembly module", None, "application/vnd.wasm.config.v0+json", "application/wasm"),
        of(
            "a signature of cosign 2",
            None,
            IMAGE,
            "application/vnd.dev.cosign.simplesigning.v1+json",
        ),
        of("a signature of cosign 3", Some(bundle), empty, bundle),
        of("an attestation of BuildKit", None, IMAGE, "application/vnd.in-toto+json"),
        of("an SBOM", Some(spdx), empty, spdx),
        of("any other artifact", Some("application/vnd.example"), empty, "text/plain"),
    ]
}

fn layers() -> Vec<Kind> {
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let lazy = linux("amd64").estargz_layer(|l| l.file("/su", 0o4755, contents::program()));
    let frames = |recipe: Recipe| {
        recipe.layer_as(Encoding::ZstdFrames(3), |l| l.file("/su", 0o4755, contents::program()))
    };
    let archive = |magic: &[u8]| Recipe::new().tar_layer(Encoding::Plain, magic.to_vec());
    vec![
        kind(
            "for lazy pulling: eStargz",
            "keeps its table of contents; one that changes is a plain gzip layer afterwards",
            Image(lazy),
        ),
        kind(
            "for lazy pulling: zstd:chunked",
            "keeps its annotations; one that changes is a plain zstd layer afterwards",
            Image(frames(linux("amd64"))),
        ),
        kind("encrypted", "is refused", Image(faulty(ENCRYPTED))),
        kind("foreign (nondistributable)", "is refused", Image(faulty(foreign))),
        kind("no archive of files", "is refused", Image(faulty("text/plain"))),
        kind("compressed with bzip2 or xz", "is refused", Image(archive(b"BZh91AY&SY"))),
    ]
}

const ENCRYPTED: &str = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted";

fn documents() -> Vec<Kind> {
    let list = json!([descriptor(MANIFEST, b"{}")]);
    let config = digest_of(b"{}").replace("sha256:", "sha512:");
    let schema_1 = |json: &mut Value| *json = json!({ "schemaVersion": 1, "mediaType": SCHEMA_1 });
    vec![
        kind(
            "a manifest of Docker's schema 1",
            "is refused",
            Image(linux("amd64").manifest(schema_1)),
        ),
        kind(
            "one that can be taken for an index, too",
            "is refused",
            Image(linux("amd64").manifest(|json| json["manifests"] = list)),
        ),
        kind(
            "a media type that the document is not",
            "is refused",
            Image(linux("amd64").manifest(|json| {
                json["mediaType"] = "application/vnd.oci.image.index.v1+json".into();
            })),
        ),
        kind(
            "other digests than SHA-256",
            "are refused",
            Image(linux("amd64").manifest(|json| {
                json["config"] = json!({ "mediaType": IMAGE, "size": 2, "digest": config });
            })),
        ),
        kind(
            "other numbers of layers in manifest and config",
            "are refused",
            Image(linux("amd64").config(|json| json["rootfs"] = json!({ "diff_ids": [] }))),
        ),
    ]
}

const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

#[test]
fn the_page_of_images_is_what_the_program_says() {
    pages::check("docs/images.md", &page(), "-p immut-cli --test e2e images");
}

fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    for (title, kinds) in sections() {
        write!(page, "\n## {title}\n\n| what | what happens | exit code | what `harden` says |\n|---|---|---|---|\n")
            .expect("memory");
        for kind in kinds {
            let Kind { what, happens, .. } = &kind;
            let (code, said) = outcome(&kind);
            let refused = happens.ends_with("refused");
            assert_eq!(code == 3, refused, "{what}: exit {code}, {said}");
            assert_eq!(happens.ends_with("left out"), said.contains("left out"), "{what}: {said}");
            writeln!(page, "| {what} | {happens} | {code} | {said} |").expect("memory");
        }
    }
    page
}

/// How hardening it ends: the exit code, and the lines about what is not done.
fn outcome(kind: &Kind) -> (i32, String) {
    let folder = tempdir().expect("a folder");
    let image = write(&kind.example, &folder);
    let to = format!("oci:{}", text(&folder.path().join("out")));
    let fixed = ["harden", &image, "--to", &to, "--no-sign", "--progress", "none"];
    let run = run(&[&fixed, kind.arguments].concat());
    let code = run.code.unwrap_or_default();
    (code, said(&run, folder.path()))
}

fn write(example: &Example, folder: &TempDir) -> String {
    let at = folder.path().join("image");
    match example {
        Image(recipe) => recipe.write(&at).reference(),
        Index(recipe) => recipe.write(&at).reference(),
        Partial(recipe, lost) => {
            let built = recipe.write(&at);
            fs::remove_file(built.images[0].blob_path(lost)).expect("there");
            built.reference()
        }
    }
}

/// The lines of refusals and of what is left out, as code, without digests and with a short folder.
fn said(run: &Run, folder: &Path) -> String {
    let lines = run
        .stderr
        .lines()
        .filter(|line| ["error: ", "left out "].iter().any(|start| line.starts_with(start)));
    let shown = lines.map(|line| {
        let line = line.replace(text(&folder.join("image")), "DIR");
        format!("`{}`", without_digests(&line).replace('|', "\\|").replace('`', "'"))
    });
    shown.collect::<Vec<_>>().join("<br>")
}

/// Digests would change with whatever compresses the examples.
fn without_digests(line: &str) -> String {
    let mut parts = line.split("sha256:");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |line, part| {
        format!("{line}sha256:...{}", part.trim_start_matches(|c: char| c.is_ascii_hexdigit()))
    })
}

const INTRODUCTION: &str = "# Images

What immut does with each kind of image. This page is generated: each line is what the program said
of a small image of that kind. Where images come from, and how they are named, is in `immut --help`;
why it is so is in [decisions.md](decisions.md).

What is left out is named on stderr and in the receipt (`leftOut`), and by `plan` and `audit` too,
but for what is about an image that `harden` changes. A run is refused when nothing else is left, or
when what was asked for with `--platform` would be left out.
";
