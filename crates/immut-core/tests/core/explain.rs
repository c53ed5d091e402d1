//! Why a path stays or goes.

use immut_core::store::Layout;
use immut_core::{Explanation, Fate, Options};
use immut_testkit::contents;
use immut_testkit::recipe::{LayerRecipe, Recipe};

use crate::common::{Scene, profile};

fn app(layer: LayerRecipe) -> LayerRecipe {
    layer.file("/app", 0o755, contents::program())
}

fn explained(recipe: Recipe, path: &str, options: &Options) -> Explanation {
    let scene = Scene::of(&recipe.user("7").entrypoint(&["/app"]));
    let stage = Layout::temporary(&scene.folder.path().join("stage")).expect("a stage");
    let paths = [path.parse().expect("a path")];
    let mut all = immut_core::explain(&scene.digest, &scene.source(), &stage, &paths, options)
        .expect("explained");
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[test]
fn a_file_stays_though_what_an_earlier_layer_has_at_its_path_goes() {
    let mut purging = Options::default();
    purging.choices.purge_hidden = true;
    let shadowed = || Recipe::new().layer(|l| l.file("/status", 0o644, "old")).layer(app);
    let one = explained(shadowed().layer(|l| l.file("/status", 0o644, "new")), "/status", &purging);
    assert!(!one.steps.is_empty(), "what is hidden goes");
    assert_eq!(one.fate(), Fate::Stays);
    let one = explained(shadowed().layer(|l| l.whiteout("/status")), "/status", &purging);
    assert_eq!(one.fate(), Fate::Goes);
}

#[test]
fn each_fate_is_told() {
    let recipe = || {
        let bash = |l: LayerRecipe| l.file("/bin/bash", 0o4755, contents::bash());
        Recipe::new().layer(app).layer(bash).layer(|l| l.file("/su", 0o4755, "x"))
    };
    for (path, fate) in [
        ("/app", Fate::Stays),
        ("/bin/bash", Fate::Goes),
        ("/su", Fate::Changes),
        ("/nothing", Fate::Absent),
    ] {
        assert_eq!(explained(recipe(), path, &profile("baseline")).fate(), fate, "{path}");
    }
}
