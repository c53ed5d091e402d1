use std::collections::BTreeSet;

use immut_testkit::{LayerRecipe, Recipe};

use super::*;
use crate::Options;
use crate::store::Layout;

fn read(layers: &[fn(LayerRecipe) -> LayerRecipe]) -> Inventory {
    let folder = tempfile::tempdir().expect("a folder");
    let recipe = layers.iter().fold(Recipe::new(), Recipe::layer);
    let image = recipe.write(&folder.path().join("image"));
    let source = Layout::open(&folder.path().join("image")).expect("a layout");
    let digest = image.digest.parse().expect("a digest");
    let stage = Layout::temporary(&folder.path().join("stage")).expect("a stage");
    crate::plan(&digest, &source, &stage, &Options::default())
        .expect("a plan")
        .platforms
        .remove(0)
        .inventory
}

fn path(text: &str) -> RootPath {
    text.parse().expect("a path")
}

fn entry(inventory: &Inventory, layer: u32, name: &str) -> EntryId {
    let mut entries = inventory.entries();
    let found = entries.find(|(id, entry)| id.layer == layer && entry.path == path(name));
    found.expect("an entry").0
}

#[test]
fn links_are_followed_inside_the_image() {
    let inventory = read(&[|l| {
        l.file("/usr/bin/dash", 0o755, "x")
            .symlink("/bin", "usr/bin")
            .symlink("/usr/bin/sh", "/bin/dash")
            .symlink("/up", "../../../usr/bin/sh")
            .symlink("/loop", "loop")
            .symlink("/a", "b")
            .symlink("/b", "a")
            .symlink("/through", "usr/bin/dash/x")
            .symlink("/dangling", "usr/bin/none")
            .symlink("/empty", ".")
    }]);
    for (name, found, links) in [
        ("/bin/sh", Some("/usr/bin/dash"), 3),
        ("/up", Some("/usr/bin/dash"), 3),
        ("/usr/bin/dash", Some("/usr/bin/dash"), 0),
        ("/loop", None, 41),
        ("/a/b", None, 41),
        ("/through", None, 1),
        ("/dangling", None, 1),
        ("/empty/bin/dash", Some("/usr/bin/dash"), 2),
        ("/", Some("/"), 0),
    ] {
        let resolution = inventory.resolve(&path(name));
        assert_eq!(resolution.found, found.map(path), "{name}");
        assert_eq!(resolution.links.len(), links, "{name}");
    }
    assert_eq!(inventory.resolve(&path("/dangling")).end, path("/usr/bin/none"));
    assert_eq!(inventory.resolve_parents(&path("/bin/sh")), path("/usr/bin/sh"));
}

#[test]
fn hidden_is_what_the_view_does_not_show() {
    let inventory = read(&[
        |l| {
            l.dir("/d", 0o700)
                .file("/d/a", 0o644, "1")
                .file("/b", 0o644, "1")
                .file("/b", 0o644, "2")
        },
        |l| l.dir("/d", 0o755).whiteout("/d/a").file("/b", 0o644, "3"),
    ]);
    let hidden: Vec<String> = inventory
        .entries()
        .filter(|(id, _)| inventory.is_hidden(*id))
        .map(|(id, entry)| format!("{} {}", id.layer, entry.path))
        .collect();
    assert_eq!(hidden, ["0 /d/a", "0 /b", "0 /b"], "a directory named again is not");
}

#[test]
fn without_its_target_a_hardlink_carries_or_finds_another_name() {
    let inventory = read(&[
        |l| l.file("/a", 0o644, "x").hardlink("/b", "/a").hardlink("/c", "/b"),
        |l| l.hardlink("/d", "/a"),
    ]);
    let drop = |names: &[&str]| {
        let dropped: BTreeSet<EntryId> =
            names.iter().map(|name| entry(&inventory, 0, name)).collect();
        let replay = replay(&inventory, &dropped);
        let carries: Vec<String> =
            replay.carries.iter().map(|id| inventory.entry(*id).path.to_string()).collect();
        let retargets: Vec<String> = replay
            .retargets
            .iter()
            .map(|(id, target)| format!("{} {target}", inventory.entry(*id).path))
            .collect();
        (carries.join(","), retargets.join(","))
    };
    let told = |carries: &str, retargets: &str| (carries.to_owned(), retargets.to_owned());
    assert_eq!(drop(&["/a"]), told("/b", "/d /b"));
    assert_eq!(drop(&["/b"]), told("", "/c /a"));
    assert_eq!(drop(&["/a", "/b"]), told("/c", "/d /c"));
    assert_eq!(drop(&["/a", "/b", "/c"]), told("/d", ""));
}

#[test]
fn headers_of_an_inode_are_told_apart_by_what_they_carry() {
    let inventory = read(&[
        |l| l.file("/a", 0o755, "x"),
        |l| {
            l.hardlink_as("/b", "/a", 0o4755)
                .xattr("security.capability", [1])
                .file("/c", 0o755, "y")
        },
    ]);
    assert_eq!(inventory.headers_with(&path("/a"), 0o6000), [entry(&inventory, 1, "/b")]);
    assert_eq!(inventory.headers_with_capability(&path("/c")), [entry(&inventory, 1, "/c")]);
    assert!(inventory.headers_with_capability(&path("/a")).is_empty());
}

/// An image of 50,000 entries is to be hardened in 64 MiB with everything else. An entry is there
/// once, its name and its inode are there once for each view, and what is known of a file once more
/// while a layer is indexed.
#[test]
fn what_there_is_for_each_entry_is_small() {
    for (what, bytes, most) in [
        ("an entry", size_of::<Entry>(), 72),
        ("an inode", size_of::<Inode>(), 120),
        ("a name", size_of::<(RootPath, Name)>(), 32),
        ("a file's facts", size_of::<layer::FileFacts>(), 72),
    ] {
        assert!(bytes <= most, "{what} has {bytes} bytes");
    }
}
