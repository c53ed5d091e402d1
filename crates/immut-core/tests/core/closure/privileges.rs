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
        case("a script in the working directory that only root may read", shop(0o600)).expect(
            r#"
            refused: /config/Entrypoint user 65532:65532 may not read /srv/shop/server.js (mode 0600, owner 0:0) ["node" -> /usr/bin/node -> "server.js" -> /srv/shop/server.js]
            "#,
        ),
        case("an archive and a file behind an option, named so", {
            let entrypoint = ["java", "-jar", "app.jar", "--config=app.ini", "--mode=open"];
            debian_with(|layer| {
                layer
                    .file("/usr/bin/java", 0o755, app().bytes())
                    .file("/srv/app.jar", 0o640, "jar")
                    .file("/srv/app.ini", 0o600, "ini")
            })
            .workdir("/srv")
            .entrypoint(&entrypoint)
        })
        .expect(
            r#"
            refused: /config/Entrypoint user 65532:65532 may not read /srv/app.jar (mode 0640, owner 0:0) ["java" -> /usr/bin/java -> "app.jar" -> /srv/app.jar]
            refused: /config/Entrypoint user 65532:65532 may not read /srv/app.ini (mode 0600, owner 0:0) ["java" -> /usr/bin/java -> "--config=app.ini" -> /srv/app.ini]
            "#,
        ),
        case("a health check's script that only root may read", {
            shop(0o644).layer(|layer| layer.file("/srv/shop/check.js", 0o600, "c")).config(|json| {
                json["config"]["Healthcheck"] = json!({ "Test": ["CMD", "node", "check.js"] });
            })
        })
        .expect(
            r#"
            refused: /config/Healthcheck user 65532:65532 may not read /srv/shop/check.js (mode 0600, owner 0:0) ["node" -> /usr/bin/node -> "check.js" -> /srv/shop/check.js]
            note: the health check stays, but only Docker runs that of an image in OCI's format; Podman and Kubernetes need a probe of their own
            "#,
        ),
        case("the same script, read by everybody", shop(0o644)).works_without_a_shell(),
        case("the same script, as the image's own user", shop(0o600).user("www-data"))
            .works_without_a_shell(),
        case("what lies beside a script and only root may read", {
            shop(0o644).layer(|layer| {
                layer
                    .file("/srv/shop/.env", 0o600, "key")
                    .dir("/srv/shop/lib", 0o700)
                    .file("/srv/shop/lib/a.js", 0o600, "a")
                    .file("/srv/shop/lib/b.js", 0o644, "b")
                    .dir("/srv/shop/empty", 0o700)
            })
        })
        .works_without_a_shell()
        .expect(
            r#"
            note: /srv/shop, the application's folder: user 65532:65532 may not read 2 of what lies in it: /srv/shop/.env (mode 0600, owner 0:0), /srv/shop/lib (mode 0700, owner 0:0); --writable /srv/shop/.env --writable /srv/shop/lib (gives it to the user), or --user UID:GID (a user that may)
            "#,
        ),
        case("the same of many files, without those that go", {
            shop(0o644).layer(|layer| {
                let keys = ["1", "2", "3", "4", "5"];
                let layer = layer.file("/srv/shop/bin/bash", 0o700, contents::bash());
                keys.iter().fold(layer, |layer, key| {
                    layer.file(format!("/srv/shop/keys/{key}"), 0o640, *key)
                })
            })
        })
        .works_without_a_shell()
        .expect(
            r#"
            note: /srv/shop, the application's folder: user 65532:65532 may not read 5 of what lies in it: /srv/shop/keys/1 (mode 0640, owner 0:0), /srv/shop/keys/2 (mode 0640, owner 0:0), /srv/shop/keys/3 (mode 0640, owner 0:0) and 2 more; --writable /srv/shop (gives it to the user), or --user UID:GID (a user that may)
            "#,
        ),
        case("the same as the image's own user", {
            shop(0o644).layer(|layer| layer.file("/srv/shop/.env", 0o600, "key")).user("www-data")
        })
        .works_without_a_shell(),
        case("the same where it is given to the user", {
            shop(0o644).layer(|layer| layer.file("/srv/shop/.env", 0o600, "key"))
        })
        .with(|options| options.choices.writable = vec!["/srv/shop/.env".parse().expect("a path")])
        .works_without_a_shell(),
        case("packages of a language that only root may read", {
            let python = "/usr/lib/python3/dist-packages";
            debian_with(|layer| {
                layer
                    .file("/usr/bin/python3.11", 0o755, app().bytes())
                    .file("/usr/lib/python3.11/os.py", 0o644, "os")
                    .file(format!("{python}/mine.py"), 0o600, "mine")
            })
            .entrypoint(&["python3.11"])
        })
        .works_without_a_shell()
        .expect(
            r#"
            note: /usr/lib/python3/dist-packages, loaded by name (python): user 65532:65532 may not read 1 of what lies in it: /usr/lib/python3/dist-packages/mine.py (mode 0600, owner 0:0); --writable /usr/lib/python3/dist-packages/mine.py (gives it to the user), or --user UID:GID (a user that may)
            "#,
        ),
        case("a file and a folder that variables name and only root may read", {
            debian_with(|layer| {
                layer
                    .file("/certs/key.pem", 0o600, "key")
                    .dir("/data", 0o700)
                    .file("/data/x", 0o644, "x")
            })
            .env("TLS_KEY=/certs/key.pem")
            .env("DATA=/data")
            .entrypoint(&["app"])
        })
        .works_without_a_shell()
        .expect(
            r#"
            note: TLS_KEY in the environment: user 65532:65532 may not read /certs/key.pem (mode 0600, owner 0:0); --writable /certs/key.pem (gives it to the user)
            note: /data, DATA in the environment: user 65532:65532 may not enter /data (mode 0700, owner 0:0); --writable /data (gives it to the user)
            "#,
        ),
        case("a home of root's", at_home()).works_without_a_shell().expect(
            r#"
            note: the config says HOME=/root, but user 65532:65532 may not write to /root (mode 0700, owner 0:0): what is kept there fails; --writable /root (gives it to the user), or start it with HOME=/home/nonroot, the user's own
            "#,
        ),
        case("the same where it is given to the user", at_home())
            .with(|options| options.choices.writable = vec!["/root".parse().expect("a path")])
            .works_without_a_shell(),
        case("the same as the image's own user", at_home().user("www-data"))
            .works_without_a_shell(),
        case("an argument with the name of a program in PATH", {
            debian_with(|layer| layer.file("/usr/bin/serve", 0o700, app().bytes()))
                .workdir("/srv")
                .entrypoint(&["app", "serve"])
        })
        .works_without_a_shell(),
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

/// An image whose config names root's home.
fn at_home() -> Recipe {
    debian_with(|layer| layer.dir("/root", 0o700)).env("HOME=/root").entrypoint(&["app"])
}

/// Node.js with a script in the working directory, of that mode.
fn shop(mode: u32) -> Recipe {
    debian_with(|layer| {
        layer.file("/usr/bin/node", 0o755, app().bytes()).file("/srv/shop/server.js", mode, "s")
    })
    .workdir("/srv/shop")
    .entrypoint(&["node", "server.js"])
}
