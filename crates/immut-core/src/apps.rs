//! [`App`]: how a known application is started without its entrypoint script, as data
//! (`catalog/apps/*.toml`).

mod ask;
mod edit;
mod recognise;
mod search;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

pub use ask::{Ask, Demand};
pub(crate) use edit::MOST_BYTES;
pub use edit::{Edit, Edited};
pub use recognise::{Recognise, Sign, Start, Started};
pub(crate) use search::Found;
pub use search::Search;
pub use text::Pattern;

/// How a profile sees an image: the paths that match a glob, in order. Globs have a leading slash, `*`
/// stays within a component; a path is told by the name that matches, whatever link it is.
pub type Matching<'a> = dyn Fn(&str) -> Vec<String> + 'a;

/// An application's profile.
///
/// ```
/// use immut_core::apps::App;
/// let mine: App = r#"
/// name = "mine"
/// title = "My own application"
/// [recognise]
/// programs = ["/usr/bin/mine"]
/// words = ["mine"]
/// [[start]]
/// entrypoint = ["/usr/bin/mine"]
/// "#.parse()?;
/// assert_eq!(mine.start[0].entrypoint, ["/usr/bin/mine"]);
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// What `--app` calls it.
    #[serde(deserialize_with = "text::name")]
    pub name: String,
    /// What people call it.
    pub title: String,
    /// How it is recognised.
    pub recognise: Recognise,
    /// The account that its data belong to: it runs as this one where the image would run as root.
    #[serde(default)]
    pub user: Option<String>,
    /// Starts; the first that fits is taken.
    #[serde(deserialize_with = "text::some")]
    pub start: Vec<Start>,
    /// Folders that it writes to.
    #[serde(default)]
    pub writable: Vec<Folder>,
    /// Files that its user has to be able to read.
    #[serde(default)]
    pub readable: Vec<Pattern>,
    /// Ports that move, since a user other than root may not listen below 1024.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// Changes of its configuration.
    #[serde(default)]
    pub edits: Vec<Edit>,
    /// What its configuration asks of the user.
    #[serde(default)]
    pub asks: Vec<Ask>,
    /// Variables that are set unless the image has them.
    #[serde(default, deserialize_with = "text::variables")]
    pub env: BTreeMap<String, String>,
    /// What is needed beside what its files name.
    #[serde(default)]
    pub needs: Vec<Pattern>,
    /// What the entrypoint script did and nobody does any more, and what to do instead.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Which profile is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The built-in one that recognises the image.
    Auto,
    /// This one.
    This(Arc<App>),
}

/// A folder that the application writes to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// The folder; a glob where several versions have one each.
    pub path: Pattern,
    /// What it has to be under a read-only root.
    pub kind: Mount,
    /// Whether it is made where it is missing; else it is passed over.
    #[serde(default)]
    pub create: bool,
}

/// What is mounted where a container has to be able to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mount {
    /// Memory: what is in it may go with the container.
    Tmpfs,
    /// A volume: what is in it has to stay.
    Volume,
}

impl Mount {
    /// `tmpfs` or `volume`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tmpfs => "tmpfs",
            Self::Volume => "volume",
        }
    }
}

/// A port that moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Where it listened.
    pub from: u16,
    /// Where it listens then.
    pub to: u16,
}

const FILES: [&str; 18] = [
    include_str!("../catalog/apps/caddy.toml"),
    include_str!("../catalog/apps/grafana.toml"),
    include_str!("../catalog/apps/haproxy.toml"),
    include_str!("../catalog/apps/httpd.toml"),
    include_str!("../catalog/apps/jvm.toml"),
    include_str!("../catalog/apps/mariadb.toml"),
    include_str!("../catalog/apps/memcached.toml"),
    include_str!("../catalog/apps/mysql.toml"),
    include_str!("../catalog/apps/nginx.toml"),
    include_str!("../catalog/apps/node.toml"),
    include_str!("../catalog/apps/php-fpm.toml"),
    include_str!("../catalog/apps/postgres.toml"),
    include_str!("../catalog/apps/prometheus.toml"),
    include_str!("../catalog/apps/python.toml"),
    include_str!("../catalog/apps/rabbitmq.toml"),
    include_str!("../catalog/apps/redis.toml"),
    include_str!("../catalog/apps/traefik.toml"),
    include_str!("../catalog/apps/valkey.toml"),
];

static BUILTIN: LazyLock<Vec<App>> = LazyLock::new(|| {
    let parse = |text: &&str| text.parse().expect("the built-in profiles are tested");
    FILES.iter().map(parse).collect()
});

impl App {
    /// The profiles that immut comes with, by name.
    pub fn builtin() -> &'static [Self] {
        &BUILTIN
    }

    /// A built-in profile.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::builtin().iter().find(|app| app.name == name)
    }

    /// Whether one of its edits or starts moves a port.
    pub fn moves(&self, port: u16) -> bool {
        let edits = self.edits.iter().map(|edit| edit.port);
        edits.chain(self.start.iter().map(|start| start.port)).any(|one| one == Some(port))
    }

    /// The folders it writes to in this image, each with whether it has to be made.
    pub fn folders(&self, matching: &Matching<'_>) -> Vec<(String, Mount, bool)> {
        let mut folders = Vec::new();
        for one in &self.writable {
            let there = matching(&one.path);
            if there.is_empty() && one.create {
                folders.push((one.path.to_string(), one.kind, true));
            }
            folders.extend(there.into_iter().map(|path| (path, one.kind, false)));
        }
        folders
    }
}

impl FromStr for App {
    type Err = toml::de::Error;

    /// Reads a profile; the error says the line, and what is wrong in it.
    fn from_str(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}
