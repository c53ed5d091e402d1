//! What an app profile did, as JSON.

use serde::Serialize;

use crate::path::RootPath;
use crate::plan;

/// What an app profile did to an image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct App {
    /// The profile's name.
    pub name: String,
    /// What people call the application.
    pub title: String,
    /// The start, if it changed.
    pub start: Option<Restart>,
    /// The test of the health check, if it changed.
    pub healthcheck: Option<Vec<String>>,
    /// Ports that the image exposed and that moved.
    pub ports: Vec<MovedPort>,
    /// Files that changed.
    pub edits: Vec<EditedFile>,
    /// What the entrypoint script did and nobody does any more, and what to do instead.
    pub notes: Vec<String>,
}

/// A start that changed: entrypoint and cmd in one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restart {
    /// As it was.
    pub before: Vec<String>,
    /// As it is.
    pub after: Vec<String>,
}

/// A port that moved.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MovedPort {
    /// Where it listened.
    pub from: u16,
    /// Where it listens.
    pub to: u16,
}

/// A file that an app profile changed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EditedFile {
    /// Its name, links followed.
    pub path: RootPath,
    /// The changes.
    pub changes: Vec<Change>,
}

/// A change of a file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Why, as the profile says it.
    pub why: String,
    /// How often it was made.
    pub count: usize,
}

impl From<&plan::Applied> for App {
    fn from(app: &plan::Applied) -> Self {
        Self {
            name: app.name.clone(),
            title: app.title.clone(),
            start: app.start.as_ref().map(Into::into),
            healthcheck: app.healthcheck.clone(),
            ports: app
                .ports
                .iter()
                .map(|port| MovedPort { from: port.from, to: port.to })
                .collect(),
            edits: app.edits.iter().map(Into::into).collect(),
            notes: app.notes.clone(),
        }
    }
}

impl From<&plan::Restart> for Restart {
    fn from(start: &plan::Restart) -> Self {
        Self { before: start.before.clone(), after: start.after.clone() }
    }
}

impl From<&plan::EditedFile> for EditedFile {
    fn from(file: &plan::EditedFile) -> Self {
        let change = |one: &plan::Change| Change { why: one.why.clone(), count: one.count };
        Self { path: file.path.clone(), changes: file.changes.iter().map(change).collect() }
    }
}
