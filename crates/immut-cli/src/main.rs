//! `immut`: hardens, signs and audits container images. All logic is in `immut-core`.

mod args;
mod commands;
mod destination;
mod exit;
mod files;
mod interrupt;
mod keys;
mod progress;
mod render;
mod stores;

use std::process::ExitCode;

use clap::Parser;

/// One heap for all threads: work goes from thread to thread, and with a heap for each of them, as
/// the system's allocator has it, twice the memory would be held.
#[global_allocator]
static HEAP: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    interrupt::watch();
    let args = args::Args::parse();
    let outcome = commands::run(&args);
    progress::stop();
    match outcome {
        Ok(code) => code.into(),
        Err(failure) => {
            interrupt::wait_if_ending();
            render::human::failure(&failure);
            failure.code().into()
        }
    }
}
