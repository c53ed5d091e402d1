//! Health checks, which only Docker runs.

use immut_testkit::recipe::Recipe;
use serde_json::json;

use super::bases::{app, debian, debian_with};
use super::{Case, case};

/// An image with a check that the image's shell runs.
fn shell(command: &str) -> Recipe {
    with(&["CMD-SHELL", command])
}

fn with(test: &[&str]) -> Recipe {
    debian().docker().entrypoint(&["app"]).healthcheck(json!({ "Test": test, "Interval": 5 }))
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("a check of words", with(&["CMD", "app", "ping"])).works_without_a_shell(),
        case("no check", with(&["NONE"])).works_without_a_shell(),
        case("a plain command", shell("app ping")).expect(
            r#"
            Healthcheck {"Test":["CMD","app","ping"],"Interval":5}
            "#,
        ),
        case("a failure of any kind", shell("curl -f http://localhost/ || exit 1")).expect(
            r#"
            Healthcheck {"Test":["CMD","curl","-f","http://localhost/"],"Interval":5}
            "#,
        ),
        case("a check piped into grep", shell("app ping | grep PONG")).expect(
            r#"
            refused: /config/Healthcheck needs /usr/bin/dash, which rule shell removes [shell form "app ping | grep PONG" -> "/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            unconverted: line 1: `|` is a pipe, which only a shell sets up
            unseen: /config/Healthcheck: no program "grep" is in PATH [shell form "app ping | grep PONG" -> "/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash -> line 1: grep PONG -> "grep"]
            "#,
        ),
        case("a check of two commands", shell("app ping && app ready")).expect(
            r#"
            refused: /config/Healthcheck needs /usr/bin/dash, which rule shell removes [shell form "app ping && app ready" -> "/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            unconverted: line 1: `&&` joins two commands, and only a shell decides whether the second runs
            "#,
        ),
        case("a builtin alone", shell("test -f /srv/ready")).expect(
            r#"
            refused: /config/Healthcheck needs /usr/bin/dash, which rule shell removes [shell form "test -f /srv/ready" -> "/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            unconverted: line 1: `test` is a command of the shell itself; the program of that name is another one
            "#,
        ),
        case("a variable in a check", shell("curl -f http://localhost:$PORT/")).expect(
            r#"
            refused: /config/Healthcheck needs /usr/bin/dash, which rule shell removes [shell form "curl -f http://localhost:$PORT/" -> "/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            unconverted: line 1: `$PORT` is expanded when the container starts; write the value of PORT out
            "#,
        ),
        case("a shell among the words", with(&["CMD", "/bin/sh", "-c", "exec app ping"]))
            .expect(
            r#"
            Healthcheck {"Test":["CMD","app","ping"],"Interval":5}
            "#,
        ),
        case("a check that is a script", {
            debian_with(|layer| layer.file("/check", 0o755, "#!/bin/sh\nexec app ping\n"))
                .docker()
                .entrypoint(&["app"])
                .healthcheck(json!({ "Test": ["CMD", "/check"] }))
        })
        .expect(
            r#"
            refused: /config/Healthcheck needs /usr/bin/dash, which rule shell removes ["/check" -> /check -> #!/bin/sh -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            "#,
        ),
        case("a check whose program is not there", with(&["CMD", "redis-cli", "ping"])).expect(
            r#"
            broken: /config/Healthcheck cannot start: no program "redis-cli" is in PATH ["redis-cli"]
            "#,
        ),
        case(
            "a check run by the image's own shell",
            shell("curl -f http://localhost/ || exit 1").config(|json| {
                json["config"]["Shell"] = json!(["/bin/bash", "-o", "pipefail", "-c"]);
            }),
        )
        .expect(
            r#"
            Healthcheck {"Test":["CMD","curl","-f","http://localhost/"],"Interval":5}
            "#,
        ),
        case(
            "a check in an OCI image",
            debian_with(|layer| layer.file("/usr/bin/x", 0o755, app().bytes()))
                .entrypoint(&["app"])
                .healthcheck(json!({ "Test": ["CMD", "app", "ping"] })),
        )
        .works_without_a_shell()
        .expect(
            r#"
            note: the health check stays, but only Docker runs that of an image in OCI's format; Podman and Kubernetes need a probe of their own
            "#,
        ),
    ]
}
