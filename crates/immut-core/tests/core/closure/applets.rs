//! Programs of many names: busybox and coreutils.

use immut_testkit::contents;
use immut_testkit::recipe::{LayerRecipe, Recipe};
use serde_json::json;

use super::bases::{alpine, app, debian_with};
use super::{Case, case};

/// A busybox that has another name and lies outside PATH.
fn renamed() -> Recipe {
    let root = |layer: LayerRecipe| {
        layer
            .file("/opt/.tools/bb", 0o755, contents::busybox())
            .symlink("/opt/.tools/sh", "bb")
            .file("/app", 0o755, contents::program())
    };
    Recipe::new().layer(root).entrypoint(&["/app"])
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("an applet as entrypoint", alpine().entrypoint(&["sleep", "infinity"])).expect(
            r#"
            refused: /config/Entrypoint needs /bin/busybox, which rule shell removes ["sleep" -> /bin/sleep (link) -> /bin/busybox]
            "#,
        ),
        case("an applet by busybox's own name", {
            alpine().entrypoint(&["busybox", "sleep", "5"])
        })
        .expect(
            r#"
            refused: /config/Entrypoint needs /bin/busybox, which rule shell removes ["busybox" -> /bin/busybox]
            "#,
        ),
        case("a wrapper that is an applet", {
            alpine().entrypoint(&["env", "A=b", "app"])
        })
        .expect(
            r#"
            refused: /config/Entrypoint needs /bin/busybox, which rule shell removes ["env" -> /usr/bin/env (link) -> /bin/busybox]
            "#,
        ),
        case("an applet in a health check", {
            let test = ["CMD-SHELL", "wget -q --spider http://localhost/ || exit 1"];
            alpine().docker().entrypoint(&["app"]).healthcheck(json!({ "Test": test }))
        })
        .expect(
            r#"
            refused: /config/Healthcheck needs /bin/busybox, which rule shell removes ["wget" -> /usr/bin/wget (link) -> /bin/busybox]
            "#,
        ),
        case("a shell of busybox with a command", {
            alpine().cmd(&["busybox", "sh", "-c", "exec app"])
        })
        .expect(
            r#"
            Cmd ["app"]
            "#,
        ),
        case("an application on busybox", alpine().entrypoint(&["app"]))
            .asks(&["/bin/busybox", "/bin/sleep", "/usr/bin/app"])
            .works_without_a_shell()
            .expect(
                r#"
                gone: /bin/busybox
                gone: /bin/sleep
                stays: /usr/bin/app
                "#,
            ),
        case("an applet that is kept", alpine().entrypoint(&["sleep", "infinity"]))
            .asks(&["/bin/busybox", "/bin/sleep", "/bin/sh"])
            .with(|options| {
                let keep = "/bin/busybox".parse().expect("a keep");
                options.choices.profile.keep.push(keep);
            })
            .expect(
                r#"
                stays: /bin/busybox
                stays: /bin/sleep
                stays: /bin/sh
                "#,
            ),
        // What is in it alone removes nothing, as docs/decisions.md says: it is a finding.
        case("a busybox of another name outside PATH", renamed())
            .asks(&["/opt/.tools/bb", "/opt/.tools/sh"])
            .works_without_a_shell()
            .expect(
                r#"
                stays: /opt/.tools/bb
                stays: /opt/.tools/sh
                "#,
            ),
        case("a busybox of another name as entrypoint", {
            renamed().entrypoint(&["/opt/.tools/sh", "-c", "/app"])
        })
        .asks(&["/opt/.tools/bb", "/opt/.tools/sh"])
        .expect(
            r#"
            stays: /opt/.tools/bb
            stays: /opt/.tools/sh
            "#,
        ),
        case("coreutils as one program", {
            debian_with(|layer| {
                layer.file("/usr/bin/coreutils", 0o755, app().bytes()).hardlink_as(
                    "/usr/bin/yes",
                    "/usr/bin/coreutils",
                    0o755,
                )
            })
            .entrypoint(&["yes"])
        })
        .asks(&["/usr/bin/coreutils", "/usr/bin/yes"])
        .works_without_a_shell()
        .expect(
            r#"
            gone: /usr/bin/coreutils
            stays: /usr/bin/yes
            "#,
        ),
    ]
}
