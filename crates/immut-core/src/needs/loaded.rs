//! [`Loaded`]: what programs load or read by name, as data (`catalog/loaded.toml`).

use std::collections::BTreeSet;

use globset::{Glob, GlobMatcher};
use serde::Deserialize;

use crate::path::{RootPath, lossy};

/// The rules about what is loaded by name.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    rules: Vec<(Rule, Vec<Name>)>,
}

/// What a library or executable loads or reads by name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// Its id.
    pub(crate) id: String,
    /// What it is about, in a few words.
    pub(crate) title: String,
    /// Why that is needed and where it is, with the source.
    #[cfg_attr(not(test), expect(dead_code, reason = "for readers of the catalog"))]
    pub(crate) why: String,
    /// Libraries that load it, by file name.
    #[serde(default)]
    pub(crate) libraries: Vec<String>,
    /// Executables that load it, by file name.
    #[serde(default)]
    pub(crate) executables: Vec<String>,
    /// Paths of which one has to be in the image.
    #[serde(default)]
    pub(crate) beside: Vec<String>,
    /// What is needed where it is there.
    #[serde(default)]
    pub(crate) paths: Vec<String>,
    /// Configuration among that: what it names by absolute paths is needed too.
    #[serde(default)]
    pub(crate) settings: Vec<String>,
    /// Settings whose values are command lines, by their names.
    #[serde(default)]
    pub(crate) commands: Vec<String>,
    /// What is executed, where it is there.
    #[serde(default)]
    pub(crate) runs: Vec<String>,
    /// Whether the start may break without any of the paths.
    #[serde(default)]
    pub(crate) hard: bool,
}

/// What one needed file brings with it.
#[derive(Debug, Clone)]
pub(crate) struct Wanted<'a> {
    /// The rule that says so.
    pub(crate) rule: &'a Rule,
    /// Globs over paths with a leading slash; what of them is in the image is needed.
    pub(crate) paths: Vec<String>,
    /// Globs of configuration.
    pub(crate) settings: Vec<String>,
    /// Globs of what is executed.
    pub(crate) runs: Vec<String>,
}

/// Why text is no catalog of what is loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// Not TOML, or not of this form.
    #[error("{0}")]
    Toml(Box<toml::de::Error>),
    /// Two rules have the same id.
    #[error("rule {0} is there twice")]
    Duplicate(String),
    /// A name or path that is no pattern.
    #[error("{0:?} is no pattern")]
    Pattern(String),
}

/// A pattern of file names: a glob, or one with a version in it.
#[derive(Debug, Clone)]
enum Name {
    Glob(GlobMatcher),
    Versioned(String, GlobMatcher),
}

const CATALOG: &str = include_str!("../../catalog/loaded.toml");
const PLACEHOLDERS: [&str; 5] = ["{dir}", "{libs}", "{name}", "{prefix}", "{version}"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rule: Vec<Rule>,
}

impl Loaded {
    /// The rules that immut comes with.
    pub(crate) fn builtin() -> Self {
        Self::parse(CATALOG).expect("the built-in catalog is tested")
    }

    /// Reads rules.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let file: File = toml::from_str(text).map_err(|error| Error::Toml(Box::new(error)))?;
        let mut ids = BTreeSet::new();
        let mut rules = Vec::new();
        for rule in file.rule {
            if !ids.insert(rule.id.clone()) {
                return Err(Error::Duplicate(rule.id));
            }
            let paths = [&rule.beside, &rule.paths, &rule.settings, &rule.runs];
            paths.into_iter().flatten().try_for_each(|path| check(path))?;
            let names = rule.libraries.iter().chain(&rule.executables);
            let names = names.map(|name| Name::parse(name)).collect::<Result<_, _>>()?;
            rules.push((rule, names));
        }
        Ok(Self { rules })
    }

    /// The rules, in the catalog's order.
    #[cfg(test)]
    pub(crate) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|(rule, _)| rule)
    }

    /// What a needed file brings with it.
    ///
    /// `libs` are the folders where the loader looks; `has` says whether a glob matches anything in
    /// the image. A library and an executable are told apart by their names alone, so that a
    /// library which is run (the loader) is found too. Ask for each name on the way to the file:
    /// the rule of Python environments is about a link.
    pub(crate) fn wanted<'a>(
        &'a self,
        file: &RootPath,
        libs: &[RootPath],
        has: &dyn Fn(&str) -> bool,
    ) -> Vec<Wanted<'a>> {
        let Ok(name) = str::from_utf8(file.file_name()) else { return Vec::new() };
        let mut wanted = Vec::new();
        for (rule, names) in &self.rules {
            let Some(version) = names.iter().find_map(|pattern| pattern.version(name)) else {
                continue;
            };
            let filled = |paths: &[String]| -> Vec<String> {
                paths.iter().flat_map(|path| fill(path, file, libs, &version)).collect()
            };
            if rule.beside.is_empty() || filled(&rule.beside).iter().any(|path| has(path)) {
                wanted.push(Wanted {
                    rule,
                    paths: filled(&rule.paths),
                    settings: filled(&rule.settings),
                    runs: filled(&rule.runs),
                });
            }
        }
        wanted
    }
}

impl Name {
    fn parse(pattern: &str) -> Result<Self, Error> {
        let glob = |text: &str| {
            let glob = Glob::new(text).map_err(|_| Error::Pattern(pattern.to_owned()))?;
            Ok(glob.compile_matcher())
        };
        Ok(match pattern.split_once("{version}") {
            Some((before, after)) => Self::Versioned(before.to_owned(), glob(after)?),
            None => Self::Glob(glob(pattern)?),
        })
    }

    /// The version in a name that matches; empty where the pattern has none.
    fn version(&self, name: &str) -> Option<String> {
        match self {
            Self::Glob(glob) => glob.is_match(name).then(String::new),
            Self::Versioned(before, after) => {
                let rest = name.strip_prefix(before.as_str())?;
                let end = rest.find(|next: char| !next.is_ascii_digit() && next != '.');
                let version = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
                let fits = version.starts_with(|first: char| first.is_ascii_digit());
                (fits && after.is_match(&rest[version.len()..])).then(|| version.to_owned())
            }
        }
    }
}

/// A path of a rule with its placeholders filled in; none if there is nothing to fill in.
fn fill(path: &str, file: &RootPath, libs: &[RootPath], version: &str) -> Vec<String> {
    if path.contains("{version}") && version.is_empty() {
        return Vec::new();
    }
    let name = globset::escape(&lossy(file.file_name()));
    let path = path.replace("{version}", version).replace("{name}", &name);
    if let Some(rest) = path.strip_prefix("{libs}") {
        return libs.iter().map(|folder| under(folder, rest)).collect();
    }
    let Some(dir) = file.parent() else { return Vec::new() };
    if let Some(rest) = path.strip_prefix("{dir}") {
        return up(dir, rest).into_iter().collect();
    }
    match path.strip_prefix("{prefix}") {
        Some(rest) => dir.parent().and_then(|prefix| up(prefix, rest)).into_iter().collect(),
        None => vec![path],
    }
}

/// `rest` beneath a folder, with `..` in front of it; never the whole root.
fn up(mut folder: RootPath, mut rest: &str) -> Option<String> {
    while let Some(after) = rest.strip_prefix("/..") {
        folder = folder.parent()?;
        rest = after;
    }
    (!folder.is_root() || rest != "/**").then(|| under(&folder, rest))
}

/// A glob beneath a folder, whose own name means itself.
fn under(folder: &RootPath, rest: &str) -> String {
    if folder.is_root() {
        return rest.to_owned();
    }
    format!("/{}{rest}", globset::escape(&lossy(folder.as_bytes())))
}

/// Whether a path of a rule is absolute, or has a placeholder that is known, and is a glob.
fn check(path: &str) -> Result<(), Error> {
    let bad = || Error::Pattern(path.to_owned());
    let mut plain = path.to_owned();
    for placeholder in PLACEHOLDERS {
        plain = plain.replace(placeholder, "/x");
    }
    if !plain.starts_with('/') || plain.contains('{') || Glob::new(&plain).is_err() {
        return Err(bad());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RootPath {
        text.parse().expect("a path")
    }

    /// Ids of the rules for a file, and all their paths; everything is beside it. Rules about any
    /// program are left out.
    fn wanted(file: &str) -> (Vec<String>, Vec<String>) {
        let loaded = Loaded::builtin();
        let libs = [path("/usr/lib"), path("/opt/lib")];
        let mut wanted = loaded.wanted(&path(file), &libs, &|_| true);
        wanted.retain(|one| one.rule.executables != ["*"]);
        let ids = wanted.iter().map(|one| one.rule.id.clone()).collect();
        (ids, wanted.into_iter().flat_map(|one| one.paths).collect())
    }

    #[test]
    fn the_catalog_is_sorted_and_says_why() {
        let loaded = Loaded::builtin();
        assert!(loaded.rules().is_sorted_by_key(|rule| &rule.id));
        for rule in loaded.rules() {
            assert!(rule.why.len() > 80 && rule.title.len() < 70, "{}", rule.id);
            assert!(!rule.libraries.is_empty() || !rule.executables.is_empty(), "{}", rule.id);
            for list in [&rule.libraries, &rule.executables, &rule.beside, &rule.runs] {
                assert!(list.is_sorted(), "{} {list:?}", rule.id);
            }
        }
    }

    #[test]
    fn a_library_brings_what_it_loads() {
        let (ids, paths) = wanted("/usr/lib/x86_64-linux-gnu/libc.so.6");
        for id in ["libc-gcc", "libc-gconv", "libc-loader", "libc-locale", "libc-nss", "timezones"]
        {
            assert!(ids.iter().any(|one| one == id), "{id}");
        }
        for glob in [
            "/opt/lib/libgcc_s.so.1",
            "/usr/lib/x86_64-linux-gnu/gconv/**",
            "/usr/lib/x86_64-linux-gnu/libgcc_s.so.1",
            "/usr/lib/x86_64-linux-gnu/libnss_*.so.2",
        ] {
            assert!(paths.iter().any(|one| one == glob), "{glob}");
        }
        assert_eq!(wanted("/usr/lib/libcrypto.so.3").0, ["ca-bundles", "openssl-3"]);
        assert!(wanted("/usr/lib/libm.so.6").0.is_empty());
    }

    #[test]
    fn versions_are_taken_from_the_name() {
        let (ids, paths) = wanted("/usr/local/bin/python3.11");
        assert_eq!(ids, ["mime-types", "python", "python-venv"]);
        assert!(paths.contains(&"/usr/local/lib/python3.11/**".to_owned()));
        assert!(wanted("/usr/lib/libpython3.11.so.1.0").0.contains(&"python".to_owned()));
        assert!(wanted("/usr/bin/python3.11-config").0.is_empty());
        assert!(wanted("/usr/bin/pythonic").0.is_empty());
    }

    #[test]
    fn a_java_home_is_one_only_with_its_configuration() {
        let home = "/usr/lib/jvm/java-17-openjdk-amd64";
        let loaded = Loaded::builtin();
        let java = path(&format!("{home}/bin/java"));
        let has = |glob: &str| glob == format!("{home}/lib/jvm.cfg");
        let found = loaded.wanted(&java, &[], &has);
        assert!(found[0].paths.contains(&format!("{home}/**")));
        assert!(loaded.wanted(&path("/usr/bin/java"), &[], &has).is_empty());
        let jvm = loaded.wanted(&path(&format!("{home}/lib/server/libjvm.so")), &[], &has);
        assert!(jvm[0].paths.contains(&format!("{home}/**")));
    }

    #[test]
    fn hostile_folders_are_no_globs_and_never_the_root() {
        let (_, paths) = wanted("/**/bin/java");
        assert!(paths.contains(&"/[*][*]/**".to_owned()), "{paths:?}");
        for file in ["/bin/java", "/java", "/libjvm.so", "/a/b/libjvm.so"] {
            assert!(!wanted(file).1.iter().any(|glob| glob == "/**"), "{file}");
        }
    }

    #[test]
    fn unknown_placeholders_are_refused() {
        let rule = |paths: &str| {
            format!("[[rule]]\nid='a'\ntitle='t'\nwhy='w'\nlibraries=['x']\npaths=['{paths}']\n")
        };
        assert!(Loaded::parse(&rule("{dir}/x")).is_ok());
        for bad in ["{java}/x", "x/y", "/[", ""] {
            assert!(matches!(Loaded::parse(&rule(bad)), Err(Error::Pattern(_))), "{bad}");
        }
        let twice = format!("{0}{0}", rule("/x"));
        assert!(matches!(Loaded::parse(&twice), Err(Error::Duplicate(_))));
    }
}
