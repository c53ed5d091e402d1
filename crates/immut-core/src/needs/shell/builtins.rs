//! Which names a shell takes as its own.

/// The shell that reads a script: they differ in which commands they have themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// dash, and any `sh` that is not known closer.
    Posix,
    /// The ash of BusyBox.
    Ash,
    /// bash, also as `sh`.
    Bash,
}

impl Dialect {
    /// The dialect of an interpreter by its file name; none if it is no shell of this grammar.
    pub(crate) fn named(file_name: &[u8]) -> Option<Self> {
        match file_name {
            b"sh" | b"dash" => Some(Self::Posix),
            b"ash" | b"busybox" => Some(Self::Ash),
            b"bash" | b"rbash" => Some(Self::Bash),
            _ => None,
        }
    }

    /// Whether the shell has the command itself.
    pub(super) fn has_builtin(self, name: &[u8]) -> bool {
        let own: &[&str] = match self {
            Self::Posix => &[],
            Self::Ash => ASH,
            Self::Bash => BASH,
        };
        contains(POSIX, name) || contains(own, name)
    }
}

/// Whether any of the dialects has the command itself.
pub(in super::super) fn is_builtin_anywhere(name: &[u8]) -> bool {
    contains(POSIX, name) || contains(ASH, name) || contains(BASH, name)
}

/// Whether an unquoted word in the place of a command is part of the grammar in any dialect.
pub(in super::super) fn is_reserved(name: &[u8]) -> bool {
    contains(RESERVED, name)
}

fn contains(sorted: &[&str], name: &[u8]) -> bool {
    sorted.binary_search_by(|entry| entry.as_bytes().cmp(name)).is_ok()
}

/// What dash has (dash(1), "Builtins"); each is in the other dialects too, but for `chdir`, which
/// bash lacks.
const POSIX: &[&str] = &[
    ".", ":", "[", "alias", "bg", "break", "cd", "chdir", "command", "continue", "echo", "eval",
    "exec", "exit", "export", "false", "fg", "getopts", "hash", "jobs", "kill", "local", "printf",
    "pwd", "read", "readonly", "return", "set", "shift", "test", "times", "trap", "true", "type",
    "ulimit", "umask", "unalias", "unset", "wait",
];

/// What the ash of BusyBox 1.36 has besides (its `help`).
const ASH: &[&str] = &["[[", "help", "history", "let", "source"];

/// What bash 5.2 has besides (`compgen -b`).
const BASH: &[&str] = &[
    "bind",
    "builtin",
    "caller",
    "compgen",
    "complete",
    "compopt",
    "declare",
    "dirs",
    "disown",
    "enable",
    "fc",
    "help",
    "history",
    "let",
    "logout",
    "mapfile",
    "popd",
    "pushd",
    "readarray",
    "shopt",
    "source",
    "suspend",
    "typeset",
];

/// XCU 2.4, and what bash(1) adds under "RESERVED WORDS".
const RESERVED: &[&str] = &[
    "!", "[[", "]]", "case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for",
    "function", "if", "in", "select", "then", "time", "until", "while", "{", "}",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        for list in [POSIX, ASH, BASH, RESERVED] {
            assert!(list.is_sorted(), "{list:?}");
        }
    }

    #[test]
    fn a_dialect_has_its_own_builtins_only() {
        assert!(Dialect::Posix.has_builtin(b"cd") && Dialect::Bash.has_builtin(b"cd"));
        assert!(!Dialect::Posix.has_builtin(b"source") && Dialect::Ash.has_builtin(b"source"));
        assert!(!Dialect::Posix.has_builtin(b"sleep") && !Dialect::Bash.has_builtin(b"sleep"));
        assert_eq!(Dialect::named(b"python3"), None);
    }
}
