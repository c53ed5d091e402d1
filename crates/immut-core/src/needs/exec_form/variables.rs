//! Variables that a shell treats in its own way.

use super::Obstacle;

/// Refuses an image whose variables make a shell do more than it is told.
pub(super) fn shell_reads(variables: &[String]) -> Result<(), Obstacle> {
    let name = |entry: &String| entry.split('=').next().unwrap_or_default().to_owned();
    let read = variables.iter().map(name).find(|name| {
        matches!(name.as_str(), "BASH_ENV" | "BASHOPTS" | "SHELLOPTS")
            || name.starts_with("BASH_FUNC_")
    });
    match read {
        Some(name) => Err(Obstacle::new(
            0,
            format!(
                "the image sets {}, which bash reads before the command",
                crate::path::lossy(name.as_bytes())
            ),
        )),
        None => Ok(()),
    }
}

/// Refuses to make a variable of the image what a shell would use or ignore itself.
pub(super) fn can_be_set(at: usize, name: &str) -> Result<(), Obstacle> {
    if name.ends_with('+') || name.ends_with(']') {
        return Err(Obstacle::new(
            at,
            format!("`{name}=` changes a variable, which only a shell does"),
        ));
    }
    if name == "PATH" {
        return Err(Obstacle::new(at, "`PATH=` changes where the shell looks for the program"));
    }
    if OWN.binary_search(&name).is_ok() || name.starts_with("BASH") {
        return Err(Obstacle::new(at, format!("`{name}` is a variable of the shell itself")));
    }
    Ok(())
}

/// What bash(1), "Shell Variables", and dash(1) set or refuse to set themselves.
const OWN: &[&str] = &[
    "COMP_CWORD",
    "COMP_KEY",
    "COMP_LINE",
    "COMP_POINT",
    "COMP_TYPE",
    "COMP_WORDBREAKS",
    "COMP_WORDS",
    "COPROC",
    "DIRSTACK",
    "ENV",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HISTCMD",
    "IFS",
    "LINENO",
    "OLDPWD",
    "OPTARG",
    "OPTERR",
    "OPTIND",
    "PIPESTATUS",
    "POSIXLY_CORRECT",
    "PPID",
    "PWD",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SHLVL",
    "SRANDOM",
    "UID",
    "_",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_variables_are_sorted() {
        assert!(OWN.is_sorted());
    }
}
