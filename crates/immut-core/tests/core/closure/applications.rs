//! What an application opens by names that it makes up: what lies beside it, in `minimal`.

use immut_testkit::elf::Build;

use super::bases::{app, debian_with};
use super::{Case, minimal};

pub(super) fn cases() -> Vec<Case> {
    vec![
        minimal("what lies beside a script", {
            debian_with(|layer| {
                layer
                    .file("/usr/bin/node", 0o755, app().bytes())
                    .file("/usr/share/nodejs/undici/undici-fetch.js", 0o644, "fetch")
                    .file("/srv/shop/dist/server.js", 0o644, "require('y')")
                    .file("/srv/shop/node_modules/y/index.js", 0o644, "y")
                    .file("/srv/other.js", 0o644, "other")
            })
            .entrypoint(&["node", "/srv/shop/dist/server.js"])
        })
        .asks(&[
            "/srv/shop/node_modules/y/index.js",
            "/usr/share/nodejs/undici/undici-fetch.js",
            "/srv/other.js",
        ])
        .expect(
            r#"
            stays: /srv/shop/node_modules/y/index.js
            stays: /usr/share/nodejs/undici/undici-fetch.js
            gone: /srv/other.js
            "#,
        ),
        minimal("what lies beside a program, with what its libraries need", {
            debian_with(|layer| {
                layer
                    .file("/opt/shop/bin/shop", 0o755, app().bytes())
                    .file("/opt/shop/share/page.html", 0o644, "page")
                    .file("/opt/shop/plugins/p.so", 0o755, plugin().bytes())
                    .file("/usr/lib/libextra.so.1", 0o755, Build::library("libextra.so.1").bytes())
                    .file("/usr/lib/libother.so.1", 0o755, Build::library("libother.so.1").bytes())
                    .file("/opt/other/page.html", 0o644, "other")
            })
            .entrypoint(&["/opt/shop/bin/shop"])
        })
        .asks(&[
            "/opt/shop/share/page.html",
            "/usr/lib/libextra.so.1",
            "/usr/lib/libother.so.1",
            "/opt/other/page.html",
        ])
        .expect(
            r#"
            stays: /opt/shop/share/page.html
            stays: /usr/lib/libextra.so.1
            gone: /usr/lib/libother.so.1
            gone: /opt/other/page.html
            "#,
        ),
        minimal("a program among others has nothing for itself", {
            debian_with(|layer| {
                layer
                    .file("/usr/local/bin/other", 0o755, app().bytes())
                    .file("/usr/local/share/data", 0o644, "data")
                    .file("/usr/local/bin/app", 0o755, app().bytes())
            })
            .entrypoint(&["app"])
            .workdir("/")
        })
        .asks(&["/usr/local/bin/other", "/usr/local/share/data", "/srv"])
        .expect(
            r#"
            gone: /usr/local/bin/other
            gone: /usr/local/share/data
            stays: /srv
            "#,
        ),
        minimal("the working directory, and folders that variables name", {
            debian_with(|layer| {
                layer
                    .file("/usr/local/bin/app", 0o755, app().bytes())
                    .file("/site/templates/a.html", 0o644, "a")
                    .file("/data/rules/r", 0o644, "r")
                    .file("/data/others/o", 0o644, "o")
            })
            .entrypoint(&["app"])
            .workdir("/site")
            .env("RULES=/nowhere:/data/rules/*")
        })
        .asks(&["/site/templates/a.html", "/data/rules/r", "/data/others/o"])
        .expect(
            r#"
            stays: /site/templates/a.html
            stays: /data/rules/r
            gone: /data/others/o
            "#,
        ),
        minimal("files that variables name, with what they name", {
            debian_with(|layer| {
                layer
                    .file("/x.pem", 0o644, "certificate")
                    .file("/y.pem", 0o644, "certificate")
                    .file("/etc/app.ini", 0o644, "model = /data/model.bin\n")
                    .file("/data/model.bin", 0o644, "\0model")
                    .file("/data/other.bin", 0o644, "\0other")
                    .file("/opt/agent.jar", 0o644, "agent")
                    .file("/opt/other.jar", 0o644, "other")
                    .file("/usr/bin/chromium", 0o755, app().needs("libextra.so.1").bytes())
                    .file("/usr/lib/libextra.so.1", 0o755, Build::library("libextra.so.1").bytes())
            })
            .env("SSL_CERT_FILE=/x.pem")
            .env("APP_CONFIG=/etc/app.ini")
            .env("JAVA_TOOL_OPTIONS=-Xmx1g -javaagent:/opt/agent.jar -Dx=/none")
            .env("CHROME_BIN=/usr/bin/chromium")
            .env("SHELL=/bin/bash")
            .entrypoint(&["app"])
        })
        .asks(&[
            "/x.pem",
            "/y.pem",
            "/data/model.bin",
            "/data/other.bin",
            "/opt/agent.jar",
            "/opt/other.jar",
            "/usr/lib/libextra.so.1",
            "/usr/bin/bash",
        ])
        .expect(
            r#"
            stays: /x.pem
            gone: /y.pem
            stays: /data/model.bin
            gone: /data/other.bin
            stays: /opt/agent.jar
            gone: /opt/other.jar
            stays: /usr/lib/libextra.so.1
            gone: /usr/bin/bash
            "#,
        ),
        minimal("files and folders that words name", {
            debian_with(|layer| {
                layer
                    .file("/usr/local/bin/app", 0o755, app().bytes())
                    .file("/etc/shop/shop.conf", 0o644, "include conf.d")
                    .file("/etc/shop/conf.d/more.conf", 0o644, "more")
                    .file("/data/site/index.html", 0o644, "index")
                    .file("/data/index.html", 0o644, "other")
            })
            .entrypoint(&["app", "--config=/etc/shop/shop.conf", "-r", "/data/site"])
        })
        .asks(&["/etc/shop/conf.d/more.conf", "/data/site/index.html", "/data/index.html"])
        .expect(
            r#"
            stays: /etc/shop/conf.d/more.conf
            stays: /data/site/index.html
            gone: /data/index.html
            "#,
        ),
        minimal("a shell that lies in the application's folder goes", {
            debian_with(|layer| {
                layer
                    .file("/app/server", 0o755, app().bytes())
                    .file("/app/bin/dash", 0o755, immut_testkit::contents::dash())
                    .file("/app/page.html", 0o644, "page")
            })
            .entrypoint(&["/app/server"])
            .env("SHELL=/bin/bash")
            .env("PATH=/app/bin:/usr/bin")
        })
        .asks(&["/app/bin/dash", "/app/page.html"])
        .expect(
            r#"
            gone: /app/bin/dash
            stays: /app/page.html
            "#,
        ),
        minimal("what the configuration of a known application names", {
            debian_with(|layer| {
                layer
                    .file("/usr/sbin/nginx", 0o755, app().bytes())
                    .file(
                        "/etc/nginx/nginx.conf",
                        0o644,
                        "include /opt/site/*.conf;\nssl_certificate \"/certs/a.pem\";\n#root /srv/old;\n",
                    )
                    .file("/opt/site/a.conf", 0o644, "root /srv/new;\nexec /usr/bin/curl;\n")
                    .file("/opt/module.so", 0o644, plugin().bytes())
                    .file("/usr/lib/libextra.so.1", 0o755, Build::library("libextra.so.1").bytes())
                    .file("/etc/nginx/modules.conf", 0o644, "load_module /opt/module.so;\n")
                    .file("/certs/a.pem", 0o644, "certificate")
                    .file("/certs/b.pem", 0o644, "certificate")
                    .file("/srv/new/index.html", 0o644, "new")
                    .file("/srv/old/index.html", 0o644, "old")
            })
            .entrypoint(&["/usr/sbin/nginx"])
        })
        .asks(&[
            "/certs/a.pem",
            "/opt/site/a.conf",
            "/opt/module.so",
            "/usr/lib/libextra.so.1",
            "/certs/b.pem",
            "/srv/new/index.html",
            "/srv/old/index.html",
            "/usr/bin/curl",
        ])
        .expect(
            r#"
            stays: /certs/a.pem
            stays: /opt/site/a.conf
            stays: /opt/module.so
            stays: /usr/lib/libextra.so.1
            gone: /certs/b.pem
            stays: /srv/new/index.html
            gone: /srv/old/index.html
            gone: /usr/bin/curl
            "#,
        ),
        minimal("what a file that is named names, and so on", {
            debian_with(|layer| {
                layer
                    .file("/usr/local/bin/app", 0o755, app().bytes())
                    .file("/etc/shop.conf", 0o644, "model=/data/model.bin\nmore /data/more.conf\n")
                    .file("/data/more.conf", 0o644, "again /etc/shop.conf /share/x\n/bin/sh\n")
                    .file("/data/model.bin", 0o644, "\0model")
                    .file("/share/x", 0o644, "x")
                    .file("/share/y", 0o644, "y")
            })
            .entrypoint(&["app", "-c", "/etc/shop.conf"])
        })
        .asks(&["/data/model.bin", "/share/x", "/share/y", "/bin/sh"])
        .expect(
            r#"
            stays: /data/model.bin
            stays: /share/x
            gone: /share/y
            gone: /bin/sh
            "#,
        ),
    ]
}

/// A library that the application opens, and that needs another.
fn plugin() -> Build {
    Build::library("p.so").needs("libextra.so.1")
}
