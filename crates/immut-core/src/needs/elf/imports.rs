//! Functions whose import says what a program may do when it runs: [`Import`].

use serde::Serialize;

/// An imported function of the C library that matters to the start closure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) struct Import {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) purpose: Purpose,
}

/// What an imported function does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Purpose {
    /// Runs `/bin/sh -c` with a string.
    Shell,
    /// Runs a program, which may be a shell: a file without magic is given to `/bin/sh` by those
    /// that search `PATH`.
    Run,
    /// Loads a library by a name that no dynamic section has.
    Load,
    /// Asks the name services, for which glibc loads `libnss_*.so`.
    Names,
    /// Converts between character sets, for which glibc loads gconv modules.
    Convert,
}

/// All that are sought, sorted by name.
const SOUGHT: [(&str, Purpose); 36] = [
    ("__libc_system", Purpose::Shell),
    ("dlmopen", Purpose::Load),
    ("dlopen", Purpose::Load),
    ("execl", Purpose::Run),
    ("execle", Purpose::Run),
    ("execlp", Purpose::Run),
    ("execv", Purpose::Run),
    ("execve", Purpose::Run),
    ("execveat", Purpose::Run),
    ("execvp", Purpose::Run),
    ("execvpe", Purpose::Run),
    ("fexecve", Purpose::Run),
    ("getaddrinfo", Purpose::Names),
    ("getgrgid", Purpose::Names),
    ("getgrgid_r", Purpose::Names),
    ("getgrnam", Purpose::Names),
    ("getgrnam_r", Purpose::Names),
    ("getgrouplist", Purpose::Names),
    ("gethostbyaddr", Purpose::Names),
    ("gethostbyaddr_r", Purpose::Names),
    ("gethostbyname", Purpose::Names),
    ("gethostbyname2", Purpose::Names),
    ("gethostbyname2_r", Purpose::Names),
    ("gethostbyname_r", Purpose::Names),
    ("getnameinfo", Purpose::Names),
    ("getpwnam", Purpose::Names),
    ("getpwnam_r", Purpose::Names),
    ("getpwuid", Purpose::Names),
    ("getpwuid_r", Purpose::Names),
    ("iconv_open", Purpose::Convert),
    ("initgroups", Purpose::Names),
    ("popen", Purpose::Shell),
    ("posix_spawn", Purpose::Run),
    ("posix_spawnp", Purpose::Run),
    ("system", Purpose::Shell),
    ("wordexp", Purpose::Shell),
];

/// The sought function of that name.
pub(super) fn sought(name: &[u8]) -> Option<Import> {
    SOUGHT
        .binary_search_by(|(known, _)| known.as_bytes().cmp(name))
        .ok()
        .map(|index| Import { name: SOUGHT[index].0, purpose: SOUGHT[index].1 })
}

/// Longer than every name that is sought, with the zero after it.
pub(super) const LONGEST: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_sorted_unique_and_not_too_long() {
        assert!(SOUGHT.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(SOUGHT.iter().all(|(name, _)| name.len() < LONGEST));
    }

    #[test]
    fn a_name_is_sought_as_a_whole() {
        assert_eq!(sought(b"system").map(|import| import.purpose), Some(Purpose::Shell));
        assert_eq!(sought(b"systems"), None);
        assert_eq!(sought(b""), None);
    }
}
