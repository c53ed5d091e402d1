//! An app profile over random stacks of layers: it changes what it says, and nothing else.

use std::collections::BTreeSet;

use immut_core::Options;
use immut_core::rules::Profile;
use immut_testkit::generate::{Stack, any_path, stacks};
use immut_testkit::model::Item;
use immut_testkit::recipe::{Encoding, Recipe};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{program, with};
use crate::common::{MARK, Scene, removing};

/// What is no blank becomes one in whatever lies one to three folders down.
const MINE: &str = "name = 'mine'\ntitle = 'Mine'\n[recognise]\nprograms = ['/mine']\nwords = ['mine']\n\
    [[start]]\n[[edits]]\nfile = '/{a,b,c*}{,/*,/*/*}'\nfind = '[0-~]+'\nreplace = ' '\nwhy = 'because'\n";

fn recipe(stack: &Stack) -> Recipe {
    let bottom = Recipe::new().layer(|l| program(l, "/mine").file(MARK, 0o644, "x"));
    let tars = stack.tars().into_iter();
    let recipe = tars.fold(bottom, |recipe, tar| recipe.tar_layer(Encoding::Gzip, tar));
    recipe.user("7").entrypoint(&["/mine"])
}

/// Options that remove names, with and without the profile.
fn options(asked: &[String], profile: &str) -> [Options; 2] {
    let mut without = removing(asked);
    without.choices.profile = Profile::named(profile).expect("a built-in profile");
    let mut options = without.clone();
    options.choices.app = with(MINE).choices.app;
    [options, without]
}

/// What the edit makes of a text, written down in another way.
fn edited(text: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(text).expect("only text is edited");
    let mut edited = String::new();
    let mut inside = false;
    for letter in text.chars() {
        let found = ('0'..='~').contains(&letter);
        match (found, inside) {
            (true, false) => edited.push(' '),
            (true, true) => {}
            (false, _) => edited.push(letter),
        }
        inside = found;
    }
    edited.into_bytes()
}

#[test]
fn edits_change_their_files_and_nothing_else() {
    let mut count = 0;
    compare(120, |stack, asked, profile| {
        let [options, without] = options(asked, profile);
        let done = Scene::of(&recipe(stack)).harden(&options);
        let mut expected = Scene::of(&recipe(stack)).harden(&without).view();
        let applied = done.hardened.platforms[0].plan.app.clone().expect("a profile");
        let paths: BTreeSet<String> =
            applied.edits.iter().map(|file| file.path.to_string()[1..].to_owned()).collect();
        let view = done.view();
        for (path, seen) in &mut expected {
            if let (Item::File(text), true) = (&mut seen.item, paths.contains(path)) {
                count += 1;
                *text = edited(text);
            }
        }
        prop_assert_eq!(view, expected, "{:?}", asked);
        Ok(())
    });
    assert!(count > 40, "only {count} files were edited");
}

#[test]
fn hardening_twice_is_hardening_once_with_a_profile() {
    compare(60, |stack, asked, profile| {
        let [options, without] = options(asked, profile);
        let done = Scene::of(&recipe(stack)).harden(&options);
        let again = done.again(&options);
        prop_assert!(!again.is_changed(), "{:?}", again.platforms[0].plan.steps);
        std::fs::remove_dir_all(done.scene.folder.path().join("again")).expect("a stage");
        prop_assert!(!done.again(&without).is_changed());
        Ok(())
    });
}

fn compare(
    cases: u32,
    mut check: impl FnMut(&Stack, &[String], &str) -> Result<(), TestCaseError>,
) {
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let profiles = prop::sample::select(vec!["baseline", "distroless"]);
    let check = std::cell::RefCell::new(&mut check);
    let outcome = TestRunner::new(config)
        .run(&(stacks(), vec(any_path(), 0..=2), profiles), |(stack, asked, profile)| {
            (check.borrow_mut())(&stack, &asked, profile)
        });
    outcome.unwrap_or_else(|difference| panic!("{difference}"));
}
