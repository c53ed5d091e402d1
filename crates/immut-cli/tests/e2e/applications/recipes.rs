//! The applications: what they are made of is in `recipes/`, what is expected of them is here.

use super::run::Question::{self, Client, Http, Words};

/// An application, and what is expected of it.
#[derive(Debug)]
pub(super) struct App {
    /// Its folder in `recipes/`, and its name.
    pub(super) name: &'static str,
    /// What it is, for the page.
    pub(super) what: &'static str,
    /// The folder of the fixtures with files that are read in place.
    pub(super) official: Option<&'static str>,
    /// Whether that folder has the archive of a root, which only a build's own folder may have.
    pub(super) unpacks: bool,
    /// The packages of which the page says the version.
    pub(super) packages: &'static [&'static str],
    /// What hardening it without more words says; none if it goes.
    pub(super) refused: Option<Refused>,
    /// The arguments that it is hardened with.
    pub(super) with: &'static [&'static str],
    /// What it is asked before it is hardened, and after.
    pub(super) before: Question,
    /// The same after: a port below 1024 has moved.
    pub(super) after: Question,
    /// What it must find in a volume.
    pub(super) data: Option<Data>,
}

/// A volume that is filled beforehand.
#[derive(Debug)]
pub(super) struct Data {
    /// Where it is mounted.
    pub(super) path: &'static str,
    /// What fills it, run in the image that is not hardened.
    pub(super) made_by: &'static [&'static str],
}

/// How hardening it without more words is refused.
#[derive(Debug)]
pub(super) struct Refused {
    /// Why, as the refusal says it.
    pub(super) why: &'static str,
    /// What is suggested.
    pub(super) suggests: &'static str,
}

const PLAIN: App = App {
    name: "",
    what: "",
    official: None,
    unpacks: false,
    packages: &[],
    refused: None,
    with: &[],
    before: Http { port: 8080, says: "" },
    after: Http { port: 8080, says: "" },
    data: None,
};

/// Redis behind the official image's script.
pub(super) const REDIS: App = App {
    name: "redis",
    what: "Redis, the official image's script",
    official: Some("5-dockerfiles/redis/7.2/debian"),
    packages: &["redis-server"],
    refused: Some(Refused { why: "#!/bin/sh", suggests: "--app redis" }),
    with: &["--app", "auto"],
    before: PING,
    after: PING,
    ..PLAIN
};

const PING: Question = Words { port: 6379, words: "PING\r\nQUIT\r\n", says: "+PONG" };

/// nginx behind the official image's scripts, on a port below 1024.
pub(super) const NGINX: App = App {
    name: "nginx",
    what: "nginx, the official image's scripts",
    official: Some("5-dockerfiles/nginx/mainline/debian"),
    packages: &["nginx"],
    refused: Some(Refused { why: "#!/bin/sh", suggests: "--app nginx" }),
    with: &["--app", "auto"],
    before: Http { port: 80, says: "Welcome to nginx" },
    after: Http { port: 8080, says: "Welcome to nginx" },
    ..PLAIN
};

/// A web application in Python with extensions in C, started by a shell.
pub(super) const PYTHON: App = App {
    name: "python",
    what: "Flask behind Gunicorn, `CMD` of the shell form",
    packages: &["python3", "python3-flask", "gunicorn"],
    with: &["--writable", "/tmp"],
    before: ESCAPED,
    after: ESCAPED,
    ..PLAIN
};

const ESCAPED: Question = Http { port: 8000, says: "&lt; 42 OpenSSL" };

/// A program that needs nothing, on Alpine.
pub(super) const ALPINE: App = App {
    name: "alpine",
    what: "a static program on Alpine 3.20",
    official: Some("1-rootfs"),
    unpacks: true,
    before: STATIC,
    after: STATIC,
    ..PLAIN
};

/// A program that needs nothing, on busybox, started by a shell.
pub(super) const BUSYBOX: App = App {
    name: "busybox",
    what: "a static program on busybox, `CMD` of the shell form",
    official: Some("1-rootfs"),
    unpacks: true,
    before: STATIC,
    after: STATIC,
    ..PLAIN
};

const STATIC: Question = Http { port: 8080, says: "static" };

/// `PostgreSQL` on data that was initialised before.
pub(super) const POSTGRES: App = App {
    name: "postgres",
    what: "PostgreSQL, its data initialised before",
    packages: &["postgresql-15"],
    with: &["--app", "postgres"],
    before: SELECT,
    after: SELECT,
    data: Some(Data {
        path: "/var/lib/postgresql/data",
        made_by: &["initdb", "--auth=trust", "--locale=C.UTF-8", "--no-sync"],
    }),
    ..PLAIN
};

const SELECT: Question = Client {
    words: &["psql", "-h", "127.0.0.1", "-U", "postgres", "-tAc", "SELECT 6 * 7"],
    says: "42",
};

/// memcached as the package has it.
pub(super) const MEMCACHED: App = App {
    name: "memcached",
    what: "memcached",
    packages: &["memcached"],
    before: STATS,
    after: STATS,
    ..PLAIN
};

const STATS: Question = Words { port: 11211, words: "stats\r\nquit\r\n", says: "STAT version 1." };

/// `HAProxy` with the package's configuration, which is for a daemon that root starts.
pub(super) const HAPROXY: App = App {
    name: "haproxy",
    what: "HAProxy, Debian's configuration",
    packages: &["haproxy"],
    refused: Some(Refused { why: "asks for root", suggests: "--app haproxy" }),
    with: &["--app", "auto"],
    before: PAGE,
    after: PAGE,
    ..PLAIN
};

const PAGE: Question = Http { port: 8404, says: "haproxy answers" };

/// A web application for Node behind the official image's script.
pub(super) const NODE: App = App {
    name: "node",
    what: "Express on Node.js, the official image's script",
    official: Some("5-dockerfiles/node/22/bookworm-slim"),
    packages: &["nodejs", "node-express"],
    refused: Some(Refused { why: "#!/bin/sh", suggests: "--app node" }),
    with: &["--app", "auto"],
    before: HASHED,
    after: HASHED,
    ..PLAIN
};

const HASHED: Question =
    Http { port: 3000, says: "545ea538461003efdc8c81c244531b003f6f26cfccf6c0073b3239fdedf49446" };

/// A web application in Java.
pub(super) const JVM: App = App {
    name: "jvm",
    what: "a class on OpenJDK",
    packages: &["openjdk-17-jre-headless"],
    before: DIGESTED,
    after: DIGESTED,
    ..PLAIN
};

const DIGESTED: Question =
    Http { port: 8080, says: "729d78e34a7c829161d235a841c1cb1ba15aad4e192b20da95734323829fb44f" };
