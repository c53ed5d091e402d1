//! Pages that would go stale. `docs/rules.md` and `docs/apps.md` are generated from the catalog, and
//! written when `IMMUT_UPDATE_DOCS` is set; `docs/registries.md` names tests, which have to exist.

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};
use std::fs;
use std::path::{Path, PathBuf};

use immut_core::apps::{App, Ask, Demand, Start};
use immut_core::rules::{Catalog, Matcher, Rule};
use immut_testkit::pages;

#[test]
fn the_page_of_rules_is_what_the_catalog_says() {
    pages::check("docs/rules.md", &page(), "-p immut-core --test docs");
}

fn page() -> String {
    let catalog = Catalog::builtin();
    let mut page = String::from(
        "# Rules\n\nWhat immut looks for. This page is generated from `crates/immut-core/catalog`; `immut rules ID`\nprints the same. A rule with the remedy `none` only reports, or explains a step that follows from\nanother one.\n\n| rule | severity | remedy | finds |\n|---|---|---|---|\n",
    );
    for rule in catalog.rules() {
        let remedy = serde_json::to_value(rule.remedy).expect("a word");
        let remedy = remedy.as_str().unwrap_or_default();
        writeln!(
            page,
            "| [`{0}`](#{0}) | {1} | {remedy} | {2} |",
            rule.id, rule.severity, rule.title
        )
        .expect("memory");
    }
    for rule in catalog.rules() {
        section(&mut page, rule);
    }
    page
}

fn section(page: &mut String, rule: &Rule) {
    write!(page, "\n## {}\n\n{}\n", rule.id, rule.why.trim()).expect("memory");
    if !matches!(rule.matcher, Matcher::Files | Matcher::Surplus) {
        return;
    }
    for group in &rule.executables {
        write!(page, "\n**{}**: {}\n", group.family, code(&group.names)).expect("memory");
        if !group.ambiguous.is_empty() {
            write!(page, "\nOnly with their package or content: {}\n", code(&group.ambiguous))
                .expect("memory");
        }
        if !group.packages.is_empty() {
            write!(page, "\nPackages: {}\n", code(&group.packages)).expect("memory");
        }
    }
    for group in &rule.places {
        write!(page, "\n**Places of {}**: {}\n", group.family, code(&group.paths)).expect("memory");
    }
    for signature in &rule.signatures {
        let strings = code(&signature.strings);
        write!(page, "\n**Content of {}**: {strings}\n", signature.program).expect("memory");
    }
}

fn code<T: Display>(items: &[T]) -> String {
    items.iter().map(|item| format!("`{item}`")).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_page_of_app_profiles_is_what_the_catalog_says() {
    pages::check("docs/apps.md", &apps(), "-p immut-core --test docs");
}

const ABOUT_APPS: &str = r"# App profiles

How applications that immut knows are started without their entrypoint script, and what they write, read and
listen on for a user that is not root. This page is generated from `crates/immut-core/catalog/apps`; `immut apps
NAME` prints the same.

A profile is applied only by `--app NAME`, `--app auto` (the one that recognises the image) or `--app FILE.toml`,
with `plan`, `explain` and `harden`: a port that moves or a file that gets another owner can break somebody's
service. A refusal names the profile that would settle it. What was done, and why, is in the plan and the receipt.

- **The start.** Where the image starts by a script, its entrypoint becomes the profile's; the words that the
  image gave to the script are given to the application, and the profile's own only where there are none. An image
  that starts the application itself stays as it is, and so do programs in front that only run it (`tini`).
  `--entrypoint`, `--cmd` and `--healthcheck` win.
- **The health check** becomes the profile's only where the image has one that loses its shell.
- **Configuration** is edited where a search finds something; links are followed inside the image, and each text is
  edited once. What is larger than 1 MiB, no text, or has several names is left alone, and the plan says so.
- **Ports** move in the image's list too, if an edit or the profile's words of cmd moved them.
- **The user** of an image that would run as root is the account that its data belong to (`user`), where the image
  has it: a volume that the image filled as it was stays readable. Without such an account it is 65532, as always;
  `--user` wins.
- **What is asked of the user** counts without `--app` too: where the image starts the application itself, and its
  configuration asks for root or for a folder that the user may not write, the image would not start, so it is
  refused with the line. A start that names a file of its own (`nginx -c /srv/nginx.conf`) is not read for that.

";

const OWN_APPS: &str = r#"
## A profile of your own

A file with the same fields is taken by `--app FILE.toml`, and shown by `immut apps FILE.toml`; an error names its
line. It has a `name`, a `title`, how it is recognised, and at least one `[[start]]`; everything else may be left out.
Paths are globs, in which `*` stays within a component. The first start of which all `when` paths are there is
taken, and `{0}` in it is the path that the first of them matched. A search is a regular expression without
look-around over the whole text, `^` and `$` are the ends of a line; what it puts in must not be found by it again,
since hardening twice has to be hardening once.

```toml
name = "mine"
title = "My own server"
needs = ["/srv/templates/**"]               # what stays in every profile
readable = ["/etc/mine/*.conf"]             # what its user has to be able to read
user = "mine"                               # whose data are, instead of 65532 where it would be root
notes = ["the script waited for the database: have the platform restart it"]

[recognise]
programs = ["/usr/{bin,local/bin}/mine"]    # one has to be there
entrypoints = ["/docker-entrypoint.sh"]     # scripts that start it
arguments = ["*.conf"]                      # first words that these give to it, beside -options
words = ["mine"]                            # first words that mean it

[[start]]
when = ["/usr/{bin,local/bin}/mine", "/etc/mine/mine.conf"]
entrypoint = ["{0}", "--foreground"]
cmd = ["--config", "{1}"]                   # where the image says no words of its own
healthcheck = ["{0}", "--ping"]
# port = 80                                 # the port that this cmd moves

[[writable]]
path = "/var/lib/mine"
kind = "volume"                             # or "tmpfs"
create = true                               # made where it is missing

[[ports]]
from = 80
to = 8080

[[edits]]
file = "/etc/mine/*.conf"
find = '^port = 80$'
replace = "port = 8080"
unless = '^socket = '                       # found there, nothing is changed
port = 80                                   # the port that this moves
why = "a user other than root may not listen below 1024"

[[asks]]
file = "/etc/mine/*.conf"                   # without it: the words of the start, one in a line
writes = '^log = (/.+)$'                    # or root = '^chroot', or folders = ["/var/lib/mine"]
base = "/var/lib/mine"                      # where relative paths of `writes` begin
unless = '^--no-log$'                       # found there, or among the words

[env]
MINE_HOME = "/var/lib/mine"                 # unless the image sets it
```
"#;

#[test]
fn the_example_of_a_profile_is_one() {
    let example = OWN_APPS.split("```").nth(1).and_then(|text| text.strip_prefix("toml\n"));
    let app: App = example.expect("an example").parse().unwrap_or_else(|error| panic!("{error}"));
    let parts = [app.edits.len(), app.writable.len(), app.asks.len(), app.env.len()];
    assert_eq!(parts, [1; 4]);
}

fn apps() -> String {
    let mut page = String::from(ABOUT_APPS);
    page += "| profile | application | started by | ports | writes to |\n|---|---|---|---|---|\n";
    for app in App::builtin() {
        let ports: Vec<String> =
            app.ports.iter().map(|port| format!("{} → {}", port.from, port.to)).collect();
        let folders: Vec<String> =
            app.writable.iter().map(|one| format!("`{}`", one.path)).collect();
        let words: Vec<&String> =
            app.recognise.words.iter().chain(&app.recognise.launchers).collect();
        let name = format!("[`{0}`](#{0})", app.name);
        let (ports, folders) = (ports.join(", "), folders.join(" "));
        writeln!(page, "| {name} | {} | {} | {ports} | {folders} |", app.title, code(&words))
            .expect("memory");
    }
    page += OWN_APPS;
    for app in App::builtin() {
        app_section(&mut page, app);
    }
    page
}

fn app_section(page: &mut String, app: &App) {
    let recognise = &app.recognise;
    write!(page, "\n## {}\n\n{}: {}", app.name, app.title, code(&recognise.programs))
        .expect("memory");
    if !recognise.without.is_empty() {
        write!(page, " without {}", code(&recognise.without)).expect("memory");
    }
    let starts: Vec<&String> =
        recognise.entrypoints.iter().chain(&recognise.words).chain(&recognise.launchers).collect();
    writeln!(page, ", started by {}.\n", code(&starts)).expect("memory");
    for start in &app.start {
        writeln!(page, "- start: {}", start_line(start)).expect("memory");
    }
    if let Some(user) = &app.user {
        writeln!(page, "- runs as the image's `{user}`, where it would run as root")
            .expect("memory");
    }
    for one in &app.writable {
        let kind = one.kind.as_str();
        let made = if one.create { ", made where it is missing" } else { "" };
        writeln!(page, "- writes to `{}` ({kind}{made})", one.path).expect("memory");
    }
    for edit in &app.edits {
        writeln!(page, "- edits `{}`: {}", edit.file, edit.why).expect("memory");
    }
    for ask in &app.asks {
        writeln!(page, "- asks its user {}", quoted(ask)).expect("memory");
    }
    for (what, globs) in [("lets its user read", &app.readable), ("needs", &app.needs)] {
        if !globs.is_empty() {
            writeln!(page, "- {what} {}", code(globs)).expect("memory");
        }
    }
    for (name, value) in &app.env {
        writeln!(page, "- sets `{name}={value}`, unless it is set").expect("memory");
    }
    for note in &app.notes {
        writeln!(page, "- {note}").expect("memory");
    }
}

/// What is asked for, with its search and its files as code.
fn quoted(ask: &Ask) -> String {
    let Ask { file, unless, demand, base, .. } = ask;
    let mut text = ask.to_string();
    let search = match demand {
        Demand::Root(search) | Demand::Writes(search) => Some(search),
        Demand::Folders(_) => None,
    };
    let folders = if let Demand::Folders(folders) = demand { &folders[..] } else { &[] };
    let globs = file.iter().chain(base).chain(folders).map(ToString::to_string);
    for part in search.into_iter().chain(unless).map(ToString::to_string).chain(globs) {
        // A folder also begins the names of files in it, which are quoted already.
        text = text.replace(&format!(" {part}"), &format!(" `{part}`"));
    }
    text
}

fn start_line(start: &Start) -> String {
    let words = |words: &[String]| serde_json::to_string(words).expect("JSON");
    let mut parts = vec![if start.entrypoint.is_empty() {
        "as the image does".to_owned()
    } else {
        format!("entrypoint `{}`", words(&start.entrypoint))
    }];
    let more = [("cmd", &start.cmd), ("health check", &start.healthcheck)];
    let more = more.iter().filter(|(_, of)| !of.is_empty());
    parts.extend(more.map(|(what, of)| format!("{what} `{}`", words(of))));
    format!("{}; with {}", parts.join(", "), code(&start.when))
}

#[test]
fn the_page_of_registries_names_tests_that_exist() {
    let page = fs::read_to_string(workspace("docs/registries.md")).expect("the page");
    let named: BTreeSet<&str> =
        page.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
    assert!(named.len() > 60, "{}", named.len());
    for name in &named {
        let (file, function) = name.split_once("::").expect("file::name");
        let folder =
            if file.starts_with("e2e/") { "immut-cli/tests" } else { "immut-core/tests/registry" };
        let path = format!("crates/{folder}/{file}.rs");
        let source = fs::read_to_string(workspace(&path)).unwrap_or_default();
        assert!(tests(&source).contains(&function), "docs/registries.md: no test {name}");
    }
    // And the other way round, where a test is there for the page's sake.
    for file in ["habits", "uploads", "downloads", "tags", "tokens", "messages"] {
        let path = format!("crates/immut-core/tests/registry/{file}.rs");
        let source = fs::read_to_string(workspace(&path)).expect("a file of tests");
        for function in tests(&source) {
            let name = format!("{file}::{function}");
            assert!(named.contains(name.as_str()), "docs/registries.md does not name {name}");
        }
    }
}

#[test]
fn the_page_of_registries_names_each_preset_of_the_testkit() {
    let page = fs::read_to_string(workspace("docs/registries.md")).expect("the page");
    let presets = fs::read_to_string(workspace("crates/immut-testkit/src/registry/habits.rs"));
    let presets = presets.expect("the presets");
    let presets =
        presets.lines().filter_map(|line| line.strip_prefix("pub fn ")?.split('(').next());
    let missing: Vec<_> =
        presets.filter(|name| !page.contains(&format!("habits::{name}_goes"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The names of the tests in a file.
fn tests(source: &str) -> Vec<&str> {
    let after = source.split("#[test]\nfn ").skip(1);
    after.filter_map(|rest| rest.split('(').next()).collect()
}

fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}
