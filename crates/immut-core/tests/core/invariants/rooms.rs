//! Invariant 1: who may use whom, and who may touch the world.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Which rooms of the core a room may use, besides itself. Verbs and what belongs to them use all.
const EDGES: [(&str, &[&str]); 18] = [
    ("apps", &[]),
    ("name", &[]),
    ("path", &[]),
    ("parallel", &[]),
    ("finding", &["path"]),
    ("archive", &["path"]),
    ("image", &["name"]),
    ("codec", &["image"]),
    ("progress", &["image", "name"]),
    ("store", &["archive", "image", "name", "parallel", "path", "progress"]),
    ("inventory", &["archive", "codec", "image", "name", "parallel", "path", "progress", "store"]),
    ("user", &["inventory", "path"]),
    ("rules", &["finding", "image", "inventory", "path", "user"]),
    ("needs", &["finding", "image", "inventory", "path"]),
    ("plan", &["apps", "finding", "image", "inventory", "name", "needs", "path", "rules", "user"]),
    (
        "rewrite",
        &[
            "archive",
            "codec",
            "image",
            "inventory",
            "name",
            "parallel",
            "path",
            "plan",
            "progress",
            "store",
        ],
    ),
    ("receipt", &["finding", "name", "path", "plan"]),
    ("trust", &["image", "name", "store"]),
];
/// Verbs, and what describes or feeds them.
const VERBS: [&str; 11] = [
    "audit", "check", "copy", "error", "explain", "harden", "lib", "options", "planning", "select",
    "verify",
];
/// Rooms that see the world only through `Source` and the stage.
const CLOSED: [&str; 10] =
    ["apps", "archive", "codec", "finding", "inventory", "needs", "path", "plan", "rules", "user"];

#[test]
fn invariant_1_rooms_depend_one_way() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let room = room_of(&file);
        if VERBS.contains(&room.as_str()) {
            continue;
        }
        let allowed = EDGES.iter().find(|(name, _)| *name == room);
        let Some((_, allowed)) = allowed else {
            panic!("room {room} has no line in the table of edges");
        };
        for used in uses(&text) {
            if used != room && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{file} uses {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The table says what the code does, not more.
#[test]
fn invariant_1_no_edge_is_only_in_the_table() {
    let mut unused: BTreeSet<(String, String)> = EDGES
        .iter()
        .flat_map(|(room, allowed)| allowed.iter().map(|used| (room.to_string(), used.to_string())))
        .collect();
    for (file, text) in sources() {
        for used in uses(&text) {
            unused.remove(&(room_of(&file), used));
        }
    }
    assert_eq!(unused, BTreeSet::new());
}

#[test]
fn invariant_1_a_wrong_edge_is_noticed() {
    let text = "use crate::{plan, store::Layout};\nuse crate::harden::x;\n/// use crate::y;\n    crate::receipt::f();\n";
    assert_eq!(uses(text), ["plan", "store", "harden", "receipt"]);
}

#[test]
fn invariant_1_only_the_stage_touches_the_world() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let room = room_of(&file);
        // A file that is put aside while a layer is rewritten comes from the stage's folder.
        let door = file == "rewrite/spool.rs";
        for word in ["async ", ".await", "tokio", "std::fs", "std::net", "std::env", "std::process"]
        {
            let closed = CLOSED.contains(&room.as_str()) || (room == "rewrite" && !door);
            if closed && code(&text).any(|line| holds(line, word)) {
                wrong.push(format!("{file}: {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn sources() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    collect(&folder, &folder, &mut found);
    assert!(found.len() > 40);
    found
}

fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path: PathBuf = entry.expect("an entry").path();
        if path.is_dir() {
            collect(root, &path, found);
        } else if !path.ends_with("tests.rs")
            && !path.components().any(|part| part.as_os_str() == "tests")
        {
            let name = path.strip_prefix(root).expect("beneath").display().to_string();
            let text = std::fs::read_to_string(&path).expect("text");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
            found.insert(name, code);
        }
    }
}

fn room_of(file: &str) -> String {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs").to_owned()
}

fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// Whether a line holds a word that does not go on.
fn holds(line: &str, word: &str) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| !line[at + word.len()..].starts_with(goes_on))
}

/// The rooms that a file names after `crate::`.
fn uses(text: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for line in code(text) {
        for (at, _) in line.match_indices("crate::") {
            let rest = &line[at + "crate::".len()..];
            let names: Vec<&str> = match rest.strip_prefix('{') {
                Some(list) => list.split('}').next().unwrap_or("").split(',').collect(),
                None => vec![rest],
            };
            for name in names {
                let word = name.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next();
                rooms.extend(word.filter(|word| !word.is_empty()).map(str::to_owned));
            }
        }
    }
    rooms
}
