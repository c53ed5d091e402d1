//! Scripts as entrypoints: first lines, and what the lines run.

use immut_testkit::recipe::Recipe;

use super::bases::{app, debian_with};
use super::{Case, case};

/// An image that starts a script, with a Python in it.
fn script(text: &[u8]) -> Recipe {
    debian_with(|layer| {
        layer
            .file("/usr/local/bin/start", 0o755, text)
            .file("/usr/bin/python3.11", 0o755, app().bytes())
            .symlink("/usr/bin/python3", "python3.11")
            .file("/usr/lib/python3.11/os.py", 0o644, "import sys\n")
    })
    .entrypoint(&["start"])
}

pub(super) fn cases() -> Vec<Case> {
    [first_lines(), broken(), entrypoints()].into_iter().flatten().collect()
}

fn first_lines() -> Vec<Case> {
    vec![
        case("a script for sh", script(b"#!/bin/sh\nset -e\nexec app\n")).expect(
            r#"
            refused: /config/Entrypoint needs /usr/bin/dash, which rule shell removes ["start" -> /usr/local/bin/start -> #!/bin/sh -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            "#,
        ),
        case("a script for bash by way of env", script(b"#!/usr/bin/env bash\nexec app\n"))
            .expect(
            r#"
            refused: /config/Entrypoint needs /usr/bin/bash, which rule shell removes ["start" -> /usr/local/bin/start -> #!/usr/bin/env bash -> /usr/bin/env -> "bash" -> /usr/bin/bash]
            "#,
        ),
        case("a script for Python", script(b"#!/usr/bin/python3\nprint(1)\n"))
            .works_without_a_shell()
            .expect(
            r#"
            unseen: /config/Entrypoint: /usr/bin/python3.11 has nothing of what it loads by name (python: a Python's library and packages)
            "#,
        ),
        case("a script for Python by way of env", script(b"#!/usr/bin/env python3\nprint(1)\n"))
            .works_without_a_shell()
            .expect(
            r#"
            unseen: /config/Entrypoint: /usr/bin/python3.11 has nothing of what it loads by name (python: a Python's library and packages)
            "#,
        ),
        case("a script by way of env -S", script(b"#!/usr/bin/env -S python3 -u\nprint(1)\n"))
            .works_without_a_shell()
            .expect(
            r#"
            unseen: /config/Entrypoint: /usr/bin/python3.11 has nothing of what it loads by name (python: a Python's library and packages)
            "#,
        ),
        case("a script that a shell form runs, for the same shell", {
            script(b"#!/bin/sh\nexec app\n").entrypoint(&["/bin/sh", "-c", "start"])
        })
        .with(|options| {
            options.choices.profile.keep.push("rule:shell".parse().expect("a keep"));
        }),
        case("a script for a script", {
            script(b"#!/usr/local/bin/inner\n")
                .layer(|layer| layer.file("/usr/local/bin/inner", 0o755, "#!/bin/sh\nexec app\n"))
        })
        .expect(
            r#"
            refused: /config/Entrypoint needs /usr/bin/dash, which rule shell removes ["start" -> /usr/local/bin/start -> #!/usr/local/bin/inner -> /usr/local/bin/inner -> #!/bin/sh -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            "#,
        ),
    ]
}

fn broken() -> Vec<Case> {
    vec![
        case("an interpreter that is not there", script(b"#!/usr/bin/ruby\n")).expect(
            r#"
            broken: /config/Entrypoint cannot start: the interpreter /usr/bin/ruby is not in the image ["start" -> /usr/local/bin/start -> #!/usr/bin/ruby]
            "#,
        ),
        case("env that is not there", script(b"#!/opt/bin/env python3\n")).expect(
            r#"
            broken: /config/Entrypoint cannot start: the interpreter /opt/bin/env is not in the image ["start" -> /usr/local/bin/start -> #!/opt/bin/env python3]
            "#,
        ),
        case("env with a program that is not there", script(b"#!/usr/bin/env node\n")).expect(
            r#"
            broken: /config/Entrypoint cannot start: no program "node" is in PATH ["start" -> /usr/local/bin/start -> #!/usr/bin/env node -> /usr/bin/env -> "node"]
            "#,
        ),
        case("a carriage return", script(b"#!/usr/bin/python3\r\nprint(1)\r\n")).expect(
            r#"
            broken: /config/Entrypoint cannot start: the first line #! ends in a carriage return, which the kernel takes for a part of the name ["start" -> /usr/local/bin/start -> #!/usr/bin/python3\x0d]
            "#,
        ),
        case("a carriage return after env", script(b"#!/usr/bin/env python3\r\nprint(1)\r\n"))
            .expect(
            r#"
            broken: /config/Entrypoint cannot start: no program "python3\r" is in PATH ["start" -> /usr/local/bin/start -> #!/usr/bin/env python3\x0d -> /usr/bin/env -> "python3\r"]
            "#,
        ),
        case("a byte order mark", script(b"\xef\xbb\xbf#!/usr/bin/python3\nprint(1)\n")).expect(
            r#"
            broken: /config/Entrypoint cannot start: /usr/local/bin/start begins with a byte order mark, so the kernel does not see its first line #! ["start" -> /usr/local/bin/start]
            "#,
        ),
        case("no first line", script(b"exec app\n")).expect(
            r#"
            broken: /config/Entrypoint cannot start: /usr/local/bin/start is neither an ELF file nor a script with a first line #! ["start" -> /usr/local/bin/start]
            "#,
        ),
        case("an empty file", script(b"")).expect(
            r#"
            broken: /config/Entrypoint cannot start: /usr/local/bin/start is empty, so it cannot be executed ["start" -> /usr/local/bin/start]
            "#,
        ),
        case("a first line that is empty", script(b"#!\nexec app\n")).expect(
            r#"
            broken: /config/Entrypoint cannot start: the first line #! names no interpreter ["start" -> /usr/local/bin/start -> #!]
            "#,
        ),
        case("a script that calls itself", script(b"#!/usr/local/bin/start\n")).expect(
            r#"
            broken: /config/Entrypoint cannot start: the interpreters of scripts lead back to the first ["start" -> /usr/local/bin/start -> #!/usr/local/bin/start]
            "#,
        ),
        case("scripts that call each other", {
            script(b"#!/usr/local/bin/inner\n").layer(|layer| {
                layer.file("/usr/local/bin/inner", 0o755, "#!/usr/local/bin/start\n")
            })
        })
        .expect(
            r#"
            broken: /config/Entrypoint cannot start: the interpreters of scripts lead back to the first ["start" -> /usr/local/bin/start -> #!/usr/local/bin/inner -> /usr/local/bin/inner -> #!/usr/local/bin/start]
            "#,
        ),
        case("a file in PATH that is not executable", {
            debian_with(|layer| layer.file("/usr/bin/start", 0o644, app().bytes()))
                .entrypoint(&["start"])
        })
        .expect(
            r#"
            broken: /config/Entrypoint cannot start: /usr/bin/start is not executable ["start"]
            "#,
        ),
        case("a file that is not executable", {
            debian_with(|layer| layer.file("/start", 0o644, app().bytes())).entrypoint(&["/start"])
        })
        .expect(
            r#"
            broken: /config/Entrypoint cannot start: /start is not executable ["/start"]
            "#,
        ),
    ]
}

fn entrypoints() -> Vec<Case> {
    let official =
        b"#!/bin/sh\nset -e\nif [ \"$1\" = app ]; then set -- tini -- \"$@\"; fi\nexec \"$@\"\n";
    vec![
        case("an official image's script", script(official).cmd(&["app", "--port", "80"]))
            .expect(
            r#"
            refused: /config/Entrypoint needs /usr/bin/dash, which rule shell removes ["start" -> /usr/local/bin/start -> #!/bin/sh -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            "#,
        ),
        case(
            "the same with its application chosen",
            script(official).cmd(&["app", "--port", "80"]),
        )
        .with(|options| {
            options.choices.entrypoint = crate::common::words(&["app", "--port", "80"]);
            options.choices.cmd = crate::common::words(&[]);
        })
        .expect(
            r#"
            Entrypoint ["app","--port","80"]
            Cmd null
            "#,
        ),
        case("a script that is kept with its shell", script(b"#!/bin/sh\nexec app\n"))
            .with(|options| {
                options.choices.profile.keep.push("rule:shell".parse().expect("a keep"));
            }),
    ]
}
