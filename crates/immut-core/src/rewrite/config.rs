//! The new config: user, start command, layers and history in step.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{LayerOutcome, Named};
use crate::image::RuntimeConfig;
use crate::plan::{Action, Plan};

/// The date of what is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Date {
    /// Seconds since 1970.
    pub(super) epoch: u64,
    /// RFC 3339, if it is not the image's own date.
    text: Option<String>,
}

impl Date {
    /// `SOURCE_DATE_EPOCH`, or the image's own date, so that the result depends on neither clock nor
    /// machine.
    pub(super) fn of(config: &RuntimeConfig, epoch: Option<u64>) -> Self {
        if let Some(epoch) = epoch {
            return Self { epoch, text: rfc3339(epoch) };
        }
        let own = config.created().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
        let epoch = own.map_or(0, |date| u64::try_from(date.unix_timestamp()).unwrap_or(0));
        Self { epoch, text: None }
    }
}

fn rfc3339(epoch: u64) -> Option<String> {
    let date = OffsetDateTime::from_unix_timestamp(i64::try_from(epoch).ok()?).ok()?;
    date.format(&Rfc3339).ok()
}

/// The old config with the plan's changes.
pub(super) fn edit(
    old: &RuntimeConfig,
    plan: &Plan,
    layers: &[Named],
    outcomes: &[LayerOutcome],
    on_top: &[Option<String>],
    date: &Date,
) -> RuntimeConfig {
    let mut config = old.clone();
    for step in &plan.steps {
        match &step.action {
            Action::SetUser { to, .. } => config.set("User", json!(to)),
            Action::SetEntrypoint { to } => set_command(&mut config, "Entrypoint", to),
            Action::SetCmd { to } => set_command(&mut config, "Cmd", to),
            Action::SetVariable { name, value } => config.set_env(name, value),
            Action::SetWorkingDir { to } => config.set("WorkingDir", json!(to)),
            Action::SetHealthcheck { to: Some(check) } => config.set("Healthcheck", check.clone()),
            Action::SetHealthcheck { to: None } => config.unset("Healthcheck"),
            Action::MovePort { from, to } => config.move_port(*from, *to),
            _ => {}
        }
    }
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id).collect();
    config.set_layers(&diff_ids, history(old, outcomes, on_top, date));
    if let Some(text) = &date.text {
        config.set_created(text);
    }
    config
}

fn set_command(config: &mut RuntimeConfig, field: &str, words: &[String]) {
    if words.is_empty() {
        config.unset(field);
    } else {
        config.set(field, json!(words));
    }
}

/// The history with layers that are no more marked and this change added, an entry for each layer on
/// top. One that does not count as many layers as there are stays as it is: nothing true could be
/// added to it.
fn history(
    old: &RuntimeConfig,
    outcomes: &[LayerOutcome],
    on_top: &[Option<String>],
    date: &Date,
) -> Vec<Value> {
    let mut history = old.history().to_vec();
    let mut with_layer: Vec<&mut Value> =
        history.iter_mut().filter(|entry| entry["empty_layer"] != true).collect();
    if with_layer.len() != outcomes.len() || history_is_absent(old) {
        return old.history().to_vec();
    }
    for (entry, outcome) in with_layer.iter_mut().zip(outcomes) {
        if matches!(outcome, LayerOutcome::Dropped | LayerOutcome::Arranged) {
            entry["empty_layer"] = true.into();
        }
    }
    let mut entry =
        json!({ "created_by": concat!("immut ", env!("CARGO_PKG_VERSION"), " harden") });
    if let Some(created) = date.text.as_deref().or(old.created()) {
        entry["created"] = created.into();
    }
    if on_top.is_empty() {
        entry["empty_layer"] = true.into();
        history.push(entry);
        return history;
    }
    for comment in on_top {
        let mut entry = entry.clone();
        if let Some(comment) = comment {
            entry["comment"] = comment.as_str().into();
        }
        history.push(entry);
    }
    history
}

fn history_is_absent(config: &RuntimeConfig) -> bool {
    config.history().is_empty()
}
