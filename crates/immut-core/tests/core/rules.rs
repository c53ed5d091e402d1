//! What each rule finds, what it needs to find it, and what goes with it.

mod fixtures;

use std::collections::BTreeSet;

use immut_core::Options;
use immut_core::finding::{Finding, Remedy};
use immut_core::plan::{Conflict, Problem};
use immut_core::rules::{Catalog, Matcher};
use immut_testkit::contents::{self, Package};
use immut_testkit::recipe::{LayerRecipe, Recipe};

use crate::common::{Scene, keeping, removed, rules_of};
use crate::invariants::sources;
use fixtures::fixture;

const BASH: Package<'_> = Package { name: "bash", version: "5", files: &["/bin/bash"] };
const APT: Package<'_> = Package { name: "apt", version: "2", files: &["/usr/bin/apt-get"] };
const APK: Package<'_> = Package { name: "apk-tools", version: "2", files: &["/sbin/apk"] };

#[test]
fn every_rule_has_a_fixture_in_which_it_speaks() {
    for rule in Catalog::builtin().rules() {
        let id = rule.id.as_str();
        let (recipe, options) = fixture(id).unwrap_or_else(|| panic!("rule {id} has no fixture"));
        let planned = Scene::of(&recipe).plan(&options);
        let found = planned.findings.iter().any(|finding| finding.rule == rule.id);
        let acted = rules_of(&planned.plan).contains(id);
        let refused = |one: &Conflict| matches!(one.problem, Problem::Broken { .. });
        let refused = id == "broken-start" && planned.plan.conflicts.iter().any(refused);
        assert!(found || acted || refused, "{id}: {:?} {:?}", planned.findings, planned.plan.steps);
        let found = found || rule.matcher == Matcher::Surplus;
        assert!(rule.remedy == Remedy::None || found && acted, "{id} does nothing");
    }
}

#[test]
fn files_that_words_name_and_only_root_may_read_are_found() {
    let image = Recipe::new()
        .layer(|l| {
            l.file("/app", 0o755, contents::program())
                .file("/srv/open", 0o644, "x")
                .file("/srv/shut", 0o600, "x")
                .file("/srv/group", 0o640, "x")
                .file("/srv/run-only", 0o711, contents::program())
                .dir("/locked", 0o700)
                .file("/locked/file", 0o644, "x")
                .file("/usr/bin/tool", 0o700, contents::program())
                .symlink("/link", "srv/shut")
        })
        .layer(|l| l.owned(999, 999).file("/srv/other", 0o600, "x"))
        .workdir("/srv");
    let found = |recipe: &Recipe| -> Vec<String> {
        let findings = Scene::of(recipe).plan(&keeping(&["rule:root-user"])).findings;
        let found = findings.iter().filter(|one| one.rule.as_str() == "root-only-file");
        found.map(ToString::to_string).collect()
    };
    let started = |words: &[&str]| image.clone().entrypoint(&[&["/app"], words].concat());
    let shut = "root-only-file [info] /srv/shut: mode 0600, is named by /config/Entrypoint";
    for words in
        [&["shut"][..], &["/srv/shut"], &["--config=shut"], &["../link"], &["shut", "/link"]]
    {
        assert_eq!(found(&started(words)), [shut], "{words:?}");
        assert_eq!(found(&started(words).user("7:7")), [shut], "{words:?}");
    }
    for words in
        [&["open"][..], &["run-only"], &["other"], &["tool"], &["nothing"], &["/srv"], &[""]]
    {
        assert_eq!(found(&started(words)), [""; 0], "{words:?}");
    }
    assert_eq!(found(&started(&["group"])).len(), 1);
    assert_eq!(found(&started(&["group"]).user("7")), [""; 0], "who has no account is in group 0");
    let locked = "root-only-file [info] /locked/file: is beneath /locked, which has mode 0700, is named by /config/Cmd";
    assert_eq!(found(&started(&[]).cmd(&["/locked/file"])), [locked]);
    let check = serde_json::json!({ "Test": ["CMD", "/app", "shut"] });
    assert_eq!(found(&started(&[]).healthcheck(check)).len(), 1);
    let mut options = Options::default();
    options.choices.writable = vec!["/srv/shut".parse().expect("a path")];
    let done = Scene::of(&started(&["shut"])).harden(&options);
    assert_eq!(done.hardened.platforms[0].left, [], "the user has it");
}

#[test]
fn nothing_is_found_where_there_is_nothing() {
    let image = Recipe::new().layer(|l| l.file("/app", 0o755, contents::program()));
    let planned = Scene::of(&image.user("7").entrypoint(&["/app"])).plan(&Options::default());
    assert!(planned.findings.is_empty() && planned.plan.is_empty(), "{:?}", planned.findings);
}

/// What is removed from an image of these layers, beside the files about packages that are gone.
fn gone(layers: &[fn(LayerRecipe) -> LayerRecipe]) -> Vec<String> {
    gone_from(&recipe(layers))
}

fn gone_from(recipe: &Recipe) -> Vec<String> {
    let mut names = removed(&Scene::of(recipe).plan(&Options::default()).plan);
    names.retain(|name| !name.contains("/info/"));
    names
}

fn recipe(layers: &[fn(LayerRecipe) -> LayerRecipe]) -> Recipe {
    layers.iter().fold(Recipe::new().user("7"), Recipe::layer)
}

fn findings(layers: &[fn(LayerRecipe) -> LayerRecipe]) -> Vec<Finding> {
    Scene::of(&recipe(layers)).plan(&Options::default()).findings
}

const NOTHING: [&str; 0] = [];

#[test]
fn an_unambiguous_name_needs_one_more_signal() {
    assert_eq!(gone(&[|l| l.file("/bin/bash", 0o755, "#!/x")]), NOTHING, "name only");
    assert_eq!(gone(&[|l| l.file("/bin/bash", 0o755, "x").dpkg(&[BASH])]), ["/bin/bash"], "dpkg");
    assert_eq!(gone(&[|l| l.file("/bin/bash", 0o755, contents::bash())]), ["/bin/bash"], "content");
    let other = Package { name: "other", version: "1", files: &["/bin/bash"] };
    let owned = recipe(&[]).layer(|l| l.file("/bin/bash", 0o755, "x").dpkg(&[other]));
    assert_eq!(removed(&Scene::of(&owned).plan(&Options::default()).plan), NOTHING, "another's");
}

#[test]
fn a_name_alone_and_a_content_alone_are_findings_without_a_remedy() {
    let alone: [fn(LayerRecipe) -> LayerRecipe; 3] = [
        |l| l.file("/bin/bash", 0o755, "#!/x"),
        |l| l.file("/opt/scanner", 0o755, contents::busybox()),
        |l| l.file("/usr/bin/scanner", 0o755, contents::busybox()),
    ];
    for layer in alone {
        let found = findings(&[layer]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].remedy, Remedy::None, "{found:?}");
    }
}

#[test]
fn an_ambiguous_name_needs_its_package() {
    let es = Package { name: "es", version: "1", files: &["/usr/bin/es"] };
    let file = |l: LayerRecipe| l.file("/usr/bin/es", 0o755, "x");
    assert_eq!(gone(&[file]), NOTHING);
    assert!(findings(&[file]).is_empty());
    let owned = recipe(&[file]).layer(|l| l.dpkg(&[es]));
    assert_eq!(gone_from(&owned), ["/usr/bin/es"]);
}

#[test]
fn names_count_where_executables_are_looked_up() {
    let elsewhere = |l: LayerRecipe| l.file("/srv/tools/bash", 0o755, contents::bash());
    assert_eq!(gone(&[elsewhere]), NOTHING);
    let in_path = recipe(&[elsewhere]).env("PATH=/srv/tools:/bin");
    assert_eq!(removed(&Scene::of(&in_path).plan(&Options::default()).plan), ["/srv/tools/bash"]);
}

#[test]
fn every_database_names_owners() {
    assert_eq!(gone(&[|l| l.file("/sbin/apk", 0o755, "x").apk(&[APK])]), ["/sbin/apk"]);
    let dpkg = gone(&[|l| l.file("/usr/bin/apt-get", 0o755, "x").dpkg(&[APT])]);
    assert_eq!(dpkg, ["/usr/bin/apt-get"]);
    for folder in ["/usr/lib/opkg", "/var/lib/opkg"] {
        let list = format!("{folder}/info/opkg.list");
        let image = Recipe::new()
            .user("7")
            .layer(|l| l.file("/bin/opkg", 0o755, "x").file(list, 0o644, "/bin/opkg\n"));
        let plan = Scene::of(&image).plan(&Options::default()).plan;
        assert_eq!(removed(&plan), ["/bin/opkg"], "{folder}");
    }
}

#[test]
fn databases_stay_and_the_places_of_a_package_manager_go() {
    let done = Scene::of(&recipe(&[|l| {
        l.file("/usr/bin/apt-get", 0o755, "x")
            .file("/etc/apt/sources.list", 0o644, "deb")
            .file("/var/lib/dpkg/info/apt.postinst", 0o755, "#!/bin/sh")
            .file("/usr/lib/python3/site-packages/setuptools/x.py", 0o644, "x")
            .dpkg(&[APT])
    }]))
    .harden(&Options::default());
    let left = done.paths();
    for gone in [
        "usr/bin/apt-get",
        "etc/apt",
        "var/lib/dpkg/info/apt.list",
        "var/lib/dpkg/info/apt.postinst",
    ] {
        assert!(!left.contains(&gone.to_owned()), "{gone}");
    }
    for stays in ["var/lib/dpkg/status", "usr/lib/python3/site-packages/setuptools/x.py"] {
        assert!(left.contains(&stays.to_owned()), "{stays}");
    }
}

#[test]
fn packages_own_what_a_merged_usr_moved() {
    let layers: [fn(LayerRecipe) -> LayerRecipe; 1] =
        [|l| l.symlink("/bin", "usr/bin").file("/usr/bin/bash", 0o755, "x").dpkg(&[BASH])];
    assert_eq!(gone(&layers), ["/usr/bin/bash"]);
    let split: [fn(LayerRecipe) -> LayerRecipe; 1] =
        [|l| l.file("/bin/bash", 0o755, "x").file("/usr/bin/bash", 0o755, "y").dpkg(&[BASH])];
    assert_eq!(gone(&split), ["/bin/bash"], "without the link these are two files");
}

#[test]
fn copies_hardlinks_and_chains_of_links_go_too() {
    let all = gone(&[
        |l| {
            l.dir("/bin", 0o755)
                .file("/bin/bash", 0o755, contents::bash())
                .hardlink_as("/opt/innocent", "/bin/bash", 0o755)
                .file("/srv/copy", 0o644, contents::bash())
                .symlink("/bin/sh", "bash")
        },
        |l| {
            l.hardlink_as("/usr/lib/across", "/bin/bash", 0o755)
                .symlink("/a", "/b")
                .symlink("/b", "bin/sh")
                .hardlink_as("/c", "/b", 0o777)
                .symlink("/elsewhere", "/etc/hostname")
        },
    ]);
    let expected =
        ["/a", "/b", "/bin/bash", "/bin/sh", "/c", "/opt/innocent", "/srv/copy", "/usr/lib/across"];
    assert_eq!(all, expected);
}

#[test]
fn links_through_a_merged_usr_lead_to_what_goes() {
    let all = gone(&[|l| {
        l.symlink("/bin", "usr/bin")
            .file("/usr/bin/bash", 0o755, contents::bash())
            .symlink("/usr/bin/sh", "/bin/bash")
    }]);
    assert_eq!(all, ["/usr/bin/bash", "/usr/bin/sh"], "and /bin stays");
}

/// Every way in which a shell can be in an image: afterwards no layer has its name or its bytes.
#[test]
fn a_shell_is_gone_from_all_layers() {
    type Build = fn(LayerRecipe) -> LayerRecipe;
    let layers: [(&str, Vec<Build>); 6] = [
        (
            "upgraded",
            vec![bash, |l| l.file("/bin/bash", 0o755, [contents::bash(), vec![7]].concat())],
        ),
        ("deleted", vec![bash, |l| l.whiteout("/bin/bash")]),
        ("deleted with its folder", vec![bash, |l| l.opaque("/bin").file("/bin/x", 0o755, "x")]),
        ("copied", vec![bash, |l| l.file("/opt/app/run", 0o755, contents::bash())]),
        ("linked across layers", vec![bash, |l| l.hardlink_as("/opt/run", "/bin/bash", 0o755)]),
        ("replaced", vec![bash, |l| l.file("/bin/bash", 0o755, "harmless")]),
    ];
    for (what, layers) in layers {
        let done = Scene::of(&recipe(&layers)).harden(&Options::default());
        for tar in done.tars() {
            assert!(memchr::memmem::find(&tar, b"GNU bash, version").is_none(), "{what}: bytes");
            if what != "replaced" {
                assert!(memchr::memmem::find(&tar, b"bash").is_none(), "{what}: name");
            }
        }
        assert!(!done.again(&Options::default()).is_changed(), "{what}: again");
    }
}

fn bash(layer: LayerRecipe) -> LayerRecipe {
    layer.dir("/bin", 0o755).file("/bin/bash", 0o755, contents::bash()).file("/keep", 0o644, "k")
}

fn busybox(layer: LayerRecipe) -> LayerRecipe {
    layer
        .file("/bin/busybox", 0o755, contents::busybox())
        .symlink("/bin/sh", "busybox")
        .hardlink_as("/bin/ls", "/bin/busybox", 0o755)
        .symlink("/usr/bin/wget", "/bin/busybox")
}

#[test]
fn a_multicall_binary_goes_with_all_its_names() {
    assert_eq!(gone(&[busybox]), ["/bin/busybox", "/bin/ls", "/bin/sh", "/usr/bin/wget"]);
}

#[test]
fn a_multicall_binary_is_kept_with_all_its_names() {
    for keep in ["/bin/busybox", "/bin/ls", "/usr/bin/wget"] {
        let planned = Scene::of(&recipe(&[busybox])).plan(&keeping(&[keep]));
        assert_eq!(removed(&planned.plan), NOTHING, "--keep {keep}");
        let kept: BTreeSet<_> = planned.plan.kept.iter().map(|one| one.path.to_string()).collect();
        assert_eq!(kept.len(), 4, "--keep {keep}: {:?}", planned.plan.kept);
    }
}

#[test]
fn a_program_that_is_no_multicall_is_kept_by_name() {
    let dash =
        |l: LayerRecipe| l.file("/bin/dash", 0o755, contents::dash()).symlink("/bin/sh", "dash");
    let plan = |keep| removed(&Scene::of(&recipe(&[dash])).plan(&keeping(&[keep])).plan);
    assert_eq!(plan("/bin/dash"), ["/bin/sh"]);
    assert_eq!(plan("/bin/sh"), NOTHING, "the link and what it leads to");
}

#[test]
fn a_kept_file_stays_in_a_tree_that_goes() {
    let apt = |l: LayerRecipe| {
        l.file("/usr/bin/apt-get", 0o755, "x")
            .dir("/etc/apt", 0o755)
            .file("/etc/apt/apt.conf", 0o644, "x")
            .file("/etc/apt/trusted/a/key", 0o644, "x")
            .file("/etc/apt/trusted/b/key", 0o644, "x")
            .dpkg(&[APT])
    };
    let options = keeping(&["/etc/apt/trusted/a/key"]);
    let done = Scene::of(&recipe(&[apt])).harden(&options);
    let left: Vec<String> =
        done.paths().into_iter().filter(|path| path.starts_with("etc/apt")).collect();
    assert_eq!(left, ["etc/apt", "etc/apt/trusted", "etc/apt/trusted/a", "etc/apt/trusted/a/key"]);
    assert!(!done.again(&options).is_changed());
    let audit = immut_core::audit(&done.hardened.digest(), &done.stage, &options).expect("audited");
    assert!(audit.platforms[0].findings.is_empty(), "{:?}", audit.platforms[0].findings);
}

#[test]
fn keeping_a_rule_keeps_what_it_finds() {
    let image = recipe(&[bash]).layer(|l| l.file("/su", 0o4755, "x"));
    let plan = Scene::of(&image).plan(&keeping(&["rule:shell", "rule:setuid"])).plan;
    assert!(plan.is_empty(), "{:?}", plan.steps);
    let error = Scene::of(&image).plans(&keeping(&["rule:shel"])).expect_err("a slip of the pen");
    assert!(error.to_string().contains("no rule shel"), "{error}");
}

#[test]
fn every_rule_that_code_names_is_in_the_catalog() {
    let catalog = Catalog::builtin();
    let mut named = BTreeSet::new();
    for text in sources().values() {
        for before in ["id(\"", "--keep rule:"] {
            let ids = text.split(before).skip(1);
            let word = |c: char| !c.is_ascii_lowercase() && c != '-';
            named.extend(ids.filter_map(|rest| rest.split(word).next()).map(str::to_owned));
        }
        let parsed = text.split("\".parse().expect(\"rule ids in code");
        let ids: Vec<&str> = parsed.collect();
        let ids = ids[..ids.len() - 1].iter().filter_map(|before| before.rsplit('"').next());
        named.extend(ids.map(str::to_owned));
    }
    named.remove(""); // a placeholder of a message
    let unknown: Vec<&String> = named.iter().filter(|id| catalog.rule(id).is_none()).collect();
    assert_eq!(unknown, [""; 0]);
    assert!(named.len() > 15 && named.contains("broken-start"), "{named:?}");
}

#[test]
fn keeping_a_rule_about_the_config_keeps_what_it_finds() {
    let scene = Scene::of(&Recipe::new().layer(|l| l.file("/app", 0o755, contents::program())));
    let found = |options: &Options| {
        let audit = immut_core::audit(&scene.digest, &scene.source(), options).expect("audited");
        audit.platforms[0].findings.len()
    };
    assert_eq!(found(&Options::default()), 1, "root-user");
    assert_eq!(found(&keeping(&["rule:root-user"])), 0);
}

#[test]
fn privilege_goes_from_every_header_and_the_file_stays() {
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let done = Scene::of(
        &recipe(&[
            |l| l.file("/bin/su", 0o4755, "su").hardlink_as("/bin/link", "/bin/su", 0o6755),
            |l| {
                l.hardlink_as("/usr/su", "/bin/su", 0o4755)
                    .dir("/shared", 0o2775)
                    .dir("/tmp", 0o1777)
            },
        ])
        .layer(|l| {
            l.xattr("security.capability", capability)
                .xattr("user.x", "kept")
                .file("/ping", 0o755, "p")
        })
        .layer(|l| {
            l.libarchive_xattr("security.capability", capability).file("/ping2", 0o755, "p")
        }),
    )
    .harden(&Options::default());
    let view = done.view();
    for name in ["bin/su", "bin/link", "usr/su"] {
        assert_eq!(view[name].mode, 0o755, "{name}");
    }
    assert_eq!((view["shared"].mode, view["tmp"].mode), (0o2775, 0o1777));
    let tars = done.tars().concat();
    assert!(memchr::memmem::find(&tars, b"security.capability").is_none());
    assert!(memchr::memmem::find(&tars, b"SCHILY.xattr.user.x=kept").is_some());
    for tar in done.tars() {
        let entries = immut_testkit::model::read_tar(&tar);
        let bits = |entry: &immut_testkit::model::Entry| {
            entry.mode & 0o6000 != 0 && entry.item != immut_testkit::model::Item::Directory
        };
        assert!(!entries.iter().any(bits), "{entries:?}");
    }
}

#[test]
fn a_go_program_that_carries_the_string_stays() {
    let scanner = contents::elf(&[
        "Go build inf:",
        "BusyBox v",
        "multi-call binary",
        "GNU bash, version %s (%s)",
    ]);
    let image = recipe(&[]).layer(|l| l.file("/usr/local/bin/scanner", 0o755, scanner));
    let plan = Scene::of(&image).plan(&Options::default()).plan;
    assert!(plan.is_empty(), "{:?}", plan.steps);
}

/// What official images of language runtimes have: a package manager that no database owns.
#[test]
fn package_managers_of_languages_go_by_what_lies_beside_them() {
    let site = "/usr/local/lib/python3.11/site-packages";
    let modules = "/usr/local/lib/node_modules";
    let image = Recipe::new()
        .layer(|l| {
            l.file("/app", 0o755, contents::program())
                .file("/usr/local/bin/pip3.11", 0o755, "#!/usr/local/bin/python3.11\nmain()\n")
                .symlink("/usr/local/bin/pip", "pip3.11")
                .file(format!("{site}/pip/__main__.py"), 0o644, "main()\n")
                .file(format!("{site}/pip-24.0.dist-info/METADATA"), 0o644, "Name: pip\n")
                .file(format!("{site}/setuptools/__init__.py"), 0o644, "setup\n")
                .file(format!("{site}/pipeline/__init__.py"), 0o644, "pipeline\n")
                .file("/usr/local/lib/python3.11/ensurepip/__init__.py", 0o644, "bootstrap\n")
                .file(format!("{modules}/npm/bin/npm-cli.js"), 0o755, "#!/usr/bin/env node\n")
                .symlink("/usr/local/bin/npm", "../lib/node_modules/npm/bin/npm-cli.js")
                .file(format!("{modules}/shop/index.js"), 0o644, "shop\n")
                .file("/opt/yarn-v1.22.22/bin/yarn.js", 0o755, "#!/usr/bin/env node\n")
                .symlink("/usr/local/bin/yarn", "/opt/yarn-v1.22.22/bin/yarn")
                .file("/opt/yarn-v1.22.22/bin/yarn", 0o755, "#!/bin/sh\n")
        })
        .entrypoint(&["/app"])
        .user("7");
    let plan = Scene::of(&image).plan(&Options::default()).plan;
    let gone = removed(&plan);
    let expected = [
        "/opt/yarn-v1.22.22",
        "/usr/local/bin/npm",
        "/usr/local/bin/pip",
        "/usr/local/bin/pip3.11",
        "/usr/local/bin/yarn",
        "/usr/local/lib/node_modules/npm",
        "/usr/local/lib/python3.11/ensurepip",
        "/usr/local/lib/python3.11/site-packages/pip",
        "/usr/local/lib/python3.11/site-packages/pip-24.0.dist-info",
    ];
    assert_eq!(gone, expected);
}

#[test]
fn a_folder_called_pip_is_no_package_manager() {
    let image = Recipe::new()
        .layer(|l| {
            l.file("/app", 0o755, contents::program())
                .file("/usr/local/lib/python3.11/site-packages/pip/seeds.txt", 0o644, "apple\n")
                .file("/usr/local/lib/node_modules/npm/notes.txt", 0o644, "notes\n")
        })
        .entrypoint(&["/app"])
        .user("7");
    assert_eq!(removed(&Scene::of(&image).plan(&Options::default()).plan), [""; 0]);
}
