//! The command line, as clap reads it.
#![expect(clippy::doc_markdown, reason = "the comments are the help texts, which have no markup")]
#![expect(
    rustdoc::broken_intra_doc_links,
    reason = "these comments are the help texts, where brackets mean what may be left out"
)]

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use immut_core::finding::Severity;
use immut_core::image::{Compression, Platform};
use immut_core::name::{Reference, tag_name};
use immut_core::path::RootPath;
use immut_core::plan::{Healthcheck, Layering, Recoding};
use immut_core::rules::{Keep, Profile};
use immut_core::trust::KeySource;
use immut_core::user::UserId;

use crate::exit;

const ABOUT: &str = "Makes container images immutable in practice: shells, package managers, setuid bits and \
file capabilities go from every layer, the user becomes a number that is not root's, and the result is \
pushed and signed so that cosign accepts it.";

const REFERENCES: &str = "Images are named by where they lie:
  REPO[:TAG][@sha256:...]                          in a registry
  oci:DIR[:TAG][@sha256:...]                       in an OCI layout
  oci-archive:FILE[:TAG][@sha256:...]              in a layout in a tar archive
  docker-archive:FILE[:NAME[:TAG]][@sha256:...]    in what docker save writes, by image ID
An archive may be compressed (gzip, xz, zstd); FILE is - for the standard input:
  docker save app:v1 | immut audit docker-archive:-

Signatures are made with a key and are in no transparency log, so cosign is told not to look there:
  cosign verify --key KEY.pub --insecure-ignore-tlog=true REPO@sha256:...

";

#[derive(Debug, Parser)]
#[command(name = "immut", version, about = ABOUT, after_help = format!("{REFERENCES}{}", exit::TABLE))]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) global: Global,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Harden an image, publish it and sign it; stdout is its digest
    Harden(Box<Harden>),
    /// Copy an image as it is, signatures too if that is wanted; stdout is its digest
    Copy(Copy),
    /// Say what harden would do; nothing is written
    Plan(Box<Plan>),
    /// Say what rules find in an image
    Audit(Audit),
    /// Say whether an image can start as it is, and why not
    Check(Check),
    /// Say why paths of an image stay or go, and who needs them
    Explain(Box<Explain>),
    /// Sign an image that is there already
    Sign(Sign),
    /// Check that a key signed an image
    Verify(Verify),
    /// Make keys
    Key(Key),
    /// List the rules, or explain one
    Rules(Rules),
    /// List the app profiles, or explain one
    Apps(Apps),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Global {
    /// A registry that is spoken to in plain HTTP (localhost always is)
    #[arg(long, global = true, value_name = "HOST", help_heading = "Registries")]
    pub(crate) insecure_registry: Vec<String>,
    /// Certificates in PEM that are trusted besides the system's
    #[arg(long, global = true, value_name = "FILE", help_heading = "Registries")]
    pub(crate) ca: Option<PathBuf>,
    /// Layers or blobs that are worked on at the same time [default: the processors]
    #[arg(long, global = true, value_name = "N", help_heading = "Work")]
    pub(crate) jobs: Option<usize>,
    /// How long work is shown [default: bars on a terminal, else plain]
    #[arg(long, global = true, value_name = "HOW", help_heading = "Work")]
    pub(crate) progress: Option<ProgressKind>,
    /// Say nothing but errors
    #[arg(short, long, global = true, help_heading = "Work")]
    pub(crate) quiet: bool,
    /// The most entries that an image may have [default: 2000000]
    #[arg(long, global = true, value_name = "N", help_heading = "Limits on images")]
    pub(crate) max_entries: Option<u64>,
    /// The most bytes that an image's layers may unpack to [default: 64 GiB]
    #[arg(long, global = true, value_name = "N", help_heading = "Limits on images")]
    pub(crate) max_bytes: Option<u64>,
    /// How many times a layer may expand [default: 1000]
    #[arg(long, global = true, value_name = "N", help_heading = "Limits on images")]
    pub(crate) max_ratio: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressKind {
    /// Nothing
    None,
    /// Lines about what takes long
    Plain,
    /// A JSON object a line, on stderr
    Json,
}

/// The choices that plan and harden share.
#[derive(Debug, ClapArgs)]
pub(crate) struct Choices {
    /// A built-in profile, or a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = Profile::DEFAULT)]
    pub(crate) profile: String,
    /// An app profile: how a known application starts without a shell, what it writes and where it
    /// listens without root; auto is the one that recognises the image
    #[arg(long, value_name = "NAME|auto|FILE.toml")]
    pub(crate) app: Option<String>,
    /// How the application starts, as a JSON list; cmd stays
    #[arg(long, value_name = "JSON", value_parser = words)]
    pub(crate) entrypoint: Option<Words>,
    /// The default arguments, as a JSON list
    #[arg(long, value_name = "JSON", value_parser = words)]
    pub(crate) cmd: Option<Words>,
    /// The health check, as a JSON list, or none
    #[arg(long, value_name = "JSON|none")]
    pub(crate) healthcheck: Option<Healthcheck>,
    /// Another command that the image is started with, as a JSON list; what it needs stays too
    #[arg(long, value_name = "JSON", value_parser = words)]
    pub(crate) start_with: Vec<Words>,
    /// The user to run as, in numbers [default: the image's own, 65532:65532 for root]
    #[arg(long, value_name = "UID[:GID]")]
    pub(crate) user: Option<UserId>,
    /// What stays although a rule finds it: a path, or rule:ID
    #[arg(long, value_name = "PATH|rule:ID")]
    pub(crate) keep: Vec<Keep>,
    /// A directory that the application writes to, beside the image's volumes: it belongs to the user,
    /// is made where it is missing, and recorded as one to mount under a read-only root
    #[arg(long, value_name = "PATH", value_parser = absolute)]
    pub(crate) writable: Vec<RootPath>,
    /// A platform of an index, such as linux/arm64 [default: all that can be hardened]
    #[arg(long, value_name = "P")]
    pub(crate) platform: Vec<Platform>,
    /// What a later layer hides goes from every layer, not only from those that are written anew
    #[arg(long)]
    pub(crate) purge_hidden: bool,
    /// How new layers are compressed
    #[arg(long, value_name = "HOW", default_value = "keep")]
    pub(crate) compression: Compressed,
    /// In which layers the files come
    #[arg(long, value_name = "HOW", default_value = "preserve")]
    pub(crate) layers: Layers,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "The image is named by its digest, since a tag can move. An image whose entrypoint is a shell \
script is refused with exit 4 until it is told how the application itself starts:
  immut harden REPO@sha256:... --to REPO --key cosign.key \\
    --entrypoint '[\"redis-server\"]' --cmd '[\"--save\", \"\"]'"
)]
pub(crate) struct Harden {
    /// The image, by digest: REPO@sha256:..., oci:DIR@sha256:..., docker-archive:FILE@sha256:...
    pub(crate) source: Reference,
    /// Where to: REPO[:TAG], oci:DIR[:TAG], oci-archive:FILE[:TAG] (in a layout it is named latest if
    /// no tag is given), docker-archive:FILE[:NAME:TAG]
    #[arg(long, value_name = "DEST")]
    pub(crate) to: Reference,
    /// A tag that will name the result; written last
    #[arg(long, value_name = "TAG", value_parser = tag_name)]
    pub(crate) tag: Vec<String>,
    /// The private key: a file, or env://NAME; needed unless --no-sign is given
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "no_sign",
        conflicts_with = "no_sign"
    )]
    pub(crate) key: Option<KeySource>,
    /// Make the key pair when FILE is not there
    #[arg(long, requires = "key")]
    pub(crate) generate_key: bool,
    /// Publish without a signature
    #[arg(long)]
    pub(crate) no_sign: bool,
    #[command(flatten)]
    pub(crate) choices: Choices,
    /// Write what was done, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) receipt: Option<PathBuf>,
    /// Write the digest to a file
    #[arg(long, value_name = "FILE")]
    pub(crate) digest_file: Option<PathBuf>,
    /// Where the image is made; what is there already is not downloaded again [default: a temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) stage: Option<PathBuf>,
    /// The source's name for the annotation org.opencontainers.image.base.name
    #[arg(long, value_name = "NAME")]
    pub(crate) source_name: Option<String>,
    /// Compress new layers as a whole, although pieces of the old ones could be copied: much slower,
    /// sometimes smaller
    #[arg(long)]
    pub(crate) recompress: bool,
}

/// How new layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compressed {
    /// As they were
    Keep,
    /// With gzip, and so are layers that are not compressed at all
    Gzip,
    /// With zstd, and so are layers that are not compressed at all
    Zstd,
}

impl From<Compressed> for Recoding {
    fn from(how: Compressed) -> Self {
        match how {
            Compressed::Keep => Self::Keep,
            Compressed::Gzip => Self::As(Compression::Gzip),
            Compressed::Zstd => Self::As(Compression::Zstd),
        }
    }
}

/// In which layers the files of the new image come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layers {
    /// In those that they are in; layers without a change keep their blob
    Preserve,
    /// In one layer, without what layers hide from each other
    Squash,
    /// In one for each package or group of small ones, and on top one for the rest: images that
    /// share packages share layers
    Package,
}

impl From<Layers> for Layering {
    fn from(how: Layers) -> Self {
        match how {
            Layers::Preserve => Self::Preserve,
            Layers::Squash => Self::Squash,
            Layers::Package => Self::Package,
        }
    }
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "A tag of SOURCE is looked up once, and the digest that it names is copied byte for byte. \
What DEST has already is not sent again; DEST's tags are written last. A copy in a registry has no tag \
unless one is given; in a layout or an oci-archive it has SOURCE's tag, or latest.

Signatures lie beside an image and are no part of it. This takes them along, so that cosign accepts the copy:
  immut copy --all-referrers ghcr.io/me/app:v1 registry.example/me/app:v1"
)]
pub(crate) struct Copy {
    /// The image: REPO[:TAG][@sha256:...], oci:DIR[...], oci-archive:FILE[...], docker-archive:FILE[...]
    pub(crate) source: Reference,
    /// Where to: REPO[:TAG], oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG]
    #[arg(value_name = "DEST")]
    pub(crate) to: Reference,
    /// A tag that will name the copy
    #[arg(long, value_name = "TAG", value_parser = tag_name)]
    pub(crate) tag: Vec<String>,
    /// Copy this platform's manifest of an index alone, such as linux/arm64; the digest is then its own
    #[arg(long, value_name = "P")]
    pub(crate) platform: Option<Platform>,
    /// Copy what is about the image and its platforms too: signatures, attestations, SBOMs
    #[arg(long)]
    pub(crate) all_referrers: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Plan {
    /// The image: REPO[:TAG][@sha256:...], oci:DIR[...], oci-archive:FILE[...], docker-archive:FILE[...]
    pub(crate) source: Reference,
    #[command(flatten)]
    pub(crate) choices: Choices,
    /// How it is shown
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: Format,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Audit {
    /// The image: REPO[:TAG][@sha256:...], oci:DIR[...], oci-archive:FILE[...], docker-archive:FILE[...]
    pub(crate) source: Reference,
    /// How it is shown
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: Format,
    /// A built-in profile, or a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = Profile::DEFAULT)]
    pub(crate) profile: String,
    /// What stays although a rule finds it: a path, or rule:ID
    #[arg(long, value_name = "PATH|rule:ID")]
    pub(crate) keep: Vec<Keep>,
    /// A platform of an index, such as linux/arm64 [default: all]
    #[arg(long, value_name = "P")]
    pub(crate) platform: Vec<Platform>,
    /// Exit 1 if something at least that bad is found
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    pub(crate) fail_on: Option<Severity>,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Followed are the words of entrypoint, cmd and health check, links, first lines of scripts and \
what shell scripts run, the loader and the libraries of ELF files, and what is loaded by name. The exit \
code is 4 if something that the start cannot go without is missing, broken, for another processor, or \
denied to the image's user."
)]
pub(crate) struct Check {
    /// The image: REPO[:TAG][@sha256:...], oci:DIR[...], oci-archive:FILE[...], docker-archive:FILE[...]
    pub(crate) source: Reference,
    /// Another command that the image is started with, as a JSON list
    #[arg(long, value_name = "JSON", value_parser = words)]
    pub(crate) start_with: Vec<Words>,
    /// A platform of an index, such as linux/arm64 [default: all]
    #[arg(long, value_name = "P")]
    pub(crate) platform: Vec<Platform>,
    /// How it is shown
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: Format,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "What is explained is the plan that harden would make with the same choices:
  immut explain REPO:TAG /bin/sh /usr/lib/x86_64-linux-gnu/libssl.so.3"
)]
pub(crate) struct Explain {
    /// The image: REPO[:TAG][@sha256:...], oci:DIR[...], oci-archive:FILE[...], docker-archive:FILE[...]
    pub(crate) source: Reference,
    /// Paths in the image
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<RootPath>,
    #[command(flatten)]
    pub(crate) choices: Choices,
    /// How it is shown
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Human,
    Json,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Sign {
    /// The image, by digest
    pub(crate) reference: Reference,
    /// The private key: a file, or env://NAME
    #[arg(long, value_name = "FILE")]
    pub(crate) key: KeySource,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Verify {
    /// The image
    pub(crate) reference: Reference,
    /// The public key: a file, or env://NAME
    #[arg(long, value_name = "FILE.pub")]
    pub(crate) key: KeySource,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Key {
    #[command(subcommand)]
    pub(crate) command: KeyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make PREFIX.key (encrypted, for cosign too) and PREFIX.pub; nothing is overwritten
    #[command(
        after_help = "The password is taken from COSIGN_PASSWORD, or asked for on a terminal; else it is empty."
    )]
    Generate {
        /// Where: PREFIX.key and PREFIX.pub
        prefix: PathBuf,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Rules {
    /// A rule's id
    pub(crate) id: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Apps {
    /// A profile's name, or a TOML file
    pub(crate) name: Option<String>,
}

/// A command line as JSON.
#[derive(Debug, Clone)]
pub(crate) struct Words(pub(crate) Vec<String>);

fn words(text: &str) -> Result<Words, String> {
    serde_json::from_str(text).map(Words).map_err(|_| {
        format!(
            "{text:?} is no JSON list of strings, such as '[\"redis-server\", \"--save\", \"\"]'"
        )
    })
}

fn absolute(text: &str) -> Result<RootPath, String> {
    if !text.starts_with('/') {
        return Err(format!("{text:?} is no absolute path"));
    }
    text.parse().map_err(|error: immut_core::path::Error| error.to_string())
}

fn severity(text: &str) -> Result<Severity, String> {
    serde_json::from_value(text.into())
        .map_err(|_| "one of info, low, medium, high, critical".to_owned())
}
