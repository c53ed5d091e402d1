//! Random names of random stacks made writable: what is beneath belongs to the user, and all else is as
//! it was.

use std::cell::RefCell;
use std::collections::BTreeSet;

use immut_core::Options;
use immut_testkit::generate::{Stack, any_path, stacks};
use immut_testkit::model::{Item, Seen, View};
use immut_testkit::recipe::{Encoding, Recipe};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use crate::common::{Scene, removing};

const USER: u32 = 7_000_007;

fn recipe(stack: &Stack, volumes: &[String]) -> Recipe {
    let layered = stack
        .tars()
        .into_iter()
        .fold(Recipe::new(), |recipe, tar| recipe.tar_layer(Encoding::Gzip, tar));
    let volumes = volumes.iter().map(|path| (format!("/{path}"), json!({}))).collect();
    let set = |config: &mut serde_json::Value| {
        config["config"]["Volumes"] = serde_json::Value::Object(volumes);
    };
    layered.user(&format!("{USER}:{USER}")).config(set)
}

/// Rules find nothing, so the choices alone change the image.
fn options(chosen: &[String]) -> Options {
    let mut options = removing(&[]);
    let paths = chosen.iter().map(|path| path.parse().expect("a path"));
    options.choices.writable = paths.collect();
    options
}

fn is_within(path: &str, tree: &str) -> bool {
    path.strip_prefix(tree).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether the user may write it, by the bits alone.
fn may_write(seen: &Seen) -> bool {
    let bits = match (seen.owner.0 == u64::from(USER), seen.owner.1 == u64::from(USER)) {
        (true, _) => return true,
        (false, true) => seen.mode >> 3,
        (false, false) => seen.mode,
    };
    match seen.item {
        Item::Directory => bits & 3 == 3,
        Item::File(_) => bits & 2 != 0,
        _ => true,
    }
}

/// Names in the way of a path, or on it, that are links: then what is meant is elsewhere.
fn by_links(view: &View, path: &str) -> bool {
    let link = |(name, seen): (&String, &Seen)| {
        matches!(seen.item, Item::Symlink(_)) && is_within(path, name)
    };
    view.iter().any(link)
}

#[test]
fn what_is_writable_belongs_to_the_user_and_nothing_else_changes() {
    let config = Config { cases: 150, failure_persistence: None, ..Config::default() };
    let census = RefCell::new((0, 0));
    let names = || vec(any_path(), 0..=2);
    let outcome =
        TestRunner::new(config).run(&(stacks(), names(), names()), |(stack, volumes, chosen)| {
            let before = stack.view();
            let done = Scene::of(&recipe(&stack, &volumes)).harden(&options(&chosen));
            let after = done.view();
            let asked: BTreeSet<&String> = volumes.iter().chain(&chosen).collect();
            let plain = asked.iter().all(|path| !by_links(&before, path));
            for (path, seen) in &after {
                let inside = asked.iter().any(|tree| is_within(path, tree));
                let Some(old) = before.get(path) else {
                    prop_assert!(!plain || seen.item == Item::Directory, "{path} came");
                    continue;
                };
                prop_assert_eq!(
                    (&seen.item, seen.mode, &seen.twins),
                    (&old.item, old.mode, &old.twins)
                );
                if plain && !inside {
                    prop_assert_eq!(seen.owner, old.owner, "{} is not asked for", path);
                }
                let tree = asked.iter().find(|tree| is_within(path, tree));
                let escapes =
                    |tree: &&&String| seen.twins.iter().any(|twin| !is_within(twin, tree));
                let sticky = asked.iter().any(|tree| {
                    is_within(path, tree)
                        && after.get(*tree).is_some_and(|one| one.mode & 0o1002 == 0o1002)
                });
                if plain && !sticky && tree.is_some_and(|tree| !escapes(&tree)) {
                    prop_assert!(may_write(seen), "{path}: {seen:?}");
                    census.borrow_mut().0 += usize::from(seen.owner != old.owner);
                }
            }
            prop_assert!(before.keys().all(|path| after.contains_key(path)), "something went");
            census.borrow_mut().1 += usize::from(!done.hardened.is_changed());
            let again = done.again(&options(&chosen));
            prop_assert!(!again.is_changed(), "{:?}", again.platforms[0].plan.steps);
            let bare = done.again_in("bare", &options(&[]));
            prop_assert!(!bare.is_changed(), "{:?}", bare.platforms[0].plan.steps);
            Ok(())
        });
    outcome.unwrap_or_else(|difference| panic!("{difference}"));
    let (given, unchanged) = census.into_inner();
    assert!(given > 50 && unchanged > 5, "{given} names given, {unchanged} images unchanged");
}
