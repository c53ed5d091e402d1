//! How long work is shown: JSON by its schema, bars on a terminal that leave nothing behind.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use immut_testkit::peers;
use immut_testkit::recipe::{Fault, IndexRecipe, Recipe};
use immut_testkit::registry::Registry;
use immut_testkit::slow::Slow;
use serde_json::Value;
use tempfile::tempdir;

use crate::common::{Run, immut, json_file, run, small, text, validates, workspace};

/// The events among the talk; each is what the schema says.
fn events(run: &Run) -> Vec<Value> {
    let lines = run.stderr.lines().filter(|line| line.starts_with('{'));
    let events: Vec<Value> = lines.map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for event in &events {
        validates(event, "progress.schema.json");
    }
    events
}

fn count(events: &[Value], task: &str, event: &str) -> usize {
    events.iter().filter(|one| one["task"] == task && one["event"] == event).count()
}

/// `--progress json` writes one object a line, as the schema has it, from the start of
/// each piece to its end.
#[test]
fn json_tells_each_piece_from_start_to_end() {
    let (folder, there) = (tempdir().expect("a folder"), Registry::start());
    let arm = small().platform("linux", "arm64").label("a", "b");
    let image = IndexRecipe::new().image(&small()).image(&arm).write(&folder.path().join("image"));
    let at = |repository: &str| format!("{}/{repository}", there.host());
    run(&["copy", &image.reference(), &at("from")]).code(0);
    let from = format!("{}@{}", at("from"), image.digest);
    let stage = folder.path().join("stage");
    let arguments = [
        "harden",
        &from,
        "--to",
        &at("to"),
        "--no-sign",
        "--progress",
        "json",
        "--stage",
        text(&stage),
    ];
    let first = events(&run(&arguments).code(0));
    let mut open: BTreeMap<String, Value> = BTreeMap::new();
    for event in &first {
        let piece = format!("{} {} {}", event["task"], event["digest"], event["platform"]);
        match event["event"].as_str().expect("text") {
            "start" => assert_eq!(open.insert(piece, event.clone()), None, "{event}"),
            "progress" => assert!(open.contains_key(&piece), "{event}"),
            "done" => {
                assert!(open.remove(&piece).is_some(), "{event}");
                assert_eq!(event["done"], event["total"]);
            }
            "reused" | "summary" => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(open, BTreeMap::new());
    // Two platforms of two layers; what the second shares with the first is in the stage by then.
    assert_eq!(count(&first, "download", "done"), 2);
    assert_eq!(count(&first, "download", "reused"), 2);
    assert_eq!(count(&first, "index", "done"), 2);
    assert_eq!(count(&first, "rewrite", "done"), 4);
    let done = |event: &&Value| event["task"] == "rewrite" && event["event"] == "done";
    for rewritten in first.iter().filter(done) {
        assert_eq!(rewritten["encoding"]["method"], "blocks", "{rewritten}");
    }
    assert_eq!(count(&first, "upload", "done"), 4);
    let summary = first.last().expect("events");
    assert_eq!(summary["event"], "summary");
    assert!(summary["read"].as_u64() > Some(0) && summary["sent"].as_u64() > Some(0), "{summary}");

    // The second time all is in the stage and at the destination.
    let second = events(&run(&arguments).code(0));
    assert_eq!(count(&second, "download", "done") + count(&second, "upload", "done"), 0);
    assert_eq!(second.last().expect("events")["sent"], 0);
    let mounted = run(&["copy", &from, &at("other"), "--progress", "json"]).code(0);
    let mounted = events(&mounted);
    assert!(mounted.iter().any(|event| event["from"] == at("from")), "{mounted:#?}");
}

/// A layer that fails is never told as done.
#[test]
fn a_failure_is_told_as_one() {
    let folder = tempdir().expect("a folder");
    let image = small().fault(Fault::Content).write(&folder.path().join("image")).reference();
    let to = format!("oci:{}", text(&folder.path().join("out")));
    for arguments in [&["audit", &image][..], &["copy", &image, &to]] {
        let failed = run(&[arguments, &["--progress", "json", "--jobs", "1"]].concat()).code(3);
        let events = events(&failed);
        let last = |word: &str| events.iter().filter(|event| event["event"] == word).count();
        let started = last("start");
        assert_eq!((last("failed"), last("done")), (1, started - 1), "{failed}");
    }
}

/// A schema that takes everything shows nothing.
#[test]
fn the_schema_refuses_what_is_not_written() {
    let folder = tempdir().expect("a folder");
    let image = small().write(&folder.path().join("image")).reference();
    let events = events(&run(&["audit", &image, "--progress", "json"]).code(0));
    let schema = json_file(&workspace("docs/progress.schema.json"));
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    assert!(validator.is_valid(&events[0]));
    for (field, value) in [
        ("version", 2.into()),
        ("event", "summary".into()),
        ("event", "reused".into()),
        ("task", "read".into()),
        ("layer", Value::Null),
        ("part", "config".into()),
        ("digest", "sha256:1".into()),
        ("more", 1.into()),
    ] {
        let mut bad = events[0].clone();
        bad[field] = value;
        assert!(!validator.is_valid(&bad), "{field}");
    }
}

/// Short work has no lines about its layers; a summary it has.
#[test]
fn a_log_is_not_filled_with_what_is_short() {
    let folder = tempdir().expect("a folder");
    let image = small().write(&folder.path().join("image")).reference();
    for kind in ["plain", "none"] {
        let to = format!("oci:{}", text(&folder.path().join(kind)));
        let done = run(&["harden", &image, "--to", &to, "--no-sign", "--progress", kind]).code(0);
        let done = done.says(&["\nread ", " sent "]);
        assert!(!done.stderr.contains("layer 1/2"), "{done}");
    }
}

/// As much of a terminal as the bars need: what is on it in the end, and whether bars ever were.
fn screen(output: &str) -> (Vec<String>, bool) {
    let (mut lines, mut row, mut bars) = (vec![String::new()], 0, false);
    let mut rest = output;
    while let Some(next) = rest.chars().next() {
        rest = &rest[next.len_utf8()..];
        match next {
            '\r' => {}
            '\n' => {
                row += 1;
                lines.resize(lines.len().max(row + 1), String::new());
            }
            '\u{1b}' => {
                let sequence = rest.strip_prefix('[').expect("a sequence");
                let end = sequence.find(|c: char| c.is_ascii_alphabetic()).expect("its end");
                match &sequence[end..=end] {
                    "A" => row -= sequence[..end].parse::<usize>().expect("a number"),
                    "J" => {
                        bars |= lines[row..].iter().any(|line| line.contains("[="));
                        lines.truncate(row);
                        lines.push(String::new());
                    }
                    other => panic!("{other}"),
                }
                rest = &sequence[end + 1..];
            }
            letter => lines[row].push(letter),
        }
    }
    lines.retain(|line| !line.is_empty());
    (lines, bars)
}

/// On a terminal a slow copy has bars, and when it ends there is nothing left of them.
#[test]
fn bars_leave_nothing_behind() {
    let Some(script) = peers::require("script") else { return };
    let (folder, there) = (tempdir().expect("a folder"), Registry::start());
    let large: Vec<u8> =
        (0..400_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    let image = Recipe::new().layer(|l| l.file("/large", 0o644, &large));
    let image = image.layer(|l| l.file("/small", 0o644, "x")).write(&folder.path().join("image"));
    let slow = Slow::start(&there.host(), 800_000);
    let to = format!("{}/demo/app:v1", slow.host());
    let copy = immut(&["copy", &image.reference(), &to]);
    let mut words = vec![copy.get_program().to_owned()];
    words.extend(copy.get_args().map(ToOwned::to_owned));
    let words: Vec<_> = words.iter().map(|word| word.to_str().expect("text")).collect();
    let mut command = Command::new(script);
    let shell = format!("stty cols 80 rows 24; exec {}", words.join(" "));
    command.args(["-qec", &shell, "/dev/null"]).env("TERM", "xterm").stdin(Stdio::null());
    command.env("DOCKER_CONFIG", "/nonexistent").env("REGISTRY_AUTH_FILE", "/nonexistent");
    let done = Run::of(&mut command).code(0);
    let (lines, bars) = screen(&done.stdout);
    assert!(bars, "no bar was drawn: {done}");
    let [moved, tagged, product] = &lines[..] else { panic!("{lines:#?}") };
    assert!(moved.starts_with("copied 1."), "{moved}");
    assert_eq!(
        (tagged.as_str(), product.as_str()),
        ("tagged v1", format!("{}/demo/app@{}", slow.host(), image.digest).as_str())
    );
}
