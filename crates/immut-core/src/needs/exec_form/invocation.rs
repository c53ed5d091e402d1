//! `sh -c COMMAND` in an argument list.

use super::Refusal;

/// A call of a shell with a command to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invocation<'a> {
    /// What follows `-c`.
    pub(crate) command: &'a str,
    /// What the command would see as `$0`, `$1`, ...
    pub(crate) parameters: &'a [String],
    /// Options that change something all the same.
    pub(crate) notes: Vec<&'static str>,
}

/// The call of a shell in an argument list; none if it is no `-c` of sh, ash, dash or bash.
///
/// A refusal names an option that makes the shell do more than run the command. The options that
/// only matter to commands with several parts (`-e`, `-u`, `-o pipefail`) are passed over: such
/// commands have no exec form anyway.
pub(crate) fn invocation(argv: &[String]) -> Result<Option<Invocation<'_>>, Refusal> {
    let Some(arguments) = shell_arguments(argv) else { return Ok(None) };
    let mut options = Options { rest: arguments, command: false, refused: None, traces: false };
    options.read();
    if !options.command {
        return Ok(None);
    }
    if let Some(reason) = options.refused {
        return Err(refusal(reason));
    }
    let Some((command, parameters)) = options.rest.split_first() else {
        return Err(refusal("`-c` has no command".to_owned()));
    };
    let notes = if options.traces { vec![TRACES] } else { Vec::new() };
    Ok(Some(Invocation { command, parameters, notes }))
}

/// What the shell gets that an argument list starts.
fn shell_arguments(argv: &[String]) -> Option<&[String]> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let (first, rest) = argv.split_first()?;
    match name(first).as_str() {
        "sh" | "ash" | "dash" | "bash" => Some(rest),
        "busybox" => {
            let (applet, rest) = rest.split_first()?;
            matches!(applet.as_str(), "sh" | "ash").then_some(rest)
        }
        _ => None,
    }
}

/// The options of a shell, which end at the first argument that is none.
struct Options<'a> {
    rest: &'a [String],
    command: bool,
    refused: Option<String>,
    traces: bool,
}

impl Options<'_> {
    fn read(&mut self) {
        while let Some((option, rest)) = self.rest.split_first() {
            let long = option.strip_prefix("--").filter(|name| !name.is_empty());
            let letters = option.strip_prefix(['-', '+']).filter(|letters| !letters.is_empty());
            match (long, letters) {
                (Some(name), _) => {
                    self.rest = rest;
                    self.long(name);
                }
                (None, Some("-")) => {
                    self.rest = rest;
                    return;
                }
                (None, Some(letters)) => {
                    self.rest = rest;
                    self.letters(letters, option.starts_with('-'));
                }
                (None, None) => return,
            }
        }
    }

    fn letters(&mut self, letters: &str, sets: bool) {
        for letter in letters.chars() {
            match letter {
                'c' => self.command = true,
                'e' | 'u' | 'f' | 'a' | 'b' | 'h' | 'C' | 'E' => {}
                'x' | 'v' => self.traces |= sets,
                'o' => {
                    let Some((name, rest)) = self.rest.split_first() else { return };
                    self.rest = rest;
                    self.named(name, sets);
                }
                'O' => {
                    self.rest = self.rest.get(1..).unwrap_or_default();
                    self.refuse("`-O` changes how the shell runs".to_owned());
                }
                'l' => self.refuse("`-l` makes the shell read profiles first".to_owned()),
                'i' => self.refuse("`-i` makes the shell interactive".to_owned()),
                _ => {
                    self.refuse(format!("`-{}` changes how the shell runs", letter.escape_debug()));
                }
            }
        }
    }

    fn named(&mut self, name: &str, sets: bool) {
        match name {
            "allexport" | "errexit" | "errtrace" | "hashall" | "noclobber" | "noglob"
            | "notify" | "nounset" | "pipefail" | "posix" => {}
            "xtrace" | "verbose" => self.traces |= sets,
            _ => self.refuse(format!("`-o {}` changes how the shell runs", name.escape_debug())),
        }
    }

    fn long(&mut self, name: &str) {
        match name {
            "norc" | "noprofile" | "posix" => {}
            "login" => self.refuse("`--login` makes the shell read profiles first".to_owned()),
            "init-file" | "rcfile" => {
                self.rest = self.rest.get(1..).unwrap_or_default();
                self.refuse(format!("`--{name}` changes how the shell runs"));
            }
            _ => self.refuse(format!("`--{}` changes how the shell runs", name.escape_debug())),
        }
    }

    fn refuse(&mut self, reason: String) {
        self.refused.get_or_insert(reason);
    }
}

fn refusal(reason: String) -> Refusal {
    Refusal { at: 0, line: 1, reason, suggestion: None }
}

const TRACES: &str = "the shell no longer writes the command to the error output";
