//! What a profile changes in files, and what it leaves alone.

use immut_core::Options;
use immut_core::plan::{Action, Change, Step};
use immut_testkit::recipe::{LayerRecipe, Recipe};
use serde_json::json;

use super::{applied, config_of, program, refusal, scripted, with};
use crate::common::{Scene, profile};

const MAIN: &str =
    "user www-data;\nerror_log /var/log/nginx/error.log;\nhttp {\n  include sites-enabled/*;\n}\n";
const SITE: &str = "server {\n  listen 80 default_server;\n  listen [::]:80;\n}\n";

/// nginx as Debian has it: the enabled site is a link.
fn nginx() -> Recipe {
    Recipe::new()
        .layer(|l| program(l, "/usr/sbin/nginx").file("/etc/nginx/nginx.conf", 0o644, MAIN))
        .layer(|l| {
            l.file("/etc/nginx/sites-available/default", 0o644, SITE)
                .symlink("/etc/nginx/sites-enabled/default", "/etc/nginx/sites-available/default")
        })
        .cmd(&["nginx", "-g", "daemon off;"])
        .config(|config| config["config"]["ExposedPorts"] = json!({ "80/tcp": {}, "9/udp": {} }))
}

#[test]
fn configuration_is_edited_once_by_whatever_name() {
    for name in ["baseline", "distroless", "minimal"] {
        let mut options = profile(name);
        options.choices.app = with("nginx").choices.app;
        let done = Scene::of(&nginx()).harden(&options);
        assert!(!done.again(&options).is_changed(), "{name}");
        let site = SITE.replace("80", "8080");
        assert_eq!(done.text("etc/nginx/sites-available/default"), site, "{name}");
        assert!(
            done.text("etc/nginx/nginx.conf")
                .starts_with("# user: the container's\nerror_log stderr;")
        );
        assert_eq!(done.config()["config"]["ExposedPorts"], json!({ "8080/tcp": {}, "9/udp": {} }));
        let app = done.hardened.platforms[0].plan.app.clone().expect("a profile");
        let paths: Vec<String> = app.edits.iter().map(|one| one.path.to_string()).collect();
        assert_eq!(paths, ["/etc/nginx/nginx.conf", "/etc/nginx/sites-available/default"]);
        let why = "a user other than root may not listen below 1024".to_owned();
        assert_eq!(app.edits[1].changes, [Change { why, count: 2 }]);
    }
}

#[test]
fn an_edit_stays_in_its_layer_where_that_is_written_anew() {
    // The first layer loses a setuid bit, the second is not touched: what it holds comes on top.
    let recipe = Recipe::new()
        .layer(|l| {
            l.owned(5, 6).file("/etc/nginx/nginx.conf", 0o640, MAIN).file("/su", 0o4755, "su")
        })
        .layer(|l| {
            program(l, "/usr/sbin/nginx").file("/etc/nginx/conf.d/a.conf", 0o640, SITE).owned(5, 6)
        })
        .cmd(&["nginx"]);
    let done = Scene::of(&recipe).harden(&with("nginx"));
    let tars = done.tars();
    let holds = |tar: &[u8], text: &str| memchr::memmem::find(tar, text.as_bytes()).is_some();
    assert!(holds(&tars[0], "error_log stderr") && !holds(&tars[0], "/var/log/nginx"));
    assert!(holds(&tars[1], "listen 80 ") && holds(&tars[2], "listen 8080 "));
    let original = recipe.build();
    assert_eq!(tars[1], original.layers[1].tar);
}

#[test]
fn the_receipt_says_what_and_why() {
    let done = Scene::of(&nginx()).harden(&with("nginx"));
    let receipt = done.hardened.receipt("example.org/x".into(), "distroless").to_json();
    let receipt: serde_json::Value = serde_json::from_str(&receipt).expect("JSON");
    let app = &receipt["platforms"][0]["app"];
    assert_eq!(app["name"], "nginx");
    assert_eq!(app["ports"], json!([{ "from": 80, "to": 8080 }]));
    assert_eq!(app["edits"][1]["path"], "/etc/nginx/sites-available/default");
    assert_eq!(app["edits"][1]["changes"][0]["count"], 2);
    assert!(app["notes"].as_array().is_some_and(|notes| !notes.is_empty()));
    let none = Scene::of(&nginx().user("7")).harden(&Options::default());
    let receipt = none.hardened.receipt("example.org/x".into(), "distroless").to_json();
    assert!(!receipt.contains("\"app\""));
}

#[test]
fn a_port_that_no_edit_moved_stays_exposed() {
    let recipe =
        nginx().layer(|l| l.file("/etc/nginx/sites-available/default", 0o644, "listen 8000;\n"));
    let plan = Scene::of(&recipe).plan(&with("nginx")).plan;
    assert_eq!(plan.app.expect("a profile").ports, []);
    assert!(
        plan.notes.iter().any(|note| note.contains("port 80 stays exposed")),
        "{:?}",
        plan.notes
    );
    assert_eq!(
        config_of(&recipe, &with("nginx"))["ExposedPorts"],
        json!({ "80/tcp": {}, "9/udp": {} })
    );
}

/// What is told of an image whose first site is something else.
fn notes_with(build: impl FnOnce(LayerRecipe) -> LayerRecipe) -> Vec<String> {
    let recipe = nginx().layer(build);
    let plan = Scene::of(&recipe).plan(&with("nginx")).plan;
    config_of(&recipe, &with("nginx"));
    plan.notes.into_iter().filter(|note| note.contains("changes nothing in")).collect()
}

#[test]
fn what_is_no_configuration_is_left_alone() {
    let site = "/etc/nginx/sites-enabled/hostile";
    let large = format!("listen 80;\n{}", "#".repeat(100 << 20));
    let large = notes_with(|l| l.file(site, 0o644, large));
    assert!(large[0].ends_with("it is larger than configuration is"), "{large:?}");
    let many = |l| {
        (0..2000).fold(l, |l: LayerRecipe, n| l.file(format!("{site}{n}"), 0o644, "listen 80;"))
    };
    let many = notes_with(many);
    assert!(many[0].ends_with("there is more of it than configuration is"), "{many:?}");
    assert_eq!(many.len(), 20);
    let binary = notes_with(|l| l.file(site, 0o644, b"listen 80;\n\xff\xfe"));
    assert!(binary[0].ends_with("it is no text"), "{binary:?}");
    let elf = notes_with(|l| program(l, site));
    assert!(elf[0].ends_with("it is no plain text"), "{elf:?}");
    let twice = notes_with(|l| l.file("/b", 0o644, "listen 80;\n").hardlink(site, "/b"));
    assert!(twice[0].ends_with("it has other names (hardlinks)"), "{twice:?}");
    let folder = notes_with(|l| l.dir(site, 0o755));
    assert!(folder[0].ends_with("it is no file"), "{folder:?}");
}

#[test]
fn links_are_followed_in_the_image_and_not_into_its_accounts() {
    let site = "/etc/nginx/sites-enabled/hostile";
    let passwd = "root:x:0:0::/root:/bin/sh\nlisten 80;\n";
    let accounts = notes_with(|l| {
        l.file("/etc/passwd", 0o644, passwd).symlink(site, "../../../../../../etc/passwd")
    });
    assert!(
        accounts[0].starts_with("app profile nginx changes nothing in /etc/passwd"),
        "{accounts:?}"
    );
    assert_eq!(notes_with(|l| l.symlink(site, site)), [""; 0]);
    assert_eq!(notes_with(|l| l.symlink(site, "/gone")), [""; 0]);
    let elsewhere = nginx().layer(|l| l.file("/srv/site", 0o644, SITE).symlink(site, "/srv/site"));
    let edits = applied(&elsewhere, &with("nginx")).edits;
    assert!(edits.iter().any(|file| file.path.to_string() == "/srv/site"), "{edits:?}");
}

/// A profile with one edit of `/etc/mine`.
fn editing(find: &str, replace: &str) -> Options {
    with(&format!(
        "name = 'mine'\ntitle = 'Mine'\n[recognise]\nprograms = ['/bin/mine']\nwords = ['mine']\n[[start]]\n\
         [[edits]]\nfile = '/etc/mine'\nfind = '{find}'\nreplace = '{replace}'\nwhy = 'because'\n"
    ))
}

#[test]
fn an_edit_that_never_ends_is_refused() {
    let recipe = |text: &str| {
        scripted("/bin/mine", &[])
            .layer(|l| l.file("/etc/mine", 0o644, text))
            .entrypoint(&["/bin/mine"])
    };
    let refused = refusal(&recipe("a\n"), &editing("a", "aa"));
    assert!(refused.contains("its edits of /etc/mine, made once more"), "{refused}");
    // What an engine that goes back would never finish.
    let hostile = recipe(&format!("{}!\n", "a".repeat(100_000)));
    let edits = applied(&hostile, &editing("(a|a)*(a|a)*(a|a)*b", "c")).edits;
    assert_eq!(edits, []);
    let growing = "x".repeat(1 << 20);
    let plan = Scene::of(&recipe(&growing)).plan(&editing("x", "yy")).plan;
    assert!(
        plan.notes.iter().any(|note| note.ends_with("it would grow too large")),
        "{:?}",
        plan.notes
    );
}

/// A text of another user's, as Debian's redis has it, and the folders of its profile.
fn redis() -> Recipe {
    Recipe::new()
        .layer(|l| {
            program(l, "/usr/bin/redis-server").file("/etc/passwd", 0o644, "root:x:0:0::/:/\n")
        })
        .layer(|l| {
            l.owned(100, 101)
                .dir("/etc/redis", 0o2770)
                .file("/etc/redis/redis.conf", 0o640, "daemonize yes\n")
                .dir("/var/lib/redis", 0o750)
                .file("/var/lib/redis/dump.rdb", 0o660, "REDIS")
        })
        .cmd(&["redis-server", "/etc/redis/redis.conf"])
}

#[test]
fn what_it_reads_is_its_groups_and_what_it_writes_its_own() {
    for name in ["baseline", "distroless", "minimal"] {
        let mut options = profile(name);
        options.choices.app = with("redis").choices.app;
        let done = Scene::of(&redis()).harden(&options);
        assert!(!done.again(&options).is_changed(), "{name}");
        let view = done.view();
        let owner = |path: &str| view[path].owner;
        assert_eq!(owner("etc/redis/redis.conf"), (100, 65532), "{name}");
        assert_eq!(owner("etc/redis"), (100, 65532), "{name}");
        assert_eq!(owner("var/lib/redis/dump.rdb"), (65532, 65532), "{name}");
        let writable = &done.hardened.platforms[0].plan.writable;
        let paths: Vec<String> = writable.iter().map(|one| one.path.to_string()).collect();
        assert_eq!(paths, ["/var/lib/redis"], "{name}");
    }
    // Who may read it already gets nothing.
    let plan = Scene::of(&redis().user("100:101")).plan(&with("redis")).plan;
    let gives = |step: &Step| matches!(step.action, Action::SetOwner { .. });
    assert!(!plan.steps.iter().any(gives), "{:?}", plan.steps);
}

/// A profile may ask for a file in a folder that is everybody's: the file is given, the folder is not.
#[test]
fn folders_at_the_top_are_given_to_nobody() {
    let recipe = scripted("/bin/mine", &[]).entrypoint(&["/bin/mine"]).layer(|l| {
        l.dir("/root", 0o700).file("/root/mine.conf", 0o600, "x").file("/root/secret", 0o644, "x")
    });
    let mine = with(
        "name = 'mine'\ntitle = 'Mine'\nreadable = ['/root/mine.conf']\n\
         [recognise]\nprograms = ['/bin/mine']\nwords = ['mine']\n[[start]]\n",
    );
    let plan = Scene::of(&recipe).plan(&mine).plan;
    let given = plan.steps.iter().filter_map(|step| match &step.action {
        Action::SetOwner { path, .. } => Some(path.to_string()),
        _ => None,
    });
    assert_eq!(given.collect::<Vec<_>>(), ["/root/mine.conf"]);
}

#[test]
fn folders_that_have_to_be_there_are_made() {
    let recipe = scripted("/usr/local/sbin/haproxy", &["haproxy", "-f", "/h.cfg"]);
    let done = Scene::of(&recipe).harden(&with("haproxy"));
    let seen = &done.view()["run/haproxy"];
    assert_eq!((seen.mode, seen.owner), (0o755, (65532, 65532)));
    assert!(!done.again(&with("haproxy")).is_changed());
}
