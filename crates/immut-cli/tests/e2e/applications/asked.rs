//! What a configuration asks of a user that is not root: a refusal because of it is no false alarm.

use super::build::{Built, build};
use super::recipes;
use super::run::load;
use crate::common::{FOLDER, Podman, run};

/// nginx is refused for the line of its configuration, and hardened all the same it ends at once.
#[test]
fn an_image_that_is_refused_for_its_configuration_would_not_start() {
    let Some(podman) = Podman::find() else { return };
    let Some(built) = build(&recipes::NGINX) else { return };
    let layout = FOLDER.folder.join("asked");
    let (source, to) = (built.source(), format!("oci:{}:nginx", layout.display()));
    let harden = ["harden", &source, "--to", &to, "--no-sign"];
    let itself = ["--entrypoint", r#"["nginx"]"#, "--cmd", r#"["-g","daemon off;"]"#];
    let refused = run(&[&harden[..], &itself].concat()).code(4);
    refused.says(&["may not write to /run ", "pid /run/nginx.pid;", "--app nginx"]);
    run(&[&harden[..], &itself, &["--keep", "rule:broken-start"]].concat()).code(0);
    let made = Built::find(&layout, "nginx").expect("it was hardened");
    let image = load(&made.at).expect("skopeo");
    let start = ["run", "--rm", "--network=none", "--pull=never", "--log-driver=k8s-file", &image];
    podman.run(&start).code(1).says(&["[emerg]", "Permission denied"]);
}
