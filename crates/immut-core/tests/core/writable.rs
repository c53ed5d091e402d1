//! What belongs to the user: volumes, what `--writable` names, and what the start reads.

mod given;
mod headers;
mod random;

use immut_core::Options;
use immut_core::plan::Plan;
use immut_testkit::contents;
use immut_testkit::recipe::{LayerRecipe, Recipe};
use serde_json::json;

use crate::common::{Done, Scene};

/// Owner and group of what immut sets.
const NONROOT: (u64, u64) = (65532, 65532);

/// An image whose application is there, and starts.
fn image(layer: impl FnOnce(LayerRecipe) -> LayerRecipe) -> Recipe {
    Recipe::new().layer(|l| layer(l.file("/app", 0o755, contents::program()))).entrypoint(&["/app"])
}

fn with_volumes(recipe: Recipe, volumes: &[&str]) -> Recipe {
    let volumes = volumes.iter().map(|path| ((*path).to_owned(), json!({}))).collect();
    recipe.config(|config| config["config"]["Volumes"] = serde_json::Value::Object(volumes))
}

fn writing(paths: &[&str]) -> Options {
    let mut options = Options::default();
    options.choices.writable = paths.iter().map(|path| path.parse().expect("a path")).collect();
    options
}

/// Hardens, and again: the second time does nothing.
fn harden(recipe: &Recipe, options: &Options) -> Done {
    let done = Scene::of(recipe).harden(options);
    let again = done.again(options);
    assert!(!again.is_changed(), "twice is not once: {:?}", again.platforms[0].plan.steps);
    // The annotation says what the flags said.
    let again = done.again_in("bare", &Options::default());
    assert!(!again.is_changed(), "without the flags: {:?}", again.platforms[0].plan.steps);
    done
}

/// `PATH:KIND`.
fn listed(plan: &Plan) -> Vec<String> {
    let line = |one: &immut_core::plan::Writable| format!("{}:{}", one.path, one.kind.as_str());
    plan.writable.iter().map(line).collect()
}
