//! What the images of the corpus begin with: Debian and Alpine in small.

use immut_testkit::contents;
use immut_testkit::elf::Build;
use immut_testkit::recipe::{LayerRecipe, Recipe};

pub(super) const GLIBC: &str = "/lib64/ld-linux-x86-64.so.2";
pub(super) const MUSL: &str = "/lib/ld-musl-x86_64.so.1";

/// Where Debian's libraries are.
pub(super) const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu";

const ACCOUNTS: &str =
    "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n";

/// Debian: one usr, dash and bash, glibc with its loader, some programs of coreutils, an application.
pub(super) fn debian() -> Recipe {
    Recipe::new().layer(debian_root).env("PATH=/usr/local/bin:/usr/bin:/bin")
}

/// The same with more files on top.
pub(super) fn debian_with(build: impl FnOnce(LayerRecipe) -> LayerRecipe) -> Recipe {
    debian().layer(build)
}

fn debian_root(layer: LayerRecipe) -> LayerRecipe {
    let merged = ["bin", "sbin", "lib", "lib64"];
    let layer = merged
        .iter()
        .fold(layer, |layer, name| layer.symlink(format!("/{name}"), format!("usr/{name}")));
    let layer = glibc(layer)
        .file("/etc/passwd", 0o644, ACCOUNTS)
        .file("/etc/group", 0o644, "root:x:0:\nwww-data:x:33:\n")
        .dir("/srv", 0o755)
        .file("/usr/bin/dash", 0o755, contents::dash())
        .symlink("/usr/bin/sh", "dash")
        .file("/usr/bin/bash", 0o755, contents::bash())
        .file("/usr/local/bin/app", 0o755, app().bytes());
    ["env", "nice", "sleep", "curl", "tini", "gosu"]
        .iter()
        .fold(layer, |layer, name| layer.file(format!("/usr/bin/{name}"), 0o755, app().bytes()))
}

/// glibc with its loader, whose default folders are Debian's.
pub(super) fn glibc(layer: LayerRecipe) -> LayerRecipe {
    let folders = "\0/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/\0";
    let loader = Build::library("ld-linux-x86-64.so.2").tail(folders);
    layer
        .file(format!("{LIBRARIES}/ld-linux-x86-64.so.2"), 0o755, loader.bytes())
        .symlink(
            "/usr/lib64/ld-linux-x86-64.so.2",
            format!("..{}/ld-linux-x86-64.so.2", &LIBRARIES[4..]),
        )
        .file(format!("{LIBRARIES}/libc.so.6"), 0o755, Build::library("libc.so.6").bytes())
}

/// A program of Debian.
pub(super) fn app() -> Build {
    Build::program(GLIBC).needs("libc.so.6")
}

/// Alpine: busybox with its links, musl, which is loader and libc, an application.
pub(super) fn alpine() -> Recipe {
    let applets = ["/bin/sh", "/bin/ls", "/bin/sleep", "/usr/bin/env", "/usr/bin/wget"];
    let root = |layer: LayerRecipe| {
        let layer = layer
            .file("/bin/busybox", 0o755, contents::busybox())
            .file(MUSL, 0o755, Build::library("libc.musl-x86_64.so.1").bytes())
            .symlink("/lib/libc.musl-x86_64.so.1", "ld-musl-x86_64.so.1")
            .file("/etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/ash\n")
            .file("/etc/group", 0o644, "root:x:0:root\n")
            .file("/usr/bin/app", 0o755, musl_app().bytes());
        applets.iter().fold(layer, |layer, name| layer.symlink(name, "/bin/busybox"))
    };
    Recipe::new().layer(root).env("PATH=/usr/bin:/bin")
}

/// The same with more files on top.
pub(super) fn alpine_with(build: impl FnOnce(LayerRecipe) -> LayerRecipe) -> Recipe {
    alpine().layer(build)
}

/// A program of Alpine.
pub(super) fn musl_app() -> Build {
    Build::program(MUSL).needs("libc.musl-x86_64.so.1")
}

/// An image with nothing but a static program.
pub(super) fn scratch() -> Recipe {
    Recipe::new()
        .layer(|layer| layer.file("/app", 0o755, contents::program()))
        .entrypoint(&["/app"])
}
