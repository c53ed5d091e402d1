//! Each built-in profile and a small image of the layout that it is for.

use immut_core::apps::App;
use immut_testkit::recipe::Recipe;
use serde_json::json;

use super::{config_of, program, scripted, with};
use crate::common::Scene;

/// A profile, files of its image, its entrypoint and cmd, and the start that comes of it.
struct Image {
    app: &'static str,
    programs: &'static [&'static str],
    files: &'static [&'static str],
    entrypoint: &'static [&'static str],
    cmd: &'static [&'static str],
    start: &'static [&'static str],
}

const SCRIPT: &[&str] = &["docker-entrypoint.sh"];

const IMAGES: [Image; 26] = [
    Image {
        app: "caddy",
        programs: &["/usr/bin/caddy"],
        files: &["/etc/caddy/Caddyfile"],
        entrypoint: &[],
        cmd: &["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"],
        start: &["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"],
    },
    Image {
        app: "grafana",
        programs: &["/usr/share/grafana/bin/grafana"],
        files: &["/etc/grafana/grafana.ini"],
        entrypoint: &["/run.sh"],
        cmd: &[],
        start: &[
            "/usr/share/grafana/bin/grafana",
            "server",
            "--homepath=/usr/share/grafana",
            "--config=/etc/grafana/grafana.ini",
            "--packaging=docker",
            "cfg:default.log.mode=console",
            "cfg:default.paths.data=/var/lib/grafana",
            "cfg:default.paths.logs=/var/log/grafana",
            "cfg:default.paths.plugins=/var/lib/grafana/plugins",
            "cfg:default.paths.provisioning=/etc/grafana/provisioning",
        ],
    },
    Image {
        app: "grafana",
        programs: &["/usr/share/grafana/bin/grafana-server"],
        files: &["/etc/grafana/grafana.ini"],
        entrypoint: &["/run.sh"],
        cmd: &["--verbose"],
        start: &[
            "/usr/share/grafana/bin/grafana-server",
            "--homepath=/usr/share/grafana",
            "--config=/etc/grafana/grafana.ini",
            "--packaging=docker",
            "cfg:default.log.mode=console",
            "cfg:default.paths.data=/var/lib/grafana",
            "cfg:default.paths.logs=/var/log/grafana",
            "cfg:default.paths.plugins=/var/lib/grafana/plugins",
            "cfg:default.paths.provisioning=/etc/grafana/provisioning",
            "--verbose",
        ],
    },
    Image {
        app: "haproxy",
        programs: &["/usr/local/sbin/haproxy"],
        files: &["/usr/local/etc/haproxy/haproxy.cfg"],
        entrypoint: SCRIPT,
        cmd: &["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"],
        start: &[
            "/usr/local/sbin/haproxy",
            "-W",
            "-db",
            "-f",
            "/usr/local/etc/haproxy/haproxy.cfg",
        ],
    },
    Image {
        app: "httpd",
        programs: &["/usr/local/apache2/bin/httpd"],
        files: &["/usr/local/apache2/conf/httpd.conf"],
        entrypoint: &[],
        cmd: &["httpd-foreground"],
        start: &["/usr/local/apache2/bin/httpd", "-DFOREGROUND"],
    },
    Image {
        app: "httpd",
        programs: &["/usr/sbin/apache2"],
        files: &["/etc/apache2/apache2.conf"],
        entrypoint: &[],
        cmd: &["apache2ctl", "-D", "FOREGROUND"],
        start: &["/usr/sbin/apache2", "-DFOREGROUND", "-E", "/dev/stderr", "-D", "FOREGROUND"],
    },
    Image {
        app: "httpd",
        programs: &["/usr/sbin/apache2"],
        files: &["/etc/apache2/apache2.conf"],
        entrypoint: &["docker-php-entrypoint"],
        cmd: &["apache2-foreground"],
        start: &["/usr/sbin/apache2", "-DFOREGROUND", "-E", "/dev/stderr"],
    },
    Image {
        app: "jvm",
        programs: &["/opt/java/openjdk/bin/java"],
        files: &["/app.jar"],
        entrypoint: &["/__cacert_entrypoint.sh"],
        cmd: &["java", "-jar", "/app.jar"],
        start: &["/opt/java/openjdk/bin/java", "-jar", "/app.jar"],
    },
    Image {
        app: "mariadb",
        programs: &["/usr/sbin/mariadbd", "/usr/bin/mariadb-admin"],
        files: &[],
        entrypoint: SCRIPT,
        cmd: &["mariadbd"],
        start: &["/usr/sbin/mariadbd", "--user="],
    },
    Image {
        app: "memcached",
        programs: &["/usr/local/bin/memcached"],
        files: &[],
        entrypoint: SCRIPT,
        cmd: &["memcached"],
        start: &["/usr/local/bin/memcached"],
    },
    Image {
        app: "mysql",
        programs: &["/usr/sbin/mysqld"],
        files: &[],
        entrypoint: SCRIPT,
        cmd: &["mysqld"],
        start: &["/usr/sbin/mysqld", "--user="],
    },
    Image {
        app: "nginx",
        programs: &["/usr/sbin/nginx"],
        files: &["/etc/nginx/nginx.conf"],
        entrypoint: &["/docker-entrypoint.sh"],
        cmd: &["nginx", "-g", "daemon off;"],
        start: &["/usr/sbin/nginx", "-g", "daemon off;"],
    },
    Image {
        app: "nginx",
        programs: &["/usr/local/openresty/nginx/sbin/nginx"],
        files: &["/usr/local/openresty/nginx/conf/nginx.conf"],
        entrypoint: &[],
        cmd: &["/usr/local/openresty/bin/openresty", "-g", "daemon off;"],
        start: &["/usr/local/openresty/bin/openresty", "-g", "daemon off;"],
    },
    Image {
        app: "node",
        programs: &["/usr/local/bin/node"],
        files: &["/app.js"],
        entrypoint: SCRIPT,
        cmd: &["node", "/app.js"],
        start: &["/usr/local/bin/node", "/app.js"],
    },
    Image {
        app: "php-fpm",
        programs: &["/usr/local/sbin/php-fpm"],
        files: &["/usr/local/etc/php-fpm.d/www.conf"],
        entrypoint: &["docker-php-entrypoint"],
        cmd: &["php-fpm"],
        start: &["/usr/local/sbin/php-fpm", "--nodaemonize"],
    },
    Image {
        app: "postgres",
        programs: &["/usr/lib/postgresql/17/bin/postgres"],
        files: &[],
        entrypoint: SCRIPT,
        cmd: &["postgres"],
        start: &["/usr/lib/postgresql/17/bin/postgres"],
    },
    Image {
        app: "postgres",
        programs: &["/usr/lib/postgresql/15/bin/postgres", "/usr/lib/postgresql/15/bin/pg_isready"],
        files: &["/etc/postgresql/15/main/postgresql.conf"],
        entrypoint: &[],
        cmd: &["pg_ctlcluster", "15", "main", "start", "--foreground"],
        start: &["/usr/lib/postgresql/15/bin/postgres", "-D", "/etc/postgresql/15/main"],
    },
    Image {
        app: "prometheus",
        programs: &["/bin/prometheus"],
        files: &["/etc/prometheus/prometheus.yml"],
        entrypoint: &["/bin/prometheus"],
        cmd: &["--config.file=/etc/prometheus/prometheus.yml"],
        start: &["/bin/prometheus", "--config.file=/etc/prometheus/prometheus.yml"],
    },
    Image {
        app: "python",
        programs: &["/usr/local/bin/python3"],
        files: &["/app.py"],
        entrypoint: &[],
        cmd: &["python3", "/app.py"],
        start: &["python3", "/app.py"],
    },
    Image {
        app: "rabbitmq",
        programs: &["/opt/rabbitmq/sbin/rabbitmq-server"],
        files: &[],
        entrypoint: SCRIPT,
        cmd: &["rabbitmq-server"],
        start: &["/opt/rabbitmq/sbin/rabbitmq-server"],
    },
    Image {
        app: "redis",
        programs: &["/usr/local/bin/redis-server"],
        files: &[],
        entrypoint: SCRIPT,
        cmd: &["redis-server"],
        start: &["/usr/local/bin/redis-server"],
    },
    Image {
        app: "redis",
        programs: &["/usr/local/bin/redis-server"],
        files: &["/my.conf"],
        entrypoint: SCRIPT,
        cmd: &["/my.conf"],
        start: &["/usr/local/bin/redis-server", "/my.conf"],
    },
    Image {
        app: "redis",
        programs: &["/usr/bin/redis-server", "/usr/bin/redis-cli"],
        files: &["/etc/redis/redis.conf"],
        entrypoint: SCRIPT,
        cmd: &["redis-server"],
        start: &[
            "/usr/bin/redis-server",
            "/etc/redis/redis.conf",
            "--daemonize",
            "no",
            "--logfile",
            "",
            "--pidfile",
            "",
        ],
    },
    Image {
        app: "traefik",
        programs: &["/usr/local/bin/traefik"],
        files: &[],
        entrypoint: &["/entrypoint.sh"],
        cmd: &["traefik"],
        start: &["/usr/local/bin/traefik", "--entryPoints.http.address=:8080"],
    },
    Image {
        app: "traefik",
        programs: &["/usr/local/bin/traefik"],
        files: &["/etc/traefik/traefik.yml"],
        entrypoint: &["/entrypoint.sh"],
        cmd: &["traefik"],
        start: &["/usr/local/bin/traefik"],
    },
    Image {
        app: "valkey",
        programs: &["/usr/local/bin/valkey-server"],
        files: &[],
        entrypoint: SCRIPT,
        cmd: &["valkey-server"],
        start: &["/usr/local/bin/valkey-server"],
    },
];

impl Image {
    fn recipe(&self) -> Recipe {
        let script = "#!/bin/bash\nexec \"$@\"\n";
        let starts = ["/usr/local/bin/docker-php-entrypoint", "/docker-entrypoint.sh", "/run.sh"];
        let more = ["/entrypoint.sh", "/__cacert_entrypoint.sh", "/usr/bin/apache2ctl"];
        let last = ["/usr/bin/pg_ctlcluster", "/usr/local/bin/httpd-foreground"];
        scripted("/bin/other", self.cmd)
            .layer(|l| {
                let l = self.programs.iter().fold(l, |l, path| program(l, path));
                let text = |path: &str| {
                    if path.ends_with("/nginx.conf") { "http {\n}\n" } else { "# empty\n" }
                };
                let l = self.files.iter().fold(l, |l, path| l.file(path, 0o644, text(path)));
                let l = l.symlink(
                    "/usr/local/openresty/bin/openresty",
                    "/usr/local/openresty/nginx/sbin/nginx",
                );
                let scripts = starts.iter().chain(&more).chain(&last);
                scripts.fold(l, |l, path| l.file(path, 0o755, script))
            })
            .entrypoint(self.entrypoint)
    }
}

#[test]
fn each_profile_recognises_its_image_and_no_other() {
    for image in IMAGES {
        let recipe = image.recipe();
        let config = config_of(&recipe, &with("auto"));
        let start: Vec<_> = ["Entrypoint", "Cmd"]
            .iter()
            .flat_map(|field| config[field].as_array().cloned().unwrap_or_default())
            .collect();
        assert_eq!(json!(start), json!(image.start), "{}", image.app);
        let plan = Scene::of(&recipe).plan(&with("auto")).plan;
        assert_eq!(plan.app.expect("a profile").name, image.app);
        for other in App::builtin().iter().filter(|app| app.name != image.app) {
            let plans = Scene::of(&recipe).plans(&with(&other.name));
            assert!(plans.is_err(), "{} is taken for {}", image.app, other.name);
        }
    }
    for app in App::builtin() {
        assert!(IMAGES.iter().any(|image| image.app == app.name), "no image for {}", app.name);
    }
}
