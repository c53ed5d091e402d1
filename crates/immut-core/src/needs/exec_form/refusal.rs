//! The sentences that say what only a shell can do.

use super::super::shell::{Expansion, Lexeme, is_builtin_anywhere, is_reserved};
use super::{Obstacle, Suggestion};
use crate::path::lossy;

/// How much of the command a sentence shows.
const SHOWN: usize = 40;

/// Bytes of a command for a sentence: one line, cut.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = lossy(bytes);
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    shown
}

/// What an expansion in a word does.
pub(super) fn expansion(text: &str, word: &Lexeme, at: usize, what: &Expansion) -> Obstacle {
    let whole = shown(&text.as_bytes()[word.at..word.end]);
    let reason = match what {
        Expansion::Parameter => return parameter(&text.as_bytes()[at..word.end], at),
        Expansion::Command => {
            format!("`{whole}` is what a command prints, which only a shell can put there")
        }
        Expansion::Arithmetic => format!("`{whole}` is arithmetic, which only a shell does"),
        Expansion::Process => format!("`{whole}` is a pipe to a command, which only a shell opens"),
        Expansion::Quote => format!("`{whole}` is read differently by different shells"),
        Expansion::Array => format!("`{whole}` is an array, which only a shell has"),
        Expansion::Tilde => format!("`{whole}` names a home directory, which a shell looks up"),
        Expansion::Pattern => {
            format!("`{whole}` stands for names of files, which a shell looks up")
        }
        Expansion::Brace => format!("`{whole}` is several words to some shells"),
    };
    Obstacle::new(at, reason)
}

fn parameter(from: &[u8], at: usize) -> Obstacle {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let start = if from.get(1) == Some(&b'{') { 2 } else { 1 };
    let length = from[start..].iter().take_while(|byte| is_name(byte)).count();
    let end = match start {
        2 => from.iter().position(|byte| *byte == b'}').map_or(from.len(), |end| end + 1),
        _ => (start + length.max(1)).min(from.len()),
    };
    let reason = format!("`{}` is expanded when the container starts", shown(&from[..end]));
    let name = lossy(&from[start..start + length]);
    let named = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    Obstacle { at, reason, suggestion: named.then_some(Suggestion::WriteOut(name)) }
}

/// Refuses what cannot be the name of a program: the shell's own words.
pub(super) fn name(word: &Lexeme, text: &str, after_exec: bool) -> Result<(), Obstacle> {
    let shown = shown(text.as_bytes());
    if text.is_empty() {
        return Err(Obstacle::new(word.at, "the name of the program is empty"));
    }
    if after_exec {
        if text.starts_with('-') {
            let reason = format!("`exec {shown}` has an option, which only a shell knows");
            return Err(Obstacle::new(word.at, reason));
        }
        return Ok(());
    }
    if text == "!" && !word.quoted {
        return Err(Obstacle::new(
            word.at,
            "`!` turns a success into a failure, which only a shell does",
        ));
    }
    if is_reserved(text.as_bytes()) && !word.quoted {
        return Err(Obstacle::new(
            word.at,
            format!("`{shown}` belongs to the language of the shell"),
        ));
    }
    if is_builtin_anywhere(text.as_bytes()) && !matches!(text, "cd" | "exec") {
        return Err(builtin(word.at, text));
    }
    Ok(())
}

/// What a builtin is, and that a program of its name is another.
pub(super) fn builtin(at: usize, name: &str) -> Obstacle {
    let reason = if TWINS.contains(&name) {
        format!(
            "`{name}` is a command of the shell itself; the program of that name is another one"
        )
    } else {
        format!("`{name}` is a command of the shell itself")
    };
    Obstacle::new(at, reason)
}

/// Builtins that are programs too (coreutils, procps).
const TWINS: &[&str] = &["[", "echo", "false", "kill", "printf", "pwd", "test", "true"];

/// What an operator does.
pub(super) fn operator(at: usize, operator: &str) -> Obstacle {
    let does = match operator {
        "&&" | "||" => "joins two commands, and only a shell decides whether the second runs",
        ";" => "ends a command, and only a shell runs one after the other",
        "|" | "|&" => "is a pipe, which only a shell sets up",
        "&" => "leaves a command running in the background, which only a shell does",
        "(" | ")" => "encloses commands of a shell of their own",
        _ => "belongs to the language of the shell",
    };
    Obstacle::new(at, format!("`{operator}` {does}"))
}

/// What a redirection does.
pub(super) fn redirection(at: usize, operator: &str) -> Obstacle {
    let does = match operator {
        "<<" | "<<-" | "<<<" => "gives a program text to read",
        _ => "redirects input or output",
    };
    Obstacle::new(at, format!("`{operator}` {does}, which only a shell does"))
}
