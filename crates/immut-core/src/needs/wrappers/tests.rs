use super::*;

fn words(line: &str) -> Vec<String> {
    line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The inner command of a line, or the error.
fn inner(line: &str) -> Result<String, String> {
    let wrappers = Wrappers::builtin();
    let found = wrappers.unwrap(&words(line), &[]).expect("a wrapper");
    found.map(|found| found.command.join(" ")).map_err(|error| error.to_string())
}

fn effects(argv: &[&str]) -> Vec<Effect> {
    let argv: Vec<_> = argv.iter().map(|&word| word.to_owned()).collect();
    let wrappers = Wrappers::builtin();
    wrappers.unwrap(&argv, &[]).expect("a wrapper").expect("a command").effects
}

#[test]
fn the_catalog_is_sorted() {
    let wrappers = Wrappers::builtin();
    assert!(wrappers.all().is_sorted_by_key(|one| one.name.trim_end_matches(" run")));
    for one in wrappers.all() {
        assert!(!one.source.is_empty(), "{}", one.name);
        let lists =
            [&one.programs, &one.subcommands, &one.flags, &one.values, &one.optionals, &one.ends];
        for list in lists {
            assert!(list.is_sorted(), "{} {list:?}", one.name);
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_wrapper_gives_its_command() {
    for line in [
        "aws-vault exec --duration 1h prod -- @",
        "/usr/bin/bundle exec --gemfile=Gemfile @",
        "/bin/busybox @",
        "catatonit -g -- @",
        "catchsegv @",
        "chamber exec service other -- @",
        "chpst -u nobody:nogroup -0 -m 1000000 @",
        "chroot --userspec=1:1 --skip-chdir / @",
        "chrt -f 10 @",
        "coreutils --coreutils-prog=@",
        "ddtrace-run -d @",
        "doppler run --project p -- @",
        "dumb-init --rewrite 15:3 -cv @",
        "dumb-init -- @",
        "env -i -u HOME A=1 B= @",
        "env - @",
        "envdir /etc/env @",
        "exec -a name @",
        "gosu redis:redis @",
        "infisical run --env=prod -- @",
        "ionice -c2 -n 7 -t @",
        "/lib64/ld-linux-x86-64.so.2 --library-path /opt/lib --argv0 x --inhibit-cache @",
        "/lib/ld-musl-x86_64.so.1 --preload /x.so -- @",
        "newrelic-admin run-program @",
        "nice -n 5 @",
        "nice -5 @",
        "nice --adjustment 5 @",
        "nohup -- @",
        "numactl --interleave=all -N 0 --localalloc @",
        "op run --env-file=x -- @",
        "opentelemetry-instrument --traces_exporter console @",
        "pipenv run @",
        "poetry run @",
        "prlimit --nofile=10:20 @",
        "runuser -u nobody -- @",
        "s6-setuidgid nobody @",
        "setarch x86_64 -R @",
        "setarch -R @",
        "linux32 -3 @",
        "setpriv --reuid=1000 --regid 1000 --clear-groups @",
        "setsid -cw @",
        "softlimit -m 1000000 @",
        "start-stop-daemon --start --chuid nobody --exec @",
        "start-stop-daemon -Sbx @",
        "stdbuf -oL -e 0 @",
        "su-exec redis @",
        "taskset -c 0-3 @",
        "taskset 0x1 @",
        "timeout -k 5 -sKILL 1.5h @",
        "tini @",
        "/sbin/tini -g -p SIGTERM -e143 -vvv -- @",
        "docker-init -- @",
        "uv run --frozen --no-dev --extra x @",
        "vault-env @",
        "/command/with-contenv @",
    ] {
        let rest = if line.starts_with("start-stop") { "app -- -x y" } else { "app -x y" };
        let line = line.replace('@', rest);
        assert_eq!(inner(&line).as_deref(), Ok("app -x y"), "{line}");
    }
}

#[test]
fn what_cannot_be_read_is_said() {
    for (line, said) in [
        ("aws-vault exec prod", "aws-vault is not followed by `--` and a command"),
        ("busybox --list", "busybox runs no command of its arguments with --list"),
        ("doppler run --command x", "doppler run is not followed by `--` and a command"),
        ("env", "env is not followed by a command"),
        ("env --un=A", "env is not followed by a command"),
        ("env --ignore app", "env has no option \"--ignore\" that is known"),
        ("env -S\"a app", "env -S cannot split: a quote is not closed"),
        ("gosu redis", "gosu is not followed by a command"),
        ("gosu", "gosu is not followed by all its words"),
        ("ld.so --list app", "ld.so runs no command of its arguments with --list"),
        ("runuser -u nobody app -x", "runuser may read \"-x\" as its own option"),
        ("runuser nobody -c app", "runuser is not followed by --user or -u"),
        ("start-stop-daemon -S -p /pid", "start-stop-daemon is not followed by an option"),
        ("start-stop-daemon -x app", "start-stop-daemon is not followed by --start or -S"),
        ("tini -- ", "tini is not followed by a command"),
        ("tini --unheard app", "tini has no option \"--unheard\" that is known"),
        ("timeout --signal", "timeout is not followed by a value of --signal"),
        ("timeout --verbose=1 1 app", "timeout has no option \"--verbose=1\" that is known"),
    ] {
        let result = inner(line);
        assert!(result.as_ref().is_err_and(|text| text.starts_with(said)), "{line}: {result:?}");
    }
}

#[test]
fn other_programs_and_subcommands_are_no_wrappers() {
    let wrappers = Wrappers::builtin();
    for line in ["nginx -g x", "uv pip install", "bundle install", "op", "environment", "ld-gold x"]
    {
        assert!(wrappers.unwrap(&words(line), &[]).is_none(), "{line}");
    }
    assert!(wrappers.unwrap(&[], &[]).is_none());
}

#[test]
fn effects_are_in_the_order_of_the_words() {
    assert_eq!(
        effects(&["env", "-C/srv", "-iu", "HOME", "A=b=c", "app", "D=e"]),
        [
            Effect::Chdir("/srv".to_owned()),
            Effect::Clear,
            Effect::Unset("HOME".to_owned()),
            Effect::Set("A".to_owned(), "b=c".to_owned()),
        ]
    );
    let loader = ["ld.so", "--library-path", "/a:/b", "--preload", "x.so", "./app"];
    assert_eq!(
        effects(&loader),
        [Effect::LibraryPath("/a:/b".to_owned()), Effect::Preload("x.so".to_owned())]
    );
    assert_eq!(effects(&["chroot", "/jail", "app"]), [Effect::Root("/jail".to_owned())]);
    assert_eq!(effects(&["gosu", "redis", "app"]), [Effect::User("redis".to_owned())]);
    assert_eq!(effects(&["tini", "--", "app"]), []);
}

#[test]
fn the_place_of_the_command_is_known() {
    let wrappers = Wrappers::builtin();
    let place = |line: &str| {
        wrappers.unwrap(&words(line), &[]).expect("a wrapper").map(|found| found.index)
    };
    assert_eq!(place("tini -g -- app"), Ok(3));
    assert_eq!(place("bundle exec app"), Ok(2));
    assert_eq!(place("start-stop-daemon -S -x app -- -v"), Ok(3));
}

#[test]
fn a_first_line_with_split_string_is_read() {
    let wrappers = Wrappers::builtin();
    let argv = ["/usr/bin/env", "-S -i A=1 python3 -u", "/app.py"].map(str::to_owned);
    let found = wrappers.unwrap(&argv, &[]).expect("a wrapper").expect("a command");
    assert_eq!(found.command, ["python3", "-u", "/app.py"]);
    assert_eq!(found.effects, [Effect::Clear, Effect::Set("A".to_owned(), "1".to_owned())]);
    assert_eq!(found.index, 1);
    let unsplit = ["env", "python3 -u", "/app.py"].map(str::to_owned);
    let found = wrappers.unwrap(&unsplit, &[]).expect("a wrapper").expect("a command");
    assert_eq!(found.command, ["python3 -u", "/app.py"]);
}

#[test]
fn strings_are_split_as_env_does() {
    let env = ["HOME=/root dir".to_owned(), "EMPTY=".to_owned()];
    for (text, expected) in [
        ("", &[][..]),
        ("  a\tb\n", &["a", "b"]),
        ("a'b c'd", &["ab cd"]),
        (r#""" ''"#, &["", ""]),
        (r"a\_b", &["a", "b"]),
        (r#""a\_b""#, &["a b"]),
        (r"'a\nb\'\\'", &[r"a\nb'\"]),
        (r"a\tb", &["a\tb"]),
        ("a #b", &["a"]),
        ("a#b", &["a#b"]),
        (r"a\cb c", &["a"]),
        ("${HOME}", &["/root dir"]),
        ("x ${NONE} y", &["x", "y"]),
        ("x ${EMPTY} y", &["x", "", "y"]),
        ("'${HOME}'", &["${HOME}"]),
        (r"\$x", &["$x"]),
        (r"\# a", &["#", "a"]),
    ] {
        assert_eq!(split(text, &env).expect(text), expected, "{text}");
    }
    for bad in ["'", "\"a", "$HOME", "${1}", "${HOME", r"\", r"\q", r#""\c""#, "${}"] {
        assert!(matches!(split(bad, &env), Err(Error::Split(_))), "{bad}");
    }
}

#[test]
fn splitting_stays_small() {
    let env = [format!("A={}", "x".repeat(10_000))];
    assert!(split(&"${A}".repeat(1000), &env).is_err());
    assert_eq!(split(&"a ".repeat(MOST_WORDS + 1), &[]), Err(Error::Long));
    let wrappers = Wrappers::builtin();
    let nested = ["env".to_owned(), format!("-S{}", "-S".repeat(10_000))];
    assert_eq!(wrappers.unwrap(&nested, &[]).expect("a wrapper"), Err(Error::Nested));
}
