//! Config, history and manifest of the result.

use immut_core::Options;
use immut_testkit::contents;
use immut_testkit::recipe::{Encoding, LayerRecipe, Recipe};
use serde_json::{Value, json};

use crate::common::{Done, Scene, keeping};

const BASE: &str = "org.opencontainers.image.base.digest";
const CREATED: &str = "2024-01-01T00:00:00Z";

fn bash(layer: LayerRecipe) -> LayerRecipe {
    layer.file("/bin/bash", 0o755, contents::bash())
}

fn app(layer: LayerRecipe) -> LayerRecipe {
    layer.file("/app", 0o755, contents::program())
}

fn harden(recipe: &Recipe) -> Done {
    Scene::of(&recipe.clone().entrypoint(&["/app"])).harden(&Options::default())
}

#[test]
fn history_stays_in_step_with_the_layers() {
    let done = harden(
        &Recipe::new().layer(app).step("ENV x").layer(bash).layer(|l| l.file("/x", 0o644, "x")),
    );
    let config = done.config();
    let history = config["history"].as_array().expect("a history");
    let with_layer = history.iter().filter(|entry| entry["empty_layer"] != true).count();
    assert_eq!(with_layer, 2);
    assert_eq!(config["rootfs"]["diff_ids"].as_array().map(Vec::len), Some(2));
    let empty: Vec<bool> = history.iter().map(|entry| entry["empty_layer"] == true).collect();
    assert_eq!(empty, [false, true, true, false, true], "the emptied one is marked, ours is empty");
    let ours = history.last().expect("ours");
    assert!(ours["created_by"].as_str().is_some_and(|by| by.starts_with("immut ")), "{ours}");
    assert_eq!(ours["created"], CREATED);
}

#[test]
fn a_layer_on_top_has_its_history() {
    let passwd = |l: LayerRecipe| l.file("/etc/passwd", 0o644, "root:x:0:0::/root:/bin/sh\n");
    let config = harden(&Recipe::new().history(true).layer(passwd).layer(app)).config();
    let history = config["history"].as_array().expect("a history");
    assert_eq!(history.len(), 3);
    assert!(history[2].get("empty_layer").is_none());
    assert_eq!(config["rootfs"]["diff_ids"].as_array().map(Vec::len), Some(3));
}

#[test]
fn no_history_stays_none() {
    let config = harden(&Recipe::new().history(false).layer(app).layer(bash)).config();
    assert!(config["history"].as_array().is_none_or(Vec::is_empty), "{config}");
}

#[test]
fn dates_are_the_images_or_the_epochs() {
    let recipe = Recipe::new().history(true).layer(app).layer(bash).entrypoint(&["/app"]);
    let own = Scene::of(&recipe).harden(&Options::default());
    assert_eq!(own.config()["created"], CREATED);
    let told = Options { epoch: Some(86400), ..Options::default() };
    let epoch = Scene::of(&recipe).harden(&told);
    assert_eq!(epoch.config()["created"], "1970-01-02T00:00:00Z");
    assert_eq!(epoch.config()["history"][2]["created"], "1970-01-02T00:00:00Z");
}

#[test]
fn what_is_not_ours_stays() {
    let recipe = Recipe::new()
        .history(true)
        .layer(app)
        .layer(bash)
        .label("a", "b")
        .env("X=y")
        .workdir("/srv")
        .healthcheck(json!({ "Test": ["CMD", "/app"], "Retries": 3 }))
        .annotation("org.example", "kept")
        .config(|json| {
            json["config"]["Volumes"] = json!({ "/data": {} });
            json["config"]["ExposedPorts"] = json!({ "80/tcp": {} });
            json["config"]["StopSignal"] = "SIGQUIT".into();
            json["config"]["Shell"] = json!(["/bin/bash", "-c"]);
            json["config"]["OnBuild"] = json!(["RUN x"]);
            json["config"]["x-unknown"] = json!({ "deep": [1, null] });
            json["unknown"] = "too".into();
            json["author"] = "somebody".into();
        })
        .manifest(|json| json["x-unknown"] = json!(1));
    let before: Value =
        serde_json::from_slice(&recipe.clone().entrypoint(&["/app"]).build().config).expect("JSON");
    let done = harden(&recipe);
    let mut after = done.config();
    after["config"]["User"] = Value::Null;
    let mut expected = before;
    expected["config"]["User"] = Value::Null;
    expected["rootfs"] = after["rootfs"].clone();
    expected["history"] = after["history"].clone();
    assert_eq!(after, expected);
    assert_eq!(done.manifest()["annotations"]["org.example"], "kept");
    assert_eq!(done.manifest()["x-unknown"], 1);
}

#[test]
fn an_oci_image_names_its_base() {
    let recipe = Recipe::new().layer(app).entrypoint(&["/app"]);
    let options = Options { source_name: Some("example.org/app".into()), ..Options::default() };
    let done = Scene::of(&recipe).harden(&options);
    let annotations = &done.manifest()["annotations"];
    assert_eq!(annotations[BASE], done.scene.digest.to_string());
    assert_eq!(annotations["org.opencontainers.image.base.name"], "example.org/app");
    assert!(
        harden(&recipe).manifest()["annotations"]
            .get("org.opencontainers.image.base.name")
            .is_none()
    );
}

#[test]
fn a_docker_image_stays_one() {
    let manifest = harden(&Recipe::new().docker().layer(app).layer(|l| bash(app(l)))).manifest();
    assert!(manifest.get("annotations").is_none(), "{manifest}");
    assert_eq!(manifest["mediaType"], "application/vnd.docker.distribution.manifest.v2+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.docker.container.image.v1+json");
    for layer in manifest["layers"].as_array().expect("layers") {
        assert_eq!(layer["mediaType"], "application/vnd.docker.image.rootfs.diff.tar.gzip");
    }
}

#[test]
fn every_framing_stays_what_it_is() {
    let encodings = [
        Encoding::Plain,
        Encoding::Gzip,
        Encoding::GzipMembers(3),
        Encoding::Zstd,
        Encoding::ZstdFrames(3),
    ];
    for encoding in encodings {
        let done = harden(&Recipe::new().layer_as(encoding, |l| bash(app(l))));
        assert_eq!(
            done.manifest()["layers"][0]["mediaType"],
            encoding.media_type(false),
            "{encoding:?}"
        );
        assert_eq!(done.paths(), ["app"], "{encoding:?}");
    }
}

#[test]
fn annotations_of_a_rewritten_layer_are_no_longer_true() {
    let toc = |json: &mut Value| {
        json["layers"][0]["annotations"] = json!({ "io.containers.zstd-chunked": "x" });
    };
    let built = Recipe::new().layer(|l| bash(app(l))).build();
    let layers =
        json!(built.layers.iter().map(|layer| layer.descriptor.clone()).collect::<Vec<_>>());
    let recipe = Recipe::new().layer(|l| bash(app(l))).manifest(|json| {
        json["layers"] = layers;
        toc(json);
    });
    assert!(harden(&recipe).manifest()["layers"][0].get("annotations").is_none());
    let kept = Scene::of(&recipe.entrypoint(&["/app"])).harden(&keeping(&["rule:shell"]));
    assert_eq!(kept.manifest()["layers"][0]["annotations"]["io.containers.zstd-chunked"], "x");
}

#[test]
fn all_layers_emptied_leave_one() {
    let done = Scene::of(&Recipe::new().layer(bash).layer(|l| l.whiteout("/bin/bash")))
        .harden(&Options::default());
    assert_eq!(done.manifest()["layers"].as_array().map(Vec::len), Some(1));
    assert_eq!(done.paths().len(), 0);
}
