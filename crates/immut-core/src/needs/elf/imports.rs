//! Functions whose import says that a program may run a shell.

/// The functions of the C library that run `/bin/sh -c` with a string, sorted.
const SOUGHT: [&str; 4] = ["__libc_system", "popen", "system", "wordexp"];

/// The sought function of that name.
pub(super) fn sought(name: &[u8]) -> Option<&'static str> {
    SOUGHT.into_iter().find(|known| known.as_bytes() == name)
}

/// Longer than every name that is sought, with the zero after it.
pub(super) const LONGEST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_sorted_unique_and_not_too_long() {
        assert!(SOUGHT.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(SOUGHT.iter().all(|name| name.len() < LONGEST));
    }

    #[test]
    fn a_name_is_sought_as_a_whole() {
        assert_eq!(sought(b"system"), Some("system"));
        assert_eq!(sought(b"systems"), None);
        assert_eq!(sought(b""), None);
    }
}
