//! Programs that start others by a shell, or by what their configuration says, and what an application's
//! own source says of shells.

use immut_testkit::elf::Build;
use immut_testkit::recipe::{LayerRecipe, Recipe};

use super::bases::{app, debian_with};
use super::{Case, case, minimal};

pub(super) fn cases() -> Vec<Case> {
    [packages(), supervisors(), unknown(), sources()].into_iter().flatten().collect()
}

/// Node with npm as the official image has them, and a package in the working directory.
fn package(scripts: &str, cmd: &[&str]) -> Recipe {
    let text = format!("{{\n  \"name\": \"shop\",\n  \"scripts\": {{\n{scripts}\n  }}\n}}\n");
    node(|layer| layer.file("/app/package.json", 0o644, text)).cmd(cmd)
}

fn node(more: impl FnOnce(LayerRecipe) -> LayerRecipe) -> Recipe {
    let image = debian_with(|layer| {
        let npm = "#!/usr/bin/env node\nrequire('../lib/cli.js')(process)\n";
        more(
            layer
                .file("/usr/local/bin/node", 0o755, app().bytes())
                .file("/usr/local/lib/node_modules/npm/bin/npm-cli.js", 0o755, npm)
                .symlink("/usr/local/bin/npm", "../lib/node_modules/npm/bin/npm-cli.js")
                .file("/app/server.js", 0o644, "require('http')\n")
                .file("/app/node_modules/next/dist/next", 0o755, "#!/usr/bin/env node\n")
                .symlink("/app/node_modules/.bin/next", "../next/dist/next"),
        )
    });
    image.workdir("/app").user("1000")
}

fn packages() -> Vec<Case> {
    vec![
        case("npm start", package("    \"start\": \"node server.js\"", &["npm", "start"]))
            .expect(
            r#"
            refused: /config/Cmd needs /usr/local/lib/node_modules/npm/bin/npm-cli.js, which rule package-manager removes ["npm" -> /usr/local/bin/npm (link) -> /usr/local/lib/node_modules/npm/bin/npm-cli.js]
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["npm" -> /usr/local/bin/npm (link) -> /usr/local/lib/node_modules/npm/bin/npm-cli.js -> /app/package.json -> line 4: "start": "node server.js" -> "sh" -> /usr/bin/sh (link) -> /usr/bin/dash]
            "#,
        ),
        case(
            "npm run with words, of a program of the package",
            package("    \"serve\": \"next start\"", &["npm", "run", "serve", "--", "-p", "80"]),
        )
        .expect(
            r#"
            refused: /config/Cmd needs /usr/local/lib/node_modules/npm/bin/npm-cli.js, which rule package-manager removes ["npm" -> /usr/local/bin/npm (link) -> /usr/local/lib/node_modules/npm/bin/npm-cli.js]
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["npm" -> /usr/local/bin/npm (link) -> /usr/local/lib/node_modules/npm/bin/npm-cli.js -> /app/package.json -> line 4: "serve": "next start" -> "sh" -> /usr/bin/sh (link) -> /usr/bin/dash]
            "#,
        ),
        case(
            "npm start of what only a shell does",
            package("    \"start\": \"node build.js && node server.js\"", &["npm", "start"]),
        )
        .expect(
            r#"
            refused: /config/Cmd needs /usr/local/lib/node_modules/npm/bin/npm-cli.js, which rule package-manager removes ["npm" -> /usr/local/bin/npm (link) -> /usr/local/lib/node_modules/npm/bin/npm-cli.js]
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["npm" -> /usr/local/bin/npm (link) -> /usr/local/lib/node_modules/npm/bin/npm-cli.js -> /app/package.json -> line 4: "start": "node build.js && node server.js" -> "sh" -> /usr/bin/sh (link) -> /usr/bin/dash]
            "#,
        ),
        case(
            "npm start with npm kept",
            package("    \"start\": \"node server.js\"", &["npm", "start"]),
        )
        .with(|options| {
            options.choices.profile.keep.push("rule:package-manager".parse().expect("a keep"));
        })
        .expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["npm" -> /usr/local/bin/npm (link) -> /usr/local/lib/node_modules/npm/bin/npm-cli.js -> /app/package.json -> line 4: "start": "node server.js" -> "sh" -> /usr/bin/sh (link) -> /usr/bin/dash]
            "#,
        ),
        case(
            "what npm start runs, started itself",
            package("    \"start\": \"node server.js\"", &["node", "server.js"]),
        )
        .works_without_a_shell()
        .expect(""),
    ]
}

fn supervised(
    config: &str,
    words: &[&str],
    more: impl FnOnce(LayerRecipe) -> LayerRecipe,
) -> Recipe {
    debian_with(|layer| {
        more(
            layer
                .file("/usr/bin/python3", 0o755, app().bytes())
                .file("/usr/bin/supervisord", 0o755, "#!/usr/bin/python3\nmain()\n")
                .file("/etc/supervisor/supervisord.conf", 0o644, config),
        )
    })
    .cmd(words)
    .user("1000")
}

fn supervisors() -> Vec<Case> {
    let shell = "[supervisord]\nnodaemon=true\n\n[program:web]\ncommand=bash -c 'app && app'\n";
    let plain = "[program:web]\ncommand=/usr/local/bin/app --port 80 ; the site\n[program:x]\ncommand=%(ENV_X)s\n";
    let run = "#!/bin/sh\nexec app\n";
    vec![
        case("supervisord that starts a shell", supervised(shell, &["supervisord", "-n"], |l| l))
            .expect(
            r#"
            refused: /config/Cmd needs /usr/bin/bash, which rule shell removes ["supervisord" -> /usr/bin/supervisord -> loaded by name (supervisor) -> /etc/supervisor/supervisord.conf -> line 5: command=bash -c 'app && app' -> "bash" -> /usr/bin/bash]
            unseen: /config/Cmd: /usr/bin/python3 has nothing of what it loads by name (python: a Python's library and packages)
            "#,
        ),
        minimal(
            "supervisord that starts programs",
            supervised(plain, &["supervisord", "-c", "/etc/supervisor/supervisord.conf"], |l| l),
        )
        .asks(&["/usr/local/bin/app"])
        .expect(
            r#"
            unseen: /config/Cmd: /usr/bin/python3 has nothing of what it loads by name (python: a Python's library and packages)
            stays: /usr/local/bin/app
            "#,
        ),
        case("services of runit", {
            debian_with(|layer| {
                layer
                    .file("/usr/bin/runsvdir", 0o755, app().bytes())
                    .file("/usr/bin/runsv", 0o755, app().bytes())
                    .file("/etc/service/web/run", 0o755, run)
            })
            .cmd(&["runsvdir", "-P", "/etc/service"])
            .user("1000")
        })
        .expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["runsvdir" -> /usr/bin/runsvdir -> loaded by name (runit) -> /etc/service/web/run -> #!/bin/sh -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            "#,
        ),
        case("s6-overlay", {
            debian_with(|layer| {
                layer
                    .file("/init", 0o755, app().bytes())
                    .file("/etc/cont-init.d/10-users", 0o755, "#!/usr/bin/bash\ntrue\n")
                    .file("/etc/services.d/web/run", 0o755, "#!/usr/local/bin/app\n")
            })
            .entrypoint(&["/init"])
            .user("1000")
        })
        .expect(
            r#"
            refused: /config/Entrypoint needs /usr/bin/bash, which rule shell removes ["/init" -> /init -> loaded by name (s6) -> /etc/cont-init.d/10-users -> #!/usr/bin/bash -> /usr/bin/bash]
            "#,
        ),
        case("cron", {
            debian_with(|layer| {
                let jobs = "* * * * * root app\n";
                layer.file("/usr/sbin/cron", 0o755, app().bytes()).file("/etc/crontab", 0o644, jobs)
            })
            .cmd(&["/usr/sbin/cron", "-f"])
            .user("1000")
        })
        .expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["/usr/sbin/cron" -> /usr/sbin/cron -> loaded by name (cron) -> /usr/bin/dash]
            "#,
        ),
        case("a Procfile", {
            debian_with(|layer| {
                layer
                    .file("/usr/bin/python3", 0o755, app().bytes())
                    .file("/usr/local/bin/honcho", 0o755, "#!/usr/bin/python3\nmain()\n")
                    .file("/app/Procfile", 0o644, "web: app --port 80\n")
            })
            .cmd(&["honcho", "start"])
            .workdir("/app")
            .user("1000")
        })
        .expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["honcho" -> /usr/local/bin/honcho -> loaded by name (procfile) -> /usr/bin/dash]
            unseen: /config/Cmd: /usr/bin/python3 has nothing of what it loads by name (python: a Python's library and packages)
            "#,
        ),
    ]
}

/// Programs of which no catalog says that they run others.
fn unknown() -> Vec<Case> {
    let waits = |more: fn(LayerRecipe) -> LayerRecipe| {
        debian_with(|layer| more(layer.file("/usr/bin/wait-for", 0o755, app().bytes())))
            .user("1000")
    };
    vec![
        case(
            "a script after a program that may run it",
            waits(|layer| layer.file("/start.sh", 0o755, "#!/bin/sh\nexec app\n")).cmd(&[
                "wait-for",
                "db:5432",
                "--",
                "/start.sh",
            ]),
        )
        .expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["wait-for" -> /usr/bin/wait-for -> "/start.sh" -> /start.sh -> #!/bin/sh -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            "#,
        ),
        minimal(
            "a program after one that may run it",
            waits(|layer| {
                let server = app().needs("libshop.so.1");
                layer.file("/usr/bin/server", 0o755, server.bytes()).file(
                    "/usr/lib/libshop.so.1",
                    0o755,
                    Build::library("libshop.so.1").bytes(),
                )
            })
            .cmd(&["wait-for", "db:5432", "--", "server"]),
        )
        .asks(&["/usr/lib/libshop.so.1"])
        .expect(
            r#"
            stays: /usr/lib/libshop.so.1
            "#,
        ),
        minimal("an executable script that an interpreter is told of", {
            debian_with(|layer| {
                layer
                    .file("/usr/bin/node", 0o755, app().bytes())
                    .file("/data/shop/server.js", 0o755, "#!/usr/bin/env node\n")
                    .file("/data/shop/node_modules/y/index.js", 0o644, "y")
            })
            .cmd(&["node", "/data/shop/server.js"])
            .user("1000")
        })
        .asks(&["/data/shop/node_modules/y/index.js"])
        .expect(
            r#"
            stays: /data/shop/node_modules/y/index.js
            "#,
        ),
        minimal("a .NET program with a host of its own", {
            debian_with(|layer| {
                layer
                    .file("/app/Shop", 0o755, app().bytes())
                    .file("/app/Shop.runtimeconfig.json", 0o644, "{}")
                    .file("/usr/share/dotnet/host/fxr/8.0.1/libhostfxr.so", 0o755, app().bytes())
            })
            .cmd(&["./Shop"])
            .workdir("/app")
            .user("1000")
        })
        .asks(&["/usr/share/dotnet/host/fxr/8.0.1/libhostfxr.so"])
        .expect(
            r#"
            stays: /usr/share/dotnet/host/fxr/8.0.1/libhostfxr.so
            "#,
        ),
        minimal("configuration that has the program's name", {
            debian_with(|layer| {
                layer
                    .file("/usr/sbin/squid", 0o755, app().bytes())
                    .file("/etc/squid/squid.conf", 0o644, "http_port 3128\n")
                    .file("/etc/other/other.conf", 0o644, "x")
            })
            .cmd(&["/usr/sbin/squid", "-N"])
            .user("1000")
        })
        .asks(&["/etc/squid/squid.conf", "/etc/other/other.conf"])
        .expect(
            r#"
            stays: /etc/squid/squid.conf
            gone: /etc/other/other.conf
            "#,
        ),
    ]
}

fn sources() -> Vec<Case> {
    vec![
        case("Python that runs commands by a shell", {
            debian_with(|layer| {
                let main = "import os\n# os.system('no')\nos.system('convert a b')\n";
                layer
                    .file("/usr/bin/python3", 0o755, app().bytes())
                    .file("/app/main.py", 0o644, main)
                    .file("/app/tools/run.py", 0o644, "subprocess.run(line, shell=True)\n")
                    .file("/app/fine.py", 0o644, "subprocess.run(['a', 'b'])\n")
                    .file("/app/venv/site-packages/x.py", 0o644, "os.system('x')\n")
            })
            .cmd(&["python3", "main.py"])
            .workdir("/app")
            .user("1000")
        })
        .works_without_a_shell()
        .expect(
            r#"
            unseen: /config/Cmd: /usr/bin/python3 has nothing of what it loads by name (python: a Python's library and packages)
            may need a shell: /app/main.py line 3: os.system('convert a b')
            may need a shell: /app/tools/run.py line 1: subprocess.run(line, shell=True)
            "#,
        ),
        case("JavaScript that runs commands by a shell", {
            let cli =
                "#!/usr/bin/env node\nconst { exec } = require('child_process')\nexec('ls')\n";
            node(|layer| {
                layer.file("/app/cli", 0o755, cli).file("/app/re.js", 0o644, "re.exec('x')\n")
            })
            .cmd(&["node", "server.js"])
        })
        .works_without_a_shell()
        .expect(
            r#"
            may need a shell: /app/cli line 3: exec('ls')
            "#,
        ),
        case("a JVM that runs a command when memory is short", {
            debian_with(|layer| layer.file("/usr/bin/java", 0o755, app().bytes()))
                .entrypoint(&["java", "-XX:OnOutOfMemoryError=kill -9 %p", "-jar", "/app.jar"])
                .user("1000")
        })
        .works_without_a_shell()
        .expect(
            r#"
            may need a shell: "-XX:OnOutOfMemoryError=kill -9 %p"
            "#,
        ),
    ]
}
