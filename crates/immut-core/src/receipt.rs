//! [`Receipt`]: what was done to an image, as JSON. The schema is `docs/receipt.schema.json`.

mod app;

use serde::Serialize;

pub use app::{App, Change, EditedFile, MovedPort, Restart};

use crate::finding::RuleId;
use crate::name::Digest;
use crate::path::RootPath;
use crate::plan::{self, Action, Because, Packages, Writable};

/// The version of the receipt's form.
pub const VERSION: u32 = 1;

/// What was done to an image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// The version of this form.
    pub version: u32,
    /// Who wrote it, such as `immut 0.1.0`.
    pub tool: String,
    /// What was hardened, and where it was read from.
    pub source: String,
    /// Its digest.
    pub source_digest: Digest,
    /// What was published.
    pub result: String,
    /// Its digest.
    pub result_digest: Digest,
    /// The profile's name.
    pub profile: String,
    /// Each platform.
    pub platforms: Vec<PlatformReceipt>,
    /// Lines of the source's index that are not in the result.
    pub left_out: Vec<LeftOut>,
}

/// What was done to one platform.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlatformReceipt {
    /// Such as `linux/amd64`.
    pub platform: String,
    /// The manifest before.
    pub source: Digest,
    /// The manifest after.
    pub result: Digest,
    /// Files and bytes of the merged view before.
    pub before: Totals,
    /// Files and bytes of the merged view after.
    pub after: Totals,
    /// The packages that the image's databases name.
    pub packages: PackageLists,
    /// Each layer of the source.
    pub layers: Vec<Layer>,
    /// The layers in which files were laid out anew, lowest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arranged: Vec<ArrangedLayer>,
    /// Each entry that is gone.
    pub removed: Vec<Removed>,
    /// Each header that was changed.
    pub changed: Vec<Changed>,
    /// Files with new content, and directories that came.
    pub written: Vec<Written>,
    /// Changes of the config.
    pub config: Vec<ConfigChange>,
    /// What the app profile did, if one was applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<App>,
    /// What has to be writable under a read-only root.
    pub writable: Vec<WritablePath>,
    /// What a rule found and the caller keeps.
    pub kept: Vec<KeptFile>,
    /// Scripts that stay and whose interpreter is gone.
    pub orphaned: Vec<RootPath>,
    /// What changes for whoever runs the image.
    pub notes: Vec<String>,
    /// What could not be seen or proven.
    pub unseen: Vec<String>,
    /// What may run a shell later on.
    pub may_need_shell: Vec<String>,
}

/// Files of a merged view.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Names of anything but directories.
    pub files: u64,
    /// Bytes of regular files, each once.
    pub bytes: u64,
}

impl From<plan::Totals> for Totals {
    fn from(totals: plan::Totals) -> Self {
        Self { files: totals.files, bytes: totals.bytes }
    }
}

/// What became of packages.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PackageLists {
    /// They are gone.
    pub removed: Vec<Package>,
    /// A part of them is gone.
    pub partly_kept: Vec<Package>,
    /// How many stay as they are.
    pub kept_count: usize,
    /// Their names.
    pub kept: Vec<String>,
}

impl From<&Packages> for PackageLists {
    fn from(packages: &Packages) -> Self {
        Self {
            removed: packages.removed.iter().map(Into::into).collect(),
            partly_kept: packages.partly_kept.iter().map(Into::into).collect(),
            kept_count: packages.kept.len(),
            kept: packages.kept.iter().map(|package| package.name.clone()).collect(),
        }
    }
}

/// A package that a database names.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `dpkg`, `apk`, `opkg`, `pacman` or `rpm`.
    pub database: &'static str,
}

impl From<&plan::Package> for Package {
    fn from(one: &plan::Package) -> Self {
        Self { name: one.name.clone(), version: one.version.clone(), database: one.database }
    }
}

/// A layer in which files were laid out anew.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArrangedLayer {
    /// Its blob.
    pub result: Digest,
    /// The packages whose files it holds; of the one without any, what no other holds.
    pub packages: Vec<Package>,
}

/// What became of a layer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Layer {
    /// Its blob before.
    pub source: Digest,
    /// `untouched`, `rewritten`, `dropped` or `arranged`.
    pub outcome: &'static str,
    /// Its blob after; none where it was dropped, or its files lie in `arranged`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Digest>,
    /// How it was encoded, if it was rewritten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<LayerEncoding>,
}

/// How a layer was encoded.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerEncoding {
    /// `blocks`, `frames` or `whole`.
    pub method: &'static str,
    /// Bytes of its archive that were copied as they were compressed.
    pub copied: u64,
    /// Bytes of its archive that were compressed anew.
    pub encoded: u64,
}

/// An entry that is gone.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// Its name.
    pub path: RootPath,
    /// The layer that held it, from 1.
    pub layer: usize,
    /// `file`, `directory`, `symlink`, `hardlink`, `special` or `marker`.
    pub kind: &'static str,
    /// The rules.
    pub rules: Because,
    /// Bytes of a regular file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Digest of a regular file's content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// A header that was changed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// A name of the inode.
    pub path: RootPath,
    /// `clear-mode`, `clear-capability`, `set-owner`, `carry` or `relink`.
    pub change: &'static str,
    /// For `clear-mode`: the bits in octal; for `set-owner`, which is about all beneath the name too:
    /// user and group; for links: the name concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The rules.
    pub rules: Because,
}

/// A file with new content, or a directory that came.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Written {
    /// Its name.
    pub path: RootPath,
    /// Digest of a file's new content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The rules.
    pub rules: Because,
}

/// A change of the config.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigChange {
    /// Where, as a JSON pointer.
    pub pointer: &'static str,
    /// The new value; null if it went.
    pub to: serde_json::Value,
    /// The rules.
    pub rules: Because,
}

/// A path that has to be writable under a read-only root.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WritablePath {
    /// The path.
    pub path: RootPath,
    /// `tmpfs` or `volume`.
    pub kind: &'static str,
    /// The rules.
    pub rules: Because,
}

impl From<&Writable> for WritablePath {
    fn from(one: &Writable) -> Self {
        Self { path: one.path.clone(), kind: one.kind.as_str(), rules: one.because.clone() }
    }
}

/// Something that a rule found and the caller keeps.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptFile {
    /// Its name.
    pub path: RootPath,
    /// The rule.
    pub rule: RuleId,
}

/// A line of the source's index that is not in the result.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// A platform or a digest.
    pub what: String,
    /// Why.
    pub reason: String,
}

impl Receipt {
    /// The receipt as JSON, with a newline at its end.
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self)
            .expect("a receipt holds nothing but text and numbers");
        text + "\n"
    }
}

pub(crate) fn changed(action: &Action, rules: &Because) -> Option<Changed> {
    let (path, change, detail) = match action {
        Action::ClearMode { path, bits } => (path, "clear-mode", Some(format!("{bits:04o}"))),
        Action::ClearCapability { path } => (path, "clear-capability", None),
        Action::SetOwner { path, owner: (uid, gid) } => {
            (path, "set-owner", Some(format!("{uid}:{gid}")))
        }
        Action::Carry { path, .. } => (path, "carry", None),
        Action::Relink { path, target, .. } => (path, "relink", Some(target.to_string())),
        _ => return None,
    };
    Some(Changed { path: path.clone(), change, detail, rules: rules.clone() })
}

pub(crate) fn written(action: &Action, rules: &Because) -> Option<Written> {
    let (path, sha256) = match action {
        Action::EditFile { path, content, .. } => (path, Some(Digest::of(content).hex())),
        Action::AddDirectory { path, .. } => (path, None),
        _ => return None,
    };
    Some(Written { path: path.clone(), sha256, rules: rules.clone() })
}

pub(crate) fn config_change(action: &Action, rules: &Because) -> Option<ConfigChange> {
    let (pointer, to) = match action {
        Action::SetUser { to, .. } => ("/config/User", to.clone().into()),
        Action::SetEntrypoint { to } => ("/config/Entrypoint", to.clone().into()),
        Action::SetCmd { to } => ("/config/Cmd", to.clone().into()),
        Action::SetVariable { name, value } => ("/config/Env", format!("{name}={value}").into()),
        Action::SetWorkingDir { to } => ("/config/WorkingDir", to.clone().into()),
        Action::SetHealthcheck { to } => ("/config/Healthcheck", to.clone().unwrap_or_default()),
        Action::MovePort { to, .. } => ("/config/ExposedPorts", to.to_string().into()),
        _ => return None,
    };
    Some(ConfigChange { pointer, to, rules: rules.clone() })
}
