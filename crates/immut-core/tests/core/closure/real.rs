//! Roots of real distributions.

use immut_testkit::recipe::{Encoding, Recipe};

use super::{Case, case};
use crate::common::{fixture, words};

/// An image of a recorded root; none where it is not here.
fn root(name: &str) -> Option<Recipe> {
    let tar = immut_testkit::fixtures::archive(&fixture("1-rootfs")?.join(name))?;
    Some(Recipe::new().tar_layer(Encoding::Gzip, tar).cmd(&["/bin/sh"]))
}

pub(super) fn cases() -> Vec<Case> {
    let alpine = root("alpine-minirootfs-3.20.3-x86_64.tar.gz");
    let busybox = root("busybox-latest-glibc-amd64.tar.gz");
    let alpine = alpine.map(of_alpine).unwrap_or_default();
    alpine.into_iter().chain(busybox.map(of_busybox).unwrap_or_default()).collect()
}

fn of_alpine(image: Recipe) -> Vec<Case> {
    vec![
        case("Alpine", image.clone()).expect(
            r#"
            refused: /config/Cmd needs /bin/busybox, which rule shell removes ["/bin/sh" -> /bin/sh (link) -> /bin/busybox]
            may need a shell: /bin/busybox can run a shell (popen)
            may need a shell: /bin/busybox can run a shell (system)
            "#,
        ),
        case("Alpine with an applet", image.clone().cmd(&["sleep", "infinity"])).expect(
            r#"
            refused: /config/Cmd needs /bin/busybox, which rule shell removes ["sleep" -> /bin/sleep (link) -> /bin/busybox]
            may need a shell: /bin/busybox can run a shell (popen)
            may need a shell: /bin/busybox can run a shell (system)
            "#,
        ),
        case("Alpine with a program of its own", image.clone().cmd(&["/sbin/ldconfig"])).expect(
            r#"
            refused: /config/Cmd needs /bin/busybox, which rule shell removes ["/sbin/ldconfig" -> /sbin/ldconfig -> #!/bin/sh -> /bin/sh (link) -> /bin/busybox]
            may need a shell: /bin/busybox can run a shell (popen)
            may need a shell: /bin/busybox can run a shell (system)
            may need a shell: /usr/bin/scanelf can run a shell (system)
            "#,
        ),
        case("Alpine with getent and an applet's name", image.cmd(&["getent", "passwd"]))
            .works_without_a_shell()
            .expect(
            r#"
            note: /config/Cmd: the argument "passwd" is the name of /usr/bin/passwd too, which goes
            "#,
        ),
    ]
}

fn of_busybox(image: Recipe) -> Vec<Case> {
    vec![
        case("busybox with a server that is an applet", image.clone().cmd(&["httpd", "-f"]))
            .expect(
            r#"
            refused: /config/Cmd needs /bin/httpd, which rule shell removes ["httpd" -> /bin/httpd]
            unseen: /config/Cmd: /bin/httpd has nothing of what it loads by name (apache-modules: modules and configuration of Apache httpd)
            may need a shell: /bin/httpd can run a shell (popen)
            may need a shell: /bin/httpd can run a shell (system)
            "#,
        ),
        case("busybox with getconf, which is a program", image.clone().cmd(&["getconf", "-a"]))
            .works_without_a_shell(),
        case("busybox with a chosen program", image)
            .with(|options| options.choices.cmd = words(&["getconf", "-a"]))
            .expect(
            r#"
            Cmd ["getconf","-a"]
            "#,
        ),
    ]
}
