//! Removal of random names from random stacks: what is left is the model's view without them.

use std::collections::BTreeSet;
use std::process::Command;

use immut_core::rewrite::LayerOutcome;
use immut_testkit::generate::{Stack, any_path, stacks};
use immut_testkit::model::{Entry, Item, View, read_tar, without_owners};
use immut_testkit::peers;
use immut_testkit::recipe::{LayerRecipe, Recipe};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::common::{Done, MARK, Scene, removing};

#[test]
fn removal_leaves_the_rest_as_it_was() {
    compare(200, |stack, asked| {
        let done = harden(stack, asked);
        let expected = Expected::of(stack, asked);
        prop_assert_eq!(done.view(), expected.view);
        Ok(())
    });
}

#[test]
fn nothing_in_the_result_names_what_is_gone() {
    compare(150, |stack, asked| {
        let done = harden(stack, asked);
        let expected = Expected::of(stack, asked);
        for entry in done.tars().iter().flat_map(|tar| read_tar(tar)) {
            prop_assert!(!expected.is_gone(&entry.path), "{entry:?} of {asked:?}");
            if let Item::Hardlink(target) = &entry.item {
                prop_assert!(!expected.is_gone(target), "{entry:?} of {asked:?}");
            }
        }
        Ok(())
    });
}

#[test]
fn removal_touches_no_other_layer_and_removing_twice_is_removing_once() {
    compare(100, |stack, asked| {
        let done = harden(stack, asked);
        let touched = Expected::of(stack, asked);
        let before = done.hardened.platforms[0].layers.clone();
        let outcomes = &done.hardened.platforms[0].rewritten.layers;
        prop_assert_eq!(before.len(), outcomes.len());
        for (layer, outcome) in stack.layers.iter().zip(outcomes.iter().skip(1)) {
            let hit = layer.iter().any(|entry| touched.touches(entry));
            let untouched = *outcome == LayerOutcome::Untouched;
            prop_assert!(!hit || !untouched, "a layer kept {asked:?}");
        }
        let again = done.again(&removing(asked));
        prop_assert!(!again.is_changed(), "{:?}", again.platforms[0].plan.steps);
        Ok(())
    });
}

#[test]
fn the_result_is_what_umoci_unpacks() {
    let Some(umoci) = peers::require("umoci") else { return };
    compare(25, |stack, asked| {
        let done = harden(stack, asked);
        prop_assert_eq!(
            without_owners(done.unpacked_by(&umoci)),
            without_owners(Expected::of(stack, asked).view)
        );
        Ok(())
    });
}

/// The child of the next test.
#[test]
#[ignore = "runs in the next test, where few files may be open"]
fn child_that_carries_very_many() {
    let each = |l: LayerRecipe, put: fn(LayerRecipe, usize) -> LayerRecipe| (0..1000).fold(l, put);
    let recipe = Recipe::new()
        .layer(|l| l.file(MARK, 0o644, "x"))
        .layer(|l| each(l, |l, n| l.file(format!("/gone/{n}"), 0o644, format!("content {n}"))))
        .layer(|l| each(l, |l, n| l.hardlink(format!("/kept/{n}"), format!("/gone/{n}"))))
        .user("7");
    let done = Scene::of(&recipe).harden(&removing(&["gone".to_owned()]));
    let view = done.view();
    for n in 0..1000 {
        let content = Item::File(format!("content {n}").into_bytes());
        assert_eq!(view[&format!("kept/{n}")].item, content);
    }
    println!("carried all");
}

#[test]
fn a_thousand_files_are_carried_with_few_open() {
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 100; exec \"$0\" --ignored --exact --nocapture carrier::child_that_carries_very_many"])
        .arg(std::env::current_exe().expect("this test"))
        .output()
        .expect("a child");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("carried all"), "{told}{}", String::from_utf8_lossy(&output.stderr));
}

/// A bottom layer with a file that shows that the family is there, then the stack.
pub(crate) fn recipe(stack: &Stack) -> Recipe {
    let bottom = Recipe::new().layer(|l| l.file(MARK, 0o644, "x")).user("7");
    stack
        .tars()
        .into_iter()
        .fold(bottom, |recipe, tar| recipe.tar_layer(immut_testkit::recipe::Encoding::Gzip, tar))
}

fn harden(stack: &Stack, asked: &[String]) -> Done {
    Scene::of(&recipe(stack)).harden(&removing(asked))
}

fn compare(cases: u32, mut check: impl FnMut(&Stack, &[String]) -> Result<(), TestCaseError>) {
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let names = vec(any_path(), 1..=3);
    let check = std::cell::RefCell::new(&mut check);
    let outcome = TestRunner::new(config)
        .run(&(stacks(), names), |(stack, asked)| (check.borrow_mut())(&stack, &asked));
    outcome.unwrap_or_else(|difference| panic!("{difference}"));
}

/// What has to be left, worked out by names alone.
struct Expected {
    view: View,
    gone: BTreeSet<String>,
}

impl Expected {
    fn of(stack: &Stack, asked: &[String]) -> Self {
        let mut view = stack.view();
        let mark = Entry {
            path: MARK.to_owned(),
            item: Item::File(b"x".to_vec()),
            mode: 0o644,
            owner: (0, 0),
        };
        let bottom = Stack { layers: vec![vec![mark]] };
        view.extend(bottom.view());
        let in_some_layer = stack.layers.iter().flatten().filter(|entry| !is_marker(entry));
        let names = in_some_layer.map(|entry| entry.path.clone()).chain(view.keys().cloned());
        let all: BTreeSet<String> = names.collect();
        let within = |path: &str| asked.iter().any(|gone| is_within(path, gone));
        let mut gone: BTreeSet<String> = all.iter().filter(|path| within(path)).cloned().collect();
        // A tree that goes takes along the links into it, those that led nowhere too.
        let trees: Vec<&String> = asked.iter().filter(|path| view.contains_key(*path)).collect();
        let in_tree = |path: &str| trees.iter().any(|tree| is_within(path, tree));
        // Links to what is gone go, until no more do.
        loop {
            let more: Vec<String> = view
                .iter()
                .filter(|(path, _)| !gone.contains(*path))
                .filter_map(|(path, seen)| match &seen.item {
                    Item::Symlink(target) => Some((path, follow_parents(&view, path, target))),
                    _ => None,
                })
                .filter(|(_, target)| gone.contains(target) || in_tree(target))
                .map(|(path, _)| path.clone())
                .collect();
            if more.is_empty() {
                break;
            }
            gone.extend(more);
        }
        let mut left = view;
        left.retain(|path, _| !gone.contains(path));
        for seen in left.values_mut() {
            seen.twins.retain(|twin| !gone.contains(twin));
        }
        Self { view: left, gone }
    }

    fn is_gone(&self, path: &str) -> bool {
        self.gone.contains(path)
    }

    fn touches(&self, entry: &Entry) -> bool {
        !is_marker(entry) && self.is_gone(&entry.path)
    }
}

fn is_marker(entry: &Entry) -> bool {
    matches!(entry.item, Item::Whiteout | Item::Opaque)
}

fn is_within(path: &str, directory: &str) -> bool {
    path == directory || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// Where a link's target is when links among its parents are followed; the plain way, with a limit.
fn follow_parents(view: &View, link: &str, target: &str) -> String {
    let literal = lexical(link, target);
    let Some((parent, name)) = literal.rsplit_once('/') else { return literal };
    match follow(view, parent, 0) {
        Some(parent) if parent.is_empty() => name.to_owned(),
        Some(parent) => format!("{parent}/{name}"),
        None => literal,
    }
}

/// The directory or file that a path leads to; none if nothing is there.
fn follow(view: &View, path: &str, depth: usize) -> Option<String> {
    if path.is_empty() {
        return Some(String::new());
    }
    if depth > 40 {
        return None;
    }
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = follow(view, parent, depth + 1)?;
    let here = if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
    match &view.get(&here)?.item {
        Item::Symlink(target) => follow(view, &lexical(&here, target), depth + 1),
        _ => Some(here),
    }
}

fn lexical(link: &str, target: &str) -> String {
    let (folder, _) = link.rsplit_once('/').unwrap_or(("", link));
    let start = if target.starts_with('/') { "" } else { folder };
    let mut parts: Vec<&str> = start.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}
