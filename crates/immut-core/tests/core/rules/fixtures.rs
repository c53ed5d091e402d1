//! An image for each rule.

use immut_core::Options;
use immut_core::apps::Choice;
use immut_core::image::Compression;
use immut_core::plan::{Layering, Recoding};
use immut_testkit::contents;
use immut_testkit::recipe::{Encoding, LayerRecipe, Recipe};

use super::{APT, BASH};
use crate::common::{profile, words};

/// An image in which the rule finds something, or has a step because of it.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn fixture(rule: &str) -> Option<(Recipe, Options)> {
    let app = |l: LayerRecipe| l.file("/app", 0o755, contents::program());
    let image = Recipe::new().layer(app).entrypoint(&["/app"]);
    let with = |add: fn(LayerRecipe) -> LayerRecipe| image.clone().layer(add);
    let passwd = |l: LayerRecipe| {
        l.file("/etc/passwd", 0o644, "root:x:0:0::/root:/bin/bash\nweb:x:9:9::/:/bin/bash\n")
    };
    let recipe = match rule {
        "shell" => with(|l| l.file("/bin/bash", 0o755, contents::bash())).user("7"),
        "package-manager" => {
            with(|l| l.file("/usr/bin/apt-get", 0o755, "x").dpkg(&[APT])).user("7")
        }
        "package-database" => {
            with(|l| l.file("/bin/bash", 0o755, contents::bash()).dpkg(&[BASH])).user("7")
        }
        "setuid" => with(|l| l.file("/usr/bin/su", 0o4755, "x")).user("7"),
        "setgid" => with(|l| l.file("/usr/bin/wall", 0o2755, "x")).user("7"),
        "file-capability" => {
            with(|l| l.xattr("security.capability", [1]).file("/ping", 0o755, "x")).user("7")
        }
        "root-user" => image.clone(),
        "named-user" => with(passwd).user("web"),
        "unknown-user" => with(passwd).user("77"),
        "account" => with(passwd),
        "chosen-start" => {
            let mut options = Options::default();
            options.choices.cmd = words(&["--now"]);
            return Some((image.user("7"), options));
        }
        "low-port" => image.user("7").config(|config| {
            config["config"]["ExposedPorts"] = serde_json::json!({ "80/tcp": {} });
        }),
        "root-only-file" => with(|l| l.file("/srv/app.conf", 0o600, "x"))
            .workdir("/srv")
            .entrypoint(&["/app", "app.conf"])
            .user("7"),
        "volume" => with(|l| l.dir("/data", 0o755)).user("7").config(|config| {
            config["config"]["Volumes"] = serde_json::json!({ "/data": {} });
        }),
        "chosen-writable" => {
            let mut options = Options::default();
            options.choices.writable = vec!["/data".parse().expect("a path")];
            return Some((image.user("7"), options));
        }
        "app-profile" => {
            let mut options = Options::default();
            options.choices.app = Some(Choice::Auto);
            let python = |l: LayerRecipe| l.file("/usr/bin/python3", 0o755, contents::program());
            return Some((image.layer(python).entrypoint(&["python3"]).user("7"), options));
        }
        "recorded-writable" => with(|l| l.dir("/data", 0o755))
            .user("7")
            .annotation("io.github.immut.writable", r#"[{"path":"/data","kind":"tmpfs"}]"#),
        "chosen-compression" => {
            let mut options = Options::default();
            options.choices.compression = Recoding::As(Compression::Gzip);
            let plain = image.layer_as(Encoding::Plain, |l| l.file("/etc/x", 0o644, "x"));
            return Some((plain.user("7"), options));
        }
        "chosen-layers" => {
            let mut options = Options::default();
            options.choices.layering = Layering::Squash;
            return Some((image.layer(|l| l.file("/x", 0o644, "x")).user("7"), options));
        }
        "hidden-entry" => image
            .layer(|l| l.file("/bin/bash", 0o755, contents::bash()).file("/etc/x", 0o644, "old"))
            .layer(|l| l.file("/etc/x", 0o644, "new"))
            .user("7"),
        "lazy-table" => image.estargz_layer(|l| l.file("/su", 0o4755, "x")).user("7"),
        "exec-form" => with(|l| l.file("/bin/sh", 0o755, contents::dash()))
            .entrypoint(&["/bin/sh", "-c", "exec /app --now"])
            .user("7"),
        "broken-start" => image.entrypoint(&["/missing"]).user("7"),
        "people-tool" => {
            let image = with(|l| l.file("/usr/bin/ls", 0o755, contents::program())).user("7");
            return Some((image, profile("distroless")));
        }
        "unneeded" => {
            let image = with(|l| l.file("/srv/data", 0o644, "x")).user("7");
            return Some((image, profile("minimal")));
        }
        "library-cache" => {
            let image = with(|l| {
                l.file("/opt/liba.so", 0o644, "x").file("/etc/ld.so.cache", 0o644, library_cache())
            });
            return Some((image.user("7"), profile("minimal")));
        }
        "empty-layer" => with(|l| l.file("/bin/bash", 0o755, contents::bash())).user("7"),
        _ => return None,
    };
    Some((recipe, Options::default()))
}

/// A cache of libraries that knows `/opt/liba.so` (glibc, `sysdeps/generic/dl-cache.h`).
fn library_cache() -> Vec<u8> {
    let words =
        |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
    let header = words(&[1, 21, 2, 0, 0, 0, 0]);
    let entry = words(&[0x303, 77, 72, 0, 0, 0]);
    [&b"glibc-ld.so.cache1.1"[..], &header, &entry, b"/opt/liba.so\0"].concat()
}
