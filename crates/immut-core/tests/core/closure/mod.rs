//! A corpus of small images for the start closure: each a recipe, and what is to become of it.
//!
//! What is expected is text, one fact in a line, so that nothing is left unsaid:
//!
//! - `broken:` a conflict that `check` sees in the image as it is, and that the plan has too;
//! - `check:` one that the plan does not have, by the user's choice;
//! - `refused:` a conflict of the plan alone, then `unconverted:` why a shell form stayed one;
//! - `Entrypoint`, `Cmd`, ...: a field of the config that hardening changes, with its new value;
//! - `gone:`, `stays:` what becomes of a path that the case asks for;
//! - `note:`, `unseen:`, `may need a shell:` what is told beside.
//!
//! An image without conflicts of the plan is hardened, its result checked and hardened again.
#![expect(clippy::too_many_lines, reason = "tables")]
#![expect(
    clippy::needless_raw_string_hashes,
    reason = "verdicts are written alike, and some hold quotes"
)]

mod applets;
mod applications;
mod bases;
mod binaries;
mod budgets;
mod commands;
mod configurations;
mod conversions;
mod healthchecks;
mod launchers;
mod layouts;
mod privileges;
mod real;
mod scripts;

use immut_core::plan::{Conflict, Plan};
use immut_core::store::{Layout, Source};
use immut_core::{Options, check};
use immut_testkit::recipe::Recipe;
use serde_json::Value;

use crate::common::{Done, Scene, describe, profile, removed};

/// An image, how it is hardened, and what is to become of it.
struct Case {
    name: &'static str,
    image: Recipe,
    options: Options,
    works_without_a_shell: bool,
    asked: &'static [&'static str],
    expected: &'static str,
}

fn case(name: &'static str, image: Recipe) -> Case {
    let options = Options { jobs: 1, ..Options::default() };
    Case { name, image, options, works_without_a_shell: false, asked: &[], expected: "" }
}

/// One in `minimal`, where a conflict would be a false alarm.
fn minimal(name: &'static str, image: Recipe) -> Case {
    let choose = |options: &mut Options| {
        options.choices.profile = profile("minimal").choices.profile;
    };
    case(name, image).with(choose).works_without_a_shell()
}

impl Case {
    fn with(mut self, choose: impl FnOnce(&mut Options)) -> Self {
        choose(&mut self.options);
        self
    }

    /// A conflict would be a false alarm.
    fn works_without_a_shell(self) -> Self {
        Self { works_without_a_shell: true, ..self }
    }

    /// Paths of the result that are asked for.
    fn asks(self, asked: &'static [&'static str]) -> Self {
        Self { asked, ..self }
    }

    fn expect(self, expected: &'static str) -> Self {
        Self { expected, ..self }
    }

    /// What becomes of the image, a fact in a line.
    fn outcome(&self) -> Vec<String> {
        let scene = Scene::of(&self.image);
        let before = checked(&scene.digest, &scene.source(), &Options::default());
        let plan = scene.plan(&self.options).plan;
        let (broken, mended): (Vec<_>, Vec<_>) =
            before.into_iter().partition(|one| plan.conflicts.contains(one));
        let mut facts: Vec<String> = broken.iter().map(|one| fact("broken", one)).collect();
        facts.extend(mended.iter().map(|one| fact("check", one)));
        facts.extend(told(&plan, &broken));
        if plan.conflicts.is_empty() {
            let done = scene.harden(&self.options);
            facts.extend(changes(&self.config(), &done.config()["config"]));
            facts.extend(self.answers(&done));
            self.holds(&plan, &done);
        }
        facts
    }

    /// What became of the paths that are asked for.
    fn answers(&self, done: &Done) -> Vec<String> {
        let left = done.paths();
        let is_left = |path: &&str| left.iter().any(|left| *left == path[1..]);
        let answer = |path: &&str| if is_left(path) { "stays" } else { "gone" };
        self.asked.iter().map(|path| format!("{}: {path}", answer(path))).collect()
    }

    /// What is true of every result: what was to go is gone, it can start, and nothing is left to do.
    fn holds(&self, plan: &Plan, done: &Done) {
        let left = done.paths();
        let still: Vec<String> =
            removed(plan).into_iter().filter(|path| left.contains(&path[1..].to_owned())).collect();
        assert_eq!(still, [""; 0], "{}: still there", self.name);
        let digest = done.hardened.digest();
        let conflicts = checked(&digest, &done.stage, &self.options);
        assert_eq!(conflicts, [], "{}: the result", self.name);
        assert!(!done.again(&self.options).is_changed(), "{}: again", self.name);
    }

    fn config(&self) -> Value {
        let mut config = Value::Null;
        let _ = self.image.clone().config(|json| config = json["config"].clone());
        config
    }
}

fn checked(
    digest: &immut_core::name::Digest,
    source: &dyn Source,
    options: &Options,
) -> Vec<Conflict> {
    let folder = tempfile::tempdir().expect("a folder");
    let stage = Layout::temporary(folder.path()).expect("a stage");
    let mut checked = check(digest, source, &stage, options).expect("an image");
    checked.platforms.remove(0).conflicts
}

fn fact(what: &str, conflict: &Conflict) -> String {
    format!("{what}: {}", describe(conflict))
}

/// What a plan says, except what it does, and conflicts that are told already.
fn told(plan: &Plan, already: &[Conflict]) -> Vec<String> {
    let mut facts = Vec::new();
    for conflict in plan.conflicts.iter().filter(|one| !already.contains(one)) {
        facts.push(fact("refused", conflict));
        facts.extend(conflict.unconverted.iter().map(|why| format!("unconverted: {why}")));
    }
    let notes = plan.notes.iter().filter(|note| !EVERY_CONVERSION.contains(&note.as_str()));
    facts.extend(notes.map(|note| format!("note: {note}")));
    facts.extend(plan.unseen.iter().map(|text| format!("unseen: {text}")));
    let runs = plan.closure.starts.iter().flat_map(|start| &start.may_need_shell);
    facts.extend(runs.map(|text| format!("may need a shell: {text}")));
    facts
}

/// Notes that every conversion of a start has.
const EVERY_CONVERSION: [&str; 2] = [
    "start without a shell: what the shell put into the environment itself (PWD, in bash SHLVL and _ too) is no longer there, and variables whose names it could not take (`a.b`) now are",
    "start without a shell: the program is the container's first process: signals reach it, and orphans are its children",
];

/// Fields of the config that start the image and are not as they were.
fn changes(before: &Value, after: &Value) -> Vec<String> {
    let fields = ["Entrypoint", "Cmd", "Healthcheck", "Env", "WorkingDir", "Shell", "OnBuild"];
    let changed = fields.iter().filter(|field| before[**field] != after[**field]);
    changed.map(|field| format!("{field} {}", after[*field])).collect()
}

/// The facts of a case, if they are not those that are expected.
fn otherwise(case: &Case) -> Option<String> {
    let expected = case.expected.lines().map(str::trim).filter(|line| !line.is_empty());
    let outcome = case.outcome();
    let same = expected.eq(outcome.iter().map(String::as_str));
    (!same).then(|| format!("## {}\n{}\n", case.name, outcome.join("\n")))
}

/// All cases, by what they are about.
fn themes() -> Vec<(&'static str, Vec<Case>)> {
    vec![
        ("applets", applets::cases()),
        ("applications", applications::cases()),
        ("binaries", binaries::cases()),
        ("commands", commands::cases()),
        ("configurations", configurations::cases()),
        ("conversions", conversions::cases()),
        ("healthchecks", healthchecks::cases()),
        ("launchers", launchers::cases()),
        ("layouts", layouts::cases()),
        ("privileges", privileges::cases()),
        ("real roots", real::cases()),
        ("scripts", scripts::cases()),
    ]
}

#[test]
fn starts_come_out_as_the_corpus_says() {
    let mut wrong = Vec::new();
    for (theme, cases) in themes() {
        println!("{theme}: {} images", cases.len());
        wrong.extend(cases.iter().filter_map(otherwise));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn images_that_work_without_a_shell_are_not_refused() {
    let cases: Vec<Case> = themes().into_iter().flat_map(|(_, cases)| cases).collect();
    assert!(cases.len() >= 40, "{} images", cases.len());
    let working: Vec<&Case> = cases.iter().filter(|case| case.works_without_a_shell).collect();
    let refused =
        |case: &&&Case| !Scene::of(&case.image).plan(&case.options).plan.conflicts.is_empty();
    let alarms: Vec<&str> = working.iter().filter(refused).map(|case| case.name).collect();
    println!(
        "{} images, of which {} work without a shell: {} false alarms",
        cases.len(),
        working.len(),
        alarms.len()
    );
    assert_eq!(alarms, [""; 0]);
}
