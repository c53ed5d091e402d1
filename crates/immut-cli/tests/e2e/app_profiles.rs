//! `--app` and `immut apps`: who names a profile, what is said of it, and what is wrong with one.

use std::fs;

use immut_testkit::contents;
use immut_testkit::recipe::Recipe;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::common::{Run, immut, json_file, run, text, validates};

/// nginx as its official image has it, and a script in front.
fn nginx() -> (TempDir, String) {
    let site = "server {\n    listen 80 default_server;\n}\n";
    let recipe = Recipe::new()
        .layer(|l| {
            l.file("/bin/bash", 0o755, contents::bash())
                .file("/usr/sbin/nginx", 0o755, contents::program())
                .file("/etc/nginx/conf.d/default.conf", 0o644, site)
        })
        .layer(|l| l.file("/docker-entrypoint.sh", 0o755, "#!/bin/bash\nexec \"$@\"\n"))
        .entrypoint(&["/docker-entrypoint.sh"])
        .cmd(&["nginx", "-g", "daemon off;"])
        .config(|config| config["config"]["ExposedPorts"] = json!({ "80/tcp": {} }));
    let folder = tempdir().expect("a folder");
    let image = recipe.write(&folder.path().join("image")).reference();
    (folder, image)
}

/// A refusal names the profile that settles it, and with it the image is hardened.
#[test]
fn a_refusal_suggests_the_profile_that_settles_it() {
    let (folder, image) = nginx();
    let refused = run(&["plan", &image]).code(4);
    let settle = "settle it with one of:\n      --app nginx\n";
    assert!(refused.stdout.contains(settle), "{refused}");
    let planned = run(&["plan", &image, "--app", "auto"]).code(0);
    for part in [
        "  app     nginx (nginx)\n",
        r#"    start ["/docker-entrypoint.sh","nginx","-g","daemon off;"]"#,
        r#"       -> ["/usr/sbin/nginx","-g","daemon off;"]"#,
        "    edit /etc/nginx/conf.d/default.conf (1): a user other than root may not listen below 1024\n",
        "    port    80 -> 8080\n",
    ] {
        assert!(planned.stdout.contains(part), "{part}\n{planned}");
    }
    let json = run(&["plan", &image, "--app", "nginx", "--format", "json"]).code(0);
    let json: Value = serde_json::from_str(&json.stdout).expect("JSON");
    validates(&json, "plan.schema.json");
    assert_eq!(json["platforms"][0]["app"]["ports"], json!([{ "from": 80, "to": 8080 }]));
    let (to, receipt) = (folder.path().join("out"), folder.path().join("receipt.json"));
    let harden =
        ["harden", &image, "--to", &format!("oci:{}", text(&to)), "--no-sign", "--app", "nginx"];
    Run::of(immut(&harden).arg("--receipt").arg(&receipt)).code(0).says(&["app     nginx"]);
    let receipt = json_file(&receipt);
    validates(&receipt, "receipt.schema.json");
    assert_eq!(receipt["platforms"][0]["app"]["start"]["after"][0], "/usr/sbin/nginx");
    let ports =
        json!({ "pointer": "/config/ExposedPorts", "to": "8080", "rules": ["app-profile"] });
    let config = receipt["platforms"][0]["config"].as_array().expect("a list");
    assert!(config.contains(&ports), "{config:?}");
}

#[test]
fn a_profile_that_is_none_or_does_not_fit_is_exit_code_2() {
    let (folder, image) = nginx();
    let plan = |app: &str| run(&["plan", &image, "--app", app]).code(2);
    plan("apache").says(&["apache is neither an app profile", "`immut apps` lists them"]);
    plan("redis").says(&[
        "redis-server",
        "does not recognise",
        r#"["/docker-entrypoint.sh","nginx""#,
    ]);
    let own = folder.path().join("own.toml");
    fs::write(&own, "name = \"own\"\ntitle = \"Own\"\n[recognise]\nprograms = [\"bin/own\"]\n")
        .expect("written");
    let (own, file) = (text(&own), "own.toml: TOML parse error at line 4, column 12");
    plan(own).says(&[file, "\"bin/own\" is no absolute path"]);
    run(&["apps", own]).code(2).says(&[file]);
}

/// A file of one's own is shown and applied as the built-in ones are.
#[test]
fn a_profile_of_ones_own_is_shown_and_applied() {
    let (folder, image) = nginx();
    let own = folder.path().join("own.toml");
    let profile = "name = \"own\"\ntitle = \"Own\"\n[recognise]\nprograms = [\"/usr/sbin/nginx\"]\n\
        words = [\"nginx\"]\nentrypoints = [\"/docker-entrypoint.sh\"]\n[[start]]\n\
        entrypoint = [\"/usr/sbin/nginx\", \"-e\", \"stderr\"]\n";
    fs::write(&own, profile).expect("written");
    let shown = run(&["apps", text(&own)]).code(0);
    assert!(shown.stdout.contains(r#"["/usr/sbin/nginx","-e","stderr"]"#), "{shown}");
    let planned = run(&["plan", &image, "--app", text(&own)]).code(0);
    let start = r#"-> ["/usr/sbin/nginx","-e","stderr","-g","daemon off;"]"#;
    assert!(planned.stdout.contains(start), "{planned}");
}
