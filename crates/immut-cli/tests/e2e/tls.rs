//! Registries with a certificate of one's own authority, and registries without TLS.

use std::path::Path;
use std::process::Command;

use immut_testkit::peers;
use tempfile::tempdir;

use crate::common::{DockerRegistry, registry, run, small, text};

/// An authority, and a certificate of it for 127.0.0.1; none where openssl is not installed.
fn certificates(folder: &Path) -> Option<()> {
    let program = peers::require("openssl")?;
    let openssl = |arguments: &str| {
        let ran = Command::new(&program).args(arguments.split(' ')).current_dir(folder).output();
        let ran = ran.expect("run");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"));
    openssl(&format!("req -x509 {key} -keyout no.key -out no.pem -days 2 -subj /CN=nobody"));
    openssl(&format!(
        "req -x509 {key} -keyout key.pem -out cert.pem -days 2 -subj /CN=registry -CA ca.pem \
         -CAkey ca.key -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=CA:FALSE"
    ));
    Some(())
}

#[test]
fn a_certificate_of_an_authority_of_ones_own_is_trusted_with_ca() {
    let folder = tempdir().expect("a folder");
    let file = |name: &str| text(&folder.path().join(name)).to_owned();
    let Some(()) = certificates(folder.path()) else { return };
    let tls = Some((file("cert.pem"), file("key.pem")));
    let Some(there) = DockerRegistry::start("tls", tls) else { return };
    let image = small().write(&folder.path().join("image"));
    let (from, to) =
        (format!("oci:{}@{}", file("image"), image.digest), format!("{}/demo/tls:v1", there.host));
    let harden = |ca: &str| {
        run(&["harden", from.as_str(), "--to", to.as_str(), "--no-sign", "--ca", file(ca).as_str()])
    };

    // An authority that did not sign it is none, and the connection is not made without TLS.
    let wrong = harden("no.pem").code(5).says(&["certificate", "pass --ca FILE", &there.host]);
    assert_eq!(wrong.stdout, "");
    let pinned = harden("ca.pem").code(0).line().to_owned();
    assert!(pinned.starts_with(&format!("{}/demo/tls@sha256:", there.host)), "{pinned}");
    run(&["audit", pinned.as_str(), "--ca", file("ca.pem").as_str()]).code(0);
    run(&["audit", pinned.as_str(), "--ca", file("no.pem").as_str()]).code(5);
    run(&["audit", pinned.as_str(), "--ca", file("key.pem").as_str()])
        .code(2)
        .says(&["no certificate in PEM"]);
    run(&["audit", pinned.as_str(), "--ca", "/no/such/file"]).code(7).says(&["/no/such/file"]);
}

#[test]
fn plain_http_is_spoken_where_it_is_allowed_and_nowhere_else() {
    let folder = tempdir().expect("a folder");
    let file = |name: &str| text(&folder.path().join(name)).to_owned();
    let Some(()) = certificates(folder.path()) else { return };
    let Some(there) = registry() else { return };
    let image = small().write(&folder.path().join("image"));
    let (from, to) = (
        format!("oci:{}@{}", file("image"), image.digest),
        format!("{}/demo/plain:v1", there.host),
    );
    // Who names an authority means TLS, on this machine too.
    let ca = file("ca.pem");
    let base = ["harden", from.as_str(), "--to", to.as_str(), "--no-sign", "--ca", ca.as_str()];
    let hint = format!("pass --insecure-registry {}", there.host);
    run(&base).code(5).says(&[&hint]);
    assert!(!there.has("demo/plain"));

    let elsewhere = [&base[..], &["--insecure-registry", "127.0.0.1:1"]].concat();
    run(&elsewhere).code(5).says(&[&hint]);
    assert!(!there.has("demo/plain"));
    let allowed = [&base[..], &["--insecure-registry", there.host.as_str()]].concat();
    let pinned = run(&allowed).code(0).line().to_owned();
    assert!(pinned.contains("/demo/plain@sha256:"), "{pinned}");
}
