//! What the configuration of known applications asks of a user that is not root any more.

use std::sync::Arc;

use immut_core::apps::{App, Choice};
use immut_testkit::recipe::{LayerRecipe, Recipe};
use serde_json::json;

use super::bases::{app, debian_with};
use super::{Case, case};

/// Debian with a program, its configuration, and more.
fn image(
    program: &str,
    file: &str,
    text: &str,
    more: impl FnOnce(LayerRecipe) -> LayerRecipe,
) -> Recipe {
    let path = program.to_owned();
    debian_with(|layer| {
        more(layer.file(path, 0o755, app().bytes()).file(file, 0o644, text).dir("/tmp", 0o1777))
    })
    .env("PATH=/usr/sbin:/usr/bin:/bin")
}

const GLOBAL: &str = "global\n\tlog /dev/log\tlocal0\n\tchroot /var/lib/haproxy\n\n\tstats socket /run/haproxy/admin.sock mode 660\n\tuser haproxy\n\tgroup haproxy\n\tdaemon\n";

fn haproxy(file: &str, text: &str) -> Recipe {
    image("/usr/sbin/haproxy", file, text, |layer| layer.dir("/run/haproxy", 0o755))
}

fn nginx(text: &str, more: impl FnOnce(LayerRecipe) -> LayerRecipe) -> Recipe {
    let recipe = image("/usr/sbin/nginx", "/etc/nginx/nginx.conf", text, more);
    recipe.entrypoint(&["nginx", "-g", "daemon off;"])
}

const DEBIAN: &str = "user www-data;\npid /run/nginx.pid;\nerror_log /var/log/nginx/error.log;\nhttp {\n\taccess_log /var/log/nginx/access.log;\n}\n";

/// Debian's folders of nginx, the folder of logs with the links of the official image.
fn folders(layer: LayerRecipe) -> LayerRecipe {
    layer
        .dir("/run", 0o755)
        .dir("/dev", 0o755)
        .dir("/var/lib/nginx", 0o755)
        .symlink("/var/log/nginx/error.log", "/dev/stderr")
        .symlink("/var/log/nginx/access.log", "/dev/stdout")
}

fn redis(text: &str, words: &[&str]) -> Recipe {
    let folders =
        |layer: LayerRecipe| layer.dir("/run", 0o755).owned(999, 999).dir("/var/lib/redis", 0o750);
    image("/usr/bin/redis-server", "/etc/redis/redis.conf", text, folders).entrypoint(words)
}

const STARTED: &[&str] = &["redis-server", "/etc/redis/redis.conf"];

fn with_app(name: &'static str) -> impl FnOnce(&mut immut_core::Options) {
    move |options| {
        let app = App::named(name).expect("a profile").clone();
        options.choices.app = Some(Choice::This(Arc::new(app)));
    }
}

fn keeping(rule: &'static str) -> impl FnOnce(&mut immut_core::Options) {
    move |options| options.choices.profile.keep.push(rule.parse().expect("a keep"))
}

pub(super) fn cases() -> Vec<Case> {
    let cfg = "/etc/haproxy/haproxy.cfg";
    vec![
        case(
            "HAProxy with the configuration of a daemon that root starts",
            haproxy(cfg, GLOBAL).entrypoint(&["haproxy", "-W", "-db", "-f", cfg]),
        )
        .expect(
            r#"
            refused: /config/Entrypoint cannot start: `chroot /var/lib/haproxy` asks for root, which user 65532:65532 is not ["haproxy" -> /etc/haproxy/haproxy.cfg -> line 3: chroot /var/lib/haproxy]
            refused: /config/Entrypoint cannot start: `user haproxy` asks for root, which user 65532:65532 is not ["haproxy" -> /etc/haproxy/haproxy.cfg -> line 6: user haproxy]
            refused: /config/Entrypoint user 65532:65532 may not write to /run/haproxy (mode 0755, owner 0:0) ["haproxy" -> /etc/haproxy/haproxy.cfg -> line 5: stats socket /run/haproxy/admin.sock mode 660]
            "#,
        ),
        case(
            "the same with its folder named",
            haproxy(cfg, "global\n\tuser haproxy\n").entrypoint(&["haproxy", "-f", "/etc/haproxy"]),
        )
        .expect(
            r#"
            refused: /config/Entrypoint cannot start: `user haproxy` asks for root, which user 65532:65532 is not ["haproxy" -> /etc/haproxy/haproxy.cfg -> line 2: user haproxy]
            "#,
        ),
        case(
            "the same with its app profile",
            haproxy(cfg, GLOBAL).entrypoint(&["haproxy", "-W", "-db", "-f", cfg]),
        )
        .with(with_app("haproxy"))
        .expect(""),
        case(
            "the same in minimal, where a folder that an edited line named goes",
            haproxy(cfg, GLOBAL)
                .layer(|l| l.file("/var/lib/haproxy/x", 0o644, "x"))
                .entrypoint(&["haproxy", "-W", "-db", "-f", cfg]),
        )
        .with(|options| {
            options.choices.profile = crate::common::profile("minimal").choices.profile;
            with_app("haproxy")(options);
        })
        .asks(&["/var/lib/haproxy/x", "/etc/haproxy/haproxy.cfg"])
        .expect(
            r#"
            gone: /var/lib/haproxy/x
            stays: /etc/haproxy/haproxy.cfg
            "#,
        ),
        case(
            "an app profile that cannot edit what has another name",
            image("/usr/sbin/haproxy", cfg, "global\n\tuser haproxy\n", |layer| {
                layer.hardlink("/srv/copy.cfg", cfg)
            })
            .entrypoint(&["haproxy", "-f", cfg]),
        )
        .with(with_app("haproxy"))
        .expect(
            r#"
            refused: /config/Entrypoint cannot start: `user haproxy` asks for root, which user 65532:65532 is not ["haproxy" -> /etc/haproxy/haproxy.cfg -> line 2: user haproxy]
            note: app profile haproxy changes nothing in /etc/haproxy/haproxy.cfg: it has other names (hardlinks)
            "#,
        ),
        case(
            "the same where the caller knows better",
            haproxy(cfg, GLOBAL).entrypoint(&["haproxy", "-f", cfg]),
        )
        .with(keeping("rule:broken-start"))
        .expect(""),
        case("the same as root", haproxy(cfg, GLOBAL).entrypoint(&["haproxy", "-f", cfg]))
            .with(keeping("rule:root-user"))
            .works_without_a_shell(),
        case(
            "another configuration is named",
            haproxy(cfg, GLOBAL).entrypoint(&["haproxy", "-f", "/srv/haproxy.cfg"]),
        )
        .works_without_a_shell(),
        case("no configuration is named", haproxy(cfg, GLOBAL).entrypoint(&["haproxy", "-v"]))
            .works_without_a_shell(),
        case("accounts of the application's own", {
            let text = "global\n\tlog stdout\n\nuserlist admins\n  group all\n  user a password b\n";
            haproxy(cfg, text).entrypoint(&["haproxy", "-f", cfg])
        })
        .works_without_a_shell(),
        case("nginx with Debian's configuration", nginx(DEBIAN, folders)).expect(
            r#"
            refused: /config/Entrypoint user 65532:65532 may not write to /run (mode 0755, owner 0:0) ["nginx" -> /etc/nginx/nginx.conf -> line 2: pid /run/nginx.pid;]
            refused: /config/Entrypoint user 65532:65532 may not write to /var/lib/nginx (mode 0755, owner 0:0) ["nginx" -> /etc/nginx/nginx.conf -> app profile nginx]
            "#,
        ),
        case("nginx with folders for its logs", {
            nginx("error_log /var/log/nginx/e.log;\npid /var/run/nginx.pid;\n", |layer| {
                folders(layer).symlink("/var/run", "/run").dir("/var/log/nginx", 0o755)
            })
        })
        .expect(
            r#"
            refused: /config/Entrypoint user 65532:65532 may not write to /var/log/nginx (mode 0755, owner 0:0) ["nginx" -> /etc/nginx/nginx.conf -> line 1: error_log /var/log/nginx/e.log;]
            refused: /config/Entrypoint user 65532:65532 may not write to /run (mode 0755, owner 0:0) ["nginx" -> /etc/nginx/nginx.conf -> line 2: pid /var/run/nginx.pid;]
            refused: /config/Entrypoint user 65532:65532 may not write to /var/lib/nginx (mode 0755, owner 0:0) ["nginx" -> /etc/nginx/nginx.conf -> app profile nginx]
            "#,
        ),
        case("nginx with a configuration for any user", {
            nginx("pid /tmp/nginx.pid;\nclient_body_temp_path /tmp/body;\n", folders)
        })
        .works_without_a_shell(),
        case("nginx with all that in its words", {
            nginx("", folders)
                .entrypoint(&["nginx", "-g", "daemon off; client_body_temp_path /tmp/body;"])
        })
        .works_without_a_shell(),
        case("nginx with a configuration that is no text", {
            let text = b"pid /run/nginx.pid;\xff\n".as_slice();
            debian_with(|layer| {
                layer
                    .file("/usr/sbin/nginx", 0o755, app().bytes())
                    .file("/etc/nginx/nginx.conf", 0o644, text)
            })
            .entrypoint(&["/usr/sbin/nginx"])
        })
        .works_without_a_shell()
        .expect(
            r#"
            unseen: what /etc/nginx/nginx.conf asks of the user was not looked at: it is no text
            "#,
        ),
        case("nginx with a configuration from elsewhere", {
            nginx(DEBIAN, folders).entrypoint(&["nginx", "-c", "/config/nginx.conf"])
        })
        .works_without_a_shell(),
        case("nginx as a user who may", {
            nginx("pid /run/nginx/pid;\n", |layer| {
                layer.owned(33, 33).dir("/run/nginx", 0o755).dir("/var/lib/nginx", 0o700)
            })
            .user("www-data")
        })
        .works_without_a_shell(),
        case("nginx with folders that belong to the user then", {
            nginx("pid /run/nginx/pid;\n", |layer| {
                folders(layer).dir("/run/nginx", 0o755)
            })
            .config(|json| {
                json["config"]["Volumes"] = json!({ "/run/nginx": {}, "/var/lib/nginx": {} });
            })
        })
        .works_without_a_shell()
        .expect(
            r#"
            note: /run/nginx belongs to 65532:65532; a volume or a host folder that is there already keeps its owner until it is given away (chown -R 65532:65532)
            note: /var/lib/nginx belongs to 65532:65532; a volume or a host folder that is there already keeps its owner until it is given away (chown -R 65532:65532)
            "#,
        ),
        case("Redis with Debian's folders", {
            redis("dir /var/lib/redis\nlogfile /run/redis.log\n", STARTED)
        })
        .expect(
            r#"
            refused: /config/Entrypoint user 65532:65532 may not write to /var/lib/redis (mode 0750, owner 999:999) ["redis-server" -> /etc/redis/redis.conf -> line 1: dir /var/lib/redis]
            refused: /config/Entrypoint user 65532:65532 may not write to /run (mode 0755, owner 0:0) ["redis-server" -> /etc/redis/redis.conf -> line 2: logfile /run/redis.log]
            "#,
        ),
        case("the same with its app profile", {
            redis("dir /var/lib/redis\nlogfile /run/redis.log\n", STARTED)
        })
        .with(with_app("redis"))
        .expect(
            r#"
            note: /var/lib/redis belongs to 65532:65532; a volume or a host folder that is there already keeps its owner until it is given away (chown -R 65532:65532)
            "#,
        ),
        case("words that win over the configuration", {
            let words = [STARTED, &["--logfile", "", "--dir", "/tmp"]].concat();
            redis("dir /var/lib/redis\nlogfile /run/redis.log\n", &words)
        })
        .works_without_a_shell()
        .expect(
            r#"
            note: /etc/redis/redis.conf, line 1: dir /var/lib/redis: user 65532:65532 may not enter /var/lib/redis (mode 0750, owner 999:999); --writable /var/lib/redis (gives it to the user)
            "#,
        ),
        case("words that ask themselves", {
            redis("", &["redis-server", "--dir", "/var/lib/redis"])
        })
        .expect(
            r#"
            refused: /config/Entrypoint user 65532:65532 may not write to /var/lib/redis (mode 0750, owner 999:999) ["redis-server" -> "/var/lib/redis"]
            "#,
        ),
        case("httpd with variables of the config", {
            let text = "ErrorLog ${APACHE_LOG_DIR}/error.log\nPidFile ${APACHE_PID_FILE}\nCustomLog ${NOBODY}/access.log combined\n";
            image("/usr/sbin/apache2", "/etc/apache2/apache2.conf", text, |layer| {
                layer.dir("/var/log/apache2", 0o750).dir("/run", 0o755)
            })
            .env("PATH=/usr/sbin:/usr/bin:/bin")
            .env("APACHE_LOG_DIR=/var/log/apache2")
            .env("APACHE_PID_FILE=/tmp/apache2.pid")
            .entrypoint(&["apache2", "-DFOREGROUND"])
        })
        .expect(
            r#"
            refused: /config/Entrypoint user 65532:65532 may not write to /var/log/apache2 (mode 0750, owner 0:0) ["apache2" -> /etc/apache2/apache2.conf -> line 1: ErrorLog ${APACHE_LOG_DIR}/error.log]
            "#,
        ),
        case("httpd with logs in the folder of its root, as Red Hat has it", red_hat()).expect(
            r#"
            refused: /config/Entrypoint user 65532:65532 may not write to /var/log/httpd (mode 0700, owner 0:0) ["httpd" -> /etc/httpd/conf/httpd.conf -> line 2: ErrorLog "logs/error_log"]
            refused: /config/Entrypoint user 65532:65532 may not write to /run/httpd (mode 0755, owner 0:0) ["httpd" -> /etc/httpd/conf/httpd.conf -> app profile httpd]
            "#,
        ),
        case("the same with its app profile", red_hat())
            .with(with_app("httpd"))
            .works_without_a_shell()
            .expect(
                r#"
                Env ["PATH=/usr/local/bin:/usr/bin:/bin","PATH=/usr/sbin:/usr/bin:/bin","APACHE_LOCK_DIR=/run/apache2","APACHE_LOG_DIR=/var/log/apache2","APACHE_PID_FILE=/run/apache2/apache2.pid","APACHE_RUN_DIR=/run/apache2","APACHE_RUN_GROUP=www-data","APACHE_RUN_USER=www-data"]
                "#,
            ),
        case("OpenResty, which writes to its own folder by default", openresty()).expect(
            r#"
            refused: /config/Entrypoint user 65532:65532 may not write to /usr/local/openresty/nginx/logs (mode 0755, owner 0:0) ["openresty" -> /usr/local/openresty/nginx/conf/nginx.conf -> app profile nginx]
            "#,
        ),
        case("the same with its app profile", openresty())
            .with(with_app("nginx"))
            .works_without_a_shell(),
        case("Prometheus with the data of another user", {
            prometheus().user("root")
        })
        .expect(
            r#"
            refused: /config/Entrypoint user 65532:65532 may not write to /prometheus (mode 0755, owner 65534:65534) ["/bin/prometheus" -> "--storage.tsdb.path=/prometheus"]
            "#,
        ),
        case("Prometheus as its own user", prometheus().user("65534")).works_without_a_shell(),
    ]
}

fn red_hat() -> Recipe {
    let text = "ServerRoot \"/etc/httpd\"\nErrorLog \"logs/error_log\"\n";
    image("/usr/sbin/httpd", "/etc/httpd/conf/httpd.conf", text, |layer| {
        layer
            .dir("/run/httpd", 0o755)
            .dir("/var/log/httpd", 0o700)
            .symlink("/etc/httpd/logs", "../../var/log/httpd")
    })
    .entrypoint(&["httpd", "-DFOREGROUND"])
}

fn openresty() -> Recipe {
    let file = "/usr/local/openresty/nginx/conf/nginx.conf";
    let text = "#pid logs/nginx.pid;\nhttp {\n  client_body_temp_path /tmp/body;\n}\n";
    let program = "/usr/local/openresty/nginx/sbin/nginx";
    image(program, file, text, |layer| {
        layer.dir("/usr/local/openresty/nginx/logs", 0o755).symlink("/usr/bin/openresty", program)
    })
    .entrypoint(&["openresty", "-g", "daemon off;"])
}

fn prometheus() -> Recipe {
    image("/bin/prometheus", "/etc/prometheus.yml", "", |layer| {
        layer.owned(65534, 65534).dir("/prometheus", 0o755)
    })
    .entrypoint(&["/bin/prometheus", "--storage.tsdb.path=/prometheus"])
}
