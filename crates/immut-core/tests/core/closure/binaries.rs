//! ELF files: loaders, libraries, processors.

use immut_testkit::contents;
use immut_testkit::elf::{ARM64, Build, I386, RPATH, RUNPATH};
use immut_testkit::recipe::{LayerRecipe, Recipe};

use super::bases::{
    GLIBC, LIBRARIES, MUSL, alpine, alpine_with, app, debian, debian_with, glibc, musl_app,
};
use super::{Case, case};

pub(super) fn cases() -> Vec<Case> {
    [loaders(), libraries(), paths(), processors()].into_iter().flatten().collect()
}

fn starts(build: &Build) -> Recipe {
    debian_with(|layer| layer.file("/opt/app/bin/app", 0o755, build.bytes()))
        .entrypoint(&["/opt/app/bin/app"])
}

fn library(name: &'static str) -> Vec<u8> {
    Build::library(name).needs("libc.so.6").bytes()
}

fn loaders() -> Vec<Case> {
    vec![
        case("a program for glibc", debian().entrypoint(&["app"]))
            .works_without_a_shell(),
        case("a program for musl", alpine().entrypoint(&["app"]))
            .works_without_a_shell(),
        case("a program for glibc on musl", {
            alpine_with(|layer| layer.file("/app", 0o755, app().bytes())).entrypoint(&["/app"])
        })
        .expect(
            r#"
            broken: /config/Entrypoint cannot start: /app needs the loader /lib64/ld-linux-x86-64.so.2, which is not in the image ["/app" -> /app -> loader /lib64/ld-linux-x86-64.so.2]
            "#,
        ),
        case("a program for musl on glibc", starts(&musl_app())).expect(
            r#"
            broken: /config/Entrypoint cannot start: /opt/app/bin/app needs the loader /lib/ld-musl-x86_64.so.1, which is not in the image ["/opt/app/bin/app" -> /opt/app/bin/app -> loader /lib/ld-musl-x86_64.so.1]
            "#,
        ),
        case("a static program without anything else", {
            Recipe::new()
                .layer(|layer| layer.file("/app", 0o755, contents::program()))
                .user("7")
                .entrypoint(&["/app"])
        })
        .works_without_a_shell(),
        case("a program without its loader", {
            Recipe::new()
                .layer(|layer| layer.file("/app", 0o755, app().bytes()))
                .entrypoint(&["/app"])
        })
        .expect(
            r#"
            broken: /config/Entrypoint cannot start: /app needs the loader /lib64/ld-linux-x86-64.so.2, which is not in the image ["/app" -> /app -> loader /lib64/ld-linux-x86-64.so.2]
            "#,
        ),
        case("glibc's loader alone", {
            let root = |layer: LayerRecipe| {
                glibc(layer).symlink("/lib64", "usr/lib64").file("/app", 0o755, app().bytes())
            };
            Recipe::new().layer(root).entrypoint(&["/app"])
        })
        .works_without_a_shell(),
        case(
            "a program started by the loader",
            debian().entrypoint(&[GLIBC, "/usr/local/bin/app"]),
        )
        .works_without_a_shell(),
        case("a file that ends too early", {
            let whole = app().bytes();
            debian_with(|layer| layer.file("/app", 0o755, &whole[..100])).entrypoint(&["/app"])
        })
        .expect(
            r#"
            broken: /config/Entrypoint cannot start: /app is no whole ELF file: the file ends before its program headers ["/app" -> /app]
            "#,
        ),
    ]
}

fn libraries() -> Vec<Case> {
    let ssl = format!("{LIBRARIES}/libssl.so.3");
    vec![
        case("a library that is there", {
            starts(&app().needs("libssl.so.3"))
                .layer(|layer| layer.file(&ssl, 0o644, library("libssl.so.3")))
        })
        .works_without_a_shell(),
        case("a library that is not there", starts(&app().needs("libssl.so.3"))).expect(
            r#"
            broken: /config/Entrypoint cannot start: /opt/app/bin/app needs libssl.so.3, which is not where its loader looks ["/opt/app/bin/app" -> /opt/app/bin/app -> library libssl.so.3 (not at /lib/x86_64-linux-gnu/libssl.so.3 (in a default folder), not at /usr/lib/x86_64-linux-gnu/libssl.so.3 (in a default folder), not at /lib/libssl.so.3 (in a default folder), nor at 1 others)]
            "#,
        ),
        case("a library of a library that is not there", {
            let built = Build::library("libssl.so.3").needs("libcrypto.so.3").bytes();
            starts(&app().needs("libssl.so.3")).layer(|layer| layer.file(&ssl, 0o644, built))
        })
        .expect(
            r#"
            broken: /config/Entrypoint cannot start: /usr/lib/x86_64-linux-gnu/libssl.so.3 needs libcrypto.so.3, which is not where its loader looks ["/opt/app/bin/app" -> /opt/app/bin/app -> library libssl.so.3 (in a default folder) -> /lib (link) -> /usr/lib/x86_64-linux-gnu/libssl.so.3 -> library libcrypto.so.3 (not at /lib/x86_64-linux-gnu/libcrypto.so.3 (in a default folder), not at /usr/lib/x86_64-linux-gnu/libcrypto.so.3 (in a default folder), not at /lib/libcrypto.so.3 (in a default folder), nor at 1 others)]
            "#,
        ),
        case("a library behind a link that leads nowhere", {
            starts(&app().needs("libssl.so.3"))
                .layer(|layer| layer.symlink(&ssl, "libssl.so.3.0.9"))
        })
        .expect(
            r#"
            broken: /config/Entrypoint cannot start: /opt/app/bin/app needs libssl.so.3, which is not where its loader looks ["/opt/app/bin/app" -> /opt/app/bin/app -> library libssl.so.3 (not at /lib/x86_64-linux-gnu/libssl.so.3 (in a default folder), not at /usr/lib/x86_64-linux-gnu/libssl.so.3 (in a default folder), not at /lib/libssl.so.3 (in a default folder), nor at 1 others)]
            "#,
        ),
        case("a library for musl that is not there", {
            alpine_with(|layer| layer.file("/app", 0o755, musl_app().needs("libz.so.1").bytes()))
                .entrypoint(&["/app"])
        })
        .expect(
            r#"
            broken: /config/Entrypoint cannot start: /app needs libz.so.1, which is not where its loader looks ["/app" -> /app -> library libz.so.1 (not at /lib/libz.so.1 (in a default folder), not at /usr/local/lib/libz.so.1 (in a default folder), not at /usr/lib/libz.so.1 (in a default folder))]
            "#,
        ),
        case("a program that can run a shell", starts(&app().imports("system")))
            .works_without_a_shell()
            .expect(
            r#"
            may need a shell: /opt/app/bin/app can run a shell (system)
            "#,
        ),
    ]
}

fn paths() -> Vec<Case> {
    let own =
        |layer: LayerRecipe| layer.file("/opt/app/lib/libown.so", 0o644, library("libown.so"));
    vec![
        case("RUNPATH with the program's own folder", {
            starts(&app().needs("libown.so").string(RUNPATH, "$ORIGIN/../lib")).layer(own)
        })
        .works_without_a_shell(),
        case("RPATH with the program's own folder", {
            starts(&app().needs("libown.so").string(RPATH, "${ORIGIN}/../lib")).layer(own)
        })
        .works_without_a_shell(),
        case(
            "RUNPATH that leads nowhere",
            starts(&app().needs("libown.so").string(RUNPATH, "/opt/lib")).layer(own),
        )
        .expect(
            r#"
            broken: /config/Entrypoint cannot start: /opt/app/bin/app needs libown.so, which is not where its loader looks ["/opt/app/bin/app" -> /opt/app/bin/app -> library libown.so (not at /opt/lib/libown.so (by the RUNPATH of /opt/app/bin/app), not at /lib/x86_64-linux-gnu/libown.so (in a default folder), not at /usr/lib/x86_64-linux-gnu/libown.so (in a default folder), nor at 2 others)]
            "#,
        ),
        case(
            "LD_LIBRARY_PATH",
            starts(&app().needs("libown.so")).layer(own).env("LD_LIBRARY_PATH=/opt/app/lib"),
        )
        .works_without_a_shell(),
        case("a folder of ld.so.conf without ld.so.cache", {
            starts(&app().needs("libown.so"))
                .layer(own)
                .layer(|layer| layer.file("/etc/ld.so.conf", 0o644, "/opt/app/lib\n"))
        })
        .expect(
            r#"
            broken: /config/Entrypoint cannot start: /opt/app/bin/app needs libown.so; /opt/app/lib/libown.so is not found, since /etc/ld.so.cache does not have it ["/opt/app/bin/app" -> /opt/app/bin/app -> library libown.so (not at /lib/x86_64-linux-gnu/libown.so (in a default folder), not at /usr/lib/x86_64-linux-gnu/libown.so (in a default folder), not at /lib/libown.so (in a default folder), nor at 1 others)]
            "#,
        ),
        case("a folder of musl's path file", {
            alpine_with(|layer| {
                layer
                    .file("/etc/ld-musl-x86_64.path", 0o644, "/lib\n/opt/lib\n")
                    .file("/opt/lib/libown.so", 0o644, Build::library("libown.so").bytes())
                    .file("/app", 0o755, musl_app().needs("libown.so").bytes())
            })
            .entrypoint(&["/app"])
        })
        .works_without_a_shell(),
    ]
}

fn processors() -> Vec<Case> {
    vec![
        case("a program for another processor", starts(&app().on(ARM64))).expect(
            r#"
            broken: /config/Entrypoint cannot start: /opt/app/bin/app is for arm64, and the image is for amd64 ["/opt/app/bin/app" -> /opt/app/bin/app]
            "#,
        ),
        case(
            "a program with 32 bits, whose loader is not there",
            starts(&Build::program("/lib/ld-linux.so.2").on(I386)),
        )
        .expect(
            r#"
            broken: /config/Entrypoint cannot start: /opt/app/bin/app needs the loader /lib/ld-linux.so.2, which is not in the image ["/opt/app/bin/app" -> /opt/app/bin/app -> loader /lib/ld-linux.so.2]
            "#,
        ),
        case("a library for another processor", {
            starts(&app().needs("libown.so")).layer(|layer| {
                layer.file(
                    format!("{LIBRARIES}/libown.so"),
                    0o644,
                    Build::library("libown.so").on(ARM64).bytes(),
                )
            })
        })
        .expect(
            r#"
            broken: /config/Entrypoint cannot start: /opt/app/bin/app needs libown.so, which is not where its loader looks ["/opt/app/bin/app" -> /opt/app/bin/app -> library libown.so (/lib/x86_64-linux-gnu/libown.so is for AArch64, /usr/lib/x86_64-linux-gnu/libown.so is for AArch64, not at /lib/libown.so (in a default folder), nor at 1 others)]
            "#,
        ),
        case("an image for another processor", {
            let loader = Build::library("libc.musl-aarch64.so.1").on(ARM64).bytes();
            let program = Build::program("/lib/ld-musl-aarch64.so.1").on(ARM64).bytes();
            let root = |layer: LayerRecipe| {
                layer.file("/lib/ld-musl-aarch64.so.1", 0o755, loader).file("/app", 0o755, program)
            };
            Recipe::new().platform("linux", "arm64").layer(root).entrypoint(&["/app"])
        })
        .works_without_a_shell(),
        case("musl's loader that is not executable", {
            let root = |layer: LayerRecipe| {
                layer.file(MUSL, 0o644, Build::library("libc.musl-x86_64.so.1").bytes()).file(
                    "/app",
                    0o755,
                    Build::program(MUSL).bytes(),
                )
            };
            Recipe::new().layer(root).entrypoint(&["/app"])
        })
        .expect(
            r#"
            check: /config/Entrypoint user 0 may not execute /lib/ld-musl-x86_64.so.1 (mode 0644, owner 0:0) ["/app" -> /app -> loader /lib/ld-musl-x86_64.so.1 -> /lib/ld-musl-x86_64.so.1]
            refused: /config/Entrypoint user 65532:65532 may not execute /lib/ld-musl-x86_64.so.1 (mode 0644, owner 0:0) ["/app" -> /app -> loader /lib/ld-musl-x86_64.so.1 -> /lib/ld-musl-x86_64.so.1]
            "#,
        ),
    ]
}
