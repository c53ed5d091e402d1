use super::*;

/// An image of these paths, without packages.
struct Paths(Vec<&'static str>);

impl Look for Paths {
    fn matches(&self, glob: &str) -> Vec<String> {
        let here = |path: &&&str| is_match(glob, path);
        self.0.iter().filter(here).map(|&path| path.to_owned()).collect()
    }

    fn has_package(&self, _: &str) -> bool {
        false
    }
}

fn app(name: &str) -> &'static App {
    App::builtin().iter().find(|app| app.name == name).expect("a profile of this name")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[test]
fn the_profiles_are_sorted() {
    assert!(App::builtin().is_sorted_by_key(|app| &app.name));
    for app in App::builtin() {
        assert!(app.recognise.words.is_sorted(), "{}", app.name);
        assert!(app.recognise.packages.is_sorted(), "{}", app.name);
        assert!(app.writable.is_sorted_by_key(|one| &one.path), "{}", app.name);
        assert!(app.edits.iter().all(|edit| edit.why.len() > 10), "{}", app.name);
    }
}

#[test]
fn a_start_is_recognised_by_script_or_word() {
    let image = Paths(vec!["/usr/sbin/nginx", "/usr/local/bin/redis-server"]);
    let nginx = |argv: &[&str]| app("nginx").recognises(&image, &words(argv));
    assert!(nginx(&["nginx", "-g", "daemon off;"]));
    assert!(nginx(&["/docker-entrypoint.sh", "nginx"]));
    assert!(nginx(&["/docker-entrypoint.sh", "-v"]));
    assert!(!nginx(&["/docker-entrypoint.sh", "redis-server"]));
    assert!(!nginx(&["redis-server"]));
    assert!(!nginx(&[]));
    let redis = words(&["docker-entrypoint.sh", "redis-server"]);
    assert!(app("redis").recognises(&image, &redis));
    assert!(!app("valkey").recognises(&image, &redis));
    assert!(!app("postgres").recognises(&image, &redis));
}

#[test]
fn the_start_follows_what_is_there() {
    let debian =
        Paths(vec!["/etc/redis/redis.conf", "/usr/bin/redis-cli", "/usr/bin/redis-server"]);
    let started = app("redis").started(&debian).expect("a start");
    assert_eq!(started.entrypoint, ["/usr/bin/redis-server"]);
    assert_eq!(started.cmd[0], "/etc/redis/redis.conf");
    assert_eq!(started.healthcheck, ["/usr/bin/redis-cli", "ping"]);
    let official = Paths(vec!["/usr/local/bin/redis-cli", "/usr/local/bin/redis-server"]);
    let started = app("redis").started(&official).expect("a start");
    assert_eq!(started.entrypoint, ["/usr/local/bin/redis-server"]);
    assert!(started.cmd.is_empty());
    assert_eq!(app("redis").started(&Paths(vec![])), None);
}

#[test]
fn folders_are_those_there_and_those_made() {
    let image = Paths(vec!["/var/cache/nginx"]);
    let folders = app("nginx").folders(&image);
    let paths: Vec<_> = folders.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["/run", "/tmp", "/var/cache/nginx"]);
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
    let main = "user www-data;\nerror_log /var/log/nginx/error.log notice;\n\taccess_log /var/log/nginx/access.log main;\n";
    assert_eq!(
        edited("nginx", "/etc/nginx/nginx.conf", main),
        "# user: the container's\nerror_log stderr notice;\n\taccess_log /dev/stdout main;\n"
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
fn bad_profiles_are_refused() {
    let profile = |name: &str, program: &str, word: &str| {
        format!(
            "name='{name}'\ntitle='t'\n[recognise]\nprograms=['{program}']\nwords=['w']\n[[start]]\nwhen=['/x']\ncmd=['{word}']\n"
        )
    };
    assert!(App::parse(&profile("a", "/x", "{0}")).is_ok());
    assert!(matches!(App::parse(&profile("A b", "/x", "")), Err(Error::Name(_))));
    assert!(matches!(App::parse(&profile("a", "x", "")), Err(Error::Pattern(_))));
    assert!(matches!(App::parse(&profile("a", "/x", "{1}")), Err(Error::Placeholder(_))));
    assert!(matches!(App::parse("name='a'\nunknown=1"), Err(Error::Toml(_))));
}
