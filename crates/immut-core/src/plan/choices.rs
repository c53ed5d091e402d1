//! [`Choices`]: how the user wants an image hardened.

use serde_json::{Value, json};

use super::Layering;
use crate::apps;
use crate::image::{Compression, RuntimeConfig};
use crate::path::RootPath;
use crate::rules::{Keep, Profile, Removes};
use crate::user::UserId;

/// How an image is to be hardened; together with the image's digest it decides the result.
#[derive(Debug, Clone, Default)]
pub struct Choices {
    /// What is allowed; its keep list holds the `--keep` of this run too.
    pub profile: Profile,
    /// The app profile that is applied (`--app`).
    pub app: Option<apps::Choice>,
    /// A new entrypoint (`--entrypoint`).
    pub entrypoint: Option<Vec<String>>,
    /// New default arguments (`--cmd`).
    pub cmd: Option<Vec<String>>,
    /// A new health check (`--healthcheck`).
    pub healthcheck: Option<Healthcheck>,
    /// Commands by which the image is started too, in the place of entrypoint and cmd
    /// (`--start-with`).
    pub start_with: Vec<Vec<String>>,
    /// The user to run as (`--user`).
    pub user: Option<UserId>,
    /// What belongs to the user and has to be writable, beside the image's volumes (`--writable`).
    pub writable: Vec<RootPath>,
    /// Whether entries that a later layer hides go from every layer, not only from those that are
    /// written anew (`--purge-hidden`).
    pub purge_hidden: bool,
    /// How new layers are compressed (`--compression`).
    pub compression: Recoding,
    /// How files are laid out in layers (`--layers`).
    pub layering: Layering,
}

/// How layers that are written anew are compressed. With [`Recoding::As`] layers that were not
/// compressed at all are written anew for it; others are not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Recoding {
    /// As they were.
    #[default]
    Keep,
    /// In this way.
    As(Compression),
}

impl Recoding {
    /// What becomes of a layer's compression.
    pub fn of(self, was: Compression) -> Compression {
        match self {
            Self::Keep => was,
            Self::As(compression) => compression,
        }
    }
}

/// A health check as the user gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// There shall be none.
    None,
    /// A new test, such as `["CMD", "redis-cli", "ping"]`; interval and the rest stay.
    Test(Vec<String>),
}

impl std::str::FromStr for Healthcheck {
    type Err = String;

    /// Reads `none`, or the test as JSON: `["CMD", ...]`, or the command alone.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::None);
        }
        let words: Vec<String> = serde_json::from_str(text)
            .map_err(|_| format!("{text:?} is neither none nor a JSON list of strings"))?;
        match words.first().map(String::as_str) {
            None => Err("a health check needs a command; none takes it away".to_owned()),
            Some("NONE") => Ok(Self::None),
            Some("CMD" | "CMD-SHELL") => Ok(Self::Test(words)),
            Some(_) => Ok(Self::Test(std::iter::once("CMD".to_owned()).chain(words).collect())),
        }
    }
}

impl Choices {
    /// The paths that are kept by name.
    pub(super) fn kept_paths(&self) -> Vec<RootPath> {
        let path = |keep: &Keep| match keep {
            Keep::Path(path) => Some(path.clone()),
            Keep::Rule(_) => None,
        };
        self.profile.keep.iter().filter_map(path).collect()
    }

    /// Whether every hidden entry goes.
    pub(super) fn purges_hidden(&self) -> bool {
        self.purge_hidden
            || self.layering != Layering::Preserve
            || self.profile.removes == Removes::AllButNeeded
    }

    /// The config as it starts with these choices; user and layers as they were.
    pub(super) fn applied_to(&self, config: &RuntimeConfig) -> RuntimeConfig {
        let mut config = config.clone();
        if let Some(entrypoint) = &self.entrypoint {
            config.set("Entrypoint", json!(entrypoint));
        }
        if let Some(cmd) = &self.cmd {
            config.set("Cmd", json!(cmd));
        }
        match &self.healthcheck {
            Some(Healthcheck::None) => config.unset("Healthcheck"),
            Some(Healthcheck::Test(test)) => config.set("Healthcheck", with_test(&config, test)),
            None => {}
        }
        config
    }
}

/// The config's health check with another test.
pub(super) fn with_test(config: &RuntimeConfig, test: &[String]) -> Value {
    let mut check = config
        .inner("Healthcheck")
        .filter(|old| old.is_object())
        .cloned()
        .unwrap_or_else(|| json!({}));
    check["Test"] = json!(test);
    check
}
