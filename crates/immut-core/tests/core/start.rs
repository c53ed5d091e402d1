//! What the start of a container needs, and how a run that would break it is refused.

use std::collections::HashSet;

use immut_core::plan::Healthcheck;
use immut_core::plan::Removed;
use immut_core::store::Layout;
use immut_core::{Error, Options};
use immut_testkit::contents;
use immut_testkit::recipe::{LayerRecipe, Recipe};
use serde_json::json;

use crate::common::{Scene, archive, describe, fixture, keeping, told, words};

/// A shell behind a link, a script, one by way of env, a program, an init.
fn base() -> Recipe {
    Recipe::new().user("7").layer(|l: LayerRecipe| {
        l.file("/bin/dash", 0o755, contents::dash())
            .symlink("/bin/sh", "dash")
            .file("/usr/bin/env", 0o755, contents::program())
            .file("/app", 0o755, contents::program())
            .file("/sbin/tini", 0o755, contents::elf(&["tini"]))
            .file("/start.sh", 0o755, "#!/bin/sh -e\nexec /app\n")
            .file("/start-env", 0o755, "#!/usr/bin/env -S sh\nexec /app\n")
            .file("/start-dos", 0o755, "#!/bin/sh\r\nexec /app\r\n")
            .symlink("/start", "start.sh")
            .file("/private/app", 0o700, contents::program())
            .dir("/locked", 0o700)
            .file("/locked/app", 0o755, contents::program())
            .file("/unreadable.sh", 0o711, "#!/app\n")
    })
}

/// The conflicts of an image, each in a line.
fn conflicts(recipe: &Recipe, options: &Options) -> Vec<String> {
    Scene::of(recipe).plan(options).plan.conflicts.iter().map(describe).collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_start_that_needs_what_goes_is_a_conflict_with_its_chain() {
    let shell = |pointer: &str, path: &str, chain: &str| {
        vec![format!("/config/{pointer} needs {path}, which rule shell removes [{chain}]")]
    };
    let dash = "/bin/dash";
    let cases: [(&str, Recipe, Vec<String>); 11] = [
        (
            "shell form",
            base().entrypoint(&["/bin/sh", "-c", "/app; /app"]),
            shell("Entrypoint", dash, r#""/bin/sh" -> /bin/sh (link) -> /bin/dash"#),
        ),
        (
            "a name looked up in PATH",
            base().cmd(&["sh", "-c", "/app &"]),
            shell("Cmd", dash, r#""sh" -> /bin/sh (link) -> /bin/dash"#),
        ),
        (
            "a script",
            base().entrypoint(&["/start.sh"]),
            shell(
                "Entrypoint",
                dash,
                r#""/start.sh" -> /start.sh -> #!/bin/sh -e -> /bin/sh (link) -> /bin/dash"#,
            ),
        ),
        (
            "a script of another system",
            base().entrypoint(&["/start-dos"]),
            vec![
                r#"/config/Entrypoint cannot start: the first line #! ends in a carriage return, which the kernel takes for a part of the name ["/start-dos" -> /start-dos -> #!/bin/sh\x0d]"#
                    .to_owned(),
            ],
        ),
        (
            "a link to a script",
            base().entrypoint(&["/start"]),
            shell(
                "Entrypoint",
                dash,
                r#""/start" -> /start (link) -> /start.sh -> #!/bin/sh -e -> /bin/sh (link) -> /bin/dash"#,
            ),
        ),
        (
            "a script by way of env",
            base().entrypoint(&["/start-env"]),
            shell(
                "Entrypoint",
                dash,
                r#""/start-env" -> /start-env -> #!/usr/bin/env -S sh -> /usr/bin/env -> "sh" -> /bin/sh (link) -> /bin/dash"#,
            ),
        ),
        (
            "an init that runs a script",
            base().entrypoint(&["/sbin/tini", "--"]).cmd(&["/start.sh"]),
            shell(
                "Cmd",
                dash,
                r#""/sbin/tini" -> /sbin/tini -> "/start.sh" -> /start.sh -> #!/bin/sh -e -> /bin/sh (link) -> /bin/dash"#,
            ),
        ),
        (
            "a health check for a shell",
            base().entrypoint(&["/app"]).healthcheck(json!({ "Test": ["CMD-SHELL", "/app | /app"] })),
            shell(
                "Healthcheck",
                dash,
                r#"shell form "/app | /app" -> "/bin/sh" -> /bin/sh (link) -> /bin/dash"#,
            ),
        ),
        (
            "a health check of words",
            base().entrypoint(&["/app"]).healthcheck(json!({ "Test": ["CMD", "/start.sh"] })),
            shell(
                "Healthcheck",
                dash,
                r#""/start.sh" -> /start.sh -> #!/bin/sh -e -> /bin/sh (link) -> /bin/dash"#,
            ),
        ),
        ("a program", base().entrypoint(&["/app"]).cmd(&["--port", "80"]), Vec::new()),
        (
            "no health check",
            base().entrypoint(&["/app"]).healthcheck(json!({ "Test": ["NONE"] })),
            Vec::new(),
        ),
    ];
    for (what, recipe, expected) in cases {
        assert_eq!(conflicts(&recipe, &Options::default()), expected, "{what}");
    }
}

#[test]
fn a_start_that_is_kept_is_no_conflict() {
    let recipe = base().entrypoint(&["/start.sh"]);
    for keep in ["/bin/sh", "rule:shell"] {
        let none: [&str; 0] = [];
        assert_eq!(conflicts(&recipe, &keeping(&[keep])), none, "--keep {keep}");
    }
    assert_eq!(conflicts(&recipe, &keeping(&["/bin/dash"])).len(), 1, "the link is needed too");
}

#[test]
fn what_the_user_may_not_do_is_a_conflict() {
    let denied = |right: &str, path: &str, mode: &str| {
        format!("user 7 may not {right} {path} (mode {mode}, owner 0:0)")
    };
    let cases = [
        ("/private/app", "/", denied("execute", "/private/app", "0700")),
        ("/locked/app", "/", denied("pass through", "/locked", "0700")),
        ("/unreadable.sh", "/", denied("read", "/unreadable.sh", "0711")),
        ("/app", "/locked", denied("enter", "/locked", "0700")),
    ];
    for (entrypoint, folder, expected) in cases {
        let found =
            conflicts(&base().entrypoint(&[entrypoint]).workdir(folder), &Options::default());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(&expected), "{found:?}");
    }
}

#[test]
fn a_named_user_that_nobody_knows_is_a_conflict() {
    let found = conflicts(&base().user("web").entrypoint(&["/app"]), &Options::default());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains(r#"user "web" is not in the image's /etc/passwd"#), "{found:?}");
    let mut options = Options::default();
    options.choices.user = Some("9:9".parse().expect("a user"));
    let none: [&str; 0] = [];
    assert_eq!(conflicts(&base().user("web").entrypoint(&["/app"]), &options), none);
}

#[test]
fn what_is_not_in_the_image_is_refused_unless_it_comes_from_elsewhere() {
    for (entrypoint, problem) in [
        ("/missing", "cannot start: /missing is not in the image"),
        ("missing", "cannot start: no program \"missing\" is in PATH"),
    ] {
        let recipe = base().entrypoint(&[entrypoint]);
        let found = conflicts(&recipe, &Options::default());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(problem), "{found:?}");
        let none: [&str; 0] = [];
        assert_eq!(conflicts(&recipe, &keeping(&["rule:broken-start"])), none);
    }
    let planned = Scene::of(&base()).plan(&Options::default());
    assert!(planned.plan.unseen.join("\n").contains("no entrypoint and no cmd"));
}

#[test]
fn an_entrypoint_alone_is_refused_when_cmd_is_a_program_itself() {
    let mut options = Options::default();
    options.choices.entrypoint = words(&["/app"]);
    let scene = Scene::of(&base().entrypoint(&["/start.sh"]).cmd(&["/sbin/tini", "-g"]));
    let error = scene.plans(&options).expect_err("ambiguous").to_string();
    assert!(error.contains(r#"["/app","/sbin/tini","-g"]"#), "{error}");
    assert!(error.contains(r#"--entrypoint '["/app"]' --cmd '[...]'"#), "{error}");
    options.choices.cmd = words(&[]);
    assert!(scene.plan(&options).plan.conflicts.is_empty());
    options.choices.cmd = None;
    let arguments = Scene::of(&base().entrypoint(&["/start.sh"]).cmd(&["--port", "80"]));
    assert!(arguments.plan(&options).plan.conflicts.is_empty(), "cmd has arguments only");
}

#[test]
fn hints_are_the_full_pair_of_flags() {
    let hint = |recipe: &Recipe| {
        Scene::of(recipe).plan(&Options::default()).plan.conflicts[0].settle.clone()
    };
    let pair = r#"--entrypoint '["/app","--port","80"]' --cmd '[]'"#;
    let script = base().entrypoint(&["/start.sh"]).cmd(&["/app", "--port", "80"]);
    assert_eq!(hint(&script)[0], pair);
    let opaque = base().entrypoint(&["/bin/sh", "-c", "cd /x; /app"]);
    assert!(hint(&opaque)[0].contains("PROGRAM"), "nothing is guessed: {:?}", hint(&opaque));
    assert!(hint(&opaque).contains(&"--keep rule:shell (leaves it in the image)".to_owned()));
    let check =
        base().entrypoint(&["/app"]).healthcheck(json!({ "Test": ["CMD-SHELL", "/app $X"] }));
    assert!(hint(&check).contains(&"--healthcheck none".to_owned()), "{:?}", hint(&check));
}

#[test]
fn chosen_commands_replace_the_images() {
    let mut options = Options::default();
    options.choices.entrypoint = words(&["/app"]);
    options.choices.cmd = words(&["--now"]);
    options.choices.healthcheck = Some(Healthcheck::None);
    let check = json!({ "Test": ["CMD-SHELL", "true"], "Interval": 5 });
    let recipe = base().entrypoint(&["/start.sh"]).cmd(&["/x"]).healthcheck(check);
    let config = Scene::of(&recipe).harden(&options).config()["config"].clone();
    assert_eq!(config["Entrypoint"], json!(["/app"]));
    assert_eq!(config["Cmd"], json!(["--now"]));
    assert!(config.get("Healthcheck").is_none());
    options.choices.healthcheck = Some(r#"["/app","check"]"#.parse().expect("a check"));
    let config = Scene::of(&recipe).harden(&options).config()["config"].clone();
    assert_eq!(config["Healthcheck"], json!({ "Test": ["CMD", "/app", "check"], "Interval": 5 }));
}

#[test]
fn a_conflict_publishes_nothing() {
    let scene = Scene::of(&base().entrypoint(&["/start.sh"]));
    let stage = Layout::create(&scene.folder.path().join("stage")).expect("a stage");
    let refused = immut_core::harden(&scene.pinned(), &scene.source(), &stage, &Options::default());
    assert!(matches!(refused, Err(Error::Conflicts(_))));
    assert!(stage.names().expect("names").is_empty());
}

fn redis() -> Option<(Layout, immut_core::name::PinnedRef)> {
    let folder = fixture("9-built/redis-bookworm-oci")?;
    let source = Layout::open(&folder).expect("a layout");
    let index = std::fs::read(folder.join("index.json")).expect("an index");
    let index: serde_json::Value = serde_json::from_slice(&index).expect("JSON");
    let digest = index["manifests"][0]["digest"].as_str().expect("a digest");
    let pinned = format!("oci:{}@{digest}", folder.display()).parse().expect("a reference");
    Some((source, pinned))
}

#[test]
fn redis_as_it_is_would_not_start() {
    let Some((source, pinned)) = redis() else { return };
    let planning =
        crate::common::plan(&pinned.digest, &source, &Options::default()).expect("a plan");
    let conflicts: Vec<String> =
        planning.platforms[0].plan.conflicts.iter().map(describe).collect();
    assert_eq!(conflicts.len(), 1, "{conflicts:?}");
    let chain = [r#""docker-entrypoint.sh""#, "docker-entrypoint.sh -> #!/bin/sh", "dash"];
    for part in chain {
        assert!(conflicts[0].contains(part), "{conflicts:?}");
    }
    let settle = &planning.platforms[0].plan.conflicts[0].settle;
    assert_eq!(settle[..2], ["--app redis", r#"--entrypoint '["redis-server"]' --cmd '[]'"#]);
}

#[test]
fn redis_by_its_server_is_hardened_and_what_went_is_gone() {
    let Some((source, pinned)) = redis() else { return };
    let mut options = Options::default();
    options.choices.entrypoint = words(&["redis-server"]);
    options.choices.cmd = words(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let stage = Layout::create(&folder.path().join("stage")).expect("a stage");
    let hardened = immut_core::harden(&pinned, &source, &stage, &options)
        .unwrap_or_else(|error| panic!("{}", told(&error)));
    let one = &hardened.platforms[0];
    let tars = |layers: &[immut_core::image::Descriptor]| -> Vec<Vec<u8>> {
        layers.iter().map(|layer| archive(&stage, layer)).collect()
    };
    let (before, after) = (tars(&one.layers), tars(one.rewritten.manifest.layers()));
    let lost = lost_pieces(&before, &one.removed, &after);
    assert!(lost > 10, "only {lost} files were looked for");
    let view = immut_testkit::model::Tree::of_tars(&after).view();
    let Some(immut_testkit::model::Item::File(passwd)) =
        view.get("etc/passwd").map(|seen| seen.item.clone())
    else {
        panic!("no passwd");
    };
    let passwd = String::from_utf8(passwd).expect("text");
    assert!(passwd.contains("nonroot:x:65532:65532:"), "{passwd}");
    for shell in passwd.lines().filter_map(|line| line.rsplit(':').next()) {
        assert!(!shell.ends_with("sh"), "{shell}");
    }
}

/// Looks for a piece of 64 bytes from the middle of each removed program; says how many were sought.
/// Pieces that other files had from the start tell nothing.
fn lost_pieces(before: &[Vec<u8>], removed: &[Removed], after: &[Vec<u8>]) -> usize {
    let names: HashSet<String> =
        removed.iter().map(|one| one.path.to_string()[1..].to_owned()).collect();
    let (gone, others): (Vec<_>, Vec<_>) =
        contents_of(before).into_iter().partition(|(path, _)| names.contains(path));
    let mut sought: Vec<(String, Vec<u8>)> = Vec::new();
    for (path, content) in gone.into_iter().filter(|(_, content)| content.starts_with(b"\x7fELF")) {
        let mut pieces = content.windows(64).skip(content.len() / 2);
        let piece = pieces.find(|piece| is_telling(piece)).map(<[u8]>::to_vec);
        sought.extend(piece.map(|piece| (path, piece)));
    }
    let search =
        aho_corasick::AhoCorasick::new(sought.iter().map(|(_, piece)| piece)).expect("pieces");
    let found = |bytes: &[u8]| -> HashSet<usize> {
        search.find_overlapping_iter(bytes).map(|found| found.pattern().as_usize()).collect()
    };
    let shared: HashSet<usize> = others.iter().flat_map(|(_, content)| found(content)).collect();
    assert!(shared.len() < sought.len() / 10, "too many pieces are in several files");
    for tar in after {
        let left: Vec<&String> =
            found(tar).difference(&shared).map(|index| &sought[*index].0).collect();
        assert!(left.is_empty(), "pieces are still there of {left:?}");
    }
    sought.len() - shared.len()
}

/// Pieces of few different bytes (tables, padding) are in many files.
fn is_telling(piece: &[u8]) -> bool {
    piece.iter().collect::<HashSet<_>>().len() > 32
}

fn contents_of(tars: &[Vec<u8>]) -> Vec<(String, Vec<u8>)> {
    let entries = tars.iter().flat_map(|tar| immut_testkit::model::read_tar(tar));
    let files = entries.filter_map(|entry| match entry.item {
        immut_testkit::model::Item::File(content) => Some((entry.path, content)),
        _ => None,
    });
    files.collect()
}

/// What `npm start` runs is what the refusal suggests: `npm` itself goes, and so does its shell.
#[test]
fn a_package_s_script_is_suggested_as_a_start() {
    let start = |script: &str, words: &[&str]| {
        let package = format!("{{ \"scripts\": {{ \"start\": \"{script}\" }} }}\n");
        let image = Recipe::new()
            .layer(|l| {
                l.file("/bin/sh", 0o755, contents::dash())
                    .file("/bin/node", 0o755, contents::program())
                    .file("/bin/npm", 0o755, "#!/bin/node\n")
                    .file("/app/package.json", 0o644, package)
                    .file("/app/server.js", 0o644, "listen()\n")
                    .file("/app/node_modules/.bin/next", 0o755, "#!/bin/node\n")
            })
            .entrypoint(words)
            .workdir("/app")
            .user("7");
        let plan = Scene::of(&image).plan(&Options::default()).plan;
        let mut conflicts = plan.conflicts.into_iter();
        let conflict = conflicts.find(|one| describe(one).contains("needs /bin/sh"));
        conflict.expect("npm runs a shell").settle[0].clone()
    };
    let what = "(what the package's script runs)";
    assert_eq!(
        start("node server.js", &["npm", "start", "--", "-p", "80"]),
        format!(r#"--entrypoint '["node","server.js","-p","80"]' --cmd '[]' {what}"#)
    );
    assert_eq!(
        start("next start", &["npm", "run", "start"]),
        format!(r#"--entrypoint '["/app/node_modules/.bin/next","start"]' --cmd '[]' {what}"#)
    );
    for not_plain in ["node a.js && node server.js", "PORT=80 node server.js", "node $MAIN"] {
        assert!(start(not_plain, &["npm", "start"]).contains("PROGRAM"), "{not_plain}");
    }
}
