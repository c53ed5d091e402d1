//! What lies beside images, and what looks like one: artifacts, layers that cannot be read, documents
//! that can be taken for two things.

use immut_core::{Error, Options};
use immut_testkit::recipe::{Fault, IndexRecipe, Recipe, descriptor};
use serde_json::{Value, json};

use crate::common::Scene;
use crate::index::{clean, harden, lines, linux};

const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Artifacts as they are found in registries, and what they are called.
fn artifacts() -> Vec<(Recipe, &'static str)> {
    let image = "application/vnd.oci.image.config.v1+json";
    vec![
        (
            Recipe::artifact(
                None,
                "application/vnd.cncf.helm.config.v1+json",
                "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            ),
            "a Helm chart (application/vnd.cncf.helm.config.v1+json)",
        ),
        (
            Recipe::artifact(None, "application/vnd.wasm.config.v0+json", "application/wasm"),
            "a WebAssembly module",
        ),
        (
            Recipe::artifact(None, image, "application/vnd.module.wasm.content.layer.v1+wasm"),
            "a WebAssembly module (application/vnd.module.wasm.content.layer.v1+wasm)",
        ),
        (
            Recipe::artifact(None, image, "application/vnd.dev.cosign.simplesigning.v1+json"),
            "a cosign signature",
        ),
        (
            Recipe::artifact(
                Some("application/vnd.dev.sigstore.bundle.v0.3+json"),
                EMPTY,
                "application/vnd.dev.sigstore.bundle.v0.3+json",
            ),
            "a Sigstore signature or attestation",
        ),
        (Recipe::artifact(None, image, "application/vnd.in-toto+json"), "an attestation"),
        (
            Recipe::artifact(Some("application/spdx+json"), EMPTY, "application/spdx+json"),
            "an SBOM (application/spdx+json)",
        ),
        (
            Recipe::artifact(
                None,
                "application/vnd.docker.container.image.v1+json",
                "application/vnd.ollama.image.model",
            ),
            "a machine learning model",
        ),
        (
            Recipe::artifact(Some("application/vnd.example.thing"), EMPTY, "text/plain"),
            "an artifact of type \"application/vnd.example.thing\"",
        ),
        (
            Recipe::artifact(None, EMPTY, "application/vnd.oci.image.layer.v1.tar"),
            "an artifact without a config (application/vnd.oci.empty.v1+json)",
        ),
    ]
}

fn told(recipe: &Recipe) -> String {
    Scene::of(recipe).plans(&Options::default()).expect_err("refused").to_string()
}

pub(crate) fn without_platform(index: IndexRecipe, recipe: &Recipe) -> IndexRecipe {
    index.image_with(recipe, |line| {
        line.as_object_mut().expect("a line").remove("platform");
    })
}

#[test]
fn an_artifact_alone_is_refused_with_what_it_is() {
    for (recipe, name) in artifacts() {
        let told = told(&recipe);
        assert!(told.contains(name) && told.ends_with(", no container image"), "{told}");
    }
}

#[test]
fn artifacts_beside_an_image_are_left_out_and_named() {
    for (recipe, name) in artifacts() {
        let index = without_platform(IndexRecipe::new().image(&linux("amd64")), &recipe);
        let done = harden(&index);
        assert_eq!(lines(&done.hardened).len(), 1, "{name}");
        let [left] = &done.hardened.left_out[..] else { panic!("{name}") };
        assert_eq!(left.what, recipe.build().digest);
        assert!(left.reason.contains(name), "{}", left.reason);
        assert!(!done.again(&Options::default()).is_changed());
        let alone = Scene::of_index(&without_platform(IndexRecipe::new(), &recipe));
        let error = alone.try_harden(&Options::default()).err().expect("refused");
        assert!(matches!(&error, Error::NoPlatform { left_out } if left_out.len() == 1));
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn an_artifact_about_an_image_stays_only_with_it_unchanged() {
    let sbom = |about: &Recipe| {
        let built = about.build();
        let line = descriptor(MANIFEST, &built.manifest);
        let sbom = Recipe::artifact(Some("application/spdx+json"), EMPTY, "application/spdx+json");
        sbom.manifest(|json| json["subject"] = line)
    };
    let beside = |image: &Recipe| {
        without_platform(IndexRecipe::new().image(image).blob(b"{}"), &sbom(image))
    };
    let kept = harden(&beside(&clean("amd64")));
    assert!(!kept.hardened.is_changed() && kept.hardened.left_out.is_empty());
    let done = harden(&beside(&linux("amd64")));
    let [left] = &done.hardened.left_out[..] else { panic!("{:?}", done.hardened.left_out) };
    assert!(left.reason.starts_with("is an SBOM"), "{}", left.reason);
    assert!(left.reason.ends_with("which was changed"), "{}", left.reason);
    let elsewhere = without_platform(IndexRecipe::new().image(&linux("amd64")), &sbom(&clean("x")));
    let reason = &harden(&elsewhere).hardened.left_out[0].reason;
    assert!(reason.ends_with("which is not worked on"), "{reason}");
}

#[test]
fn attestations_without_the_annotations_of_buildkit_are_no_platform() {
    let attestation = Recipe::artifact(
        None,
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.in-toto+json",
    );
    let index = IndexRecipe::new().image(&linux("amd64")).image_with(&attestation, |line| {
        line["platform"] = json!({ "os": "unknown", "architecture": "unknown" });
    });
    let done = harden(&index);
    assert!(done.hardened.left_out[0].reason.starts_with("is an attestation ("));
    assert_eq!(done.hardened.left_out[0].what, attestation.build().digest);
}

#[test]
fn unknown_media_types_beside_an_image_are_left_out() {
    let cases: [(&[u8], &str); 3] = [
        (b"words and no JSON", "text/plain"),
        (br#"{"anything":1}"#, "application/vnd.example+json"),
        (
            br#"{"schemaVersion":2,"mediaType":"application/vnd.example+json"}"#,
            "application/vnd.example+json",
        ),
    ];
    for (content, media_type) in cases {
        let index = IndexRecipe::new().image(&linux("amd64")).blob(content);
        let done = harden(&index.line(descriptor(media_type, content)));
        let reason = &done.hardened.left_out[0].reason;
        assert!(reason.contains(&format!("media type {media_type:?}")), "{reason}");
    }
    let schema_1 = br#"{"schemaVersion":1,"fsLayers":[]}"#;
    let line = descriptor("application/vnd.docker.distribution.manifest.v1+json", schema_1);
    let done = harden(&IndexRecipe::new().image(&linux("amd64")).blob(schema_1).line(line));
    assert!(done.hardened.left_out[0].reason.contains("manifest.v1+json"));
}

#[test]
fn a_broken_manifest_is_not_left_out_but_refused() {
    let broken = br#"{"schemaVersion":2,"layers":[]}"#;
    let index = IndexRecipe::new().image(&linux("amd64")).blob(broken);
    let error = Scene::of_index(&index.line(descriptor(MANIFEST, broken)))
        .try_harden(&Options::default())
        .err()
        .expect("refused");
    assert!(error.to_string().contains("it has no field config"), "{error}");
}

#[test]
fn indexes_of_one_family_may_hold_manifests_of_the_other() {
    for list in [IndexRecipe::new(), IndexRecipe::new().docker()] {
        let done = harden(&list.image(&linux("amd64").docker()).image(&linux("arm64")));
        let types: Vec<Value> =
            lines(&done.hardened).iter().map(|line| line["mediaType"].clone()).collect();
        assert_eq!(types, ["application/vnd.docker.distribution.manifest.v2+json", MANIFEST]);
        for one in &done.hardened.platforms {
            let own = one.rewritten.manifest.json();
            assert_eq!(own["mediaType"], one.rewritten.manifest.raw().media_type);
        }
        let docker = done.hardened.platforms[0].rewritten.manifest.json();
        assert!(docker.get("annotations").is_none(), "{docker}");
    }
}

#[test]
fn layers_that_cannot_be_read_are_refused_with_a_remedy() {
    let cases = [
        ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "skopeo copy --decryption-key"),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "a foreign layer"),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "a foreign layer"),
        ("application/vnd.oci.image.layer.nydus.blob.v1", "no layer of a container image"),
    ];
    for (media_type, reason) in cases {
        let recipe = linux("arm64").fault(Fault::MediaType(media_type.into()));
        let alone = told(&recipe);
        assert!(alone.contains(&format!("layer 2 has media type {media_type:?}")), "{alone}");
        assert!(alone.contains(reason), "{alone}");
        let index = IndexRecipe::new().image(&linux("amd64")).image(&recipe);
        let done = harden(&index);
        let left = &done.hardened.left_out[0];
        assert_eq!(left.what, "linux/arm64");
        assert!(left.reason.contains("cannot be read: layer 2"), "{}", left.reason);
        let options = Options {
            platforms: vec!["linux/arm64".parse().expect("a platform")],
            ..Options::default()
        };
        let error = Scene::of_index(&index).try_harden(&options).err().expect("refused");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn windows_is_said_before_its_foreign_layers() {
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let image = linux("amd64").fault(Fault::MediaType(foreign.into()));
    let told = told(&image.platform("windows", "amd64"));
    assert!(told.contains("windows/amd64 is a Windows image"), "{told}");
    let wasm = self::told(&linux("amd64").platform("wasi", "wasm"));
    assert!(wasm.contains("wasi/wasm is a WebAssembly image"), "{wasm}");
    let bsd = self::told(&linux("amd64").platform("freebsd", "amd64"));
    assert!(bsd.contains("freebsd/amd64 is for \"freebsd\""), "{bsd}");
}

#[test]
fn addresses_beside_a_layer_are_not_followed() {
    let image = linux("amd64");
    let layers = image.build().layers;
    let lines: Vec<Value> = layers
        .iter()
        .map(|layer| {
            let mut line = layer.descriptor.clone();
            line["urls"] = json!(["http://127.0.0.1:1/layer"]);
            line
        })
        .collect();
    let done = Scene::of(&image.manifest(|json| json["layers"] = lines.into()))
        .harden(&Options::default());
    let layers = done.manifest()["layers"].clone();
    assert!(layers[0]["urls"].is_array(), "an untouched layer keeps them: {layers}");
    assert_eq!(layers.as_array().map(Vec::len), Some(1), "{layers}");
}

/// CVE-2021-41190: what one reader takes for an image and another for an index.
#[test]
fn documents_that_can_be_taken_for_two_things_are_refused() {
    let list = json!([{ "mediaType": MANIFEST, "digest": format!("sha256:{:064}", 0), "size": 1 }]);
    let both = linux("amd64").manifest(|json| json["manifests"] = list.clone());
    assert!(told(&both).contains("both manifests and the parts of an image"), "{}", told(&both));
    let named = linux("amd64").manifest(|json| json["mediaType"] = INDEX.into());
    assert!(told(&named).contains("but it is an image manifest"), "{}", told(&named));
    let other = linux("amd64").manifest(|json| json["mediaType"] = "text/plain".into());
    assert!(told(&other).contains("manifests of media type \"text/plain\""), "{}", told(&other));
    let mut line = descriptor(MANIFEST, b"");
    let content = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "manifests": [] });
    let content = content.to_string().into_bytes();
    line["digest"] = immut_testkit::recipe::digest_of(&content).into();
    let scene = Scene::of_index(&IndexRecipe::new().blob(&content).line(line));
    let error = scene.plans(&Options::default()).expect_err("refused").to_string();
    assert!(error.contains("but it is an index"), "{error}");
}

#[test]
fn documents_without_a_media_type_are_known_by_their_shape() {
    let bare = |recipe: Recipe| recipe.manifest(|json| json["mediaType"] = Value::Null);
    let done = Scene::of(&bare(linux("amd64"))).harden(&Options::default());
    assert_eq!(done.hardened.result.media_type, MANIFEST);
    let inner = json!({ "schemaVersion": 2, "manifests": [linux("amd64").build().descriptor] });
    let inner = inner.to_string().into_bytes();
    let index = IndexRecipe::new().image(&linux("amd64")).blob(&inner);
    let done = harden(&index.line(descriptor(INDEX, &inner)));
    assert_eq!(done.hardened.platforms.len(), 1);
    assert_eq!(lines(&done.hardened).len(), 2);
    assert!(!done.again(&Options::default()).is_changed());
}

#[test]
fn descriptors_and_annotations_that_make_no_sense_are_refused() {
    let config = |edit: fn(&mut Value)| {
        let built = linux("amd64").build();
        let mut line = descriptor("application/vnd.oci.image.config.v1+json", &built.config);
        edit(&mut line);
        told(&linux("amd64").manifest(|json| json["config"] = line))
    };
    let cases: [(String, &str); 6] = [
        (config(|line| line["size"] = json!(-1)), "invalid value: integer `-1`"),
        (config(|line| line["size"] = json!(u64::MAX)), "more than the 8388608 that are accepted"),
        (
            config(|line| line["digest"] = format!("sha512:{:0128}", 0).into()),
            "is of an algorithm that is not supported; only sha256 is",
        ),
        (config(|line| line["annotations"] = json!(["a"])), "annotations are no map of strings"),
        (
            told(&linux("amd64").manifest(|json| json["annotations"] = json!({ "a": 1 }))),
            "the manifest is not valid: its annotations are no map of strings",
        ),
        (
            told(&linux("amd64").manifest(|json| json["layers"] = json!({}))),
            "its field layers: invalid type: map",
        ),
    ];
    for (told, reason) in cases {
        assert!(told.contains(reason), "{reason}: {told}");
    }
}

#[test]
fn configs_that_say_too_little_are_refused_or_taken_as_linux() {
    let blank = Recipe::new().config(|json| *json = json!({ "rootfs": null }));
    let planned = Scene::of(&blank).plan(&Options::default());
    assert_eq!(planned.platform.to_string(), "linux");
    assert_eq!(planned.plan.before.files, 0);
    let done = Scene::of(&blank).harden(&Options::default());
    assert_eq!(done.config()["config"]["User"], "65532:65532");
    assert!(!done.again(&Options::default()).is_changed());
    let layers = linux("amd64").config(|json| *json = json!({ "rootfs": null }));
    let told = told(&layers);
    assert!(told.contains("the config lists 0 diff_ids and the manifest 2 layers"), "{told}");
    let options =
        Options { platforms: vec!["linux/amd64".parse().expect("one")], ..Options::default() };
    let error = Scene::of(&blank).plans(&options).expect_err("refused").to_string();
    assert!(error.contains("is not in this image; it has linux"), "{error}");
}

#[test]
fn words_of_an_image_do_not_steer_the_terminal() {
    let chart = Recipe::artifact(None, "application/vnd.cncf.helm.\x1b[2J", "text/plain");
    let index = without_platform(IndexRecipe::new().image(&linux("amd64")), &chart);
    let index = index.image(&linux("x").platform("windows", "\x1b[1m"));
    let done = harden(&index.image(&linux("\x1b[31m")));
    let left = done.hardened.left_out.iter().map(|one| format!("{} {}", one.what, one.reason));
    let platforms = done.hardened.platforms.iter().map(|one| one.platform.to_string());
    let shown: Vec<String> = left.chain(platforms).collect();
    assert_eq!(shown.len(), 4, "{shown:?}");
    assert!(shown.iter().all(|line| !line.contains('\x1b')), "{shown:?}");
    assert!(shown[1].starts_with("windows/\\u{1b}[1m is a Windows image"), "{shown:?}");
}
