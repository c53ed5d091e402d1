//! Invariant 1: who may use whom, and who may touch the world.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Rooms that see the world only through `Source` and the stage.
const CLOSED: [&str; 10] =
    ["apps", "archive", "codec", "finding", "inventory", "needs", "path", "plan", "rules", "user"];

#[test]
fn invariant_1_rooms_depend_one_way() {
    let table = table();
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let room = room_of(&file);
        if room == "lib" {
            continue;
        }
        let Some(allowed) = table.get(&room) else {
            panic!("room {room} has no line in the table of ARCHITECTURE.md");
        };
        let Uses::These(allowed) = allowed else { continue };
        for used in uses(&text) {
            if used != room && !allowed.contains(&used) {
                wrong.push(format!("{file} uses {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The table says what the code does, not more.
#[test]
fn invariant_1_no_edge_is_only_in_the_table() {
    let files: BTreeSet<String> = sources().keys().map(|file| room_of(file)).collect();
    let mut unused = BTreeSet::new();
    for (room, allowed) in table() {
        assert!(files.contains(&room), "there is no room {room}");
        if let Uses::These(allowed) = allowed {
            unused.extend(allowed.into_iter().map(|used| (room.clone(), used)));
        }
    }
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
    let lines = "use crate::{\n    plan::{self, Plan},\n    // store,\n    user,\n};\n";
    assert_eq!(uses(lines), ["plan", "user"]);
}

#[test]
fn invariant_1_only_tests_at_the_end_of_a_file_are_left_out() {
    let text = "#[cfg(test)]\nmod tests;\nuse crate::plan;\n    #[cfg(test)]\n    fn f() {}\n#[cfg(test)]\npub(crate) mod tests {\nuse crate::store;\n";
    assert_eq!(uses(without_tests(text)), ["plan"]);
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

/// The files of the core and their code, without tests at their ends.
pub(crate) fn sources() -> BTreeMap<String, String> {
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
            found.insert(name, without_tests(&text).to_owned());
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

/// A file up to the tests at its end. A single function for tests counts as code.
fn without_tests(text: &str) -> &str {
    let begins = |rest: &str| {
        let line = rest.lines().nth(1).unwrap_or_default();
        line.contains("mod ") && line.ends_with('{')
    };
    let mut marks = text.match_indices("\n#[cfg(test)]");
    marks.find(|(at, _)| begins(&text[at + 1..])).map_or(text, |(at, _)| &text[..at])
}

/// The rooms that a file names after `crate::`.
fn uses(text: &str) -> Vec<String> {
    let code: Vec<&str> = code(text).collect();
    let code = code.join(" ");
    let mut rooms = Vec::new();
    for (at, word) in code.match_indices("crate::") {
        let rest = &code[at + word.len()..];
        match rest.strip_prefix('{') {
            Some(list) => rooms.extend(in_braces(list).into_iter().filter_map(first_word)),
            None => rooms.extend(first_word(rest)),
        }
    }
    rooms
}

/// What commas part in a list up to its closing brace; lists in it are not parted.
fn in_braces(list: &str) -> Vec<&str> {
    let (mut depth, mut from, mut parts) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                parts.push(&list[from..at]);
                from = at + 1;
            }
            _ => {}
        }
        if c == '}' && from == at + 1 {
            break;
        }
    }
    parts
}

fn first_word(text: &str) -> Option<String> {
    let word = text.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next();
    word.filter(|word| !word.is_empty()).map(str::to_owned)
}

/// What a room may use, besides itself.
enum Uses {
    /// These, which stand above it.
    These(BTreeSet<String>),
    /// Verbs, and what feeds them, use all.
    All,
}

/// The table of ARCHITECTURE.md, in which a room stands below what it uses.
fn table() -> BTreeMap<String, Uses> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ARCHITECTURE.md");
    let page = std::fs::read_to_string(page).expect("a page");
    let (_, part) = page.split_once("## Who may use whom").expect("the table");
    let (part, _) = part.split_once("\n## ").expect("a part after it");
    let mut table = BTreeMap::new();
    for line in part.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        let [rooms, uses] = cells[..] else { panic!("{line}") };
        let uses = match uses.trim() {
            "nothing" => Some(BTreeSet::new()),
            "all of the above" => None,
            _ => Some(names(uses)),
        };
        for used in uses.iter().flatten() {
            assert!(table.contains_key(used), "{used} is not above {rooms}");
        }
        for room in names(rooms) {
            table.insert(room, uses.clone().map_or(Uses::All, Uses::These));
        }
    }
    assert!(table.len() > 20);
    table
}

fn names(cell: &str) -> BTreeSet<String> {
    let words = cell.split(['`', ',', ' ']).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}
