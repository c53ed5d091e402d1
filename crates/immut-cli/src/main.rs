//! `immut`: hardens, signs and audits container images. All logic is in `immut-core`.

mod args;
mod commands;
mod exit;
mod interrupt;
mod keys;
mod progress;
mod render;
mod stores;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    interrupt::watch();
    let args = args::Args::parse();
    match commands::run(&args) {
        Ok(code) => code.into(),
        Err(failure) => {
            render::human::failure(&failure);
            failure.code().into()
        }
    }
}
