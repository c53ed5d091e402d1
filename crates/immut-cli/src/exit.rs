//! Exit codes, and which failure has which.

use std::process::ExitCode;

use immut_core::name::Location;
use immut_core::{inventory, store, store::registry, trust};

/// How the process ends; the numbers are a promise to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// Done.
    Done = 0,
    /// Findings at or above `--fail-on`.
    Findings = 1,
    /// Wrong use or settings, or a wrong key password.
    Usage = 2,
    /// The input is broken, hostile or not supported.
    Input = 3,
    /// Refused, because the image would break.
    Refused = 4,
    /// A registry or the network.
    Network = 5,
    /// A signature does not hold.
    Unverified = 6,
    /// A local file could not be read or written.
    Local = 7,
}

/// The table for `--help`.
pub(crate) const TABLE: &str = "Exit codes:
  0  done
  1  findings at or above --fail-on
  2  wrong use or settings, wrong key password
  3  the input is broken, hostile or not supported
  4  refused, because the image would break
  5  registry or network
  6  a signature does not hold
  7  a local file could not be read or written
  130, 143  interrupted";

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Core(#[from] immut_core::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Trust(#[from] trust::Error),
    #[error("{action} {path}: {source}")]
    Local { action: &'static str, path: String, source: std::io::Error },
}

impl Failure {
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Usage(_) => Code::Usage,
            Self::Core(error) => of_core(error),
            Self::Store(error) => of_store(error),
            Self::Trust(error) => of_trust(error),
            Self::Local { .. } => Code::Local,
        }
    }
}

fn of_core(error: &immut_core::Error) -> Code {
    use immut_core::Error as Core;
    match error {
        Core::Pull(error) | Core::Publish(error) | Core::Copy(error) => of_store(error),
        Core::Index(error) => of_index(error),
        Core::Choices(_) => Code::Usage,
        Core::Conflicts(_) | Core::SelfCheck(_) => Code::Refused,
        Core::Rewrite(error) => of_rewrite(error),
        Core::Sign(error) => of_trust(error),
        _ => Code::Input,
    }
}

fn of_store(error: &store::Error) -> Code {
    match error.root() {
        store::Error::Registry(registry::Error::Setup { .. } | registry::Error::Credentials(_)) => {
            Code::Usage
        }
        store::Error::Registry(_) | store::Error::NotFound { place: Location::Registry(_), .. } => {
            Code::Network
        }
        // That it is no layout is the caller's mistake; that its documents are broken is not.
        store::Error::NotFound { .. }
        | store::Error::NoSuchName { .. }
        | store::Error::NoLayout { .. }
        | store::Error::Several { .. }
        | store::Error::Unfit { .. } => Code::Usage,
        store::Error::Io { .. } => Code::Local,
        store::Error::Read { source, .. } => of_io(source),
        _ => Code::Input,
    }
}

fn of_index(error: &inventory::Error) -> Code {
    match error {
        // The image is there and a part of it is not.
        inventory::Error::Store(error) => match of_store(error) {
            Code::Usage => Code::Input,
            code => code,
        },
        inventory::Error::Read { source, .. } => of_io(source),
        _ => Code::Input,
    }
}

fn of_rewrite(error: &immut_core::rewrite::Error) -> Code {
    use immut_core::rewrite::Error as Rewrite;
    match error {
        Rewrite::Store(error) => of_store(error),
        Rewrite::Io { source, .. } => of_io(source),
        _ => Code::Input,
    }
}

/// A stream's failure: the store's own word if there is one, then the disk, else the content.
fn of_io(error: &std::io::Error) -> Code {
    use std::io::ErrorKind;
    if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<store::Error>()) {
        return of_store(inner);
    }
    match error.kind() {
        ErrorKind::StorageFull
        | ErrorKind::PermissionDenied
        | ErrorKind::QuotaExceeded
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::NotFound => Code::Local,
        _ => Code::Input,
    }
}

fn of_trust(error: &trust::Error) -> Code {
    use trust::Error as Trust;
    match error {
        Trust::Store(error) => of_store(error),
        Trust::Unsigned { .. } | Trust::OtherKeys { .. } | Trust::Broken { .. } => Code::Unverified,
        Trust::WriteKey { .. } => Code::Local,
        Trust::Image(_) | Trust::SignatureTag { .. } => Code::Input,
        Trust::Lost { .. } => Code::Network,
        _ => Code::Usage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_that_does_not_pass_its_own_audit_is_refused() {
        let failure = Failure::from(immut_core::Error::SelfCheck("a step is left".to_owned()));
        assert_eq!((failure.code(), failure.code() as u8), (Code::Refused, 4));
    }
}
