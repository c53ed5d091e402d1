//! Where files are: merged usr, alternatives, no accounts, no database of packages.

use immut_testkit::contents::{self, Package};

use super::bases::{app, debian, debian_with, scratch};
use super::{Case, case};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("a shell by way of a merged usr", debian().entrypoint(&["/bin/sh"])).expect(
            r#"
            refused: /config/Entrypoint needs /usr/bin/dash, which rule shell removes ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            "#,
        ),
        case("a program by way of a merged usr", debian().entrypoint(&["/bin/sleep", "5"]))
            .works_without_a_shell(),
        case("an alternative", {
            debian_with(|layer| {
                layer
                    .symlink("/usr/bin/java", "/etc/alternatives/java")
                    .symlink("/etc/alternatives/java", "/usr/lib/jvm/bin/java")
                    .file("/usr/lib/jvm/bin/java", 0o755, app().bytes())
            })
            .entrypoint(&["java", "-version"])
        })
        .works_without_a_shell(),
        case("an alternative that leads to a shell", {
            debian_with(|layer| {
                layer
                    .symlink("/usr/bin/start", "/etc/alternatives/start")
                    .symlink("/etc/alternatives/start", "/bin/bash")
            })
            .entrypoint(&["start"])
        })
        .expect(
            r#"
            refused: /config/Entrypoint needs /usr/bin/bash, which rule shell removes ["start" -> /usr/bin/start (link) -> /etc/alternatives/start (link) -> /bin (link) -> /usr/bin/bash]
            "#,
        ),
        case("an alternative that leads nowhere", {
            debian_with(|layer| layer.symlink("/usr/bin/java", "/etc/alternatives/java"))
                .entrypoint(&["java"])
        })
        .expect(
            r#"
            broken: /config/Entrypoint cannot start: /usr/bin/java is a link that leads nowhere ["java"]
            "#,
        ),
        case("links that lead to each other", {
            debian_with(|layer| layer.symlink("/a", "/b").symlink("/b", "/a")).entrypoint(&["/a"])
        })
        .expect(
            r#"
            broken: /config/Entrypoint cannot start: /a is a link that leads nowhere ["/a"]
            "#,
        ),
        case("a program that a later layer took away", {
            debian_with(|layer| layer.whiteout("/usr/local/bin/app")).entrypoint(&["app"])
        })
        .expect(
            r#"
            broken: /config/Entrypoint cannot start: no program "app" is in PATH ["app"]
            "#,
        ),
        case("no accounts", scratch()).works_without_a_shell(),
        case("a named user without accounts", scratch().user("web")).expect(
            r#"
            broken: /config/User user "web" is not in the image's /etc/passwd and /etc/group []
            "#,
        ),
        case("a database of packages", {
            let dash =
                Package { name: "dash", version: "0.5", files: &["/usr/bin/sh", "/usr/bin/dash"] };
            debian_with(|layer| layer.dpkg(&[dash])).entrypoint(&["app"])
        })
        .asks(&["/var/lib/dpkg/status", "/var/lib/dpkg/info/dash.list", "/usr/bin/dash"])
        .works_without_a_shell()
        .expect(
            r#"
            stays: /var/lib/dpkg/status
            gone: /var/lib/dpkg/info/dash.list
            gone: /usr/bin/dash
            "#,
        ),
        case("a shell of another build and name in no usual place", {
            let own = [contents::bash(), b"own".to_vec()].concat();
            debian_with(|layer| layer.file("/opt/tools/mysh", 0o755, own)).entrypoint(&[
                "/opt/tools/mysh",
                "-c",
                "app",
            ])
        })
        .asks(&["/opt/tools/mysh"])
        .expect(
            r#"
            stays: /opt/tools/mysh
            "#,
        ),
        case("a copy of a shell by another name", {
            debian_with(|layer| layer.file("/opt/tools/mysh", 0o755, contents::bash()))
                .entrypoint(&["/opt/tools/mysh", "-c", "app"])
        })
        .expect(
            r#"
            refused: /config/Entrypoint needs /opt/tools/mysh, which rule shell removes ["/opt/tools/mysh" -> /opt/tools/mysh]
            "#,
        ),
    ]
}
