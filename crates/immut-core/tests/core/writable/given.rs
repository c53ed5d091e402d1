//! Which paths are given to the user, and which are not.

use immut_core::Options;
use immut_core::plan::Action;
use immut_testkit::contents;
use immut_testkit::model::Item;
use immut_testkit::recipe::{LayerRecipe, Recipe};
use serde_json::{Value, json};

use super::{NONROOT, harden, image, listed, with_volumes, writing};
use crate::common::{Scene, describe, keeping, profile};

fn plan(recipe: &Recipe, options: &Options) -> immut_core::plan::Plan {
    Scene::of(recipe).plan(options).plan
}

#[test]
fn a_volume_of_root_belongs_to_the_user_with_what_is_beneath() {
    let recipe = with_volumes(
        image(|l| {
            l.dir("/data", 0o755)
                .file("/data/a", 0o600, "a")
                .dir("/data/b", 0o700)
                .symlink("/data/b/link", "/app")
                .file("/elsewhere", 0o600, "e")
        }),
        &["/data"],
    );
    let done = harden(&recipe, &Options::default());
    let view = done.view();
    for path in ["data", "data/a", "data/b", "data/b/link"] {
        assert_eq!(view[path].owner, NONROOT, "{path}");
    }
    assert_eq!((view["data/a"].mode, view["data/b"].mode), (0o600, 0o700), "modes stay");
    for path in ["app", "elsewhere"] {
        assert_eq!(view[path].owner, (0, 0), "{path}");
    }
    let plan = &done.hardened.platforms[0].plan;
    assert_eq!(listed(plan), ["/data:volume"]);
    let told = plan.notes.iter().any(|note| note.contains("chown -R 65532:65532"));
    assert!(told, "{:?}", plan.notes);
    let value = &done.manifest()["annotations"]["io.github.immut.writable"];
    let value: Value = serde_json::from_str(value.as_str().expect("text")).expect("JSON");
    assert_eq!(value, json!([{ "path": "/data", "kind": "volume" }]));
}

#[test]
fn what_the_user_may_write_already_keeps_its_digest() {
    let clean = [
        ("its own", image(|l| l.owned(999, 999).dir("/data", 0o700).file("/data/x", 0o644, "x"))),
        ("its group's", image(|l| l.owned(5, 0).dir("/data", 0o770))),
        ("anybody's", image(|l| l.dir("/data", 0o777))),
        (
            "like /tmp, whatever is beneath",
            image(|l| l.dir("/data", 0o1777).file("/data/x", 0o600, "x")),
        ),
        (
            "only links and devices beneath",
            image(|l| {
                l.dir("/data", 0o777)
                    .symlink("/data/l", "/app")
                    .device("/data/null", 1, 3)
                    .fifo("/data/f")
            }),
        ),
    ];
    for (what, recipe) in clean {
        let recipe = with_volumes(recipe.user("999"), &["/data"]);
        let done = harden(&recipe, &Options::default());
        assert!(!done.hardened.is_changed(), "{what}: {:?}", done.hardened.platforms[0].plan.steps);
        assert_eq!(listed(&done.hardened.platforms[0].plan), ["/data:volume"], "{what}");
    }
}

#[test]
fn root_that_is_kept_needs_nothing() {
    let recipe = with_volumes(image(|l| l.dir("/data", 0o755)), &["/data", "/made"]);
    let done = Scene::of(&recipe).harden(&keeping(&["rule:root-user"]));
    assert!(!done.hardened.is_changed());
}

#[test]
fn owners_stay_where_the_rule_is_kept() {
    let recipe = with_volumes(image(|l| l.dir("/data", 0o755)), &["/data", "/made"]).user("7");
    let options = keeping(&["rule:volume"]);
    let done = Scene::of(&recipe).harden(&options);
    assert!(!done.hardened.is_changed());
    assert_eq!(listed(&done.hardened.platforms[0].plan), ["/data:volume", "/made:volume"]);
    let other = Scene::of(&with_volumes(recipe.layer(|l| l.file("/su", 0o4755, "x")), &["/data"]));
    let done = other.harden(&options);
    assert_eq!(done.view()["data"].owner, (0, 0));
    assert!(!done.again(&options).is_changed(), "what is recorded is kept too");
}

#[test]
fn what_is_missing_is_made() {
    let recipe = with_volumes(
        image(|l| l.dir("/srv", 0o711).symlink("/var/run", "/run").dir("/run", 0o755)),
        &["/srv/data"],
    );
    let done = harden(&recipe, &writing(&["/var/run/app/x"]));
    let view = done.view();
    let seen = |path: &str| (&view[path].item, view[path].mode, view[path].owner);
    assert_eq!(seen("srv/data"), (&Item::Directory, 0o755, NONROOT));
    assert_eq!(seen("run/app/x"), (&Item::Directory, 0o755, NONROOT));
    assert_eq!(seen("run/app"), (&Item::Directory, 0o755, (0, 0)));
    assert_eq!((view["srv"].mode, view["srv"].owner), (0o711, (0, 0)), "as it was");
    assert_eq!(view["var/run"].item, Item::Symlink("/run".into()));
    let plan = &done.hardened.platforms[0].plan;
    assert_eq!(listed(plan), ["/srv/data:volume", "/var/run/app/x:tmpfs"]);
}

#[test]
fn a_directory_that_no_layer_mentions_is_made_too() {
    let recipe = with_volumes(image(|l| l.file("/data/sub/x", 0o644, "x")), &["/data"]);
    let view = harden(&recipe, &Options::default()).view();
    for path in ["data", "data/sub", "data/sub/x"] {
        assert_eq!(view[path].owner, NONROOT, "{path}");
    }
}

#[test]
fn nothing_is_made_over_what_is_there() {
    let recipe = image(|l| l.symlink("/round", "/round").file("/file", 0o644, "x")).user("7");
    let plan = plan(&recipe, &writing(&["/round", "/file/x"]));
    assert!(plan.is_empty(), "{:?}", plan.steps);
    assert_eq!(plan.notes.len(), 2, "{:?}", plan.notes);
    assert!(plan.notes[0].starts_with("/file/x leads to nothing"), "{:?}", plan.notes);
}

#[test]
fn what_a_link_leads_to_is_made_and_the_link_stays() {
    let recipe = image(|l| {
        l.symlink("/data", "srv/data").symlink("/opt/up", "../srv").symlink("/odd", "srv/x/../y")
    });
    let done = harden(&recipe, &writing(&["/data", "/data/in", "/opt/up/other", "/odd"]));
    let view = done.view();
    for path in ["srv/data", "srv/data/in", "srv/other"] {
        assert_eq!((&view[path].item, view[path].owner), (&Item::Directory, NONROOT), "{path}");
    }
    assert_eq!(view["data"].item, Item::Symlink("srv/data".into()));
    assert!(!view.contains_key("srv/y"), "a link that climbs is not followed to what is missing");
}

#[test]
fn links_are_followed_in_the_image_and_never_out_of_a_tree() {
    let recipe = image(|l| {
        l.dir("/real", 0o755)
            .file("/real/x", 0o644, "x")
            .symlink("/data", "real")
            .dir("/other", 0o755)
            .symlink("/real/out", "/other")
    });
    let view = harden(&recipe, &writing(&["/data"])).view();
    assert_eq!((view["real"].owner, view["real/x"].owner), (NONROOT, NONROOT));
    assert_eq!(view["real/out"].owner, NONROOT, "the link itself");
    assert_eq!((view["data"].owner, view["other"].owner), ((0, 0), (0, 0)));
}

#[test]
fn a_file_with_a_name_elsewhere_is_not_given_away_but_told() {
    let recipe = image(|l| {
        l.file("/usr/bin/tool", 0o755, "tool")
            .dir("/data", 0o755)
            .hardlink_as("/data/tool", "/usr/bin/tool", 0o755)
            .file("/data/a", 0o644, "a")
            .hardlink_as("/data/b", "/data/a", 0o644)
    });
    let done = harden(&recipe, &writing(&["/data"]));
    let view = done.view();
    assert_eq!(view["usr/bin/tool"].owner, (0, 0));
    assert_eq!((view["data/a"].owner, view["data/b"].owner), (NONROOT, NONROOT));
    let notes = &done.hardened.platforms[0].plan.notes;
    assert!(notes.iter().any(|note| note.contains("such as /data/tool")), "{notes:?}");
}

#[test]
fn devices_are_given_to_nobody() {
    let recipe = image(|l| l.dir("/data", 0o755).block_device("/data/disk", 8, 0).fifo("/data/f"));
    let view = harden(&recipe, &writing(&["/data"])).view();
    assert_eq!(view["data"].owner, NONROOT);
    assert_eq!((view["data/disk"].owner, view["data/f"].owner), ((0, 0), (0, 0)));
}

#[test]
fn directories_of_the_system_are_refused() {
    for path in ["/", "/etc", "/usr", "/usr/bin", "/bin", "/lib64", "/proc/x", "/sys", "/dev"] {
        let error = Scene::of(&image(|l| l)).plans(&writing(&[path])).expect_err("refused");
        assert!(error.to_string().contains("is the system's"), "{path}: {error}");
    }
    let linked = image(|l| l.dir("/etc", 0o755).symlink("/conf", "etc"));
    let error = Scene::of(&linked).plans(&writing(&["/conf"])).expect_err("refused");
    assert!(error.to_string().contains("--writable /conf"), "{error}");
    for path in ["/etc/app", "/run", "/var/lib/app", "/usr/share/app", "/dev/shm/x", "/libs"] {
        assert!(Scene::of(&image(|l| l)).plans(&writing(&[path])).is_ok(), "{path}");
    }
}

#[test]
fn a_volume_that_is_the_systems_stays_and_is_told() {
    let recipe = with_volumes(image(|l| l.dir("/etc", 0o755)), &["/", "/etc"]).user("7");
    let plan = plan(&recipe, &Options::default());
    assert!(plan.is_empty() && plan.writable.is_empty(), "{:?}", plan.steps);
    assert_eq!(plan.notes.len(), 2, "{:?}", plan.notes);
}

#[test]
fn trees_in_trees_are_one_step() {
    let recipe = with_volumes(
        image(|l| l.dir("/a", 0o755).dir("/a/b", 0o755).file("/a/b/c", 0o644, "c")),
        &["/a", "/a/b"],
    );
    let done = harden(&recipe, &writing(&["/a/b/c"]));
    let plan = &done.hardened.platforms[0].plan;
    let given: Vec<String> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::SetOwner { path, .. } => Some(path.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(given, ["/a"]);
    assert_eq!(listed(plan), ["/a:volume", "/a/b:volume"], "a file is no mount");
    assert_eq!(done.view()["a/b/c"].owner, NONROOT);
}

#[test]
fn what_goes_is_no_reason_and_what_is_wanted_comes_back() {
    let recipe = image(|l| {
        l.dir("/data", 0o777).file("/data/bash", 0o755, contents::bash()).file(
            "/bin/bash",
            0o755,
            contents::bash(),
        )
    });
    let options = writing(&["/data"]);
    let done = harden(&recipe.user("7"), &options);
    assert!(!done.paths().contains(&"data/bash".to_owned()));
    assert_eq!(done.view()["data"].owner, (0, 0));
}

#[test]
fn what_is_writable_stays_in_minimal() {
    let recipe = with_volumes(
        image(|l| {
            l.dir("/srv", 0o755).dir("/srv/empty", 0o755).dir("/var", 0o700).dir("/useless", 0o755)
        }),
        &["/srv/empty"],
    );
    let mut options = profile("minimal");
    options.choices.writable = writing(&["/var/new"]).choices.writable;
    let done = Scene::of(&recipe).harden(&options);
    let view = done.view();
    assert_eq!((view["srv/empty"].owner, view["var/new"].owner), (NONROOT, NONROOT));
    assert!(!view.contains_key("useless"));
    assert!(!done.again(&options).is_changed());
}

#[test]
fn a_home_in_a_volume_is_the_users() {
    let passwd = "root:x:0:0::/root:/x\nweb:x:9:9::/data/web:/x\n";
    let with_passwd =
        |volumes: &[&str]| with_volumes(image(|l| l.file("/etc/passwd", 0o644, passwd)), volumes);
    let mut options = Options::default();
    options.choices.user = Some("9".parse().expect("a user"));
    let view = harden(&with_passwd(&["/data"]), &options).view();
    assert_eq!((view["data"].owner, view["data/web"].owner), ((9, 9), (9, 9)));
    let view = harden(&with_passwd(&["/data/web"]), &options).view();
    assert_eq!((view["data"].owner, view["data/web"].owner), ((0, 0), (9, 9)));
    assert_eq!(view["data/web"].mode, 0o700);
    let done = harden(&with_passwd(&["/home/nonroot/cache"]), &Options::default());
    let view = done.view();
    let home = &view["home/nonroot"];
    assert_eq!((home.mode, home.owner), (0o700, NONROOT));
    assert_eq!(view["home/nonroot/cache"].owner, NONROOT);
}

#[test]
fn another_user_gets_what_the_annotation_records() {
    let recipe = image(|l| l.dir("/var/cache/app", 0o755));
    let done = harden(&recipe, &writing(&["/var/cache/app"]));
    let mut options = Options::default();
    options.choices.user = Some("7".parse().expect("a user"));
    let again = done.again_in("other", &options);
    let plan = &again.platforms[0].plan;
    assert_eq!(listed(plan), ["/var/cache/app:tmpfs"]);
    let given = |step: &immut_core::plan::Step| {
        matches!(&step.action, Action::SetOwner { owner: (7, 7), .. })
    };
    assert!(plan.steps.iter().any(given), "{:?}", plan.steps);
    let manifest = again.platforms[0].rewritten.manifest.json();
    assert!(manifest["annotations"]["io.github.immut.writable"].is_string());
}

#[test]
fn an_annotation_that_nobody_can_read_is_none() {
    for text in [
        "",
        "x",
        "{}",
        "[1]",
        r#"[{"path":"../x","kind":"tmpfs"}]"#,
        r#"[{"path":"/etc","kind":"volume"}]"#,
    ] {
        let recipe = image(|l| l.dir("/etc", 0o755)).user("7");
        let plan = plan(&recipe.annotation("io.github.immut.writable", text), &Options::default());
        assert!(plan.is_empty() && plan.writable.is_empty(), "{text}: {:?}", plan.steps);
    }
}

#[test]
fn an_image_in_dockers_format_gets_no_annotation() {
    let recipe = with_volumes(image(|l| l.dir("/data", 0o755)), &["/data"]).docker();
    let done = harden(&recipe, &Options::default());
    assert_eq!(done.view()["data"].owner, NONROOT);
    assert!(done.manifest()["annotations"].is_null());
}

#[test]
fn low_ports_are_told_and_refuse_nothing() {
    let exposing = |user: &str| {
        let recipe = image(|l| l).user(user);
        recipe.config(|config| {
            config["config"]["ExposedPorts"] = json!({ "80/tcp": {}, "8080/tcp": {}, "443": {} });
        })
    };
    let low = |planned: &immut_core::Planned| {
        planned.findings.iter().filter(|one| one.rule.as_str() == "low-port").count()
    };
    let planned = Scene::of(&exposing("7")).plan(&Options::default());
    assert!(planned.plan.is_empty() && low(&planned) == 1);
    assert!(planned.plan.notes[0].contains("80/tcp, 443"), "{:?}", planned.plan.notes);
    let planned = Scene::of(&exposing("")).plan(&Options::default());
    assert_eq!((low(&planned), planned.plan.conflicts.len()), (0, 0));
    assert!(planned.plan.notes[0].contains("user 65532:65532"), "it will not be root");
    let kept = Scene::of(&exposing("")).plan(&keeping(&["rule:root-user"]));
    assert!(kept.plan.notes.is_empty(), "{:?}", kept.plan.notes);
}

/// A file among the words that only root may read: refused where immut makes root another user.
#[test]
fn files_that_the_start_names_have_to_be_readable() {
    let recipe = image(|l| {
        l.dir("/etc/app", 0o755)
            .file("/etc/app/secret", 0o600, "s")
            .file("/etc/app/open", 0o644, "o")
            .dir("/locked", 0o700)
            .file("/locked/conf", 0o644, "c")
            .file("/run-only", 0o711, contents::program())
    });
    let conflicts = |recipe: &Recipe, options: &Options| -> Vec<String> {
        plan(recipe, options).conflicts.iter().map(describe).collect()
    };
    let none: [&str; 0] = [];
    let started = |words: &[&str]| recipe.clone().cmd(words);
    let secret = started(&["--config", "/etc/app/secret"]);
    let told = conflicts(&secret, &Options::default());
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("may not read /etc/app/secret (mode 0600, owner 0:0)"), "{told:?}");
    let settle = &plan(&secret, &Options::default()).conflicts[0].settle;
    assert_eq!(settle[0], "--writable /etc/app/secret (gives it to the user)");
    assert_eq!(conflicts(&secret, &writing(&["/etc/app/secret"])), none, "what is said settles it");
    let given = harden(&secret, &writing(&["/etc/app/secret"]));
    assert_eq!(given.view()["etc/app/secret"].owner, NONROOT);
    assert_eq!(listed(&given.hardened.platforms[0].plan), none, "no mount");
    assert_eq!(conflicts(&secret, &keeping(&["rule:root-user"])), none);
    assert_eq!(conflicts(&secret.clone().user("7"), &Options::default()), none, "as it ran before");
    let inside = conflicts(&started(&["--config=/etc/app/secret"]), &Options::default());
    assert_eq!(inside.len(), 1, "{inside:?}");
    let locked = started(&["/locked/conf"]);
    assert!(conflicts(&locked, &Options::default())[0].contains("pass through /locked"));
    assert_eq!(conflicts(&locked, &writing(&["/locked"])), none);
    assert_eq!(conflicts(&with_volumes(locked, &["/locked"]), &Options::default()), none);
    for fine in [&["/etc/app/open"][..], &["/run-only"], &["secret"], &["/etc/app"], &["/etc/new"]]
    {
        assert_eq!(conflicts(&started(fine), &Options::default()), none, "{fine:?}");
    }
}

/// A file that configuration names and only root may read is told, with the flag that gives it.
#[test]
fn files_that_configuration_names_should_be_readable() {
    let recipe = image(|l| {
        l.file("/etc/app.conf", 0o644, "listen 8080\nkey /certs/key.pem\ncert /certs/a.pem\n")
            .file("/certs/key.pem", 0o600, "k")
            .file("/certs/a.pem", 0o644, "a")
    });
    let recipe = recipe.cmd(&["--config", "/etc/app.conf"]);
    let told = |recipe: &Recipe, options: &Options| -> Vec<String> {
        let plan = plan(recipe, options);
        assert_eq!(plan.conflicts, []);
        plan.notes.into_iter().filter(|note| note.contains("may not")).collect()
    };
    let expected = "/etc/app.conf, line 2: key /certs/key.pem: user 65532:65532 may not read \
                    /certs/key.pem (mode 0600, owner 0:0); --writable /certs/key.pem (gives it to the user)";
    assert_eq!(told(&recipe, &Options::default()), [expected]);
    assert_eq!(told(&recipe, &writing(&["/certs/key.pem"])), [""; 0]);
    assert_eq!(told(&recipe.user("7"), &Options::default()), [""; 0], "as it ran before");
}

/// A folder that the program lies in and only root may pass can be given away: offered where that is
/// all there is to it.
#[test]
fn a_locked_folder_of_a_program_is_offered_where_that_settles_it() {
    let locked = |more: fn(LayerRecipe) -> LayerRecipe| {
        let program = contents::program();
        let folder = image(|l| more(l.dir("/locked", 0o700).file("/locked/app", 0o755, &program)));
        folder.entrypoint(&["/locked/app"])
    };
    let settle = |recipe: &Recipe| -> Vec<String> {
        plan(recipe, &Options::default()).conflicts.remove(0).settle
    };
    let recipe = locked(|l| l);
    assert_eq!(
        settle(&recipe),
        ["--writable /locked (gives it to the user)", "--user UID:GID (a user that may)"]
    );
    let done = harden(&recipe, &writing(&["/locked"]));
    assert_eq!(done.view()["locked"].owner, NONROOT);
    let only_root = |recipe: Recipe, what: &str| {
        assert_eq!(settle(&recipe), ["--user UID:GID (a user that may)"], "{what}");
    };
    let linked = locked(|l| {
        let l = l.file("/locked/own", 0o700, contents::program());
        l.hardlink_as("/elsewhere", "/locked/own", 0o700)
    });
    only_root(linked.entrypoint(&["/locked/own"]), "its file has a name elsewhere");
    let system = image(|l| l.dir("/usr/bin", 0o700).file("/usr/bin/x", 0o755, contents::program()));
    only_root(system.entrypoint(&["/usr/bin/x"]), "a directory of the system");
}

/// Other programs take it that they may write there, whoever asked for it.
#[test]
fn folders_for_everybody_are_made_for_everybody() {
    let seen = |recipe: Recipe, paths: &[&str], path: &str| {
        let view = harden(&recipe, &writing(paths)).view();
        (view[path].item.clone(), view[path].mode, view[path].owner)
    };
    let everybodys = (Item::Directory, 0o1777, (0, 0));
    for path in ["/tmp", "/var/tmp"] {
        let name = &path[1..];
        assert_eq!(seen(image(|l| l), &[path], name), everybodys, "{path} is missing");
        let beneath = format!("{path}/cache");
        assert_eq!(seen(image(|l| l), &[&beneath], name), everybodys, "{beneath} is missing");
        assert_eq!(
            seen(image(|l| l), &[&beneath, path], &beneath[1..]),
            (Item::Directory, 0o755, NONROOT)
        );
        let implied = || image(|l| l.file(&beneath, 0o600, "x"));
        assert_eq!(seen(implied(), &[path], name), everybodys, "no layer mentions {path}");
    }
    assert_eq!(seen(image(|l| l), &["/var/tmp"], "var"), (Item::Directory, 0o755, (0, 0)));
}

#[test]
fn a_working_directory_in_a_volume_can_be_entered() {
    let recipe = image(|l| l.dir("/work", 0o700)).workdir("/work");
    let told = plan(&recipe, &Options::default()).conflicts;
    assert_eq!(told[0].settle[0], "--writable /work (gives it to the user)");
    let done = harden(&with_volumes(recipe, &["/work"]), &Options::default());
    assert_eq!(done.view()["work"].owner, NONROOT);
}
