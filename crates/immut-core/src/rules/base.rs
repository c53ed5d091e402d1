//! [`Base`]: what an image keeps in every profile (`catalog/base.toml`).

use globset::GlobSet;
use serde::Deserialize;

use super::catalog::{Error, globs};
use crate::path::RootPath;

/// What an image keeps in every profile where it has it.
///
/// ```
/// use immut_core::rules::Base;
/// assert!(Base::builtin().has(&"/usr/share/zoneinfo/UTC".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Base {
    parts: Vec<Part>,
    paths: GlobSet,
    links: GlobSet,
}

/// Paths that are kept for one reason.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its id.
    pub id: String,
    /// Why they are kept, with the source.
    pub why: String,
    /// Globs over paths: `*` stays within a component, `**` does not.
    pub paths: Vec<String>,
    /// Links that stay where what they lead to stays.
    #[serde(default)]
    pub links: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BaseFile {
    part: Vec<Part>,
}

const BASE: &str = include_str!("../../catalog/base.toml");

impl Base {
    /// The base that immut comes with.
    pub fn builtin() -> Self {
        Self::parse(BASE).expect("the built-in base is tested")
    }

    /// Reads a base.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let BaseFile { part: parts } =
            toml::from_str(text).map_err(|error| Error::Toml(Box::new(error)))?;
        let all = |pick: fn(&Part) -> &Vec<String>| -> Vec<String> {
            parts.iter().flat_map(pick).cloned().collect()
        };
        let (paths, links) = (globs(&all(|part| &part.paths))?, globs(&all(|part| &part.links))?);
        Ok(Self { parts, paths, links })
    }

    /// Its parts, in the file's order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Whether a path is of the base.
    pub fn has(&self, path: &RootPath) -> bool {
        matches(&self.paths, path)
    }

    /// The first part that a path is of.
    pub fn part_of(&self, path: &RootPath) -> Option<&Part> {
        let has = |part: &&Part| globs(&part.paths).is_ok_and(|globs| matches(&globs, path));
        self.parts.iter().find(has).filter(|_| self.has(path))
    }

    /// Whether a link stays where what it leads to stays.
    pub fn has_link(&self, path: &RootPath) -> bool {
        matches(&self.links, path)
    }
}

fn matches(globs: &GlobSet, path: &RootPath) -> bool {
    str::from_utf8(path.as_bytes()).is_ok_and(|path| globs.is_match(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_sorted_and_say_why() {
        let base = Base::builtin();
        assert!(base.parts().is_sorted_by_key(|part| &part.id));
        for part in base.parts() {
            assert!(part.why.len() > 40, "{}", part.id);
            for list in [&part.paths, &part.links] {
                assert!(list.is_sorted(), "{}", part.id);
                assert!(list.iter().all(|path| path.starts_with('/')), "{}", part.id);
            }
        }
    }

    #[test]
    fn a_base_has_paths_and_links() {
        let base = Base::builtin();
        let path = |path: &str| path.parse::<RootPath>().expect("a path");
        assert!(base.has(&path("/usr/share/doc/redis/copyright")));
        assert!(!base.has(&path("/usr/share/doc/redis/README")));
        let part = |text| base.part_of(&path(text)).map(|part| part.id.as_str());
        assert_eq!(part("/etc/localtime"), Some("time-zones"));
        assert_eq!(part("/usr/share/doc/redis/README"), None);
        assert!(base.has_link(&path("/lib64")) && !base.has(&path("/lib64")));
    }
}
