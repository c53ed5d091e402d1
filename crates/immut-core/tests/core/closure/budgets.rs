//! Images that are made to cost time: what a start may cost is bounded, and what is cut off is told.

use immut_core::Options;
use immut_testkit::elf::Build;
use immut_testkit::recipe::{LayerRecipe, Recipe};

use super::bases::{app, debian_with};
use crate::common::Scene;

/// What is told of an image's start.
fn told(image: &Recipe) -> Vec<String> {
    Scene::of(image).plan(&Options::default()).plan.unseen
}

fn cut_off(image: &Recipe, why: &str) {
    let told = told(image);
    let sentence = format!("the start is not followed as a whole: {why}");
    assert!(told.contains(&sentence), "{told:#?}");
}

/// The lines of a script that runs each of the names.
fn script(names: impl Iterator<Item = String>) -> String {
    std::iter::once("#!/bin/sh".to_owned()).chain(names).collect::<Vec<_>>().join("\n")
}

#[test]
fn words_are_bounded() {
    let words: Vec<String> = (0..60_000).map(|number| format!("/srv/{number}")).collect();
    let words: Vec<&str> = std::iter::once("app").chain(words.iter().map(String::as_str)).collect();
    let image = debian_with(|layer| layer.file("/usr/local/bin/app", 0o755, app().bytes()));
    cut_off(&image.entrypoint(&words), "its commands have more words than are looked at");
}

#[test]
fn commands_of_scripts_are_bounded() {
    let scripts = |layer: LayerRecipe| {
        (0..120).fold(layer, |layer, number| {
            let next = (0..500).map(|line| format!("/srv/s{} {line}", (number + line) % 120));
            layer.file(format!("/srv/s{number}"), 0o755, script(next))
        })
    };
    let image = debian_with(scripts).entrypoint(&["/srv/s0"]);
    cut_off(&image, "its scripts have more commands than are followed");
}

#[test]
fn programs_are_bounded() {
    let names = || (0..1_100).map(|number| format!("/srv/p{number}"));
    let program = app().bytes();
    let programs = |layer: LayerRecipe| {
        let layer = layer.file("/srv/start", 0o755, script(names()));
        names().fold(layer, |layer, name| layer.file(name, 0o755, program.clone()))
    };
    let image = debian_with(programs).entrypoint(&["/srv/start"]);
    cut_off(&image, "it runs more programs than libraries are looked for of");
}

#[test]
fn libraries_are_bounded() {
    let names = || (0..900).map(|number| format!("/srv/p{number}"));
    let name = |number| -> &'static str { format!("lib{number}.so").leak() };
    let libraries: Vec<&str> = (0..230).map(name).collect();
    let program = libraries.iter().fold(app(), |program, library| program.needs(library)).bytes();
    let all = |layer: LayerRecipe| {
        let layer = layer.file("/srv/start", 0o755, script(names()));
        let layer = names().fold(layer, |layer, name| layer.file(name, 0o755, program.clone()));
        libraries.iter().fold(layer, |layer, library| {
            layer.file(format!("/usr/lib/{library}"), 0o755, Build::library(library).bytes())
        })
    };
    let image = debian_with(all).entrypoint(&["/srv/start"]);
    cut_off(&image, "its programs ask for more libraries than are looked for");
}

#[test]
fn configuration_is_bounded() {
    let lines = "include /data/*;\n".repeat(30_000);
    let files = |layer: LayerRecipe| {
        let layer = layer.file("/srv/app.conf", 0o644, lines);
        (0..500).fold(layer, |layer, number| layer.file(format!("/data/{number}"), 0o644, "x"))
    };
    let image = debian_with(files).entrypoint(&["app", "/srv/app.conf"]);
    cut_off(&image, "its configuration names more than is looked at");
}
