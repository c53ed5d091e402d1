//! Who the container will run as.

use super::{Action, Choices, Step, id};
use crate::finding::RuleId;
use crate::image::RuntimeConfig;
use crate::inventory::Subject;
use crate::user::{self, Accounts, NONROOT, UserId};

/// Who the container will run as.
pub(super) struct PlannedUser {
    /// The config's new value, if it changes, and the rule for that.
    pub(super) change: Option<(UserId, RuleId)>,
    /// Who that is in numbers; none for a name that the image does not know.
    pub(super) id: Option<UserId>,
}

impl PlannedUser {
    /// Whether the container ran as somebody else before, not as the same user by name.
    pub(super) fn is_another(&self) -> bool {
        self.change.as_ref().is_some_and(|(_, rule)| *rule != id("named-user"))
    }

    pub(super) fn step(&self, config: &RuntimeConfig) -> Option<Step> {
        let (to, rule) = self.change.as_ref()?;
        let action = Action::SetUser { from: config.user().to_owned(), to: to.to_string() };
        Some(Step { action, because: super::because(rule.clone()) })
    }
}

/// Who the container runs as without a change.
pub(super) fn present_user(subject: &Subject<'_>, choices: &Choices) -> PlannedUser {
    let id = match Accounts::of(subject.inventory).kind(subject.config.user()) {
        user::Kind::Root => Some(UserId { uid: 0, gid: None }),
        user::Kind::Numeric(user) | user::Kind::Named(user) => Some(user),
        user::Kind::Unknown => None,
    };
    PlannedUser { change: None, id: choices.user.or(id) }
}

/// Who the container will run as; `account` is the one that the data of its application belong to.
pub(super) fn planned_user(
    subject: &Subject<'_>,
    choices: &Choices,
    account: Option<&str>,
) -> PlannedUser {
    let written = subject.config.user();
    let accounts = Accounts::of(subject.inventory);
    let kind = accounts.kind(written);
    let kept = |rule: RuleId| choices.profile.keeps_rule(&rule);
    if let Some(user) = choices.user {
        let rule = if kind == user::Kind::Root { id("root-user") } else { id("chosen-start") };
        let change = (user.to_string() != written).then_some((user, rule));
        return PlannedUser { change, id: Some(user) };
    }
    let root = UserId { uid: 0, gid: None };
    match kind {
        user::Kind::Root if kept(id("root-user")) => PlannedUser { change: None, id: Some(root) },
        user::Kind::Root => {
            let (user, rule) = match account.map(|name| accounts.kind(name)) {
                Some(user::Kind::Named(user)) => (user, id("app-profile")),
                _ => (NONROOT, id("root-user")),
            };
            PlannedUser { change: Some((user, rule)), id: Some(user) }
        }
        user::Kind::Numeric(user) => PlannedUser { change: None, id: Some(user) },
        user::Kind::Named(user) if kept(id("named-user")) => {
            PlannedUser { change: None, id: Some(user) }
        }
        user::Kind::Named(user) => {
            PlannedUser { change: Some((user, id("named-user"))), id: Some(user) }
        }
        user::Kind::Unknown => PlannedUser { change: None, id: None },
    }
}
