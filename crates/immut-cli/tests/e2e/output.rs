//! What is printed: JSON that keeps to its schema, colors, a reader that goes away.

use std::process::Stdio;

use serde_json::Value;
use tempfile::tempdir;

use crate::common::{Run, immut, json_file, run, small, text, validates, workspace};

fn demo() -> String {
    format!("oci:{}:demo", text(&workspace("testdata/demo")))
}

/// `--format json` parses and is what its schema says.
#[test]
fn json_keeps_to_its_schema() {
    let folder = tempdir().expect("a folder");
    let script = small().layer(|l| l.file("/start.sh", 0o755, "#!/bin/sh\n").whiteout("/helper"));
    let script = script.entrypoint(&["/start.sh"]).write(&folder.path().join("image")).reference();
    for image in [demo(), script.clone()] {
        let audit = run(&["audit", &image, "--format", "json", "--keep", "/usr/bin/dash"]).code(0);
        let audit: Value = serde_json::from_str(&audit.stdout).expect("JSON");
        assert_eq!(audit["version"], 1);
        validates(&audit, "audit.schema.json");
        let plan = run(&["plan", &image, "--format", "json", "--healthcheck", r#"["/app"]"#]);
        let plan: Value = serde_json::from_str(&plan.stdout).expect("JSON");
        validates(&plan, "plan.schema.json");
        let check =
            run(&["check", &image, "--format", "json", "--start-with", r#"["/no/such"]"#]).code(4);
        let check: Value = serde_json::from_str(&check.stdout).expect("JSON");
        validates(&check, "check.schema.json");
        let paths = ["/bin/sh", "/bin/bash", "/app", "/helper", "/etc", "/no/such"];
        let explained = [&["explain", &image][..], &paths, &["--format", "json"]].concat();
        let explained: Value = serde_json::from_str(&run(&explained).code(0).stdout).expect("JSON");
        validates(&explained, "explain.schema.json");
    }
    let plan = run(&["plan", &script, "--format", "json"]).code(4);
    let plan: Value = serde_json::from_str(&plan.stdout).expect("JSON");
    let conflict = &plan["platforms"][0]["conflicts"][0];
    assert_eq!(conflict["pointer"], "/config/Entrypoint");
    assert!(conflict["chain"].as_array().is_some_and(|chain| chain.len() > 2), "{conflict}");
}

/// A schema that takes everything shows nothing: unknown fields and actions are refused.
#[test]
fn the_schemas_refuse_what_is_not_written() {
    let plan = run(&["plan", &demo(), "--format", "json"]).code(0);
    let good: Value = serde_json::from_str(&plan.stdout).expect("JSON");
    let schema = json_file(&workspace("docs/plan.schema.json"));
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    assert!(validator.is_valid(&good));
    for (pointer, value) in [
        ("/version", 2.into()),
        ("/platforms/0/steps/0/action", "burn".into()),
        ("/platforms/0/digest", "sha256:1".into()),
        ("/platforms/0/before", 1.into()),
        ("/leftOut", Value::Null),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).expect("a value") = value;
        assert!(!validator.is_valid(&bad), "{pointer}");
    }
}

/// Quiet is quiet, and errors are still said.
#[test]
fn quiet_says_nothing_but_errors() {
    let folder = tempdir().expect("a folder");
    let image = small().write(&folder.path().join("image")).reference();
    let to = format!("oci:{}", text(&folder.path().join("out")));
    let done = run(&["harden", &image, "--to", &to, "--no-sign", "-q"]).code(0);
    assert_eq!(done.stderr, "");
    done.line();
    run(&["-q", "audit", "oci:/no/such"]).code(2).says(&["error: "]);
}

/// Colors go to terminals only, and `NO_COLOR` wins over being asked for them.
#[test]
fn colors_are_not_for_pipes() {
    let colored = |command: &mut std::process::Command| Run::of(command).stdout.contains('\u{1b}');
    assert!(!colored(&mut immut(&["audit", &demo()])));
    assert!(colored(immut(&["audit", &demo()]).env("CLICOLOR_FORCE", "1")));
    assert!(!colored(immut(&["audit", &demo()]).env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1")));
}

/// `immut rules | head -1`: a reader that goes away is no panic.
#[test]
fn a_closed_stdout_is_no_panic() {
    for arguments in [&["rules"][..], &["--help"], &["harden", "--help"], &["audit", &demo()]] {
        let mut child = immut(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        drop(child.stdout.take());
        let run = Run::from(child.wait_with_output().expect("ended"));
        assert!(!run.stderr.contains("panicked"), "{run}");
        assert_ne!(run.code, Some(101), "{run}");
    }
}

/// What a profile file says holds, and its mistakes are named.
#[test]
fn a_profile_file_is_read() {
    let folder = tempdir().expect("a folder");
    let image = small().write(&folder.path().join("image")).reference();
    let profile = folder.path().join("own.toml");
    std::fs::write(&profile, "name = \"own\"\nkeep = [\"rule:shell\"]\n").expect("written");
    let own = run(&["audit", &image, "--profile", text(&profile)]).code(0);
    assert!(own.stdout.contains("kept /bin/bash (rule shell)"), "{own}");
    std::fs::write(&profile, "keeep = []\n").expect("written");
    run(&["audit", &image, "--profile", text(&profile)]).code(2).says(&["own.toml", "keeep"]);
}
