//! The model against real tools: umoci for stacks of layers, GNU tar for single ones.

use std::path::Path;
use std::process::Command;

use immut_testkit::generate::{Stack, plain_layers, stacks};
use immut_testkit::model::{View, walk, without_owners};
use immut_testkit::peers;
use immut_testkit::recipe::LayerRecipe;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

#[test]
fn model_agrees_with_umoci() {
    let Some(umoci) = peers::require("umoci") else { return };
    agree(&stacks(), |stack, folder| {
        stack.recipe().name("it").write(&folder.join("image"));
        run(Command::new(&umoci)
            .args(["unpack", "--rootless", "--image"])
            .args([folder.join("image:it"), folder.join("bundle")]));
        walk(&folder.join("bundle/rootfs"))
    });
}

#[test]
fn model_agrees_with_gnu_tar() {
    let Some(tar) = peers::require("tar") else { return };
    agree(&plain_layers(), |stack, folder| {
        std::fs::write(folder.join("layer.tar"), &stack.tars()[0]).expect("written");
        let root = folder.join("root");
        std::fs::create_dir(&root).expect("made");
        run(Command::new(&tar).arg("-xpf").arg(folder.join("layer.tar")).arg("-C").arg(&root));
        walk(&root)
    });
}

#[test]
fn sparse_recipes_are_what_gnu_tar_unpacks() {
    let Some(tar) = peers::require("tar") else { return };
    let parts: [(u64, &[u8]); 2] = [(512, &[b'x'; 512]), (2048, b"end")];
    let layer =
        LayerRecipe::new().gnu_sparse("/old", 2051, &parts).pax_sparse("/new", 2051, &parts);
    let root = tempfile::tempdir().expect("a folder");
    let archive = root.path().join("layer.tar");
    std::fs::write(&archive, layer.into_tar()).expect("written");
    run(Command::new(&tar).arg("-xpf").arg(&archive).arg("-C").arg(root.path()));
    let expected = [&[0; 512][..], &[b'x'; 512], &[0; 1024], b"end"].concat();
    for name in ["old", "new"] {
        assert_eq!(std::fs::read(root.path().join(name)).expect(name), expected, "{name}");
    }
}

/// The tools may not be allowed to change owners, so these are not compared.
fn agree(stacks: &impl Strategy<Value = Stack>, unpack: impl Fn(&Stack, &Path) -> View) {
    let config = Config { cases: 60, failure_persistence: None, ..Config::default() };
    let compared = TestRunner::new(config).run(stacks, |stack| {
        let folder = tempfile::tempdir().expect("a folder");
        let unpacked = without_owners(unpack(&stack, folder.path()));
        prop_assert_eq!(unpacked, without_owners(stack.view()));
        Ok(())
    });
    compared.unwrap_or_else(|difference| panic!("{difference}"));
}

fn run(command: &mut Command) {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
