//! [`Platform`]: what an image is for.

use std::fmt;

use serde::Deserialize;

use super::Error;

/// An operating system and a processor: `linux/amd64`, `linux/arm/v7`.
///
/// ```
/// use immut_core::image::Platform;
/// let platform: Platform = "linux/arm64/v8".parse()?;
/// assert!(platform.matches(&"linux/arm64".parse()?));
/// # Ok::<(), immut_core::image::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct Platform {
    /// Operating system, such as `linux`; empty if it is not said.
    #[serde(default)]
    pub os: String,
    /// Processor architecture, as Go names it; empty if it is not said.
    #[serde(default)]
    pub architecture: String,
    /// Variant of the architecture, such as `v7`.
    #[serde(default)]
    pub variant: Option<String>,
}

impl Platform {
    /// Whether it says what it is for: attestations are for `unknown/unknown`, and some tools write
    /// nothing.
    pub(crate) fn is_known(&self) -> bool {
        !self.os.is_empty() && !self.is_unknown()
    }

    /// Whether it says that there is none, as lines of attestations do.
    pub(crate) fn is_unknown(&self) -> bool {
        self.os == "unknown"
    }

    /// Whether `self`, found in an image, is what `asked` means; a variant counts only if asked.
    pub fn matches(&self, asked: &Self) -> bool {
        self.os == asked.os
            && self.architecture == asked.architecture
            && (asked.variant.is_none() || self.variant == asked.variant)
    }
}

impl std::str::FromStr for Platform {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut parts = text.splitn(3, '/').map(str::to_owned);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(os), Some(architecture), variant)
                if !os.is_empty() && !architecture.is_empty() =>
            {
                Ok(Self { os, architecture, variant })
            }
            _ => Err(Error::Malformed {
                what: "the platform",
                reason: format!("{text:?} is not OS/ARCHITECTURE[/VARIANT], such as linux/amd64"),
            }),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Where they do not say, images are Linux's for whatever processor there is. The words are
        // the image's, and may be shown on a terminal.
        let os = if self.os.is_empty() { "linux" } else { &self.os };
        write!(f, "{}", os.escape_debug())?;
        let more = [Some(&self.architecture), self.variant.as_ref()].into_iter().flatten();
        more.filter(|part| !part.is_empty())
            .try_for_each(|part| write!(f, "/{}", part.escape_debug()))
    }
}
