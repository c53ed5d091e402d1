//! The dark corners of layers: what tar and the layer format allow and hardly anybody writes.
//!
//! Each corner stands in three places: in a layer that is not touched, which keeps its blob; in one
//! that is rewritten since something else in it goes, from which its entries come out byte for byte;
//! and as the very thing that goes or changes. What an entry means is asked of GNU tar and umoci.

mod ends;
mod gone;
mod layers;
mod mutated;
mod names;
mod numbers;
mod recorded;
mod records;
mod refused;
mod sparse;
mod types;

use std::collections::BTreeMap;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use immut_core::Options;
use immut_core::image::Manifest;
use immut_core::inventory::{Inventory, Kind};
use immut_core::name::Digest;
use immut_core::rewrite::LayerOutcome;
use immut_core::store::{Layout, Sink, Source};
use immut_testkit::contents;
use immut_testkit::peers;
use immut_testkit::recipe::{Encoding, LayerRecipe, Recipe};

use crate::common::{Done, Scene, archive, run};

/// A program that says what a layer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    Tar,
    Umoci,
}

const BOTH: &[Peer] = &[Peer::Tar, Peer::Umoci];

/// The entries of a layer with a corner in it.
type Corner<'a> = &'a dyn Fn(LayerRecipe) -> LayerRecipe;

/// Holds a corner to all that is promised of entries which no step touches.
fn holds(peers: &[Peer], corner: impl Fn(LayerRecipe) -> LayerRecipe) {
    comes_out_byte_for_byte(&corner);
    holds_as_a_tree(peers, corner);
}

/// The same for a layer that hides some of its own entries: these go when it is rewritten.
fn holds_as_a_tree(peers: &[Peer], corner: impl Fn(LayerRecipe) -> LayerRecipe) {
    stays(&corner);
    let last = entry("usr/bin/dash", &contents::dash());
    let recipe = app().layer(|l| corner(shell(l)).raw(last));
    for peer in peers {
        agrees(*peer, &recipe, &["usr/bin/bash", "usr/bin/dash"]);
    }
}

fn app() -> Recipe {
    let app = |l: LayerRecipe| {
        let l = l.dir("/usr", 0o755).dir("/usr/bin", 0o755);
        l.file("/app", 0o755, contents::program())
    };
    Recipe::new().layer(app).user("7").entrypoint(&["/app"])
}

fn shell(layer: LayerRecipe) -> LayerRecipe {
    layer.file("/usr/bin/bash", 0o755, contents::bash())
}

/// In a layer without a hit the blob is the same.
fn stays(corner: Corner<'_>) {
    let done = harden(&app().layer(shell).layer(corner));
    let one = &done.hardened.platforms[0];
    assert_eq!(one.rewritten.layers[2], LayerOutcome::Untouched, "{:?}", one.plan.steps);
    let kept = one.rewritten.manifest.layers();
    assert_eq!(kept.last(), one.layers.last(), "the blob");
}

/// In a rewritten layer the entries are the same bytes, whatever goes before and after them.
fn comes_out_byte_for_byte(corner: Corner<'_>) {
    let expected = corner(LayerRecipe::new()).into_tar();
    let last = entry("usr/bin/dash", &contents::dash());
    for encoding in [Encoding::Gzip, Encoding::Zstd, Encoding::Plain] {
        let done = harden(&app().layer_as(encoding, |l| corner(shell(l)).raw(&last)));
        let one = &done.hardened.platforms[0];
        assert!(matches!(one.rewritten.layers[1], LayerOutcome::Rewritten(..)), "{encoding:?}");
        assert!(done.tars()[1] == expected, "{encoding:?}: other bytes than before");
    }
}

/// The inventory has what the program unpacks, and after hardening it unpacks the same without
/// what is gone, of which the result holds neither name nor bytes.
fn agrees(peer: Peer, recipe: &Recipe, gone: &[&str]) -> Done {
    let scene = Scene::of(recipe);
    let inventory = scene.plan(&Options::default()).inventory;
    let digest = scene.digest;
    let before = unpack(peer, &scene.source(), &digest, "before", &scene);
    let done = scene.harden(&Options::default());
    let after = unpack(peer, &done.stage, &done.hardened.digest(), "after", &done.scene);
    if let (Some(mut before), Some(after)) = (before, after) {
        assert_same(&seen(&inventory), &without_times(before.clone()), &format!("{peer:?} before"));
        for name in gone {
            assert!(before.remove(*name).is_some(), "{peer:?} unpacks {name}");
        }
        assert_same(&after, &before, &format!("{peer:?} after"));
    }
    for tar in done.tars() {
        assert!(memchr::memmem::find(&tar, b"GNU bash, version").is_none(), "a shell's bytes");
    }
    done
}

/// A plain entry of root's, for what stands after a corner.
fn entry(name: &str, content: &[u8]) -> Vec<u8> {
    LayerRecipe::new().ending([]).file(name, 0o755, content).into_tar()
}

/// An entry whose header is edited before its checksum is made.
fn edited(name: &str, content: &[u8], edit: impl FnOnce(&mut [u8; 512])) -> Vec<u8> {
    let mut bytes = entry(name, content);
    let mut header = tar::Header::new_old();
    let mut block: [u8; 512] = bytes[..512].try_into().expect("a block");
    edit(&mut block);
    header.as_mut_bytes().copy_from_slice(&block);
    header.set_cksum();
    bytes[..512].copy_from_slice(header.as_bytes());
    bytes
}

fn harden(recipe: &Recipe) -> Done {
    Scene::of(recipe).harden(&Options::default())
}

/// What is at a path: its kind with size or target, mode, and for what is no directory the time.
/// Paths are escaped.
type Facts = BTreeMap<String, (String, u32, Option<(i64, i64)>)>;

fn assert_same(ours: &Facts, theirs: &Facts, what: &str) {
    let only = |one: &Facts, other: &Facts| {
        let differs = one.iter().filter(|(path, facts)| other.get(*path) != Some(facts));
        differs.map(|(path, facts)| format!("{path} {facts:?}")).collect::<Vec<_>>().join("\n")
    };
    let (ours, theirs) = (only(ours, theirs), only(theirs, ours));
    assert!(ours.is_empty() && theirs.is_empty(), "{what}\nours:\n{ours}\ntheirs:\n{theirs}");
}

/// What a program unpacks from the image, GNU tar one layer after the other; none if it is not
/// there, which it says.
fn unpack(
    peer: Peer,
    layout: &Layout,
    digest: &Digest,
    name: &str,
    scene: &Scene,
) -> Option<Facts> {
    let folder = scene.folder.path().join(format!("{name}-{peer:?}"));
    let manifest = layout.manifest(digest).expect("a manifest");
    match peer {
        Peer::Umoci => {
            let umoci = peers::require("umoci")?;
            layout.tag("it", &manifest).expect("named");
            let image = format!("{}:it", layout.folder().display());
            run(Command::new(umoci).args(["unpack", "--rootless", "--image", &image]).arg(&folder));
            Some(walk(&folder.join("rootfs")))
        }
        Peer::Tar => {
            let tar = peers::require("tar")?;
            std::fs::create_dir(&folder).expect("made");
            for layer in Manifest::parse(manifest).expect("a manifest").layers() {
                let file = folder.with_extension("tar");
                std::fs::write(&file, archive(layout, layer)).expect("written");
                run(Command::new(&tar).arg("-xpf").arg(&file).arg("-C").arg(&folder));
            }
            Some(walk(&folder))
        }
    }
}

fn walk(root: &Path) -> Facts {
    let mut found = Facts::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("one"))
        {
            let (path, metadata) = (entry.path(), entry.metadata().expect("metadata"));
            let kind = metadata.file_type();
            let what = if kind.is_dir() {
                folders.push(path.clone());
                "directory".to_owned()
            } else if kind.is_symlink() {
                let target = std::fs::read_link(&path).expect("a link").into_os_string();
                link_to(&target.into_vec())
            } else if kind.is_file() {
                format!("file of {}", metadata.len())
            } else {
                "special".to_owned()
            };
            let name = escaped(path.strip_prefix(root).expect("beneath").as_os_str().as_bytes());
            let time = (!kind.is_dir()).then(|| (metadata.mtime(), metadata.mtime_nsec()));
            // A link's mode is the kernel's.
            let mode = if kind.is_symlink() { 0o777 } else { metadata.mode() & 0o7777 };
            found.insert(name, (what, mode, time));
        }
    }
    found
}

fn seen(inventory: &Inventory) -> Facts {
    let facts = |name: &immut_core::inventory::Name| {
        let inode = inventory.inode(name.inode);
        let what = match &inode.kind {
            Kind::Directory => "directory".to_owned(),
            Kind::Symlink(target) => link_to(target),
            Kind::File => format!("file of {}", inode.size),
            _ => "special".to_owned(),
        };
        let mode = if matches!(inode.kind, Kind::Symlink(_)) { 0o777 } else { inode.mode.into() };
        (what, mode, None)
    };
    let names = inventory.names().iter().filter(|(path, _)| !path.is_root());
    names.map(|(path, name)| (escaped(path.as_bytes()), facts(name))).collect()
}

fn link_to(target: &[u8]) -> String {
    format!("link to {}", escaped(target))
}

fn escaped(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn without_times(facts: Facts) -> Facts {
    facts.into_iter().map(|(path, (what, mode, _))| (path, (what, mode, None))).collect()
}
