use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use immut_testkit::peers;
use proptest::prelude::*;

use super::convert::{EVERY_PROCESS, FIRST_PROCESS};
use super::*;

/// An image with `/srv/app` and nothing else.
struct Image(Vec<String>);

impl Environment for Image {
    fn is_dir(&self, path: &RootPath) -> bool {
        path.as_bytes() == b"srv/app"
    }
    fn variables(&self) -> &[String] {
        &self.0
    }
}

fn start(command: &str) -> Result<ExecForm, Refusal> {
    exec_form(command, Purpose::Start, &Image(Vec::new()))
}

fn check(command: &str) -> Result<ExecForm, Refusal> {
    exec_form(command, Purpose::HealthCheck, &Image(Vec::new()))
}

fn argv(form: &ExecForm) -> Vec<&str> {
    form.argv.iter().map(String::as_str).collect()
}

#[test]
fn a_simple_command_is_its_words() {
    for (command, expected) in [
        ("cmd a 'b c' \"d\"", &["cmd", "a", "b c", "d"][..]),
        ("nginx -g 'daemon off;'", &["nginx", "-g", "daemon off;"]),
        ("java -jar /app.jar\n", &["java", "-jar", "/app.jar"]),
        ("\n  cmd \\\n  a\\ b \\\n", &["cmd", "a b"]),
        (r#"cmd "a\"b\$c\d" '$x' a\$b"#, &["cmd", r#"a"b$c\d"#, "$x", "a$b"]),
        ("cmd '' \"\" a''b", &["cmd", "", "", "ab"]),
        ("cmd A=1 B='x y' # what it is for", &["cmd", "A=1", "B=x y"]),
        ("cmd '*' \\? \"[a]\" {} a{ ~x~ 5$ \"$\"", &["cmd"]),
        ("sleep 5", &["sleep", "5"]),
        ("\"if\" x", &["if", "x"]),
        ("cmd a#b caf\u{e9} '\u{e9}'", &["cmd", "a#b", "caf\u{e9}", "\u{e9}"]),
    ] {
        if expected.len() == 1 {
            assert!(start(command).is_err(), "{command}");
            continue;
        }
        let form = start(command).expect(command);
        assert_eq!(argv(&form), expected, "{command}");
        assert_eq!((form.env.len(), form.workdir, form.rules.len()), (0, None, 0), "{command}");
    }
}

#[test]
fn exec_is_dropped_and_reaches_programs_behind_builtins() {
    for (command, expected) in [
        ("exec redis-server /etc/redis.conf", &["redis-server", "/etc/redis.conf"][..]),
        ("exec echo hi", &["echo", "hi"]),
        ("exec exec", &["exec"]),
    ] {
        let form = start(command).expect(command);
        assert_eq!(argv(&form), expected);
        assert_eq!(form.rules, [Rule::Exec]);
    }
}

#[test]
fn a_directory_that_is_there_becomes_the_working_directory() {
    for command in ["cd /srv/app && exec ./run a", "cd /srv//app/ &&\n exec ./run a"] {
        let form = start(command).expect(command);
        assert_eq!(argv(&form), ["./run", "a"]);
        assert_eq!(form.workdir, Some("/srv/app".parse().expect("a path")));
        assert_eq!(form.rules, [Rule::ChangeDirectory, Rule::Exec]);
    }
    let plain = start("cd /srv/app && ./run").expect("converts");
    assert_eq!(plain.rules, [Rule::ChangeDirectory]);
    assert!(start("cd /srv/app/../app && ./run").is_err(), "links make .. ambiguous");
}

#[test]
fn variables_become_the_images() {
    let form = start("A=1 B='x y' A=2 cmd $").expect("converts");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(form.env, [pair("B", "x y"), pair("A", "2")]);
    assert_eq!(argv(&form), ["cmd", "$"]);
    assert_eq!(form.rules, [Rule::Variable]);
    assert!(form.notes.contains(&EVERY_PROCESS));
    assert!(start("G=* cmd").is_ok(), "no file names in a variable's value");
}

#[test]
fn any_failure_of_a_check_is_the_same() {
    for command in [
        "curl -f http://localhost/ || exit 1",
        "curl -f http://localhost/ || exit 2\n",
        "exec curl -f http://localhost/ || false",
        "curl -f http://localhost/",
    ] {
        let form = check(command).expect(command);
        assert_eq!(argv(&form), ["curl", "-f", "http://localhost/"], "{command}");
        assert_eq!(form.rules.contains(&Rule::AnyFailure), command.contains("||"));
        assert!(!form.notes.contains(&FIRST_PROCESS));
    }
    for command in ["pg_isready || exit 0", "pg_isready || exit", "pg_isready || exit 256"] {
        assert!(check(command).is_err(), "{command}");
    }
    assert!(start("pg_isready || exit 1").is_err(), "a start's exit status is seen");
}

#[test]
fn what_only_a_shell_does_is_refused_in_words() {
    let line = |command: &str| start(command).expect_err(command).to_string();
    for (command, expected) in [
        ("cmd $PORT", "line 1: `$PORT` is expanded when the container starts"),
        ("cmd \"a ${P:-80} b\"", "line 1: `${P:-80}` is expanded when the container starts"),
        (
            "cmd \\\n a \\\n \"$(date)\"",
            "line 3: `\"$(date)\"` is what a command prints, which only a shell can put there",
        ),
        ("cmd `id`", "line 1: ``id`` is what a command prints, which only a shell can put there"),
        ("cmd $((1+1))", "line 1: `$((1+1))` is arithmetic, which only a shell does"),
        ("cmd ~/x", "line 1: `~/x` names a home directory, which a shell looks up"),
        ("cmd a=~/x", "line 1: `a=~/x` names a home directory, which a shell looks up"),
        ("A=b:~ cmd", "line 1: `A=b:~` names a home directory, which a shell looks up"),
        ("cmd *.conf", "line 1: `*.conf` stands for names of files, which a shell looks up"),
        ("cmd [ab]", "line 1: `[ab]` stands for names of files, which a shell looks up"),
        ("cmd x{1..3}", "line 1: `x{1..3}` is several words to some shells"),
        ("cmd $'a'", "line 1: `$'a'` is read differently by different shells"),
        (
            "a && b",
            "line 1: `&&` joins two commands, and only a shell decides whether the second runs",
        ),
        ("a; b", "line 1: `;` ends a command, and only a shell runs one after the other"),
        ("a\nb", "line 2: a second command follows, and only a shell runs one after the other"),
        ("a | b", "line 1: `|` is a pipe, which only a shell sets up"),
        ("a &", "line 1: `&` leaves a command running in the background, which only a shell does"),
        ("(a)", "line 1: `(` encloses commands of a shell of their own"),
        ("a > f", "line 1: `>` redirects input or output, which only a shell does"),
        ("exec a 2>&1", "line 1: `>&` redirects input or output, which only a shell does"),
        ("a <<E\nE\n", "line 1: `<<` gives a program text to read, which only a shell does"),
        ("if a; then b; fi", "line 1: `if` belongs to the language of the shell"),
        ("! a", "line 1: `!` turns a success into a failure, which only a shell does"),
        ("{ a; }", "line 1: `{` belongs to the language of the shell"),
        ("exec -a b c", "line 1: `exec -a` has an option, which only a shell knows"),
        ("cd /srv/app", "line 1: `cd` is a command of the shell itself"),
        ("cd /nowhere && a", "line 1: `/nowhere` is no directory of the image, written from `/`"),
        ("cd /srv/app; a", "line 1: `cd` is a command of the shell itself"),
        ("trap : TERM", "line 1: `trap` is a command of the shell itself"),
        (". /env", "line 1: `.` is a command of the shell itself"),
        (
            "echo hi",
            "line 1: `echo` is a command of the shell itself; the program of that name is another one",
        ),
        (
            "[ -f x ]",
            "line 1: `[` is a command of the shell itself; the program of that name is another one",
        ),
        ("PATH=/x a", "line 1: `PATH=` changes where the shell looks for the program"),
        ("UID=1 a", "line 1: `UID` is a variable of the shell itself"),
        ("A+=1 a", "line 1: `A+=` changes a variable, which only a shell does"),
        ("A=1 exec a", "line 1: variables before `exec` differ between shells"),
        ("A=1", "line 1: no program is named"),
        ("", "line 1: no program is named"),
        ("exec", "line 1: no program is named"),
        ("''", "line 1: the name of the program is empty"),
        ("cmd 'a", "line 1: a single quote is not closed"),
        ("cmd \"a\x1b", "line 1: a double quote is not closed"),
    ] {
        assert_eq!(line(command), expected, "{command}");
    }
}

#[test]
fn refusals_say_where_and_what_could_be_chosen() {
    let refusal = start("cmd -p ${PORT:-80}").expect_err("a variable");
    assert_eq!(refusal.at, 7);
    assert_eq!(refusal.suggestion, Some(Suggestion::WriteOut("PORT".to_owned())));
    assert_eq!(start("cmd $1").expect_err("a parameter").suggestion, None);

    let refusal = check("redis-cli ping | grep PONG").expect_err("a pipe");
    let client = vec!["redis-cli".to_owned(), "ping".to_owned()];
    assert_eq!(refusal.suggestion, Some(Suggestion::Instead(client)));
    assert_eq!(check("a | b").expect_err("a pipe").suggestion, None);
}

#[test]
fn a_check_leaves_the_applications_surroundings_alone() {
    assert!(check("A=1 cmd").expect_err("a variable").reason.contains("application"));
    assert!(check("cd /srv/app && cmd").expect_err("a directory").reason.contains("application"));
}

#[test]
fn a_bash_that_reads_more_than_the_command_is_refused() {
    for entry in ["BASH_ENV=/etc/env", "BASH_FUNC_cmd%%=() { :; }", "SHELLOPTS=xtrace"] {
        let image = Image(vec!["A=BASH_ENV".to_owned(), entry.to_owned()]);
        assert!(exec_form("cmd", Purpose::Start, &image).is_err(), "{entry}");
    }
}

fn words(argv: &[&str]) -> Vec<String> {
    argv.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn calls_of_shells_are_unwrapped() {
    for (argv, parameters) in [
        (&["/bin/sh", "-c", "X"][..], 0),
        (&["/bin/sh", "-c", "X", "zero", "one"], 2),
        (&["sh", "-ec", "X"], 0),
        (&["bash", "-o", "pipefail", "-c", "X"], 0),
        (&["/bin/bash", "-euo", "pipefail", "-c", "X"], 0),
        (&["bash", "--norc", "-ceuo", "pipefail", "X", "a"], 1),
        (&["sh", "-c", "-e", "X"], 0),
        (&["dash", "+e", "-c", "--", "X"], 0),
        (&["/busybox/sh", "-c", "X"], 0),
        (&["/bin/busybox", "ash", "-c", "X"], 0),
    ] {
        let argv = words(argv);
        let call = invocation(&argv).expect("known options").expect("a call");
        assert_eq!((call.command, call.parameters.len()), ("X", parameters), "{argv:?}");
        assert!(call.notes.is_empty());
    }
    let traced = words(&["sh", "-xc", "X"]);
    assert_eq!(invocation(&traced).expect("known").expect("a call").notes, [TRACED]);
    for argv in [
        &["sh"][..],
        &["sh", "run.sh", "-c"],
        &["python", "-c", "X"],
        &["busybox", "ls", "-c"],
        &[],
    ] {
        assert_eq!(invocation(&words(argv)), Ok(None), "{argv:?}");
    }
    for (argv, expected) in [
        (&["bash", "-lc", "X"][..], "`-l` makes the shell read profiles first"),
        (&["bash", "--login", "-c", "X"], "`--login` makes the shell read profiles first"),
        (&["bash", "-ic", "X"], "`-i` makes the shell interactive"),
        (&["bash", "-O", "extglob", "-c", "X"], "`-O` changes how the shell runs"),
        (&["bash", "--rcfile", "f", "-c", "X"], "`--rcfile` changes how the shell runs"),
        (&["sh", "-nc", "X"], "`-n` changes how the shell runs"),
        (&["sh", "-o", "noexec", "-c", "X"], "`-o noexec` changes how the shell runs"),
        (&["sh", "-c"], "`-c` has no command"),
    ] {
        assert_eq!(invocation(&words(argv)).expect_err("refused").reason, expected);
    }
}

const TRACED: &str = "the shell no longer writes the command to the error output";

/// A program that prints its arguments, its variables but the shells' own, and its directory.
const RECORDER: &str = r#"#!/usr/bin/perl
delete @ENV{qw(PWD OLDPWD SHLVL _)};
print map { "$_\0" } @ARGV, (map { "$_=$ENV{$_}" } sort keys %ENV), readlink "/proc/self/cwd";
"#;

fn recorder() -> Option<tempfile::TempDir> {
    peers::require("perl")?;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("cmd");
    std::fs::write(&file, RECORDER).expect("written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("executable");
    Some(directory)
}

/// What a program printed and how it ended, started in `/` with only PATH set.
fn run(recorder: &Path, program: &Path, set: impl FnOnce(&mut Command)) -> (Vec<u8>, Option<i32>) {
    let mut command = Command::new(program);
    let path = format!("{}:/usr/bin:/bin", recorder.display());
    command.env_clear().env("PATH", path).current_dir("/");
    set(&mut command);
    let output = command.output().expect("a program");
    (output.stdout, output.status.code())
}

/// The shells that are compared with, and how each is told a command.
fn shells() -> Vec<(PathBuf, &'static [&'static str])> {
    let known: [(_, &[&str]); 4] = [
        ("dash", &["-c"]),
        ("bash", &["-c"]),
        ("bash", &["--posix", "-euo", "pipefail", "-c"]),
        ("busybox", &["sh", "-c"]),
    ];
    let found = |(shell, options)| Some((peers::require(shell)?, options));
    known.into_iter().filter_map(found).collect()
}

/// The whole disk is the image.
struct Disk;

impl Environment for Disk {
    fn is_dir(&self, path: &RootPath) -> bool {
        Path::new(&path.to_string()).is_dir()
    }
    fn variables(&self) -> &[String] {
        &[]
    }
}

/// Runs a command in each shell, and its exec form; both must print the same.
fn compare(recorder: &Path, command: &str, form: &ExecForm) {
    assert_eq!(form.argv[0], "cmd", "{command:?}");
    let program = recorder.join("cmd");
    let direct = run(recorder, &program, |direct| {
        direct.args(&form.argv[1..]).envs(form.env.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &form.workdir {
            direct.current_dir(directory.to_string());
        }
    });
    for (shell, options) in shells() {
        let by_shell = run(recorder, &shell, |shell| {
            shell.args(options).arg(command);
        });
        assert_eq!(by_shell, direct, "{} {options:?} {command:?} {form:?}", shell.display());
    }
}

#[test]
fn forms_run_as_in_a_shell() {
    let Some(directory) = recorder() else { return };
    for command in [
        "cmd a 'b c' \"d\"",
        "exec cmd a",
        "cd /usr && exec cmd a",
        "cd /usr/lib// && cmd",
        "A='x y' B= C=a:b cmd A=1 $ \"$\" 5$ a$/b",
        "\n\ncmd a \\\n  b # c\n\n",
        "cmd '\u{1}\u{7f}\u{81}' \u{1} \u{7f} caf\u{e9} \\\u{e9}",
        "cmd {} } a} {a } a{b ] [ ! -- - = a=b !a in if",
        "cmd a\\\n#b \\\n#c",
        "cmd \"a\\\nb\" 'a\\\nb' \"\\a\\\"\\`\"",
    ] {
        let form = exec_form(command, Purpose::Start, &Disk).expect(command);
        compare(directory.path(), command, &form);
    }
}

/// Pieces of words, most of them harmless.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[a-z0-9_./:,%+@^=-]{1,4}",
        3 => "'[^'\x00]{0,6}'",
        3 => r#""[^"\\$`\x00]{0,6}""#,
        2 => r#""(\\[\\$`"a\n ]|[a-z ]){0,4}""#,
        3 => r"\\[^\x00]",
        4 => "[ \t]{1,2}",
        1 => "\\\\\n",
        1 => "[ -~\n]",
        1 => "\\PC",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(150)
    ) })]

    #[test]
    fn random_commands_run_as_in_a_shell(
        before in prop_oneof![
            4 => Just(""), 1 => Just("exec "), 1 => Just("cd /usr && "), 1 => Just("A=1 B='x '\\''y' "),
        ],
        pieces in prop::collection::vec(piece(), 0..12),
    ) {
        let Some(directory) = recorder() else { return Ok(()) };
        let command = format!("{before}cmd {}", pieces.concat());
        if let Ok(form) = exec_form(&command, Purpose::Start, &Disk) {
            compare(directory.path(), &command, &form);
        }
    }

    #[test]
    fn no_command_panics(command in "[ -~\n\\PC]{0,40}") {
        let _ = start(&command);
        let _ = check(&command);
    }
}
