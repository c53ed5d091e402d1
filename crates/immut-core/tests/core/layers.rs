//! `--layers`: the same files in other layers.

use std::collections::BTreeSet;

use immut_core::image::Compression;
use immut_core::plan::{Action, Layering, Recoding};
use immut_core::rewrite::LayerOutcome;
use immut_core::{Hardened, Options};
use immut_testkit::contents;
use immut_testkit::generate::{Stack, any_path, stacks};
use immut_testkit::model::{Item, read_tar, without_owners};
use immut_testkit::peers;
use immut_testkit::recipe::{Encoding, LayerRecipe, LongNames, Recipe};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::carrier;
use crate::common::{Done, Scene, removing};

fn laid(layering: Layering) -> Options {
    with(Options::default(), layering)
}

fn with(mut options: Options, layering: Layering) -> Options {
    options.choices.layering = layering;
    options
}

fn app(layer: LayerRecipe) -> LayerRecipe {
    layer.file("/app", 0o755, contents::program())
}

fn compare(cases: u32, mut check: impl FnMut(&Stack, &[String]) -> Result<(), TestCaseError>) {
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let check = std::cell::RefCell::new(&mut check);
    let strategy = (stacks(), vec(any_path(), 0..3));
    let outcome = TestRunner::new(config)
        .run(&strategy, |(stack, asked)| (check.borrow_mut())(&stack, &asked));
    outcome.unwrap_or_else(|difference| panic!("{difference}"));
}

/// Each name once, after the directories above it, and nothing that is no file.
fn is_plain(tar: &[u8]) -> bool {
    let mut seen = BTreeSet::new();
    read_tar(tar).into_iter().all(|entry| {
        let parent = entry.path.rsplit_once('/').is_none_or(|(parent, _)| seen.contains(parent));
        let marker = matches!(entry.item, Item::Whiteout | Item::Opaque);
        parent && !marker && seen.insert(entry.path)
    })
}

#[test]
fn one_layer_shows_what_many_did() {
    compare(200, |stack, asked| {
        let options = removing(asked);
        let kept = Scene::of(&carrier::recipe(stack)).harden(&options);
        let options = with(options, Layering::Squash);
        let squashed = Scene::of(&carrier::recipe(stack)).harden(&options);
        prop_assert_eq!(squashed.view(), kept.view());
        let tars = squashed.tars();
        prop_assert_eq!(tars.len(), 1);
        prop_assert!(is_plain(&tars[0]) || stack.layers.is_empty());
        let again = squashed.again(&options);
        prop_assert!(!again.is_changed(), "{:?}", again.platforms[0].plan.steps);
        Ok(())
    });
}

#[test]
fn one_layer_is_what_umoci_unpacks() {
    let Some(umoci) = peers::require("umoci") else { return };
    compare(25, |stack, asked| {
        let options = with(removing(asked), Layering::Squash);
        let kept = Scene::of(&carrier::recipe(stack)).harden(&removing(asked));
        let squashed = Scene::of(&carrier::recipe(stack)).harden(&options);
        prop_assert_eq!(
            without_owners(squashed.unpacked_by(&umoci)),
            without_owners(kept.unpacked_by(&umoci))
        );
        Ok(())
    });
}
