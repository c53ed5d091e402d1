//! What is in an image, said by programs that are not ours: podman exports it, GNU tar unpacks it,
//! find, grep, getcap and dpkg-query look.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use immut_testkit::peers;

use super::build::Built;
use crate::common::{Podman, must, peer, text};

/// An image's files on disk; gone when this goes.
#[derive(Debug)]
pub(super) struct Unpacked(tempfile::TempDir);

/// The numbers of an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    /// Bytes of its layers, as they are compressed.
    pub(super) packed: u64,
    /// Bytes of regular files, each once.
    pub(super) bytes: u64,
    /// Names of anything but directories.
    pub(super) files: usize,
    /// Regular files that somebody may execute.
    pub(super) executables: usize,
    /// Packages that dpkg holds to be installed; none without its database.
    pub(super) packages: Option<usize>,
}

impl Unpacked {
    /// Unpacks an image of podman's store.
    pub(super) fn new(podman: &Podman, image: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let archive = folder.path().join("export.tar");
        let created = podman.run(&["create", "--pull=never", image]).code(0);
        podman.run(&["export", "--output", text(&archive), created.line()]).code(0);
        podman.run(&["rm", "--volumes", created.line()]).code(0);
        let unpacked = Self(folder);
        fs::create_dir(unpacked.root()).expect("a folder");
        let options = ["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", text(&archive)];
        must(&program("tar"), &[&options[..], &["-C", text(&unpacked.root())]].concat());
        fs::remove_file(archive).expect("removed");
        unpacked
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("root")
    }

    /// Ends the test if there is a shell, a package manager, or a file with privileges.
    pub(super) fn is_hardened(&self) {
        let root = self.root();
        let found = |tests: &[&str]| must(&program("find"), &[&[text(&root)], tests].concat());
        assert_eq!(found(&["-type", "f", "-perm", "/6000"]), "", "setuid and setgid files");
        assert_eq!(must(&program("getcap"), &["-r", text(&root)]), "", "file capabilities");
        let names = SHELLS.iter().chain(MANAGERS).flat_map(|name| ["-o", "-name", name]);
        let names: Vec<&str> = names.skip(1).collect();
        let programs = [&["-path", "*bin/*", "("], &names[..], &[")"]].concat();
        assert_eq!(found(&programs), "", "shells and package managers");
        let grep = peer(&program("grep"), &["-rlaE", "BusyBox v[0-9]", text(&root)]);
        assert_eq!((grep.code, grep.stdout.as_str()), (Some(1), ""), "busybox under another name");
    }

    /// Counts.
    pub(super) fn numbers(&self, built: &Built) -> Numbers {
        let root = self.root();
        let format = ["!", "-type", "d", "-printf", "%y %m %i %s\n"];
        let listed = must(&program("find"), &[&[text(&root)], &format[..]].concat());
        let entries: Vec<Vec<&str>> =
            listed.lines().map(|line| line.split(' ').collect()).collect();
        let regular = || entries.iter().filter(|entry| entry[0] == "f");
        let executable = |mode: &str| u32::from_str_radix(mode, 8).expect("octal") & 0o111 != 0;
        let sizes: BTreeMap<&str, u64> =
            regular().map(|entry| (entry[2], entry[3].parse().expect("bytes"))).collect();
        Numbers {
            packed: built.packed,
            bytes: sizes.values().sum(),
            files: entries.len(),
            executables: regular().filter(|entry| executable(entry[1])).count(),
            packages: self
                .packages("${db:Status-Status} ${Package}\n", &[])
                .map(|all| all.lines().filter(|line| line.starts_with("installed ")).count()),
        }
    }

    /// The versions of packages.
    pub(super) fn versions(&self, packages: &[&str]) -> String {
        let versions = self.packages("${Package} ${Version}, ", packages).unwrap_or_default();
        versions.trim_end_matches(", ").to_owned()
    }

    /// What dpkg-query says; none without a database.
    fn packages(&self, format: &str, packages: &[&str]) -> Option<String> {
        let database = self.root().join("var/lib/dpkg");
        let there = database.join("status").is_file();
        let fixed = ["--admindir", text(&database), "--show", "--showformat", format];
        there.then(|| must(&program("dpkg-query"), &[&fixed[..], packages].concat()))
    }
}

fn program(name: &str) -> PathBuf {
    peers::find(name).unwrap_or_else(|| Path::new(name).to_owned())
}

const SHELLS: &[&str] = &[
    "sh", "ash", "bash", "busybox*", "csh", "dash", "fish", "ksh*", "mksh", "rbash", "rksh",
    "sash", "tcsh", "toybox", "yash", "zsh*",
];

const MANAGERS: &[&str] = &[
    "apk", "apt", "apt-*", "aptitude", "dnf*", "dpkg", "dpkg-*", "microdnf", "npm", "opkg",
    "pacman", "pip", "pip3", "rpm", "snap", "yum", "zypper",
];
