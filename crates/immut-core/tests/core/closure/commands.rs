//! What a runtime executes of Entrypoint and Cmd.

use immut_core::Options;
use immut_testkit::elf::Build;
use serde_json::json;

use super::bases::{alpine, app, debian, debian_with, scratch};
use super::{Case, case};
use crate::common::{Scene, words};

pub(super) fn cases() -> Vec<Case> {
    [shells(), literal_words(), wrapped(), beside()].into_iter().flatten().collect()
}

fn shells() -> Vec<Case> {
    vec![
        case(
            "an entrypoint of the shell form ignores cmd",
            debian().entrypoint(&["/bin/sh", "-c", "app --port 80"]).cmd(&["--verbose"]),
        )
        .expect(
            r#"
            Entrypoint ["app","--port","80"]
            Cmd null
            "#,
        ),
        case("a cmd of the shell form", debian().cmd(&["/bin/sh", "-c", "app --port 80"]))
            .expect(
            r#"
            Cmd ["app","--port","80"]
            "#,
        ),
        case(
            "an entrypoint of words with a cmd of the shell form",
            debian_with(|layer| layer.file("/usr/bin/java", 0o755, app().bytes()))
                .entrypoint(&["java", "-jar"])
                .cmd(&["/bin/sh", "-c", "x.jar"]),
        )
        .expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["java" -> /usr/bin/java -> "/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            "#,
        ),
        case("a base image that starts sh", debian().cmd(&["sh"])).expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["sh" -> /usr/bin/sh (link) -> /usr/bin/dash]
            "#,
        ),
        case("a base image that starts bash", debian().cmd(&["bash"])).expect(
            r#"
            refused: /config/Cmd needs /usr/bin/bash, which rule shell removes ["bash" -> /usr/bin/bash]
            "#,
        ),
        case("a base image that starts /bin/sh", alpine().cmd(&["/bin/sh"])).expect(
            r#"
            refused: /config/Cmd needs /bin/busybox, which rule shell removes ["/bin/sh" -> /bin/sh (link) -> /bin/busybox]
            "#,
        ),
        case("a base image with a chosen command", debian().cmd(&["sh"]))
            .with(|options| options.choices.cmd = words(&["app"]))
            .expect(
            r#"
            Cmd ["app"]
            "#,
        ),
        case("a base image with a chosen entrypoint", debian().cmd(&["sh"]))
            .with(|options| {
                options.choices.entrypoint = words(&["app"]);
                options.choices.cmd = words(&[]);
            })
            .expect(
            r#"
            Entrypoint ["app"]
            Cmd null
            "#,
        ),
        case("a base image without a command", debian()).expect(
            r#"
            unseen: the image has no entrypoint and no cmd, so its start is not known
            "#,
        ),
        case("a login shell with a command", debian().cmd(&["bash", "-lc", "app"])).expect(
            r#"
            refused: /config/Cmd needs /usr/bin/bash, which rule shell removes ["bash" -> /usr/bin/bash]
            unconverted: line 1: `-l` makes the shell read profiles first
            unseen: /config/Cmd: `-l` makes the shell read profiles first
            "#,
        ),
        case(
            "strict options of a shell",
            debian().cmd(&["bash", "-eo", "pipefail", "-c", "exec app"]),
        )
        .expect(
            r#"
            Cmd ["app"]
            "#,
        ),
    ]
}

fn literal_words() -> Vec<Case> {
    vec![
        case("a program alone", debian().entrypoint(&["app"]).cmd(&["--port", "80"]))
            .works_without_a_shell(),
        case("nothing but a static program", scratch()).works_without_a_shell(),
        case(
            "a variable among the words is not expanded",
            debian().env("APP=app").workdir("/usr/local/bin").entrypoint(&["./$APP"]),
        )
        .expect(
            r#"
            broken: /config/Entrypoint cannot start: /usr/local/bin/$APP is not in the image ["./$APP"]
            "#,
        ),
        case(
            "a program by a path from the working directory",
            debian().workdir("/usr/local/bin").entrypoint(&["./app"]),
        )
        .works_without_a_shell(),
        case("a program that is nowhere", debian().entrypoint(&["nginx"])).expect(
            r#"
            broken: /config/Entrypoint cannot start: no program "nginx" is in PATH ["nginx"]
            "#,
        ),
        case("a program on a volume", debian().entrypoint(&["/data/app"]))
            .with(|options| {
                let keep = "rule:broken-start".parse().expect("a keep");
                options.choices.profile.keep.push(keep);
            })
            .expect(
            r#"
            check: /config/Entrypoint cannot start: /data/app is not in the image ["/data/app"]
            "#,
        ),
        case("arguments that are names of programs too", {
            alpine().entrypoint(&["app", "sleep"]).cmd(&["--ls", "ls"])
        })
        .works_without_a_shell()
        .expect(
            r#"
            note: /config/Entrypoint: the argument "sleep" is the name of /bin/sleep too, which goes
            note: /config/Cmd: the argument "ls" is the name of /bin/ls too, which goes
            "#,
        ),
        case(
            "an argument that is a shell's name",
            debian().entrypoint(&["app"]).cmd(&["--shell", "/bin/sh"]),
        )
        .expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["app" -> /usr/local/bin/app -> "/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            "#,
        ),
    ]
}

fn wrapped() -> Vec<Case> {
    vec![
        case(
            "an init before the program",
            debian().entrypoint(&["tini", "-g", "--"]).cmd(&["app", "--port", "80"]),
        )
        .works_without_a_shell(),
        case(
            "an init before a shell form",
            debian().entrypoint(&["/usr/bin/tini", "--"]).cmd(&["/bin/sh", "-c", "exec app"]),
        )
        .expect(
            r#"
            Cmd ["app"]
            "#,
        ),
        case(
            "env and nice before the program",
            debian().entrypoint(&["env", "A=b", "nice", "-n", "5", "app"]),
        )
        .works_without_a_shell(),
        case("a program that becomes another user", {
            debian().entrypoint(&["gosu", "www-data", "app"]).cmd(&["--port", "80"])
        })
        .expect(
            r#"
            refused: /config/Entrypoint cannot start: /usr/bin/gosu becomes another user, which only root may ["gosu" -> /usr/bin/gosu]
            "#,
        ),
        case("the same as root", debian().entrypoint(&["gosu", "www-data", "app"]))
            .with(|options| {
                options.choices.profile.keep.push("rule:root-user".parse().expect("a keep"));
            })
            .works_without_a_shell(),
        case("a wrapper that says where programs are", {
            debian_with(|layer| layer.file("/opt/bin/own", 0o755, app().bytes())).entrypoint(&[
                "env",
                "PATH=/opt/bin",
                "own",
            ])
        })
        .works_without_a_shell()
        .expect(
            r#"
            unseen: /config/Entrypoint: no program "own" is in PATH ["env" -> /usr/bin/env -> "own"]
            "#,
        ),
        case("a wrapper that says where libraries are", {
            debian_with(|layer| {
                layer.file("/usr/bin/own", 0o755, app().needs("libown.so").bytes()).file(
                    "/opt/lib/libown.so",
                    0o644,
                    Build::library("libown.so").bytes(),
                )
            })
            .entrypoint(&["env", "LD_LIBRARY_PATH=/opt/lib", "own"])
        })
        .works_without_a_shell()
        .expect(
            r#"
            unseen: /config/Entrypoint: /usr/bin/own needs libown.so, which is not where its loader looks ["env" -> /usr/bin/env -> "own" -> /usr/bin/own -> library libown.so (not at /lib/x86_64-linux-gnu/libown.so (in a default folder), not at /usr/lib/x86_64-linux-gnu/libown.so (in a default folder), not at /lib/libown.so (in a default folder), nor at 1 others)]
            "#,
        ),
        case("wrappers in wrappers", debian().entrypoint(&["env"; 200])).expect(
            r#"
            unseen: /config/Entrypoint: more than 50 programs run one another; the rest is not followed
            "#,
        ),
        case("a wrapper around nothing", debian().entrypoint(&["tini", "--", "nginx"])).expect(
            r#"
            broken: /config/Entrypoint cannot start: no program "nginx" is in PATH ["tini" -> /usr/bin/tini -> "nginx"]
            "#,
        ),
    ]
}

fn beside() -> Vec<Case> {
    vec![
        case(
            "steps for child builds",
            debian().entrypoint(&["app"]).config(|json| {
                json["config"]["OnBuild"] = json!(["COPY . /srv", "RUN make -C /srv"]);
            }),
        )
        .works_without_a_shell()
        .expect(
            r#"
            note: builds from this image run commands in a shell (OnBuild), which is no longer there
            "#,
        ),
        case(
            "a shell for later builds",
            debian().entrypoint(&["app"]).config(|json| {
                json["config"]["Shell"] = json!(["/bin/bash", "-o", "pipefail", "-c"]);
            }),
        )
        .works_without_a_shell(),
        case("another command that starts the image", debian().entrypoint(&["app"]))
            .with(|options| {
                options.choices.start_with =
                    vec![words(&["sh", "-c", "app migrate"]).expect("words")];
            })
            .expect(
            r#"
            refused: --start-with needs /usr/bin/dash, which rule shell removes ["sh" -> /usr/bin/sh (link) -> /usr/bin/dash]
            "#,
        ),
    ]
}

#[test]
fn the_command_inside_a_wrapper_settles_it() {
    let image = debian().entrypoint(&["tini", "--", "gosu", "www-data", "app"]).cmd(&["-v"]);
    let conflicts = Scene::of(&image).plan(&Options::default()).plan.conflicts;
    assert_eq!(conflicts.len(), 1);
    let instead = r#"--entrypoint '["app","-v"]' --cmd '[]' (with the user that --user names)"#;
    assert_eq!(conflicts[0].settle[0], instead);
}
