//! The subcommands: options from arguments, call the core, render.

mod apps;
mod audit;
mod check;
mod copy;
mod explain;
mod harden;
mod key;
mod plan;
mod rules;
mod sign;
mod verify;

use std::sync::Arc;

use immut_core::apps::Choice;
use immut_core::inventory::Limits;
use immut_core::plan::Choices;
use immut_core::rules::Profile;
use immut_core::{Options, image::Platform};

use crate::args::{self, Args, Command, Global};
use crate::exit::{Code, Failure};
use crate::progress;

/// Runs the subcommand.
pub(crate) fn run(args: &Args) -> Result<Code, Failure> {
    let global = &args.global;
    crate::render::quiet(global.quiet);
    progress::start(global);
    match &args.command {
        Command::Harden(command) => harden::run(command, global),
        Command::Copy(command) => copy::run(command, global),
        Command::Plan(command) => plan::run(command, global),
        Command::Audit(command) => audit::run(command, global),
        Command::Check(command) => check::run(command, global),
        Command::Explain(command) => explain::run(command, global),
        Command::Sign(command) => sign::run(command, global),
        Command::Verify(command) => verify::run(command, global),
        Command::Key(command) => key::run(command),
        Command::Rules(command) => rules::run(command),
        Command::Apps(command) => apps::run(command),
    }
}

/// What the core is told.
fn options(choices: Choices, platforms: &[Platform], global: &Global) -> Result<Options, Failure> {
    let limits = Limits::default();
    let defaults = Options::default();
    Ok(Options {
        choices,
        platforms: platforms.to_vec(),
        limits: Limits {
            entries: global.max_entries.unwrap_or(limits.entries),
            bytes: global.max_bytes.unwrap_or(limits.bytes),
            ratio: global.max_ratio.unwrap_or(limits.ratio),
        },
        jobs: jobs(global),
        epoch: source_date_epoch()?,
        progress: progress::told(),
        ..defaults
    })
}

/// How much is done at the same time.
fn jobs(global: &Global) -> usize {
    global.jobs.unwrap_or_else(|| Options::default().jobs).max(1)
}

fn choices(args: &args::Choices) -> Result<Choices, Failure> {
    Ok(Choices {
        profile: profile(&args.profile, &args.keep)?,
        app: args.app.as_deref().map(app).transpose()?,
        entrypoint: args.entrypoint.as_ref().map(|words| words.0.clone()),
        cmd: args.cmd.as_ref().map(|words| words.0.clone()),
        healthcheck: args.healthcheck.clone(),
        start_with: args.start_with.iter().map(|words| words.0.clone()).collect(),
        user: args.user,
        writable: args.writable.clone(),
        purge_hidden: args.purge_hidden,
        compression: args.compression.into(),
        layering: args.layers.into(),
    })
}

/// A profile by name or from a file, with what this run keeps.
fn profile(name: &str, keep: &[immut_core::rules::Keep]) -> Result<Profile, Failure> {
    let mut profile = match Profile::named(name) {
        Some(profile) => profile,
        None => profile_file(name)?,
    };
    profile.keep.extend(keep.iter().cloned());
    Ok(profile)
}

fn profile_file(name: &str) -> Result<Profile, Failure> {
    let text = std::fs::read_to_string(name).map_err(|error| {
        let names: Vec<String> =
            Profile::builtin().into_iter().map(|profile| profile.name).collect();
        Failure::Usage(format!(
            "{name} is neither a profile ({}) nor a file: {error}",
            names.join(", ")
        ))
    })?;
    text.parse().map_err(|error| Failure::Usage(format!("profile {name}: {error}")))
}

/// What `--app` means.
fn app(name: &str) -> Result<Choice, Failure> {
    if name == "auto" {
        return Ok(Choice::Auto);
    }
    apps::profile(name).map(|app| Choice::This(Arc::new(app)))
}

fn source_date_epoch() -> Result<Option<u64>, Failure> {
    let Ok(text) = std::env::var("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let bad = |_| {
        Failure::Usage(format!("SOURCE_DATE_EPOCH is {text:?}, no number of seconds since 1970"))
    };
    text.parse().map(Some).map_err(bad)
}
