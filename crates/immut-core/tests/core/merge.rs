//! The merged view of an inventory, against the plain model and real tools.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use immut_core::Options;
use immut_core::inventory::{Fingerprint, Inventory, Kind};
use immut_testkit::generate::{Census, Stack, plain_layers, stacks};
use immut_testkit::model::{Item, View, walk};
use immut_testkit::peers;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::common::{Scene, run, unpack};

/// What is compared of a name: kind with content or target, mode, owner, and the names it shares
/// its inode with.
type Facts = (String, u32, (u64, u64), Vec<String>);

#[test]
fn the_merged_view_is_the_models() {
    let mut census = Census::default();
    compare(150, &stacks(), |stack| {
        census.add(&stack.census());
        let inventory = Scene::of(&stack.recipe()).plan(&Options::default()).inventory;
        prop_assert_eq!(seen(&inventory), expected(&stack.view()));
        Ok(())
    });
    assert_eq!(census.missing(), [""; 0], "the generator left something out");
}

#[test]
fn the_merged_view_is_what_umoci_unpacks() {
    let Some(umoci) = peers::require("umoci") else { return };
    against(&stacks(), |scene, _| {
        unpack(&umoci, &scene.folder.path().join("image"), &scene.folder.path().join("bundle"))
    });
}

#[test]
fn the_merged_view_is_what_gnu_tar_unpacks() {
    let Some(tar) = peers::require("tar") else { return };
    against(&plain_layers(), |scene, stack| {
        let folder = scene.folder.path();
        std::fs::write(folder.join("layer.tar"), &stack.tars()[0]).expect("written");
        let root = folder.join("root");
        std::fs::create_dir(&root).expect("made");
        untar(&tar, &folder.join("layer.tar"), &root);
        walk(&root)
    });
}

fn untar(tar: &Path, archive: &Path, root: &Path) {
    run(Command::new(tar).arg("-xpf").arg(archive).arg("-C").arg(root));
}

/// The tools may not be allowed to change owners, so these are not compared.
fn against(stacks: &impl Strategy<Value = Stack>, unpack: impl Fn(&Scene, &Stack) -> View) {
    let ownerless = |facts: BTreeMap<String, Facts>| -> BTreeMap<String, Facts> {
        let without = facts.into_iter();
        without.map(|(path, (what, mode, _, twins))| (path, (what, mode, (0, 0), twins))).collect()
    };
    compare(30, stacks, |stack| {
        let scene = Scene::of(&stack.recipe());
        let inventory = scene.plan(&Options::default()).inventory;
        let unpacked = expected(&unpack(&scene, &stack));
        prop_assert_eq!(ownerless(seen(&inventory)), ownerless(unpacked));
        Ok(())
    });
}

fn compare(
    cases: u32,
    stacks: &impl Strategy<Value = Stack>,
    mut check: impl FnMut(Stack) -> Result<(), TestCaseError>,
) {
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let check = std::cell::RefCell::new(&mut check);
    let outcome = TestRunner::new(config).run(stacks, |stack| (check.borrow_mut())(stack));
    outcome.unwrap_or_else(|difference| panic!("{difference}"));
}

fn seen(inventory: &Inventory) -> BTreeMap<String, Facts> {
    let names = inventory.names();
    let facts = |path: &immut_core::path::RootPath| {
        let name = names[path];
        let inode = inventory.inode(name.inode);
        let what = match &inode.kind {
            Kind::File => format!("file {:?}", inode.fingerprint.expect("a fingerprint")),
            Kind::Directory => "directory".to_owned(),
            Kind::Symlink(target) => format!("link to {}", String::from_utf8_lossy(target)),
            other => format!("{other:?}"),
        };
        let twins = names
            .iter()
            .filter(|(other, twin)| *other != path && twin.inode == name.inode)
            .filter(|_| inode.kind != Kind::Directory)
            .map(|(other, _)| other.to_string()[1..].to_owned())
            .collect();
        (what, u32::from(inode.mode), (u64::from(inode.uid), u64::from(inode.gid)), twins)
    };
    names.keys().map(|path| (path.to_string()[1..].to_owned(), facts(path))).collect()
}

fn expected(view: &View) -> BTreeMap<String, Facts> {
    let facts = |seen: &immut_testkit::model::Seen| {
        let what = match &seen.item {
            Item::File(content) => format!("file {:?}", Fingerprint::of(content)),
            Item::Directory => "directory".to_owned(),
            Item::Symlink(target) => format!("link to {target}"),
            _ => "Special".to_owned(),
        };
        (what, seen.mode, seen.owner, seen.twins.clone())
    };
    view.iter().map(|(path, seen)| (path.clone(), facts(seen))).collect()
}
