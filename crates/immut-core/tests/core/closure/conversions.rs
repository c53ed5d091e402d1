//! Commands of the shell form: which become the exec form, and why others do not.

use immut_testkit::recipe::Recipe;

use super::bases::{app, debian, debian_with};
use super::{Case, case};

pub(super) fn cases() -> Vec<Case> {
    [plain(), refused()].into_iter().flatten().collect()
}

/// An image whose cmd is of the shell form.
fn runs(command: &str) -> Recipe {
    debian().cmd(&["/bin/sh", "-c", command])
}

fn plain() -> Vec<Case> {
    vec![
        case("quoted words", runs(r#"app a 'b c' "d e" f\ g"#)).expect(
            r#"
            Cmd ["app","a","b c","d e","f g"]
            "#,
        ),
        case("exec", runs("exec app --port 80")).expect(
            r#"
            Cmd ["app","--port","80"]
            "#,
        ),
        case("cd and exec", runs("cd /srv && exec app")).expect(
            r#"
            Cmd ["app"]
            WorkingDir "/srv"
            "#,
        ),
        case("cd without exec", runs("cd /srv && app")).expect(
            r#"
            Cmd ["app"]
            WorkingDir "/srv"
            "#,
        ),
        case("a variable before the program", runs("MODE=fast app")).expect(
            r#"
            note: start without a shell: the variable is set for every process of the container, those of `exec` too
            Cmd ["app"]
            Env ["PATH=/usr/local/bin:/usr/bin:/bin","MODE=fast"]
            "#,
        ),
        case("a shell that traces", debian().cmd(&["/bin/sh", "-xc", "app"])).expect(
            r#"
            note: start without a shell: the shell no longer writes the command to the error output
            Cmd ["app"]
            "#,
        ),
        case("a program of another kin", runs("/usr/bin/sleep 5")).expect(
            r#"
            Cmd ["/usr/bin/sleep","5"]
            "#,
        ),
    ]
}

fn refused() -> Vec<Case> {
    vec![
        case("cd to a folder that is not there", runs("cd /nowhere && exec app")).expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            unconverted: line 1: `/nowhere` is no directory of the image, written from `/`
            "#,
        ),
        case("a variable among the words", runs("exec app --port $PORT").env("PORT=80")).expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            unconverted: line 1: `$PORT` is expanded when the container starts; write the value of PORT out
            "#,
        ),
        case("a variable with a default", runs("app ${MODE:-fast}")).expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            unconverted: line 1: `${MODE:-fast}` is expanded when the container starts; write the value of MODE out
            "#,
        ),
        case("two commands", runs("app migrate && app serve")).expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            unconverted: line 1: `&&` joins two commands, and only a shell decides whether the second runs
            "#,
        ),
        case("one command after another", runs("app migrate; app serve")).expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            unconverted: line 1: `;` ends a command, and only a shell runs one after the other
            "#,
        ),
        case("a pipe", runs("app | app log")).expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            unconverted: line 1: `|` is a pipe, which only a shell sets up
            "#,
        ),
        case("a redirection", runs("app > /tmp/log 2>&1")).expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            unconverted: line 1: `>` redirects input or output, which only a shell does
            "#,
        ),
        case("in the background", runs("app &")).expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            unconverted: line 1: `&` leaves a command running in the background, which only a shell does
            "#,
        ),
        case("a condition", runs("if app ready; then app; fi")).expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            unconverted: line 1: `if` belongs to the language of the shell
            "#,
        ),
        case("a file that is sourced", runs(". /etc/profile && app")).expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            unconverted: line 1: `.` is a command of the shell itself
            unseen: /config/Cmd: /etc/profile is not in the image ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash -> line 1: . /etc/profile]
            "#,
        ),
        case("options for all commands", runs("set -e\nexec app")).expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            unconverted: line 1: `set` is a command of the shell itself
            "#,
        ),
        case("a trap", runs("trap 'app stop' TERM; app")).expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            unconverted: line 1: `trap` is a command of the shell itself
            "#,
        ),
        case("a here-document", runs("app <<END\ntext\nEND")).expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            unconverted: line 1: `<<` gives a program text to read, which only a shell does
            "#,
        ),
        case("what a command prints", runs("app --name $(hostname)")).expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            unconverted: line 1: `$(hostname)` is what a command prints, which only a shell can put there
            unseen: /config/Cmd: no program "hostname" is in PATH ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash -> line 1: hostname -> "hostname"]
            "#,
        ),
        case("names of files", runs("app /srv/*.conf")).expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            unconverted: line 1: `/srv/*.conf` stands for names of files, which a shell looks up
            "#,
        ),
        case("a home directory", runs("app ~/x")).expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            unconverted: line 1: `~/x` names a home directory, which a shell looks up
            "#,
        ),
        case("a builtin", runs("echo ready")).expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            unconverted: line 1: `echo` is a command of the shell itself; the program of that name is another one
            "#,
        ),
        case("a program that is not there", runs("nginx -g 'daemon off;'")).expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            unconverted: "nginx" is no program of the image
            unseen: /config/Cmd: no program "nginx" is in PATH ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash -> line 1: nginx -g daemon off; -> "nginx"]
            "#,
        ),
        case(
            "a program that only a shell starts",
            debian_with(|layer| layer.file("/usr/bin/run", 0o755, "exec app\n"))
                .cmd(&["/bin/sh", "-c", "run"]),
        )
        .expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            unconverted: /usr/bin/run is neither an ELF file nor a script with a first line #!
            unseen: /config/Cmd: /usr/bin/run is neither an ELF file nor a script with a first line #! ["/bin/sh" -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash -> line 1: run -> "run" -> /usr/bin/run]
            "#,
        ),
        case(
            "a program that is a script for a shell",
            debian_with(|layer| {
                layer.file("/usr/bin/run", 0o755, "#!/bin/sh\nexec app\n").file(
                    "/usr/bin/x",
                    0o755,
                    app().bytes(),
                )
            })
            .cmd(&["/bin/sh", "-c", "run"]),
        )
        .expect(
            r#"
            refused: /config/Cmd needs /usr/bin/dash, which rule shell removes ["run" -> /usr/bin/run -> #!/bin/sh -> /bin (link) -> /usr/bin/sh (link) -> /usr/bin/dash]
            "#,
        ),
    ]
}
