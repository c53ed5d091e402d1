//! Against programs that nobody here wrote: the distribution project's registry.

use std::fs;
use std::io::{self, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use immut_core::image::Descriptor;
use immut_core::name::{Digest, Repository};
use immut_core::store::{Registry, RegistryOptions, Sink, Source, copy_blob, read_small};
use immut_testkit::{peers, registry as testkit};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::{about, blob, connect, content, manifest, put, quick};

/// A running `docker-registry`; ended by its process id when dropped.
struct DockerRegistry {
    child: Child,
    host: String,
    folder: TempDir,
}

impl DockerRegistry {
    /// None, with a word about it, where the program is not installed.
    fn start(tls: Option<&dyn Fn(&Path)>) -> Option<Self> {
        let program = peers::require("docker-registry")?;
        if tls.is_some() {
            peers::require("openssl")?;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let host = port.expect("a free port").to_string();
        let mut http = json!({ "addr": host });
        if let Some(make) = tls {
            make(folder.path());
            let file = |name: &str| folder.path().join(name).display().to_string();
            http["tls"] = json!({ "certificate": file("cert.pem"), "key": file("key.pem") });
        }
        let storage = json!({
            "filesystem": { "rootdirectory": folder.path() }, "delete": { "enabled": true }
        });
        let config = json!({
            "version": 0.1, "log": { "level": "error" }, "storage": storage, "http": http
        });
        let path = folder.path().join("config.yml");
        fs::write(&path, config.to_string()).expect("written"); // JSON is YAML
        let child = Command::new(program)
            .arg("serve")
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let started = Self { child, host, folder };
        for _ in 0..100 {
            if TcpStream::connect(&started.host).is_ok() {
                return Some(started);
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("docker-registry does not listen at {}", started.host);
    }

    fn repository(&self, path: &str) -> Repository {
        Repository { host: self.host.clone(), path: path.to_owned() }
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn docker_registry_keeps_what_we_push() {
    let Some(there) = DockerRegistry::start(None) else { return };
    let first = Registry::connect(&there.repository("demo/base"), &quick()).expect("a client");
    let large = content(5 << 20);
    let layer = put(&first, &large).expect("pushed");
    put(&first, b"{}").expect("pushed");

    let second = Registry::connect(&there.repository("demo/app"), &quick()).expect("a client");
    assert!(!second.has(&layer).expect("an answer"));
    let base = there.repository("demo/base");
    let second = second.mounting_from(base.clone());
    assert_eq!(second.mount(&layer).expect("an answer"), Some(base));
    assert!(second.has(&layer).expect("mounted"));
    assert!(read_small(&second, &layer).expect("pulled") == large);
    let config = put(&second, b"{}").expect("pushed");

    let image = manifest(&json!({ "config": config, "layers": [layer] }));
    second.put_manifest(&image).expect("pushed");
    second.tag("v1", &image).expect("tagged");
    assert_eq!(second.tagged("v1").expect("an answer").as_ref(), Some(&image));
    assert_eq!(second.tagged("v2").expect("an answer"), None);

    let digest = image.descriptor().digest;
    for number in 0..2 {
        second.put_manifest(&about(&image, number)).expect("pushed");
    }
    assert_eq!(second.referrers(&digest).expect("listed").len(), 2);
    assert!(there.folder.path().join("docker").is_dir());
}

#[test]
fn a_certificate_of_our_own_authority_is_trusted_when_it_is_given() {
    let Some(there) = DockerRegistry::start(Some(&make_certificates)) else { return };
    let ca = fs::read(there.folder.path().join("ca.pem")).expect("a certificate");
    let trusting = RegistryOptions { ca: Some(ca), ..quick() };
    let registry = Registry::connect(&there.repository("demo/app"), &trusting).expect("a client");
    let pushed = put(&registry, b"content").expect("pushed");
    assert_eq!(read_small(&registry, &pushed).expect("pulled"), b"content");

    let mut elsewhere = there.repository("demo/app");
    elsewhere.host = elsewhere.host.replace("127.0.0.1", "[::ffff:127.0.0.1]");
    let registry = Registry::connect(&elsewhere, &quick()).expect("a client");
    let message = registry.tagged("v1").expect_err("unknown authority").to_string();
    assert!(message.contains("--ca FILE"), "{message}");
}

/// Version 2 of the program does not say how much came before the line broke: the blob is sent
/// again, in smaller requests.
#[test]
fn docker_registry_gets_a_blob_over_a_line_that_breaks() {
    let Some(there) = DockerRegistry::start(None) else { return };
    let source = testkit::Registry::start();
    let whole = content(20 << 20);
    source.add_blob("base/image", &whole);
    let (line, broken) = breaking_line(&there.host, 12 << 20);
    let near = Repository { host: line, path: "demo/app".into() };
    let to = Registry::connect(&near, &quick()).expect("a client");
    copy_blob(&blob(&whole), &connect(&source, "base/image"), &to).expect("copied");
    assert!(broken.load(Ordering::SeqCst), "the line broke");
    let registry = Registry::connect(&there.repository("demo/app"), &quick()).expect("a client");
    let mut read = Vec::new();
    registry.open(&blob(&whole)).expect("there").read_to_end(&mut read).expect("verified");
    assert!(read == whole);
}

/// The address of a line to that host, which breaks once: after so many bytes of one connection;
/// and whether it has.
fn breaking_line(to: &str, after: u64) -> (String, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    let (to, broken) = (to.to_owned(), Arc::new(AtomicBool::new(false)));
    let seen = broken.clone();
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let (to, broken) = (to.clone(), broken.clone());
            thread::spawn(move || connect_through(&near, &to, after, &broken));
        }
    });
    (host, seen)
}

fn connect_through(near: &TcpStream, to: &str, after: u64, broken: &AtomicBool) -> io::Result<()> {
    let far = TcpStream::connect(to)?;
    let (mut answers, mut back) = (far.try_clone()?, near.try_clone()?);
    thread::spawn(move || io::copy(&mut answers, &mut back));
    let limit = if broken.load(Ordering::SeqCst) { u64::MAX } else { after };
    let sent = io::copy(&mut near.take(limit), &mut &far)?;
    if sent == limit {
        broken.store(true, Ordering::SeqCst);
        near.shutdown(Shutdown::Both)?;
    }
    far.shutdown(Shutdown::Both)
}

/// Memory is counted for a whole process, so this takes one of its own.
#[test]
fn memory_does_not_grow_with_blobs() {
    if peers::require("docker-registry").is_none() {
        return;
    }
    let ran = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "peers::a_large_blob_in_little_memory", "--ignored"])
        .output()
        .expect("run");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "run by memory_does_not_grow_with_blobs in a process of its own"]
fn a_large_blob_in_little_memory() {
    const SIZE: u64 = 128 << 20;
    let there = DockerRegistry::start(None).expect("it is installed");
    let registry = Registry::connect(&there.repository("demo/app"), &quick()).expect("a client");
    let zeros = || io::repeat(0).take(SIZE);
    let mut hasher = Sha256::new();
    let piece = vec![0; 1 << 20];
    (0..128).for_each(|_| hasher.update(&piece));
    let digest = Digest::finish(hasher);
    let blob = Descriptor { media_type: "application/octet-stream".into(), digest, size: SIZE };
    registry.put(&blob, &mut zeros()).expect("pushed");
    let read = io::copy(&mut registry.open(&blob).expect("there"), &mut io::sink());
    assert_eq!(read.expect("pulled"), SIZE);
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(kilobytes < 64 << 10, "{kilobytes} kB");
}

/// An authority, and a certificate of it for 127.0.0.1.
fn make_certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        let ran = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
        let ran = ran.expect("run");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"));
    openssl(&format!(
        "req -x509 {key} -keyout key.pem -out cert.pem -days 2 -subj /CN=registry -CA ca.pem \
         -CAkey ca.key -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=CA:FALSE"
    ));
}
