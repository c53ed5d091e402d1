//! How long work is told: [`Event`]s to a [`Progress`].

/// A piece of long work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Task {
    /// A layer is read and indexed.
    Read,
    /// A layer is written anew.
    Rewrite,
    /// A blob is published.
    Publish,
}

impl Task {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Rewrite => "rewrite",
            Self::Publish => "publish",
        }
    }
}

/// How far a piece of work is.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// Which work.
    pub task: Task,
    /// On which layer, from 0.
    pub layer: usize,
    /// Bytes done.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Who wants to know. Called from several threads, often: it has to be quick.
pub trait Progress: Sync {
    /// Takes note of an event.
    fn event(&self, event: &Event);
}

/// Nobody wants to know.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _: &Event) {}
}
