//! The entrypoints of official images, read in place, against lists made by hand.

use std::collections::BTreeSet;

use immut_testkit::fixtures;

use super::super::{Commands, Dialect, commands};

/// The commands of a script; none if there are no fixtures.
fn fixture(path: &str) -> Option<Commands> {
    let path = fixtures::folder()?.join("5-dockerfiles").join(path);
    let found = commands(&std::fs::read(&path).expect("a fixture"), Dialect::Posix);
    assert_eq!(found.unread, None, "{}", path.display());
    Some(found)
}

fn programs(found: &Commands) -> Vec<String> {
    let names: BTreeSet<_> =
        found.external().map(|(_, name)| String::from_utf8_lossy(name).into_owned()).collect();
    names.into_iter().collect()
}

#[test]
fn redis() {
    for path in ["redis/7.2/debian/docker-entrypoint.sh", "redis/7.2/alpine/docker-entrypoint.sh"] {
        let Some(found) = fixture(path) else { return };
        assert_eq!(programs(&found), ["find", "gosu", "id"]);
        assert_eq!(found.goes_on, Some(24));
        assert_eq!(found.arguments_set().collect::<Vec<_>>(), [(7, &b"redis-server"[..])]);
    }
}

#[test]
fn node() {
    for path in
        ["node/22/bookworm-slim/docker-entrypoint.sh", "node/22/alpine3.23/docker-entrypoint.sh"]
    {
        let Some(found) = fixture(path) else { return };
        assert_eq!(programs(&found), Vec::<String>::new());
        assert_eq!(found.goes_on, Some(11));
        assert_eq!(found.arguments_set().collect::<Vec<_>>(), [(8, &b"node"[..])]);
    }
}

#[test]
fn nginx() {
    for image in ["nginx/mainline/debian", "nginx/mainline/alpine-slim"] {
        let Some(found) = fixture(&format!("{image}/docker-entrypoint.sh")) else { return };
        assert_eq!(programs(&found), ["/usr/bin/find", "find", "sort"]);
        let dynamic: Vec<_> = found.dynamic().map(|(line, _)| line).collect();
        assert_eq!(dynamic, [22, 31, 47], "`. $f`, `$f`, `exec $@`");
        assert_eq!(found.goes_on, Some(47));

        let Some(found) = fixture(&format!("{image}/10-listen-on-ipv6-by-default.sh")) else {
            return;
        };
        let expected =
            ["apk", "basename", "cut", "dpkg-query", "grep", "md5sum", "sed", "sha1sum", "touch"];
        assert_eq!(programs(&found), expected);
        assert_eq!(found.sourced().count(), 1);

        let Some(found) = fixture(&format!("{image}/20-envsubst-on-templates.sh")) else { return };
        let expected = [
            "awk", "basename", "cat", "date", "dirname", "envsubst", "find", "grep", "mkdir",
            "touch",
        ];
        assert_eq!(programs(&found), expected);

        let Some(found) = fixture(&format!("{image}/30-tune-worker-processes.sh")) else { return };
        let expected = [
            "basename", "cat", "cut", "date", "getconf", "grep", "head", "sed", "seq", "sort",
            "touch", "tr", "wc",
        ];
        assert_eq!(programs(&found), expected);
    }
}
