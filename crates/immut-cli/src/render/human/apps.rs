//! The app profiles, and one of them.

use std::fmt::Write as _;

use immut_core::apps::{App, Start};
use immut_core::plan::command_line;

use super::{BOLD, DIM, product};

/// The list of app profiles.
pub(crate) fn apps(apps: &[App]) {
    let mut text = String::new();
    for app in apps {
        let words = app.recognise.words.iter().chain(&app.recognise.launchers);
        let words: Vec<&str> = words.map(String::as_str).collect();
        writeln!(
            text,
            "{BOLD}{:<12}{BOLD:#} {:<14} {DIM}started by{DIM:#} {}",
            app.name,
            app.title,
            words.join(" ")
        )
        .ok();
    }
    product(text.trim_end());
}

/// One app profile.
pub(crate) fn app(app: &App) {
    let mut text = format!("{BOLD}{}{BOLD:#}  {}\n", app.name, app.title);
    let recognise = &app.recognise;
    writeln!(text, "\n{BOLD}recognised{BOLD:#} by a program, and a start by").ok();
    list(&mut text, "program", recognise.programs.iter());
    list(&mut text, "but without", recognise.without.iter());
    list(&mut text, "script", recognise.entrypoints.iter());
    list(&mut text, "its words", recognise.arguments.iter());
    list(&mut text, "word", recognise.words.iter().chain(&recognise.launchers));
    writeln!(text, "\n{BOLD}starts{BOLD:#}, the first that fits").ok();
    app.start.iter().for_each(|one| start(&mut text, one));
    section(
        &mut text,
        "writes to",
        app.writable.iter().map(|one| {
            let kind = one.kind.as_str();
            let made = if one.create { ", made where it is missing" } else { "" };
            format!("{}  {DIM}{kind}{made}{DIM:#}", one.path)
        }),
    );
    section(&mut text, "runs as, where it would run as root", app.user.iter());
    section(
        &mut text,
        "moves ports",
        app.ports.iter().map(|port| format!("{} -> {}", port.from, port.to)),
    );
    section(
        &mut text,
        "edits",
        app.edits.iter().map(|edit| {
            format!(
                "{}\n    {}\n    -> {}\n    {DIM}{}{DIM:#}",
                edit.file,
                edit.find,
                edit.replace.escape_debug(),
                edit.why
            )
        }),
    );
    section(&mut text, "asks its user", app.asks.iter());
    section(&mut text, "lets its user read", app.readable.iter());
    section(&mut text, "needs", app.needs.iter());
    section(
        &mut text,
        "sets, unless it is set",
        app.env.iter().map(|(name, value)| format!("{name}={value}")),
    );
    section(&mut text, "notes", app.notes.iter());
    product(text.trim_end());
}

fn start(text: &mut String, start: &Start) {
    let when: Vec<&str> = start.when.iter().map(|glob| &**glob).collect();
    writeln!(
        text,
        "  {DIM}with{DIM:#} {}",
        if when.is_empty() { "-".to_owned() } else { when.join(" ") }
    )
    .ok();
    for (field, words) in [
        ("entrypoint", &start.entrypoint),
        ("cmd", &start.cmd),
        ("healthcheck", &start.healthcheck),
    ] {
        if !words.is_empty() {
            writeln!(text, "    {field:<12}{}", command_line(words)).ok();
        }
    }
    if start.entrypoint.is_empty() {
        writeln!(text, "    as the image starts").ok();
    }
}

/// Items that are shown in a line.
fn list<T: ToString>(text: &mut String, what: &str, items: impl Iterator<Item = T>) {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    if !items.is_empty() {
        writeln!(text, "  {DIM}{what:<12}{DIM:#}{}", items.join(" ")).ok();
    }
}

/// Items that are shown in a line each; none: nothing.
fn section<T: ToString>(text: &mut String, title: &str, items: impl Iterator<Item = T>) {
    for (number, item) in items.enumerate() {
        if number == 0 {
            writeln!(text, "\n{BOLD}{title}{BOLD:#}").ok();
        }
        writeln!(text, "  {}", item.to_string()).ok();
    }
}
