//! `--layers package` on real applications: what images share, and what a changed one costs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use immut_testkit::peers;

use super::build::{Built, build};
use super::recipes::{self, App};
use super::run::load;
use crate::common::{DockerRegistry, FOLDER, Podman, must, registry, run, text};

/// The layers of an image by their digests, in bytes.
type Layers = BTreeMap<String, u64>;

/// Hardens an image into a registry with a layer for each package; crane finds nothing wrong with it.
fn layers(app: &App, built: &Built, registry: &DockerRegistry, crane: &Path) -> Layers {
    let to = format!("{}/layers/{}", registry.host, app.name);
    let harden = ["harden", &built.source(), "--to", &to, "--no-sign", "--layers", "package"];
    let done = run(&[&harden[..], app.with].concat()).code(0);
    must(crane, &["validate", "--insecure", "--remote", done.line()]);
    let manifest = must(crane, &["manifest", "--insecure", done.line()]);
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
    let layers = manifest["layers"].as_array().expect("layers").iter();
    let line = |one: &serde_json::Value| {
        (one["digest"].as_str().expect("a digest").to_owned(), one["size"].as_u64().expect("bytes"))
    };
    layers.map(line).collect()
}

/// The layers that are not in another image.
fn own<'a>(all: &'a Layers, other: &Layers) -> Vec<&'a str> {
    all.keys().filter(|digest| !other.contains_key(*digest)).map(String::as_str).collect()
}

#[test]
fn applications_on_one_base_share_the_layers_of_their_packages() {
    let (Some(registry), Some(crane)) = (registry(), peers::require("crane")) else { return };
    let (redis, nginx) = (&recipes::REDIS, &recipes::NGINX);
    let Some((first, second)) = build(redis).zip(build(nginx)) else { return };
    let first = layers(redis, &first, registry, &crane);
    let second = layers(nginx, &second, registry, &crane);
    let shared: Vec<&u64> =
        first.iter().filter(|(digest, _)| second.contains_key(*digest)).map(|one| one.1).collect();
    let bytes: u64 = shared.iter().copied().sum();
    let whole: u64 = first.values().sum();
    println!("{} of {} layers are shared, {bytes} of {whole} bytes", shared.len(), first.len());
    assert!(shared.len() >= 30 && bytes > whole / 2, "{first:#?} {second:#?}");
}

#[test]
fn a_changed_application_changes_one_layer() {
    let (Some(registry), Some(crane)) = (registry(), peers::require("crane")) else { return };
    let (app, Some(podman)) = (&recipes::PYTHON, Podman::find()) else { return };
    let Some(built) = build(app) else { return };
    let changed = changed(&built, &podman);
    let before = layers(app, &built, registry, &crane);
    let after = layers(app, &changed, registry, &crane);
    let count = (own(&before, &after).len(), own(&after, &before).len());
    println!("{} layers, of which {count:?} are other ones", before.len());
    assert_eq!(count, (1, 1), "{before:#?} {after:#?}");
}

/// The same image with a line more in its application.
fn changed(built: &Built, podman: &Podman) -> Built {
    let folder = FOLDER.folder.join("changed");
    fs::create_dir(&folder).expect("a folder");
    let image = load(&built.at).expect("skopeo");
    let program = podman.run(&["run", "--rm", "--network=none", &image, "cat", "/srv/app.py"]);
    let program = program.code(0).stdout + "# another line\n";
    fs::write(folder.join("app.py"), program).expect("written");
    let file = format!("FROM {image}\nCOPY app.py /srv/\n");
    fs::write(folder.join("Containerfile"), file).expect("written");
    let name = "localhost/changed";
    podman.run(&["build", "--quiet", "--tag", name, text(&folder)]).code(0);
    let layout = folder.join("layout");
    podman.run(&["push", name, &format!("oci:{}:changed", layout.display())]).code(0);
    Built::find(&layout, "changed").expect("it was pushed")
}
