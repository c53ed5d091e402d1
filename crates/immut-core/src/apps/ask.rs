//! [`Ask`]: what an application's configuration asks of the user that it is started by.

use std::fmt;

use serde::Deserialize;

use super::search::{Found, Search};
use super::text::Pattern;

/// What an application's configuration asks of its user: an image that starts the application itself
/// does not start as a user that cannot do it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, try_from = "Written")]
pub struct Ask {
    /// Its configuration, each file by itself; none: the words of its start, one in each line.
    pub file: Option<Pattern>,
    /// Whether it reads that file only where a word of its start names it, or a folder above it; else
    /// it does too where no word names a path.
    pub named: bool,
    /// What is asked for.
    pub demand: Demand,
    /// Where a path that has to be written begins if it is a relative one; none: such are passed over.
    pub base: Option<Pattern>,
    /// Where this is found, in the file or among the words of the start, nothing is asked for.
    pub unless: Option<Search>,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Demand {
    /// To be root, where this is found.
    Root(Search),
    /// To write what the first group of this is, a path in which `${NAME}` is a variable.
    Writes(Search),
    /// To write to these folders, as far as they are there.
    Folders(Vec<Pattern>),
}

/// The same as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    file: Option<Pattern>,
    #[serde(default)]
    named: bool,
    root: Option<Search>,
    writes: Option<Search>,
    base: Option<Pattern>,
    #[serde(default)]
    folders: Vec<Pattern>,
    unless: Option<Search>,
}

impl TryFrom<Written> for Ask {
    type Error = String;

    /// One thing is asked for.
    fn try_from(written: Written) -> Result<Self, String> {
        let Written { file, named, root, writes, base, folders, unless } = written;
        let demand = match (root, writes, folders) {
            (Some(root), None, folders) if folders.is_empty() => Demand::Root(root),
            (None, Some(writes), folders) if folders.is_empty() => Demand::Writes(writes),
            (None, None, folders) if !folders.is_empty() => Demand::Folders(folders),
            _ => return Err("it asks for one of `root`, `writes` and `folders`".to_owned()),
        };
        Ok(Self { file, named, demand, base, unless })
    }
}

impl Ask {
    /// Whether nothing is asked for, since these texts say otherwise.
    pub(crate) fn is_waived(&self, texts: &[&str]) -> bool {
        let unless = self.unless.as_ref();
        unless.is_some_and(|unless| texts.iter().any(|text| unless.is_in(text)))
    }
}

impl fmt::Display for Ask {
    /// In words, with searches as they are written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.file.as_ref().map_or("the words of the start", |file| &**file);
        match &self.demand {
            Demand::Root(search) => write!(f, "to be root, where {search} is in {place}")?,
            Demand::Writes(search) => {
                write!(f, "to write what {search} names in {place}")?;
                self.base.iter().try_for_each(|base| write!(f, ", in {base}"))?;
            }
            Demand::Folders(folders) => {
                let folders: Vec<&str> = folders.iter().map(|folder| &**folder).collect();
                write!(f, "to write to {}, by {place}", folders.join(" and "))?;
            }
        }
        if self.named {
            f.write_str(", if the start names it")?;
        }
        self.unless.as_ref().map_or(Ok(()), |unless| write!(f, ", unless {unless} is there"))
    }
}

impl Demand {
    /// The places of a text that ask for it, as many as are told; for folders there are none.
    pub(crate) fn found(&self, text: &str) -> Vec<Found> {
        match self {
            Self::Root(search) | Self::Writes(search) => search.found(text, MOST_FOUND),
            Self::Folders(_) => Vec::new(),
        }
    }
}

/// The most places of a text that are looked at; a configuration has a few.
const MOST_FOUND: usize = 100;
