use immut_testkit::{LayerRecipe, Recipe, contents};

use super::*;
use crate::Options;
use crate::store::Layout;

fn plan(recipe: &Recipe) -> Plan {
    let folder = tempfile::tempdir().expect("a folder");
    let image = recipe.write(&folder.path().join("image"));
    let source = Layout::open(&folder.path().join("image")).expect("a layout");
    let digest = image.digest.parse().expect("a digest");
    let stage = Layout::temporary(&folder.path().join("stage")).expect("a stage");
    crate::plan(&digest, &source, &stage, &Options::default())
        .expect("a plan")
        .platforms
        .remove(0)
        .plan
}

fn image(layer: fn(LayerRecipe) -> LayerRecipe) -> Recipe {
    Recipe::new().layer(layer).user("7").entrypoint(&["/app"])
}

#[test]
fn a_plan_with_conflicts_is_never_settled() {
    let denied = plan(&image(|l| l.file("/app", 0o700, contents::program())));
    assert_eq!(denied.conflicts.len(), 1);
    let refused = denied.settle().expect_err("a conflict");
    assert_eq!(refused.conflicts.len(), 1, "and the plan is given back");
    assert!(plan(&image(|l| l.file("/app", 0o755, contents::program()))).settle().is_ok());
}

#[test]
fn an_inode_is_one_step_whatever_its_names() {
    let plan = plan(&image(|l| {
        l.file("/app", 0o6755, "x")
            .hardlink_as("/b", "/app", 0o755)
            .hardlink_as("/c", "/app", 0o2755)
    }));
    let steps: Vec<&Action> = plan.steps.iter().map(|step| &step.action).collect();
    let path = "/app".parse().expect("a path");
    assert_eq!(steps, [&Action::ClearMode { path, bits: 0o6000 }]);
    let rules: Vec<&str> = plan.steps[0].because.iter().map(RuleId::as_str).collect();
    assert_eq!(rules, ["setgid", "setuid"]);
}

/// Ten thousand entries may go because of one rule.
#[test]
fn entries_that_go_for_one_reason_share_it() {
    let plan = plan(
        &image(|l| {
            l.file("/bin/bash", 0o755, contents::bash())
                .file("/a", 0o644, "1")
                .file("/b", 0o644, "2")
        })
        .layer(|l| {
            l.file("/app", 0o755, contents::program()).file("/a", 0o644, "3").file("/b", 0o644, "4")
        }),
    );
    let hidden = |step: &&Step| matches!(step.action, Action::DropHidden { .. });
    let hidden: Vec<&Step> = plan.steps.iter().filter(hidden).collect();
    assert_eq!(hidden.len(), 2);
    assert!(Because::ptr_eq(&hidden[0].because, &hidden[1].because));
    let (step, removed) = (size_of::<Step>(), size_of::<Removed>());
    assert!(step <= 80 && removed <= 112, "{step} and {removed} bytes for each");
}

#[test]
fn totals_count_a_shared_inode_once() {
    let plan = plan(&image(|l| {
        l.file("/app", 0o755, contents::program())
            .hardlink_as("/b", "/app", 0o755)
            .symlink("/c", "b")
            .dir("/d", 0o755)
    }));
    assert_eq!(plan.before, Totals { files: 3, bytes: contents::program().len() as u64 });
    assert_eq!(plan.after, plan.before);
}

#[test]
fn health_checks_are_read_as_people_write_them() {
    let test = |words: &[&str]| {
        Ok(Healthcheck::Test(words.iter().map(|word| (*word).to_owned()).collect()))
    };
    assert_eq!("none".parse(), Ok(Healthcheck::None));
    assert_eq!(r#"["NONE"]"#.parse(), Ok(Healthcheck::None));
    assert_eq!(r#"["/app","-c"]"#.parse(), test(&["CMD", "/app", "-c"]));
    assert_eq!(r#"["CMD","/app"]"#.parse(), test(&["CMD", "/app"]));
    assert_eq!(r#"["CMD-SHELL","x"]"#.parse(), test(&["CMD-SHELL", "x"]));
    for wrong in ["", "[]", "curl x", "[1]", "None"] {
        assert!(wrong.parse::<Healthcheck>().is_err(), "{wrong}");
    }
}
