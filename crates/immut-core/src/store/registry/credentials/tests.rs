//! Where credentials are found, and what is said when they are not.

use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;

/// A home folder with files in it.
fn home(files: &[(&str, &str)]) -> TempDir {
    let home = tempfile::tempdir().expect("a folder");
    for (name, content) in files {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(&path, content).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("mode");
    }
    home
}

fn environment(home: &TempDir, more: &[(&str, &str)]) -> Environment {
    let base = [
        ("HOME".to_owned(), home.path().display().to_string()),
        ("PATH".to_owned(), format!("{}/bin:/usr/bin:/bin", home.path().display())),
    ];
    let more = more.iter().map(|(name, value)| {
        ((*name).to_owned(), value.replace('~', &home.path().display().to_string()))
    });
    base.into_iter().chain(more).collect()
}

fn find_in(environment: &Environment, name: &str) -> Result<Option<Credential>, Error> {
    let (host, path) = name.split_once('/').expect("host/path");
    find(environment, &Repository { host: host.into(), path: path.into() })
}

fn user(found: Result<Option<Credential>, Error>) -> Option<String> {
    match found.expect("no error")? {
        Credential::Password { user, password } => {
            assert_eq!(password, "secret");
            Some(user)
        }
        Credential::IdentityToken(token) => Some(format!("token {token}")),
    }
}

fn auths(entries: &[(&str, &str)]) -> String {
    let entry = |(key, user): &(&str, &str)| {
        let auth = base64::prelude::BASE64_STANDARD.encode(format!("{user}:secret"));
        format!("{key:?}: {{ \"auth\": {auth:?} }}")
    };
    let entries: Vec<_> = entries.iter().map(entry).collect();
    format!("{{ \"auths\": {{ {} }} }}", entries.join(","))
}

const DOCKER: &str = ".docker/config.json";

#[test]
fn files_are_read_in_order() {
    let all = |name: &str| auths(&[("r.example", name)]);
    let home = home(&[
        (DOCKER, &all("docker")),
        ("elsewhere/config.json", &all("elsewhere")),
        ("named.json", &all("named")),
        ("run/containers/auth.json", &all("run")),
        (".config/containers/auth.json", &all("podman")),
    ]);
    let named = ("REGISTRY_AUTH_FILE", "~/named.json");
    let elsewhere = ("DOCKER_CONFIG", "~/elsewhere");
    let nowhere = ("DOCKER_CONFIG", "~/nowhere");
    let run = ("XDG_RUNTIME_DIR", "~/run");
    for (variables, found) in [
        (&[][..], "docker"),
        (&[elsewhere], "elsewhere"),
        (&[elsewhere, named], "named"),
        (&[nowhere, run], "run"),
        (&[nowhere], "podman"),
    ] {
        let environment = environment(&home, variables);
        assert_eq!(user(find_in(&environment, "r.example/app")).as_deref(), Some(found));
        assert_eq!(user(find_in(&environment, "other.example/app")), None);
    }
}

#[test]
fn the_most_specific_key_wins() {
    let home = home(&[(
        DOCKER,
        &auths(&[
            ("r.example", "host"),
            ("r.example/team", "team"),
            ("r.example/team/app", "app"),
            ("https://old.example/v1/", "old"),
            ("port.example:5000", "port"),
        ]),
    )]);
    for (name, found) in [
        ("r.example/x", Some("host")),
        ("r.example/teams", Some("host")),
        ("r.example/team/x", Some("team")),
        ("r.example/team/app", Some("app")),
        ("old.example/x", Some("old")),
        ("port.example:5000/x", Some("port")),
        ("port.example/x", None),
    ] {
        let found_user = user(find_in(&environment(&home, &[]), name));
        assert_eq!(found_user.as_deref(), found, "{name}");
    }
}

#[test]
fn docker_hub_has_an_odd_key() {
    for key in ["https://index.docker.io/v1/", "docker.io", "index.docker.io/v1/"] {
        let home = home(&[(DOCKER, &auths(&[(key, "hub")]))]);
        let found = user(find_in(&environment(&home, &[]), "docker.io/library/redis"));
        assert_eq!(found.as_deref(), Some("hub"), "{key}");
    }
}

#[test]
fn identity_tokens_are_told_apart() {
    let content = r#"{"auths":{"r.example":{"auth":"AAA","identitytoken":"t"}}}"#;
    let home = home(&[(DOCKER, content)]);
    assert_eq!(user(find_in(&environment(&home, &[]), "r.example/x")).as_deref(), Some("token t"));
}

#[test]
fn helpers_are_asked() {
    let helper = |body: &str| format!("#!/bin/sh\nread -r address || true\n{body}\n");
    let home = home(&[
        (
            DOCKER,
            r#"{"auths":{"https://index.docker.io/v1/":{}},"credsStore":"store",
                "credHelpers":{"own.example":"own","broken.example":"broken",
                               "odd.example":"odd","gone.example":"gone"}}"#,
        ),
        (
            "bin/docker-credential-store",
            &helper(
                r#"case $address in *docker.io*) printf '{"Username":"%s","Secret":"secret"}' "$address";;
                   *) echo credentials not found in native keychain; exit 1;; esac"#,
            ),
        ),
        ("bin/docker-credential-own", &helper(r#"echo '{"Username":"<token>","Secret":"t"}'"#)),
        ("bin/docker-credential-broken", &helper("printf 'the vault is\\033 locked'; exit 3")),
        ("bin/docker-credential-odd", &helper("echo my secret")),
    ]);
    let environment = environment(&home, &[]);
    let ask = |name: &str| find_in(&environment, name);
    assert_eq!(user(ask("docker.io/a/b")).as_deref(), Some("https://index.docker.io/v1/"));
    assert_eq!(user(ask("own.example/a")).as_deref(), Some("token t"));
    assert_eq!(user(ask("unknown.example/a")), None);
    for (name, said) in [
        ("broken.example/a", "the vault is  locked"),
        ("gone.example/a", "docker-credential-gone"),
        ("odd.example/a", "not the JSON"),
    ] {
        let message = ask(name).expect_err(name).to_string();
        assert!(message.contains(said) && message.contains(DOCKER), "{message}");
        assert!(!message.contains("my secret"), "{message}");
    }
}

#[test]
fn broken_files_are_errors_without_secrets() {
    for (content, said) in [
        ("{\"auths\":\n {\"r.example\": {\"auth\": [\"hunter2\"]}}}", "line 2"),
        (r#"{"auths":{"r.example":{"auth":"*hunter2*"}}}"#, "r.example is not base64"),
        (r#"{"auths":{"r.example":{"auth":"aHVudGVyMg=="}}}"#, "is not USER:PASSWORD"),
    ] {
        let home = home(&[(DOCKER, content)]);
        let error = find_in(&environment(&home, &[]), "r.example/x").expect_err(said);
        let message = error.to_string();
        assert!(message.contains(said) && message.contains(DOCKER), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
    let home = home(&[]);
    let missing = environment(&home, &[("REGISTRY_AUTH_FILE", "~/missing.json")]);
    assert!(matches!(find_in(&missing, "r.example/x"), Err(Error::Unreadable { .. })));
}
