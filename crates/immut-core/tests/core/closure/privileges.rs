//! What an application may do: setuid helpers, capabilities, ports below 1024, users.

use immut_testkit::contents;
use immut_testkit::recipe::{LayerRecipe, Recipe};
use serde_json::json;

use super::bases::{app, debian, debian_with};
use super::{Case, case};

/// `cap_net_bind_service=ep`, as the kernel keeps it (`struct vfs_cap_data`, revision 2).
const BIND: &[u8] = &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("an entrypoint that is setuid", {
            debian_with(|layer| layer.file("/usr/bin/ping", 0o4755, app().bytes()))
                .entrypoint(&["ping"])
        })
        .works_without_a_shell()
        .expect(
            r#"
            note: /usr/bin/ping, which the start needs, loses its setuid or setgid bit; a pod without privileges could not use it either
            "#,
        ),
        case("a setuid helper that the arguments name", {
            debian_with(|layer| layer.file("/usr/bin/fusermount", 0o4755, app().bytes()))
                .entrypoint(&["app", "--helper", "/usr/bin/fusermount"])
        })
        .works_without_a_shell()
        .expect(
            r#"
            note: /usr/bin/fusermount, which the start needs, loses its setuid or setgid bit; a pod without privileges could not use it either
            "#,
        ),
        case("sudo before the program", {
            debian_with(|layer| layer.file("/usr/bin/sudo", 0o4755, app().bytes()))
                .entrypoint(&["sudo", "-u", "www-data", "app"])
        })
        .expect(
            r#"
            refused: /config/Entrypoint cannot start: /usr/bin/sudo becomes another user, which only root may ["sudo" -> /usr/bin/sudo]
            note: /usr/bin/sudo, which the start needs, loses its setuid or setgid bit; a pod without privileges could not use it either
            "#,
        ),
        case("a capability for a port below 1024", {
            debian_with(|layer| {
                layer.xattr("security.capability", BIND).file("/usr/bin/web", 0o755, app().bytes())
            })
            .config(|json| json["config"]["ExposedPorts"] = json!({ "80/tcp": {} }))
            .entrypoint(&["web"])
        })
        .works_without_a_shell()
        .expect(
            r#"
            note: /usr/bin/web, which the start needs, loses its file capability; a pod without privileges could not use it either
            note: it exposes 80/tcp: user 65532:65532 may listen below 1024 only where net.ipv4.ip_unprivileged_port_start of the container allows it; else the application has to listen elsewhere, which an app profile (--app) sees to
            "#,
        ),
        case("a program for root alone", {
            debian_with(|layer| layer.file("/usr/bin/private", 0o700, app().bytes()))
                .entrypoint(&["private"])
        })
        .expect(
            r#"
            refused: /config/Entrypoint user 65532:65532 may not execute /usr/bin/private (mode 0700, owner 0:0) ["private" -> /usr/bin/private]
            "#,
        ),
        case("the same with the user that owns it", {
            debian_with(|layer| layer.owned(33, 33).file("/usr/bin/private", 0o700, app().bytes()))
                .user("www-data")
                .entrypoint(&["private"])
        })
        .works_without_a_shell(),
        case("a folder that the user may not pass", {
            debian_with(|layer| layer.dir("/root", 0o700).file("/root/app", 0o755, app().bytes()))
                .entrypoint(&["/root/app"])
        })
        .expect(
            r#"
            refused: /config/Entrypoint user 65532:65532 may not pass through /root (mode 0700, owner 0:0) ["/root/app" -> /root/app]
            "#,
        ),
        case("a working directory that the user may not enter", {
            debian_with(|layer| layer.dir("/root", 0o700)).workdir("/root").entrypoint(&["app"])
        })
        .expect(
            r#"
            refused: /config/WorkingDir user 65532:65532 may not enter /root (mode 0700, owner 0:0) ["/root"]
            "#,
        ),
        case("a library that only root may read", {
            debian_with(|layer| {
                layer
                    .file(
                        "/usr/lib/libkey.so",
                        0o600,
                        immut_testkit::elf::Build::library("libkey.so").bytes(),
                    )
                    .file("/usr/bin/web", 0o755, app().needs("libkey.so").bytes())
            })
            .entrypoint(&["web"])
        })
        .expect(
            r#"
            refused: /config/Entrypoint user 65532:65532 may not read /usr/lib/libkey.so (mode 0600, owner 0:0) ["web" -> /usr/bin/web -> library libkey.so (in a default folder) -> /lib (link) -> /usr/lib/libkey.so]
            "#,
        ),
        case("a numeric user without an account", debian().user("1234").entrypoint(&["app"]))
            .works_without_a_shell(),
        case("root that is kept", {
            let root = |layer: LayerRecipe| layer.file("/app", 0o700, contents::program());
            Recipe::new().layer(root).entrypoint(&["/app"])
        })
        .with(|options| {
            options.choices.profile.keep.push("rule:root-user".parse().expect("a keep"));
        })
        .works_without_a_shell(),
    ]
}
