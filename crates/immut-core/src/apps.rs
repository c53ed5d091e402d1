//! [`App`]: how a known application is started without its entrypoint script, as data
//! (`catalog/apps/*.toml`).

mod edit;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use globset::{Glob, GlobBuilder};
use serde::Deserialize;

pub use edit::{Edit, Edited, Occurrences};

/// What a profile asks of an image. Globs have a leading slash, `*` stays within a component.
pub trait Look {
    /// The paths that match, in order.
    fn matches(&self, glob: &str) -> Vec<String>;
    /// Whether a package of this name is installed.
    fn has_package(&self, name: &str) -> bool;

    /// Whether any path matches.
    fn has(&self, glob: &str) -> bool {
        !self.matches(glob).is_empty()
    }
}

/// An application's profile.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// What `--app` calls it.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// How it is recognised.
    pub recognise: Recognise,
    /// Starts, the first that fits is taken.
    pub start: Vec<Start>,
    /// Folders that it writes to.
    #[serde(default)]
    pub writable: Vec<Writable>,
    /// Files that its user has to be able to read, as globs.
    #[serde(default)]
    pub readable: Vec<String>,
    /// Ports that move, since a user other than root may not listen below 1024.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// Changes of its configuration.
    #[serde(default)]
    pub edits: Vec<Edit>,
    /// Variables that are set unless the image has them.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// What is needed beside what its files name, as globs.
    #[serde(default)]
    pub needs: Vec<String>,
    /// What the entrypoint script did and nobody does any more, and what to do instead.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// How an application is recognised: its program, and one of the other signs where there are any.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recognise {
    /// Paths of its program, as globs; one has to be there.
    pub programs: Vec<String>,
    /// Packages that have it.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Entrypoint scripts of official images.
    #[serde(default)]
    pub entrypoints: Vec<String>,
    /// First words of a start that mean it, without their folder.
    pub words: Vec<String>,
}

/// One way to start it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Paths that all have to be there, as globs.
    #[serde(default)]
    pub when: Vec<String>,
    /// Exec form; `{N}` is the path that the Nth of `when` matched, counted from 0. Empty: what the
    /// image has stays.
    #[serde(default)]
    pub entrypoint: Vec<String>,
    /// Exec form.
    #[serde(default)]
    pub cmd: Vec<String>,
    /// Exec form of a health check by a client of its own, where that needs nothing else.
    #[serde(default)]
    pub healthcheck: Vec<String>,
}

/// A folder that the application writes to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Writable {
    /// The folder; a glob where several versions have one each.
    pub path: String,
    /// What it has to be under a read-only root.
    pub kind: Kind,
    /// Whether it is made where it is missing; else it is passed over.
    #[serde(default)]
    pub create: bool,
}

/// What a writable folder has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Memory: what is in it may go with the container.
    Tmpfs,
    /// A volume: what is in it has to stay.
    Volume,
}

/// A port that moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Where it listened.
    pub from: u16,
    /// Where it listens then, by the profile's edits.
    pub to: u16,
}

/// A start with its placeholders filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Exec form; empty: what the image has stays.
    pub entrypoint: Vec<String>,
    /// Exec form.
    pub cmd: Vec<String>,
    /// Exec form; empty: no health check of its own.
    pub healthcheck: Vec<String>,
}

/// Why text is no profile.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not TOML, or not of this form.
    #[error("{0}")]
    Toml(Box<toml::de::Error>),
    /// Not a name of small letters, digits and dashes.
    #[error("{0:?} is no name of a profile")]
    Name(String),
    /// No absolute path or no glob.
    #[error("{0:?} is no pattern of absolute paths")]
    Pattern(String),
    /// A placeholder without its condition.
    #[error("{0:?} names a path that its `when` does not have")]
    Placeholder(String),
    /// No program to recognise it by, or no start.
    #[error("profile {0} has no {1}")]
    Missing(String, &'static str),
    /// Words of a search that are no expression.
    #[error("{0:?} cannot be searched for")]
    Search(String),
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
    let parse = |text: &&str| App::parse(text).expect("the built-in profiles are tested");
    FILES.iter().map(parse).collect()
});

impl App {
    /// The profiles that immut comes with, by name.
    pub fn builtin() -> &'static [Self] {
        &BUILTIN
    }

    /// Reads a profile.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let app: Self = toml::from_str(text).map_err(|error| Error::Toml(Box::new(error)))?;
        app.check()?;
        Ok(app)
    }

    /// Whether an image that starts with these words is this application's.
    ///
    /// `argv` is entrypoint and cmd with wrappers taken off. Its program has to be there, and the
    /// start has to be an entrypoint script of its official image followed by one of its words, or
    /// one of its words itself.
    pub fn recognises(&self, image: &dyn Look, argv: &[String]) -> bool {
        let sign = &self.recognise;
        if !sign.programs.iter().any(|program| image.has(program)) {
            return false;
        }
        let named = |word: &String| {
            let name = word.rsplit('/').next().unwrap_or(word);
            sign.words.iter().any(|glob| is_match(glob, name))
        };
        let Some(first) = argv.first() else { return false };
        let script = first.rsplit('/').next().unwrap_or(first);
        let scripted = sign.entrypoints.iter().any(|one| one.rsplit('/').next() == Some(script));
        named(first)
            || scripted && argv.get(1).is_none_or(|word| word.starts_with('-') || named(word))
    }

    /// Whether the application is installed from a package that is known to have it.
    pub fn is_packaged(&self, image: &dyn Look) -> bool {
        self.recognise.packages.iter().any(|package| image.has_package(package))
    }

    /// How it is started in this image; none if no start fits.
    pub fn started(&self, image: &dyn Look) -> Option<Started> {
        self.start.iter().find_map(|start| start.fill(image))
    }

    /// The folders it writes to in this image: what is there, and what is made.
    pub fn folders(&self, image: &dyn Look) -> Vec<(String, Kind)> {
        let mut folders = Vec::new();
        for one in &self.writable {
            let there = image.matches(&one.path);
            if there.is_empty() && one.create {
                folders.push((one.path.clone(), one.kind));
            }
            folders.extend(there.into_iter().map(|path| (path, one.kind)));
        }
        folders
    }

    fn check(&self) -> Result<(), Error> {
        let letter = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-';
        if self.name.is_empty() || !self.name.chars().all(letter) {
            return Err(Error::Name(self.name.clone()));
        }
        let missing = |what| Err(Error::Missing(self.name.clone(), what));
        if self.recognise.programs.is_empty() || self.recognise.words.is_empty() {
            return missing("program to recognise it by");
        }
        if self.start.is_empty() {
            return missing("start");
        }
        let globs = (self.recognise.programs.iter()).chain(&self.readable).chain(&self.needs);
        let folders = self.writable.iter().map(|one| &one.path);
        let whens = self.start.iter().flat_map(|start| &start.when);
        for glob in globs.chain(folders).chain(whens) {
            pattern(glob)?;
        }
        self.start.iter().try_for_each(Start::check)?;
        self.edits.iter().try_for_each(Edit::check)
    }
}

impl Start {
    fn fill(&self, image: &dyn Look) -> Option<Started> {
        let found: Option<Vec<String>> =
            self.when.iter().map(|glob| image.matches(glob).into_iter().next()).collect();
        let found = found?;
        let fill = |words: &[String]| -> Vec<String> {
            let replace = |word: &String| {
                let places = found.iter().enumerate();
                places
                    .fold(word.clone(), |word, (at, path)| word.replace(&format!("{{{at}}}"), path))
            };
            words.iter().map(replace).collect()
        };
        Some(Started {
            entrypoint: fill(&self.entrypoint),
            cmd: fill(&self.cmd),
            healthcheck: fill(&self.healthcheck),
        })
    }

    /// Whether each placeholder has its condition.
    fn check(&self) -> Result<(), Error> {
        let known: BTreeSet<String> = (0..self.when.len()).map(|at| format!("{{{at}}}")).collect();
        for word in self.entrypoint.iter().chain(&self.cmd).chain(&self.healthcheck) {
            let plain = known.iter().fold(word.clone(), |word, one| word.replace(one, ""));
            if plain.contains('{') {
                return Err(Error::Placeholder(word.clone()));
            }
        }
        Ok(())
    }
}

fn pattern(glob: &str) -> Result<(), Error> {
    let good = glob.starts_with('/') && Glob::new(glob).is_ok();
    good.then_some(()).ok_or_else(|| Error::Pattern(glob.to_owned()))
}

fn is_match(glob: &str, name: &str) -> bool {
    let built = GlobBuilder::new(glob).literal_separator(true).build();
    built.is_ok_and(|glob| glob.compile_matcher().is_match(name))
}
