//! App profiles: which image each recognises, what applying one does, and what a hostile image makes of
//! it.

use std::sync::Arc;

use immut_core::apps::{App, Choice};
use immut_core::plan::{Action, Applied};
use immut_core::{Error, Options};
use immut_testkit::contents;
use immut_testkit::recipe::{LayerRecipe, Recipe};
use serde_json::json;

use crate::common::{Scene, profile, removed, rules_of, told, words};

mod files;
mod official;
mod stacks;

/// The default with `--app`; `auto`, a name, or the text of a profile.
fn with(app: &str) -> Options {
    let mut options = Options { jobs: 1, ..Options::default() };
    options.choices.app = Some(match (app, App::named(app)) {
        ("auto", _) => Choice::Auto,
        (_, Some(named)) => Choice::This(Arc::new(named.clone())),
        _ => Choice::This(Arc::new(app.parse().expect("a profile"))),
    });
    options
}

fn applied(recipe: &Recipe, options: &Options) -> Applied {
    Scene::of(recipe).plan(options).plan.app.expect("a profile is applied")
}

/// Hardened, and hardened again with the same choices and without the profile: the config.
fn config_of(recipe: &Recipe, options: &Options) -> serde_json::Value {
    let done = Scene::of(recipe).harden(options);
    assert!(!done.again(options).is_changed(), "hardened twice");
    let mut without = options.clone();
    without.choices.app = None;
    std::fs::remove_dir_all(done.scene.folder.path().join("again")).expect("a stage");
    assert!(!done.again(&without).is_changed(), "hardened again without the profile");
    done.config()["config"].clone()
}

fn refusal(recipe: &Recipe, options: &Options) -> String {
    match Scene::of(recipe).plans(options) {
        Err(error @ Error::Choices(_)) => error.to_string(),
        Err(error) => panic!("{}", told(&error)),
        Ok(_) => panic!("planned"),
    }
}

fn program(layer: LayerRecipe, path: &str) -> LayerRecipe {
    layer.file(path, 0o755, contents::program())
}

/// An official image of an application: its program, and a script for an entrypoint.
fn scripted(program_path: &str, cmd: &[&str]) -> Recipe {
    let script = "#!/bin/bash\nset -e\nexec gosu app \"$@\"\n";
    Recipe::new()
        .layer(|l| {
            program(l, program_path)
                .file("/bin/bash", 0o755, contents::bash())
                .file("/usr/local/bin/docker-entrypoint.sh", 0o755, script)
                .file("/etc/passwd", 0o644, "root:x:0:0::/root:/bin/bash\n")
        })
        .entrypoint(&["docker-entrypoint.sh"])
        .cmd(cmd)
}

const REDIS: &str = "/usr/local/bin/redis-server";

#[test]
fn a_script_makes_way_for_the_application() {
    let recipe = scripted(REDIS, &["redis-server", "--save", ""]);
    for app in ["auto", "redis"] {
        let config = config_of(&recipe, &with(app));
        assert_eq!(config["Entrypoint"], json!([REDIS]), "{app}");
        assert_eq!(config["Cmd"], json!(["--save", ""]), "{app}");
    }
    let start = applied(&recipe, &with("redis")).start.expect("a new start");
    assert_eq!(start.before, ["docker-entrypoint.sh", "redis-server", "--save", ""]);
    assert_eq!(start.after, [REDIS, "--save", ""]);
}

#[test]
fn every_step_of_a_profile_has_its_rule() {
    let plan = Scene::of(&scripted(REDIS, &["redis-server"])).plan(&with("redis")).plan;
    assert!(rules_of(&plan).contains("app-profile"));
    let start = plan.steps.iter().find(|step| matches!(step.action, Action::SetEntrypoint { .. }));
    assert!(start.expect("a step").because.iter().all(|rule| rule.as_str() == "app-profile"));
    assert!(removed(&plan).contains(&"/bin/bash".to_owned()));
}

#[test]
fn a_start_by_the_application_itself_stays_as_it_is() {
    let recipe = scripted(REDIS, &["redis-server", "/my.conf"]).entrypoint(&[]);
    let config = config_of(&recipe, &with("auto"));
    assert_eq!(config["Cmd"], json!(["redis-server", "/my.conf"]));
    assert_eq!(applied(&recipe, &with("auto")).start, None);
}

#[test]
fn programs_that_only_run_it_stay_in_front_unless_they_change_the_user() {
    let layered = scripted(REDIS, &["redis-server"])
        .layer(|l| program(program(l, "/sbin/tini"), "/sbin/gosu"));
    let entrypoint = ["/sbin/tini", "--", "/sbin/gosu", "redis", "docker-entrypoint.sh"];
    let config = config_of(&layered.entrypoint(&entrypoint), &with("auto"));
    assert_eq!(config["Entrypoint"], json!(["/sbin/tini", "--", REDIS]));
}

#[test]
fn what_the_caller_says_wins() {
    let recipe = scripted(REDIS, &["redis-server"]);
    let mut options = with("redis");
    options.choices.cmd = words(&["--port", "7000"]);
    let config = config_of(&recipe, &options);
    assert_eq!(
        (&config["Entrypoint"], &config["Cmd"]),
        (&json!([REDIS]), &json!(["--port", "7000"]))
    );
    options.choices.cmd = words(&["redis-server", "--port", "7000"]);
    assert!(refusal(&recipe, &options).contains("leave the application's name out"));
    options.choices.cmd = words(&["--bind", "*"]);
    options.choices.entrypoint = words(&["/usr/local/bin/mine"]);
    let recipe = recipe.layer(|l| program(l, "/usr/local/bin/mine"));
    let config = config_of(&recipe, &options);
    assert_eq!(config["Entrypoint"], json!(["/usr/local/bin/mine"]));
}

#[test]
fn a_profile_that_does_not_fit_is_refused() {
    let redis = scripted(REDIS, &["redis-server"]);
    let refused = refusal(&redis, &with("nginx"));
    assert!(
        refused.contains("/usr/sbin/nginx") && refused.contains("docker-entrypoint.sh"),
        "{refused}"
    );
    let unknown = Recipe::new().layer(|l| program(l, "/app")).entrypoint(&["/app"]);
    let refused = refusal(&unknown, &with("auto"));
    assert!(refused.contains(r#"starts ["/app"]"#) && refused.contains("immut apps"), "{refused}");
    let both = scripted(REDIS, &[]).layer(|l| program(l, "/usr/local/bin/memcached"));
    assert!(refusal(&both, &with("auto")).contains("(memcached, redis)"));
}

#[test]
fn a_refusal_names_the_profile_that_settles_it() {
    let settle = |recipe: &Recipe| -> Vec<String> {
        let plan = Scene::of(recipe).plan(&Options::default()).plan;
        plan.conflicts.iter().map(|one| one.settle[0].clone()).collect()
    };
    let redis = scripted(REDIS, &["redis-server"]);
    assert!(settle(&redis).iter().all(|flag| flag == "--app redis"), "{:?}", settle(&redis));
    // Its server is a shell script itself: the profile would not help.
    let rabbit = scripted("/opt/rabbitmq/sbin/other", &["rabbitmq-server"]);
    let script = "#!/bin/bash\nexec erl\n";
    let rabbit = rabbit.layer(|l| l.file("/opt/rabbitmq/sbin/rabbitmq-server", 0o755, script));
    assert!(settle(&rabbit).iter().all(|flag| !flag.starts_with("--app")), "{:?}", settle(&rabbit));
}

#[test]
fn a_health_check_that_loses_its_shell_becomes_the_profiles() {
    let recipe = scripted(REDIS, &["redis-server"]).layer(|l| {
        let check = "#!/bin/bash\nredis-cli ping | grep PONG\n";
        program(l, "/usr/local/bin/redis-cli")
            .file("/check.sh", 0o755, check)
            .symlink("/bin/sh", "bash")
    });
    let expected = json!(["CMD", "/usr/local/bin/redis-cli", "ping"]);
    for test in [json!(["CMD", "/check.sh"]), json!(["CMD-SHELL", "redis-cli ping | grep PONG"])] {
        let recipe = recipe.clone().healthcheck(json!({ "Test": test, "Retries": 3 }));
        let config = config_of(&recipe, &with("redis"));
        assert_eq!(config["Healthcheck"], json!({ "Test": expected, "Retries": 3 }));
    }
    assert_eq!(config_of(&recipe, &with("redis")).get("Healthcheck"), None);
    let own = json!({ "Test": ["CMD", "redis-cli", "-p", "7", "ping"] });
    let config = config_of(&recipe.clone().healthcheck(own.clone()), &with("redis"));
    assert_eq!(config["Healthcheck"], own);
}

#[test]
fn variables_are_set_unless_the_image_has_them() {
    let python = |recipe: Recipe| {
        recipe.layer(|l| program(l, "/usr/local/bin/python3")).cmd(&["python3", "/a.py"])
    };
    let config = config_of(&python(Recipe::new()), &with("auto"));
    assert_eq!(config["Env"], json!(["PYTHONDONTWRITEBYTECODE=1"]));
    let config = config_of(&python(Recipe::new().env("PYTHONDONTWRITEBYTECODE=")), &with("auto"));
    assert_eq!(config["Env"], json!(["PYTHONDONTWRITEBYTECODE="]));
}

#[test]
fn what_a_profile_needs_stays_in_minimal() {
    let mine = "name = 'mine'\ntitle = 'Mine'\nneeds = ['/srv/**', '/opt/*.dat']\n\
        [recognise]\nprograms = ['/bin/mine']\nwords = ['mine']\n[[start]]\n";
    let recipe = Recipe::new()
        .layer(|l| {
            program(l, "/bin/mine")
                .file("/srv/a/b", 0o644, "b")
                .file("/opt/x.dat", 0o644, "x")
                .file("/opt/y", 0o644, "y")
        })
        .entrypoint(&["/bin/mine"]);
    let mut options = profile("minimal");
    options.choices.app = with(mine).choices.app;
    let scene = Scene::of(&recipe);
    let paths = ["/srv/a/b".parse().expect("a path"), "/opt/x.dat".parse().expect("a path")];
    let folder = tempfile::tempdir().expect("a folder");
    let stage = immut_core::store::Layout::temporary(folder.path()).expect("a stage");
    let explained = immut_core::explain(&scene.digest, &scene.source(), &stage, &paths, &options);
    let explained = explained.expect("explained");
    assert_eq!(explained[1].needed[0].pointer, "--app");
    assert_eq!(explained[1].needed[0].why[0].to_string(), "app profile mine");
    let done = scene.harden(&options);
    assert_eq!(done.paths(), ["bin", "bin/mine", "opt", "opt/x.dat", "srv", "srv/a", "srv/a/b"]);
    assert!(!done.again(&options).is_changed());
}

/// The user that a plan with the profile ends with, and the rule for it.
fn user(recipe: &Recipe, options: &Options) -> Option<(String, String)> {
    let plan = Scene::of(recipe).plan(options).plan;
    let step = plan.steps.iter().find_map(|step| match &step.action {
        Action::SetUser { to, .. } => Some((to.clone(), step.because.first()?.to_string())),
        _ => None,
    });
    config_of(recipe, options);
    step
}

#[test]
fn who_owns_the_data_runs_the_application() {
    let image = |passwd: &str| {
        scripted(REDIS, &["redis-server"]).layer(|l| l.file("/etc/passwd", 0o644, passwd))
    };
    let known = image("root:x:0:0::/root:/bin/bash\nredis:x:999:1000::/home/redis:/bin/sh\n");
    let of = |user: &str, rule: &str| Some((user.to_owned(), rule.to_owned()));
    assert_eq!(user(&known, &with("redis")), of("999", "app-profile"));
    assert_eq!(user(&known, &with("auto")), of("999", "app-profile"));
    // Whoever says who it is wins, an image that has a user keeps it, and so does one that keeps root.
    let mut chosen = with("redis");
    chosen.choices.user = Some("7:7".parse().expect("a user"));
    assert_eq!(user(&known, &chosen), of("7:7", "root-user"));
    assert_eq!(user(&known.clone().user("5"), &with("redis")), None);
    let mut kept = with("redis");
    kept.choices.profile.keep.push("rule:root-user".parse().expect("a keep"));
    assert_eq!(user(&known, &kept), None);
    // An image without the account, or where it is root by another name.
    let nobody = image("root:x:0:0::/root:/bin/bash\n");
    assert_eq!(user(&nobody, &with("redis")), of("65532:65532", "root-user"));
    let root = image("redis:x:0:0::/root:/bin/bash\n");
    assert_eq!(user(&root, &with("redis")), of("65532:65532", "root-user"));
}

#[test]
fn a_port_moves_where_the_profiles_words_move_it() {
    let image = |cmd: &[&str]| {
        let exposed = json!({ "80/tcp": {} });
        scripted("/usr/local/bin/traefik", cmd)
            .layer(|l| l.file("/entrypoint.sh", 0o755, "#!/bin/bash\nexec \"$@\"\n"))
            .entrypoint(&["/entrypoint.sh"])
            .config(|config| config["config"]["ExposedPorts"] = exposed)
    };
    let ports = |recipe: &Recipe| config_of(recipe, &with("traefik"))["ExposedPorts"].clone();
    assert_eq!(ports(&image(&["traefik"])), json!({ "8080/tcp": {} }));
    assert_eq!(ports(&image(&["--entryPoints.web.address=:80"])), json!({ "80/tcp": {} }));
    let file = image(&["traefik"]).layer(|l| {
        l.file("/etc/traefik/traefik.yml", 0o644, "entryPoints:\n  web:\n    address: :80\n")
    });
    assert_eq!(ports(&file), json!({ "8080/tcp": {} }));
    let other = file.layer(|l| l.file("/etc/traefik/traefik.yml", 0o644, "api: {}\n"));
    assert_eq!(ports(&other), json!({ "80/tcp": {} }));
}
