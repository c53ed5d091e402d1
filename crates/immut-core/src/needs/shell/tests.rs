mod official;

use super::*;

fn read(text: &str) -> Commands {
    commands(text.as_bytes(), Dialect::Posix)
}

/// The programs that a text runs, each with its line, as `name:line`.
fn programs(found: &Commands) -> Vec<String> {
    found.external().map(|(line, name)| format!("{}:{line}", name.escape_ascii())).collect()
}

fn literal(text: &str) -> Word {
    Word::Literal(text.as_bytes().to_vec())
}

fn dynamic(text: &str) -> Word {
    Word::Dynamic(text.as_bytes().to_vec())
}

#[test]
fn commands_are_found_wherever_they_stand() {
    for (text, expected) in [
        ("a; b & c\nd", "a:1 b:1 c:1 d:2"),
        ("a && b || ! c | d |& e", "a:1 b:1 c:1 d:1 e:1"),
        ("if a; then b; elif c; then d; else e; fi", "a:1 b:1 c:1 d:1 e:1"),
        ("while a; do b; done < f; until c; do d; done", "a:1 b:1 c:1 d:1"),
        ("for x in $(a) b\ndo c; done; for x; do d; done; for y do e; done", "a:1 c:2 d:2 e:2"),
        ("for ((i=$(a); i<3; i++)); do b; done; for ((;;)) { c; }", "a:1 b:1 c:1"),
        ("case $(a) in x|y) b;; (z) c ;& *) d;;& esac; case x in esac; e", "a:1 b:1 c:1 d:1 e:1"),
        ("case x in x) a\nesac", "a:1"),
        ("(a; (b)); { c; } > f; ((x = (1) << 2)); ( (d) ); ((e) | f)", "a:1 b:1 c:1 d:1 e:1 f:1"),
        ("x=$(a `b \\`c\\``) y=\"$(d \"$(e)\")\"", "a:1 b:1 c:1 d:1 e:1"),
        ("echo \"${x:-$(a)}\" ${y#\"$(b)\"} $((1 + $(c))) $(( $(d) ))", "a:1 b:1 c:1 d:1"),
        ("echo \"${x:-it's $(a)}\" \"${x#'}'}\"; b", "a:1 b:1"),
        ("diff <(a) >(b) 2> >(c)", "diff:1 a:1 b:1 c:1"),
        ("[[ $(a) =~ ^(x|y z)$ && ( b < c ) ]] && d", "a:1 d:1"),
        ("x=(a $(b) # c\n d); x[1]=e f=1 g", "b:1 g:2"),
        ("f() { a; }\nfunction g { b; }\nh() (c)\nf; g; h; k", "a:1 b:2 c:3 k:4"),
        ("exec a x; command -p b; command exec -a c d; command -v e; exec 3< f", "a:1 b:1 d:1"),
        ("eval 'a; b'; trap 'c' EXIT; trap - INT; time -p d", "a:1 b:1 c:1 d:1"),
        ("shopt -s extglob; ls @(a|!(b)) +([0-9]); c", "shopt:1 ls:1 c:1"),
        ("a \\\n  b; \"c\"x; \\e 'f g'", "a:1 cx:2 e:2"),
        ("a # b; c\n#d\ne#f", "a:1 e#f:3"),
        ("/usr/bin/a; ./b; 2>f c; {fd}>f d", "/usr/bin/a:1 ./b:1 c:1 d:1"),
        ("coproc a; select x in a b; do c; done", "a:1 c:1"),
        ("", ""),
    ] {
        let found = read(text);
        assert_eq!(found.unread, None, "{text}");
        assert_eq!(programs(&found).join(" "), expected, "{text}");
    }
}

#[test]
fn here_documents_are_text_but_for_their_substitutions() {
    let text =
        "a <<E; b <<-'F'\nx $(c) `d` \\$(e)\nE\n\t$(f)\n\tF\ng\n$(h <<E\ny\nE\n)\ni <<<\"$(j)\"";
    let found = read(text);
    assert_eq!(found.unread, None);
    assert_eq!(programs(&found), ["a:1", "b:1", "c:2", "d:2", "g:6", "h:7", "i:11", "j:11"]);
    assert_eq!(read("a <<E\nb").unread, None, "a missing delimiter ends with the text");
}

#[test]
fn words_are_literal_or_dynamic() {
    let found = read(r#"A=1 B=$x C+=* cmd a\ b 'c'"d" "$@" *.c ~/x [ a$ "x y" $'q'"#);
    let [command] = found.list.as_slice() else { panic!("{found:?}") };
    let words = [
        literal("cmd"),
        literal("a b"),
        literal("cd"),
        dynamic(r#""$@""#),
        dynamic("*.c"),
        dynamic("~/x"),
        literal("["),
        literal("a$"),
        literal("x y"),
        dynamic("$'q'"),
    ];
    assert_eq!(command.words, words);
    let values: Vec<_> =
        command.assignments.iter().map(|set| (&set.name[..], &set.value)).collect();
    assert_eq!(
        values,
        [(&b"A"[..], &literal("1")), (b"B", &dynamic("$x")), (b"C", &literal("*")),]
    );
}

#[test]
fn redirections_say_what_is_opened() {
    let found = read("a <in >out 2>>log >&2<&3 2>&- <&3 &>both >\"$x\" <<E\nE\n");
    let opened =
        [literal("in"), literal("out"), literal("log"), literal("both"), dynamic("\"$x\"")];
    assert_eq!(found.list[0].redirects, opened);
}

#[test]
fn a_compound_command_opens_files_too() {
    let found = read("{ a; } > /log 2>&1\nwhile b; do c; done < \"$x\"");
    let opened: Vec<_> = found
        .list
        .iter()
        .filter(|command| command.words.is_empty())
        .flat_map(|command| command.redirects.iter().map(|file| (command.line, file)))
        .collect();
    assert_eq!(opened, [(1, &literal("/log")), (2, &dynamic("\"$x\""))]);
    assert_eq!(programs(&found), ["a:1", "b:2", "c:2"]);
}

#[test]
fn what_only_running_tells_is_listed() {
    let found =
        read("$cmd x\neval \"$y\"\n. \"$f\"\nalias ls=rm\nexec \"$@\"\ntrap \"$t\" INT\n\"$f\"");
    let listed: Vec<_> =
        found.dynamic().map(|(line, text)| format!("{line} {}", text.escape_ascii())).collect();
    let expected = [
        "1 $cmd",
        r#"2 eval \"$y\""#,
        r#"3 . \"$f\""#,
        "4 alias ls=rm",
        r#"5 \"$@\""#,
        r#"6 trap \"$t\" INT"#,
        r#"7 \"$f\""#,
    ];
    assert_eq!(listed, expected);
    assert_eq!(found.goes_on, Some(5));
}

#[test]
fn sourced_files_are_named() {
    let found = commands(b". /etc/os-release\nsource ./lib.sh a\n. $x", Dialect::Bash);
    let sourced: Vec<_> = found.sourced().collect();
    assert_eq!(sourced, [(1, &literal("/etc/os-release")), (2, &literal("./lib.sh"))]);
}

#[test]
fn builtins_depend_on_the_dialect() {
    let names = |dialect| programs(&commands(b"source x; cd /; sleep 1; let a=1", dialect));
    assert_eq!(names(Dialect::Posix), ["source:1", "sleep:1", "let:1"]);
    assert_eq!(names(Dialect::Ash), ["sleep:1"]);
    assert_eq!(names(Dialect::Bash), ["sleep:1"]);
}

#[test]
fn functions_hide_programs_and_exec_does_not_see_them() {
    let found = read("ls() { command ls; }; ls; exec ls; exec cd");
    let calls: Vec<_> = found.list.iter().map(|command| command.call.clone()).collect();
    let external = |name: &str| Call::External(name.as_bytes().to_vec());
    let function = Call::Function(b"ls".to_vec());
    assert_eq!(calls, [external("ls"), function, external("ls"), external("cd")]);
}

#[test]
fn reading_stops_where_a_shell_would() {
    for (text, line, reason) in [
        ("a\nb 'c\nd", 2, "a single quote is not closed"),
        ("a\n\"b\n", 3, "a double quote is not closed"),
        ("a\nif b\n", 3, "the end of the text where `then` is due"),
        ("a\nfi\nb", 2, "`fi` where a command is due"),
        ("a ;; b", 1, "`;;` where a command is due"),
        ("a | \n| b", 2, "`|` where a command is due"),
        ("a >\nb", 1, "`>` without a target"),
        ("case x in y z) a;; esac", 1, "`z` where `)` is due"),
        ("a $(b", 1, "a substitution is not closed"),
        ("a\n`b", 2, "a backquote is not closed"),
        ("a ${b", 1, "a ${ is not closed"),
        ("a\n b\0c\n", 2, "a NUL byte, which no shell text holds"),
    ] {
        let found = read(text);
        let unread = Unread { line, reason: reason.to_owned() };
        assert_eq!(found.unread, Some(unread), "{text}");
        assert_eq!(found.goes_on, None);
    }
    assert_eq!(programs(&read("a; b\nc 'd")), ["a:1", "b:1"], "what came before is kept");
}

#[test]
fn limits_hold() {
    let reason = |text: String| read(&text).unread.map(|unread| unread.reason).unwrap_or_default();
    for open in ["(", "{ ", "$(", "\"$(", "${x:-", "<(", "a() ", "if ", "@(", "x=(a ", "[[ $("] {
        let text = open.repeat(MOST_TEXT / open.len());
        assert!(!reason(text).is_empty(), "{open}");
    }
    assert!(reason("(".repeat(200)).contains("nested deeper"));
    assert!(reason("a\n".repeat(MOST_COMMANDS + 1)).contains("commands"));
    assert!(reason("# long\n".repeat(MOST_TEXT)).contains("bytes of shell text"));
    let deep = format!("{}a{}", "(".repeat(DEEPEST), ")".repeat(DEEPEST));
    assert_eq!(read(&deep).unread, None);
}

/// In the manner of the entrypoints of the official images.
const ENTRYPOINT: &str = r#"#!/bin/sh
set -e

if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
	set -- server "$@"
fi

if [ "$1" = 'server' -a "$(id -u)" = '0' ]; then
	find . \! -user app -exec chown app '{}' +
	exec gosu app "$0" "$@"
fi
. /etc/defaults
envsubst < /etc/app.template > /etc/app.conf

exec "$@"
"#;

#[test]
fn an_entrypoint_is_understood() {
    let found = read(ENTRYPOINT);
    assert_eq!(found.unread, None);
    assert_eq!(programs(&found), ["id:8", "find:9", "gosu:10", "envsubst:13"]);
    assert_eq!(found.goes_on, Some(15));
    assert_eq!(found.arguments_set().collect::<Vec<_>>(), [(5, &b"server"[..])]);
    assert_eq!(found.sourced().collect::<Vec<_>>(), [(12, &literal("/etc/defaults"))]);
    let gosu = &found.list.iter().find(|command| command.line == 10).expect("gosu");
    assert!(gosu.is_exec());
    assert_eq!(gosu.arguments()[0], literal("app"));
}

#[test]
fn flipped_bytes_never_panic() {
    let hostile = b"'\"`$(){}[]<>|&;\\\n#~*!= \0\xff";
    for at in 0..ENTRYPOINT.len() {
        for byte in hostile {
            let mut text = ENTRYPOINT.as_bytes().to_vec();
            text[at] = *byte;
            let _ = commands(&text, Dialect::Bash);
            text.insert(at, *byte);
            let _ = commands(&text[..=at], Dialect::Posix);
        }
    }
}
