//! Layers of any encoder, hardened: what comes out is what was there without what goes, byte for
//! byte, however it was copied.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use immut_core::rewrite::LayerOutcome;
use immut_core::rules::Catalog;
use immut_core::store::Layout;
use immut_core::{Options, harden};
use immut_testkit::encoders::{Body, Encoder, Header, Program, encoders, repaired};
use immut_testkit::recipe::{Encoding, LayerRecipe, LongNames, Recipe};
use immut_testkit::{contents, peers};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::common::{Done, MARK, Scene, child_image, removing, told, try_decode};

/// An entry, and what becomes of it.
#[derive(Debug, Clone)]
struct Wish {
    kind: u8,
    size: usize,
    seed: u32,
    mode: u32,
    names: LongNames,
    long: bool,
    gone: bool,
}

fn wishes() -> impl Strategy<Value = Vec<Wish>> {
    let size = prop_oneof![
        2 => Just(0), 3 => 1..2000_usize, 3 => 2000..40_000_usize, 1 => 40_000..200_000_usize
    ];
    let mode = prop::sample::select(vec![0o644, 0o755, 0o755, 0o4755, 0o2711]);
    let names = prop::sample::select(vec![
        LongNames::Pax,
        LongNames::Gnu,
        LongNames::Prefix,
        LongNames::AlwaysPax,
    ]);
    let long = prop::bool::weighted(0.2);
    let gone = prop::bool::weighted(0.15);
    let wish = (0..12_u8, size, any::<u32>(), mode, names, long, gone).prop_map(
        |(kind, size, seed, mode, names, long, gone)| Wish {
            kind,
            size,
            seed,
            mode,
            names,
            long,
            gone,
        },
    );
    vec(wish, 1..40)
}

/// How an archive ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Proper,
    Blocked,
    Missing,
    Unpadded,
    Garbage,
}

/// A layer's archive, what goes of it, and, where all that is kept stays as it is, the archive that
/// has to come out.
struct Made {
    tar: Vec<u8>,
    gone: Vec<String>,
    wanted: Option<Vec<u8>>,
}

fn noise(size: usize, mut seed: u32) -> Vec<u8> {
    let text = seed % 3;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    let byte = |_| match text {
        0 => next(),
        1 => b"etaoin shrdlu\n"[usize::from(next()) % 14],
        _ => next() / 255,
    };
    (0..size).map(byte).collect()
}

fn make(wishes: &[Wish], layer: usize, end: End) -> Made {
    let mut made = Made { tar: Vec::new(), gone: Vec::new(), wanted: Some(Vec::new()) };
    let mut files: Vec<String> = Vec::new();
    for (number, wish) in wishes.iter().enumerate() {
        // The recipe has no long names for the old form of sparse files.
        let folder = if wish.long && wish.kind != 4 { "long/".repeat(30) } else { "a/".into() };
        let name = format!("{folder}{layer}-{number}");
        let entry = LayerRecipe::new().ending([]).long_names(wish.names);
        let content = noise(wish.size, wish.seed);
        let target = files.get(wish.seed as usize % files.len().max(1));
        let entry = match (wish.kind, target) {
            (0, _) => entry.dir(&name, 0o755),
            (1, _) => entry.symlink(&name, "/mark"),
            (2, Some(target)) => entry.hardlink_as(&name, target, wish.mode),
            (3, _) => entry.fifo(&name),
            (4, _) => entry.gnu_sparse(&name, 1 << 20, &[(4096, &content)]),
            (5, _) => entry.pax_sparse(&name, 1 << 20, &[(512, &content)]),
            (6, _) => entry.xattr("user.a", "b").file(&name, wish.mode, &content),
            _ => {
                files.push(name.clone());
                entry.file(&name, wish.mode, &content)
            }
        }
        .into_tar();
        made.tar.extend(&entry);
        // Links to what goes become files, and headers lose bits: other bytes than here.
        let edited = wish.mode & 0o6000 != 0 && !matches!(wish.kind, 0 | 1 | 3 | 4 | 5);
        match &mut made.wanted {
            _ if wish.gone => made.gone.push(name),
            Some(wanted) if wish.kind != 2 && !edited => wanted.extend(&entry),
            wanted => *wanted = None,
        }
    }
    let last = wishes.last().expect("an entry");
    let unpadded = end == End::Unpadded && last.kind > 6 && !last.size.is_multiple_of(512);
    let rest = match end {
        End::Proper => vec![0; 1024],
        End::Blocked => vec![0; 1024 + made.tar.len().next_multiple_of(10_240) - made.tar.len()],
        End::Garbage => [vec![0; 1024], noise(3000, 1)].concat(),
        End::Missing | End::Unpadded => Vec::new(),
    };
    if unpadded {
        let padding = last.size.next_multiple_of(512) - last.size;
        made.tar.truncate(made.tar.len() - padding);
    }
    made.tar.extend(&rest);
    if let Some(wanted) = &mut made.wanted {
        let clean = matches!(end, End::Proper | End::Blocked);
        wanted.extend(if clean { rest } else { vec![0; 1024] });
    }
    made
}

fn base() -> Recipe {
    Recipe::new().layer(|l| l.file(MARK, 0o644, "x").dir("a", 0o755))
}

/// Removes those names, and clears setuid and setgid.
fn options(gone: &[String]) -> Options {
    let rules = removing(gone);
    let names: Vec<String> = gone.iter().map(|name| format!("'/{name}'")).collect();
    let rule = format!(
        "[[rule]]\nid='gone'\ntitle='t'\nseverity='low'\nremedy='remove'\nmatcher='files'\nwhy='w'\n\
         [[rule.places]]\nfamily='f'\npresent=['/{MARK}']\npaths=[{}]\n",
        names.join(",")
    );
    let privilege = include_str!("../../catalog/privilege.toml");
    let catalog = Catalog::parse(&[&rule, privilege], "executables=[]").expect("a catalog");
    Options { catalog, ..rules }
}

/// Bytes that were copied, of all layers.
fn copied(done: &Done) -> u64 {
    let layers = done.hardened.platforms[0].rewritten.layers.iter();
    let copied = layers.map(|layer| match layer {
        LayerOutcome::Rewritten(_, encoding) => encoding.copied,
        _ => 0,
    });
    copied.sum()
}

/// Hardens in every way, which has to give the same; and the archives that come out.
fn hardened(recipe: &Recipe, options: &Options) -> Done {
    let with = |jobs: usize, recompress: bool| {
        Scene::of(recipe).harden(&Options { jobs, recompress, ..options.clone() })
    };
    let done = with(2, false);
    let tars = done.tars();
    for jobs in [1, 8] {
        assert_eq!(with(jobs, false).hardened.digest(), done.hardened.digest(), "{jobs} jobs");
    }
    let whole = with(2, true);
    assert!(whole.tars() == tars, "what is copied is not what is encoded anew");
    assert_eq!(whole.config()["rootfs"], done.config()["rootfs"]);
    assert_eq!(copied(&whole), 0);
    done
}

/// One layer is enough here, since none is merged; its archive before and after, for Python.
struct Pair {
    old: Vec<u8>,
    new: Vec<u8>,
    gone: Vec<String>,
}

#[test]
fn any_layer_of_any_encoder_loses_what_goes_and_nothing_else() {
    let config = Config { cases: 30, failure_persistence: None, ..Config::default() };
    let ends = prop::sample::select(vec![
        End::Proper,
        End::Proper,
        End::Blocked,
        End::Missing,
        End::Unpadded,
        End::Garbage,
    ]);
    let (pairs, spliced) = (RefCell::new(Vec::new()), Cell::new(0));
    TestRunner::new(config)
        .run(&(wishes(), encoders(), ends), |(wishes, encoder, end)| {
            let made = make(&wishes, 1, end);
            let blob = encoder.encode(&made.tar).expect("no program is needed");
            let recipe = base().blob_layer(encoder.encoding(), made.tar.clone(), blob);
            let done = hardened(&recipe, &options(&made.gone));
            spliced.set(spliced.get() + u64::from(copied(&done) > 0));
            let tars = done.tars();
            let new = tars.get(1).cloned().unwrap_or_default();
            if let Some(wanted) = made.wanted.filter(|_| !made.gone.is_empty()) {
                // A layer of which nothing is left is left out.
                prop_assert!(tars.len() == 1 || new == wanted, "other bytes than the entries'");
            }
            if tars.len() == 2 {
                pairs.borrow_mut().push(Pair { old: made.tar, new, gone: made.gone });
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    println!("{} of the cases copied something", spliced.get());
    assert!(spliced.get() > 3);
    as_python_sees(&pairs.into_inner());
}

/// What Python's tarfile reads of a new archive is what it reads of the old one without what went:
/// names, kinds, modes without setuid and setgid, targets and contents, in that order. A link to
/// what went is a file with its content, or a link to that.
const PYTHON: &str = r#"
import hashlib, sys, tarfile
for case in range(int(sys.argv[2])):
    folder = f"{sys.argv[1]}/{case}"
    gone = set(open(f"{folder}.gone").read().splitlines())
    def read(which):
        with tarfile.open(f"{folder}.{which}", "r:") as tar:
            for one in tar:
                one.name = one.name.removeprefix("GNUSparseFile.0/")
                data = tar.extractfile(one).read() if one.isreg() else b""
                yield one, hashlib.sha256(data).hexdigest()
    expected, contents, carriers = [], {}, {}
    for one, digest in read("old"):
        kind, target, name = one.type, one.linkname, one.name
        if one.isreg(): contents[name] = digest
        if name in gone: continue
        if one.islnk():
            if target in gone:
                if target in carriers: target = carriers[target]
                else:
                    carriers[target] = name
                    kind, digest, target = tarfile.REGTYPE, contents[target], ""
        mode = one.mode & ~0o6000 if not one.isdir() else one.mode
        expected.append((name, kind, mode, target, digest))
    found = [(o.name, o.type, o.mode, o.linkname, d) for o, d in read("new")]
    assert found == expected, (case, [p for p in zip(found, expected) if p[0] != p[1]][:3], len(found), len(expected))
print("same")
"#;

fn as_python_sees(pairs: &[Pair]) {
    let Some(python) = peers::require("python3") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    for (case, pair) in pairs.iter().enumerate() {
        let put = |what: &str, bytes: &[u8]| {
            std::fs::write(folder.path().join(format!("{case}.{what}")), bytes).expect("written");
        };
        // Python wants the padding that may be missing.
        let mut old = pair.old.clone();
        old.resize(old.len().next_multiple_of(512), 0);
        put("old", &old);
        put("new", &pair.new);
        put("gone", pair.gone.join("\n").as_bytes());
    }
    let mut python = Command::new(python);
    python.args(["-c", PYTHON]).arg(folder.path()).arg(pairs.len().to_string());
    let output = python.output().expect("Python");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && output.stdout == b"same\n", "{told}");
}

/// 200 files, of which two go and two lose bits.
fn two_hundred() -> (Vec<u8>, Vec<String>) {
    let add = |l: LayerRecipe, number: u32| {
        let mode = if [60, 140].contains(&number) { 0o4755 } else { 0o644 };
        l.file(format!("/a/{number}"), mode, noise(9000 + 100 * number as usize, number))
    };
    let tar = (0..200).fold(LayerRecipe::new(), add).into_tar();
    (tar, vec!["a/20".into(), "a/199".into()])
}

#[test]
fn most_of_a_large_layer_is_copied() {
    let (tar, gone) = two_hundred();
    let bodies = [Body::Level(6), Body::Level(9), Body::Symbols(16 << 10), Body::Libdeflate(6)];
    let bodies = bodies.map(|body| Encoder::Gzip(Header::default(), body));
    let zstd = Encoder::Zstd { piece: 60_000, checksum: true, skippable: true };
    let members = Encoder::Members { level: 6, piece: 20_000, footer: true };
    let program = Encoder::Program(Program::Pigz(&["-p4", "-b128"]));
    let mut digests = Vec::new();
    for encoder in bodies.into_iter().chain([zstd, members, program]) {
        let Some(blob) = encoder.encode(&tar) else { continue };
        let recipe = base().blob_layer(encoder.encoding(), tar.clone(), blob);
        let done = hardened(&recipe, &options(&gone));
        let (copied, all) = (copied(&done), tar.len() as u64);
        println!("{encoder:?}: {copied} of {all} bytes are copied");
        assert!(copied > all / 2, "{encoder:?}: only {copied} of {all} bytes are copied");
        digests.push(done.config()["rootfs"].clone());
    }
    assert!(digests.windows(2).all(|two| two[0] == two[1]));
}

/// The last entry goes or changes, and the archive ends without its padding; a file comes after it.
#[test]
fn a_last_entry_without_padding_goes() {
    let tar = |mode| {
        let l = LayerRecipe::new().ending([]).file("/a/kept", 0o644, "kept");
        let mut tar = l.file("/a/gone", mode, vec![b'x'; 100]).into_tar();
        tar.truncate(tar.len() - 412);
        tar
    };
    let kept = LayerRecipe::new().file("/a/kept", 0o644, "kept");
    let recipe = base().tar_layer(Encoding::Gzip, tar(0o644));
    let done = hardened(&recipe, &options(&["a/gone".into()]));
    assert!(done.tars()[1] == kept.clone().into_tar(), "{:?}", done.tars()[1].len());
    let recipe = base().tar_layer(Encoding::Gzip, tar(0o4755));
    let done = hardened(&recipe, &options(&["nothing".into()]));
    assert!(done.tars()[1] == kept.file("/a/gone", 0o755, vec![b'x'; 100]).into_tar());
}

/// The default rules on a layer without padding at its end, to which accounts are written.
#[test]
fn what_is_written_anew_at_an_end_without_padding_is_whole() {
    let passwd = "root:x:0:0::/root:/bin/bash\n";
    let layer = LayerRecipe::new().ending([]).file("/bin/bash", 0o755, contents::bash());
    let mut tar = layer.file("/etc/passwd", 0o644, passwd).into_tar();
    tar.truncate(tar.len() - (512 - passwd.len()));
    let recipe = Recipe::new()
        .layer(|l| l.file("/app", 0o755, contents::program()).dir("/home", 0o755))
        .tar_layer(Encoding::Gzip, tar)
        .entrypoint(&["/app"]);
    let done = hardened(&recipe, &Options::default());
    assert!(done.paths().contains(&"etc/passwd".to_owned()), "{:?}", done.paths());
    assert!(done.tars().iter().all(|tar| tar.len() % 512 == 0));
}

/// Blobs that are damaged, some of them in a way that sums do not show: never a panic, and what is
/// accepted is what it is when it is encoded anew.
#[test]
fn damaged_blobs_are_refused_or_spliced_rightly() {
    let layer = LayerRecipe::new().file("/a/0", 0o644, noise(70_000, 1));
    let layer = layer.file("/a/1", 0o4755, noise(50_000, 3)).file("/a/2", 0o644, noise(90_000, 5));
    let tar = layer.into_tar();
    let gone = vec!["a/0".to_owned()];
    let mut runner = TestRunner::deterministic();
    let damages = vec((any::<prop::sample::Index>(), 0..4_u8, any::<u8>()), 1..4);
    let (accepted, refused) = (Cell::new(0), Cell::new(0));
    for number in 0..60 {
        use proptest::strategy::ValueTree;
        let encoder = encoders().new_tree(&mut runner).expect("an encoder").current();
        let damage = damages.new_tree(&mut runner).expect("damage").current();
        let mut blob = encoder.encode(&tar).expect("no program is needed");
        for (place, kind, byte) in &damage {
            let at = place.index(blob.len().max(1)).min(blob.len() - 1);
            match kind {
                0 => blob[at] ^= 1 << (byte % 8),
                1 => blob.truncate(at + 1),
                2 => blob.extend_from_within(at..),
                _ => blob[at] = *byte,
            }
        }
        let shown = repaired(&blob, 8 << 20).filter(|_| number % 2 == 0);
        let (blob, found) = shown.unwrap_or_else(|| {
            let found = try_decode(&blob).unwrap_or_else(|| tar.clone());
            (blob, found)
        });
        let recipe = base().blob_layer(encoder.encoding(), found, blob);
        let of = |recompress| {
            let options = Options { recompress, ..options(&gone) };
            Scene::of(&recipe).try_harden(&options).map(|done| done.tars()).map_err(|e| told(&e))
        };
        let (spliced, whole) = (of(false), of(true));
        assert!(spliced == whole, "{encoder:?} {damage:?}: {:?} {:?}", spliced.err(), whole.err());
        let count = if spliced.is_ok() { &accepted } else { &refused };
        count.set(count.get() + 1);
    }
    println!("{} accepted, {} refused", accepted.get(), refused.get());
    assert!(accepted.get() > 0 && refused.get() > 0);
}

/// The child of the next test.
#[test]
#[ignore = "runs in the next test, on a disk of 64 MiB"]
fn child_on_a_small_disk() {
    let Some(image) = child_image() else { return };
    let (folder, digest) = image.split_once('@').expect("a reference");
    let disk = std::env::var("IMMUT_TEST_DISK").expect("a disk");
    let source = Layout::open(Path::new(folder)).expect("a layout");
    let stage = Layout::create(&Path::new(&disk).join("stage")).expect("a stage");
    let pinned = format!("oci:{folder}@{digest}").parse().expect("a reference");
    let (_, gone) = two_hundred();
    let hardened = harden(&pinned, &source, &stage, &options(&gone)).expect("hardened");
    println!("\nresult: {}", hardened.digest());
}

/// With less than 1 GiB free in the stage no archive is put aside: its blob is decoded again.
#[test]
fn archives_that_are_not_put_aside_give_the_same() {
    let Some(unshare) = peers::require("unshare") else { return };
    let (tar, gone) = two_hundred();
    let encoders = [
        Encoder::Gzip(Header::default(), Body::Level(6)),
        Encoder::Members { level: 6, piece: 50_000, footer: true },
        Encoder::Zstd { piece: 60_000, checksum: false, skippable: true },
    ];
    for encoder in encoders {
        let blob = encoder.encode(&tar).expect("no program is needed");
        let scene = Scene::of(&base().blob_layer(encoder.encoding(), tar.clone(), blob));
        let image = scene.folder.path().join("image");
        let disk = scene.folder.path().join("disk");
        std::fs::create_dir(&disk).expect("a folder");
        let mut script = String::from("mount -t tmpfs -o size=64m tmpfs \"$IMMUT_TEST_DISK\"; ");
        write!(script, "exec \"$0\" --ignored --exact --nocapture splice::child_on_a_small_disk")
            .expect("text");
        let output = Command::new(&unshare)
            .args(["--map-root-user", "--mount", "sh", "-ec", &script])
            .arg(std::env::current_exe().expect("this test"))
            .env("IMMUT_TEST_IMAGE", format!("{}@{}", image.display(), scene.digest))
            .env("IMMUT_TEST_DISK", &disk)
            .output()
            .expect("a child");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
        let done = scene.harden(&options(&gone));
        assert!(copied(&done) > 0);
        assert!(told.contains(&format!("result: {}", done.hardened.digest())), "{told}");
    }
}
