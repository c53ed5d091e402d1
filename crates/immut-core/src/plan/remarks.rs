//! What somebody who uses the image has to know of its config, whatever becomes of its files.

use serde::Deserialize;

use super::drops::Draft;
use super::user::PlannedUser;
use crate::image::{Family, Healthcheck, Manifest};
use crate::needs::Look;
use crate::path::lossy;
use crate::user::UserId;

/// Remarks on parts of the config that do not start the image everywhere.
pub(super) fn remarks(
    manifest: &Manifest,
    draft: &Draft<'_>,
    look: &Look<'_>,
    user: &PlannedUser,
) -> Vec<String> {
    let check = manifest.family() == Family::Oci && look.config.healthcheck() != Healthcheck::None;
    let check = check.then(|| {
        "the health check stays, but only Docker runs that of an image in OCI's format; Podman and \
         Kubernetes need a probe of their own"
            .to_owned()
    });
    let builds = shell_goes(draft, look) && runs_in_shell(look);
    let builds = builds.then(|| {
        "builds from this image run commands in a shell (OnBuild), which is no longer there"
            .to_owned()
    });
    let ports = user.id.filter(|user| user.uid != 0).and_then(|user| low_ports(look, user));
    check.into_iter().chain(builds).chain(ports).collect()
}

/// Ports that only root may listen on in most places.
fn low_ports(look: &Look<'_>, user: UserId) -> Option<String> {
    let ports = look.config.low_ports();
    let listed = ports.iter().take(MOST_PORTS).map(|port| lossy(port.as_bytes()));
    let listed = listed.collect::<Vec<_>>().join(", ");
    (!ports.is_empty()).then(|| {
        format!(
            "it exposes {listed}: user {user} may listen below 1024 only where \
             net.ipv4.ip_unprivileged_port_start of the container allows it; else the application \
             has to listen elsewhere, which an app profile (--app) sees to"
        )
    })
}

/// The most ports that are listed.
const MOST_PORTS: usize = 5;

/// Whether a step for builds from the image is a `RUN` of the shell form.
fn runs_in_shell(look: &Look<'_>) -> bool {
    let steps =
        look.config.inner("OnBuild").and_then(|steps| Vec::<String>::deserialize(steps).ok());
    let shell_form = |step: &String| {
        let step = step.trim_start();
        let (word, rest) = step.split_once(char::is_whitespace).unwrap_or((step, ""));
        word.eq_ignore_ascii_case("run") && !rest.trim_start().starts_with('[')
    };
    steps.unwrap_or_default().iter().any(shell_form)
}

fn shell_goes(draft: &Draft<'_>, look: &Look<'_>) -> bool {
    let shell = look.config.shell();
    let path = shell.first().and_then(|word| look.executable(word));
    path.is_some_and(|path| draft.removes_way(&path))
}
