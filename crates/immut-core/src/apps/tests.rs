use super::*;

use super::text::is_match;

/// How a profile sees an image of these paths.
fn image(paths: &'static [&'static str]) -> impl Fn(&str) -> Vec<String> {
    |glob| {
        let here = paths.iter().filter(|path| is_match(glob, path));
        here.map(|&path| path.to_owned()).collect()
    }
}

fn app(name: &str) -> &'static App {
    App::named(name).expect("a profile of this name")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[test]
fn the_profiles_are_sorted() {
    assert!(App::builtin().is_sorted_by_key(|app| &app.name));
    for app in App::builtin() {
        let Recognise { programs, without, entrypoints, arguments, words, launchers } =
            &app.recognise;
        assert!(programs.is_sorted() && without.is_sorted(), "{}", app.name);
        for list in [entrypoints, arguments, words, launchers] {
            assert!(list.is_sorted(), "{}", app.name);
        }
        assert!(app.writable.is_sorted_by_key(|one| &one.path), "{}", app.name);
        assert!(app.edits.iter().all(|edit| edit.why.len() > 10), "{}", app.name);
    }
}

#[test]
fn a_start_is_recognised_by_script_or_word() {
    let image = image(&["/usr/sbin/nginx", "/usr/local/bin/redis-server"]);
    let sign = |name: &str, argv: &[&str]| app(name).recognises(&image, &words(argv));
    let itself = Some(Sign { words: 1, itself: true });
    let script = |words: usize| Some(Sign { words, itself: false });
    assert_eq!(sign("nginx", &["nginx", "-g", "daemon off;"]), itself);
    assert_eq!(sign("nginx", &["/docker-entrypoint.sh", "nginx"]), script(2));
    assert_eq!(sign("nginx", &["/docker-entrypoint.sh", "-v"]), script(1));
    assert_eq!(sign("nginx", &["/docker-entrypoint.sh"]), script(1));
    assert_eq!(sign("nginx", &["/docker-entrypoint.sh", "redis-server"]), None);
    assert_eq!(sign("nginx", &["redis-server"]), None);
    assert_eq!(sign("nginx", &[]), None);
    let redis = ["docker-entrypoint.sh", "redis-server"];
    assert_eq!(sign("redis", &redis), script(2));
    assert_eq!(sign("redis", &["docker-entrypoint.sh", "/etc/my.conf", "--save"]), script(1));
    assert_eq!(sign("redis", &["docker-entrypoint.sh", "my.configuration"]), None);
    assert_eq!(sign("nginx", &["/docker-entrypoint.sh", "/etc/my.conf"]), None);
    assert_eq!(sign("valkey", &redis), None);
    assert_eq!(sign("postgres", &redis), None);
}

#[test]
fn the_words_of_a_launcher_are_not_for_the_application() {
    let image = image(&["/usr/lib/postgresql/15/bin/postgres"]);
    let argv = words(&["pg_ctlcluster", "15", "main", "start", "--foreground"]);
    let sign = app("postgres").recognises(&image, &argv);
    assert_eq!(sign, Some(Sign { words: 5, itself: false }));
}

#[test]
fn a_server_of_mariadb_is_not_mysql() {
    let maria = image(&["/usr/sbin/mariadbd", "/usr/sbin/mysqld"]);
    assert!(app("mariadb").recognises(&maria, &words(&["mysqld"])).is_some());
    assert!(app("mysql").recognises(&maria, &words(&["mysqld"])).is_none());
    let mysql = image(&["/usr/sbin/mysqld"]);
    assert!(app("mysql").recognises(&mysql, &words(&["mysqld"])).is_some());
}

#[test]
fn the_start_follows_what_is_there() {
    let debian = image(&["/etc/redis/redis.conf", "/usr/bin/redis-cli", "/usr/bin/redis-server"]);
    let started = app("redis").started(&debian).expect("a start");
    assert_eq!(started.entrypoint, ["/usr/bin/redis-server"]);
    assert_eq!(started.cmd[0], "/etc/redis/redis.conf");
    assert_eq!(started.healthcheck, ["/usr/bin/redis-cli", "ping"]);
    let official = image(&["/usr/local/bin/redis-cli", "/usr/local/bin/redis-server"]);
    let started = app("redis").started(&official).expect("a start");
    assert_eq!(started.entrypoint, ["/usr/local/bin/redis-server"]);
    assert!(started.cmd.is_empty());
    assert_eq!(app("redis").started(&image(&[])), None);
}

#[test]
fn folders_are_those_there_and_those_made() {
    let image = image(&["/tmp", "/var/cache/nginx"]);
    let memory = app("haproxy").folders(&image);
    assert_eq!(memory, [("/run/haproxy".to_owned(), Mount::Tmpfs, true)]);
    let folders = app("nginx").folders(&image);
    let folders: Vec<_> = folders.iter().map(|(path, _, made)| (path.as_str(), *made)).collect();
    assert_eq!(folders, [("/tmp", false), ("/var/cache/nginx", false)]);
}

/// A text after all edits of a profile for its file.
fn edited(name: &str, file: &str, text: &str) -> String {
    let edits = app(name).edits.iter().filter(|edit| is_match(&edit.file, file));
    edits.fold(text.to_owned(), |text, edit| edit.apply(&text).expect("an edit").text)
}

#[test]
fn nginx_listens_above_1024() {
    let site = |text| edited("nginx", "/etc/nginx/sites-enabled/default", text);
    for (before, after) in [
        ("  listen 80;", "  listen 8080;"),
        ("\tlisten       80;", "\tlisten       8080;"),
        ("listen 80 default_server;", "listen 8080 default_server;"),
        ("listen [::]:80 default_server;", "listen [::]:8080 default_server;"),
        ("listen 127.0.0.1:80;", "listen 127.0.0.1:8080;"),
        ("listen 443 ssl;", "listen 8443 ssl;"),
        ("listen 8080;", "listen 8080;"),
        ("# listen 80;", "# listen 80;"),
        ("listen unix:/run/80;", "listen unix:/run/80;"),
    ] {
        assert_eq!(site(before), after);
    }
    let main = "user www-data;\npid /run/nginx.pid;\nerror_log /var/log/nginx/error.log notice;\n\taccess_log /var/log/nginx/access.log main;\n";
    assert_eq!(
        edited("nginx", "/etc/nginx/nginx.conf", main),
        "# user: the container's\npid /tmp/nginx.pid;\nerror_log stderr notice;\n\taccess_log /dev/stdout main;\n"
    );
}

#[test]
fn the_other_edits_match_the_packaged_files() {
    let ports = "Listen 80\n\n<IfModule ssl_module>\n\tListen 443\n</IfModule>\n";
    assert_eq!(
        edited("httpd", "/etc/apache2/ports.conf", ports),
        ports.replace("80", "8080").replace("443", "8443")
    );
    let pool = "user = www-data\nlisten = /run/php/php8.2-fpm.sock\nlisten.owner = www-data\npm = dynamic\n";
    assert_eq!(
        edited("php-fpm", "/etc/php/8.2/fpm/pool.d/www.conf", pool),
        ";user = www-data\nlisten = 9000\n;listen.owner = www-data\npm = dynamic\n"
    );
    let global =
        "global\n\tlog /dev/log\tlocal0\n\tchroot /var/lib/haproxy\n\tuser haproxy\n\tdaemon\n";
    assert_eq!(
        edited("haproxy", "/etc/haproxy/haproxy.cfg", global),
        "global\n\tlog stdout format raw\tlocal0\n\t# chroot /var/lib/haproxy\n\t# user haproxy\n\t# daemon\n"
    );
    assert_eq!(
        edited("postgres", "/etc/postgresql/15/main/postgresql.conf", "ssl = on\n"),
        "ssl = off\n"
    );
}

#[test]
fn openresty_writes_where_it_may() {
    let file = "/usr/local/openresty/nginx/conf/nginx.conf";
    let mut main = "# user nobody;\n#pid logs/nginx.pid;\nhttp {\n  listen 80;\n}\n".to_owned();
    let bodies = "http {\n    client_body_temp_path /tmp/client_body;\n    fastcgi_temp_path /tmp/fastcgi;\n    proxy_temp_path /tmp/proxy;\n    scgi_temp_path /tmp/scgi;\n    uwsgi_temp_path /tmp/uwsgi;";
    let expected = format!(
        "error_log stderr;\npid /tmp/nginx.pid;\n# user nobody;\n#pid logs/nginx.pid;\n{bodies}\n    access_log /dev/stdout;\n  listen 8080;\n}}\n"
    );
    for _ in 0..2 {
        main = edited("nginx", file, &main);
        assert_eq!(main, expected);
    }
    let own = "pid logs/nginx.pid;\nuser www;\nerror_log logs/error.log warn;\nhttp {\n  access_log logs/access.log main;\n}\n";
    assert_eq!(
        edited("nginx", file, own),
        format!(
            "pid /tmp/nginx.pid;\n# user: the container's\nerror_log stderr warn;\n{bodies}\n  access_log /dev/stdout main;\n}}\n"
        )
    );
}

#[test]
fn caddy_and_traefik_listen_above_1024() {
    let sites = |text| edited("caddy", "/etc/caddy/Caddyfile", text);
    for (before, after) in [
        (":80 {\n\tfile_server\n}\n", ":8080 {\n\tfile_server\n}\n"),
        (":80\nfile_server\n", ":8080\nfile_server\n"),
        ("http://:80, :81 {\n", "http://:8080, :81 {\n"),
        (":443 {\n", ":8443 {\n"),
        (":8000 {\n\treverse_proxy :80\n}\n", ":8000 {\n\treverse_proxy :80\n}\n"),
        ("# :80 {\n", "# :80 {\n"),
    ] {
        assert_eq!(sites(before), after);
    }
    let main = |text| edited("traefik", "/etc/traefik/traefik.yml", text);
    for (before, after) in [
        ("  web:\n    address: \":80\"\n", "  web:\n    address: \":8080\"\n"),
        ("    address: :443\n", "    address: :8443\n"),
        ("address = ':80/tcp'\n", "address = ':8080/tcp'\n"),
        ("    address: \":8000\"\n", "    address: \":8000\"\n"),
        ("    address: \"10.0.0.1:80\"\n", "    address: \"10.0.0.1:80\"\n"),
    ] {
        assert_eq!(main(before), after);
    }
}

#[test]
fn the_logs_of_apache_go_where_the_container_shows_them() {
    for (file, before, after) in [
        ("/etc/httpd/conf/httpd.conf", "ErrorLog \"logs/error_log\"\n", "ErrorLog /dev/stderr\n"),
        (
            "/etc/httpd/conf/httpd.conf",
            "    CustomLog \"logs/access_log\" combined\n",
            "    CustomLog /dev/stdout combined\n",
        ),
        (
            "/etc/httpd/conf.d/ssl.conf",
            "<VirtualHost _default_:443>\nTransferLog logs/ssl_access_log\n",
            "<VirtualHost _default_:8443>\nTransferLog /dev/stdout\n",
        ),
        ("/etc/apache2/httpd.conf", "ErrorLog logs/error.log\n", "ErrorLog /dev/stderr\n"),
        ("/etc/apache2/httpd.conf", "ErrorLog /srv/logs/a\n", "ErrorLog /srv/logs/a\n"),
    ] {
        assert_eq!(edited("httpd", file, before), after);
    }
}

#[test]
fn an_edit_counts_what_it_changes() {
    let logs = |edit: &&Edit| edit.find.to_string().contains("error_log");
    let edit = app("nginx").edits.iter().find(logs).expect("an edit of logs");
    let edited = edit.apply("error_log stderr;\nerror_log /var/log/x;\n").expect("an edit");
    assert_eq!((edited.count, edited.text.as_str()), (1, "error_log stderr;\nerror_log stderr;\n"));
}

#[test]
fn each_profile_moves_the_ports_that_its_edits_move() {
    for app in App::builtin() {
        let edits = app.edits.iter().filter_map(|edit| edit.port);
        for port in edits.chain(app.start.iter().filter_map(|start| start.port)) {
            assert!(app.ports.iter().any(|one| one.from == port), "{} {port}", app.name);
        }
    }
}

/// A profile of these parts; the first line is its name.
fn profile(name: &str, program: &str, word: &str, more: &str) -> Result<App, String> {
    let text = format!(
        "name = '{name}'\ntitle = 't'\n[recognise]\nprograms = ['{program}']\nwords = ['w']\n[[start]]\nwhen = ['/x']\ncmd = ['{word}']\n{more}"
    );
    text.parse().map_err(|error: toml::de::Error| error.to_string())
}

#[test]
fn bad_profiles_are_refused_with_the_line() {
    let edit =
        |find: &str| format!("[[edits]]\nfile = '/c'\nfind = '{find}'\nreplace = ''\nwhy = 'w'\n");
    assert_eq!(profile("a", "/x", "{0}", "").map(|app| app.name), Ok("a".to_owned()));
    for (bad, line, reason) in [
        (profile("A b", "/x", "", ""), 1, "no name of a profile"),
        (profile("auto", "/x", "", ""), 1, "not \"auto\""),
        (profile("a", "x", "", ""), 4, "no absolute path"),
        (profile("a", "/[", "", ""), 4, "no pattern"),
        (profile("a", "/x", "{1}", ""), 6, "its `when` does not have"),
        (profile("a", "/x", "", "unknown = 1"), 9, "unknown field `unknown`"),
        (profile("a", "/x", "", &edit("(")), 11, "cannot be searched for"),
        (profile("a", "/x", "", &edit("(((a{99}){99}){99}){99}")), 11, "cannot be searched for"),
        (profile("a", "/x", "", "[env]\n'A=B' = 'c'"), 9, "no name of a variable"),
        (
            "name = 'a'\ntitle = 't'\nstart = []"
                .parse()
                .map_err(|e: toml::de::Error| e.to_string()),
            3,
            "nothing is listed",
        ),
    ] {
        let error = bad.expect_err(reason);
        assert!(error.contains(reason), "{error}");
        assert!(error.contains(&format!("at line {line},")), "line {line}: {error}");
    }
}

#[test]
fn what_grows_too_large_is_not_edited() {
    let edit = |find: &str, replace: &str| Edit {
        file: "/c".to_owned().try_into().expect("a pattern"),
        find: find.to_owned().try_into().expect("a search"),
        replace: replace.to_owned(),
        unless: None,
        port: None,
        why: String::new(),
    };
    assert_eq!(edit("x", "y").apply(&"x".repeat(MOST_BYTES + 1)), None);
    assert_eq!(edit("x", "${0}y").apply(&"x".repeat(MOST_BYTES)), None);
    // An engine that goes back would try 2^30 ways here.
    let hostile = edit("(a+)+$", "b").apply(&format!("{}!", "a".repeat(30))).expect("an edit");
    assert_eq!(hostile.count, 0);
}
