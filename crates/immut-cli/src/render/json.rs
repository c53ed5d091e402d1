//! Results as JSON, as `docs/*.schema.json` have them.

use immut_core::finding::{Finding, Subject};
use immut_core::name::PinnedRef;
use immut_core::plan::{Action, Bundle, Conflict, Kept, Step};
use immut_core::receipt::{App, Package, PackageLists, Totals, WritablePath};
use immut_core::{Audit, Check, Explanation, LeftOut, Needed, Planning, There};
use serde_json::{Value, json};

const VERSION: u32 = 1;

/// An audit.
pub(crate) fn audit(image: &PinnedRef, audit: &Audit) -> String {
    let platforms = audit.platforms.iter().map(|one| {
        json!({
            "platform": one.platform.to_string(),
            "digest": one.digest,
            "totals": Totals::from(one.totals),
            "findings": one.findings.iter().map(finding).collect::<Vec<_>>(),
            "kept": one.kept.iter().map(kept).collect::<Vec<_>>(),
            "unseen": one.unseen,
        })
    });
    document(image, &platforms.collect::<Vec<_>>(), &audit.left_out)
}

/// Plans.
pub(crate) fn plans(image: &PinnedRef, planning: &Planning) -> String {
    let platforms = planning.platforms.iter().map(|one| {
        json!({
            "platform": one.platform.to_string(),
            "digest": one.manifest.digest(),
            "before": Totals::from(one.plan.before),
            "after": Totals::from(one.plan.after),
            "packages": PackageLists::from(&one.plan.packages),
            "steps": one.plan.steps.iter().map(step).collect::<Vec<_>>(),
            "conflicts": one.plan.conflicts.iter().map(conflict).collect::<Vec<_>>(),
            "app": one.plan.app.as_ref().map(App::from),
            "writable": one.plan.writable.iter().map(WritablePath::from).collect::<Vec<_>>(),
            "kept": one.plan.kept.iter().map(kept).collect::<Vec<_>>(),
            "orphaned": one.plan.orphaned,
            "notes": one.plan.notes,
            "unseen": one.plan.unseen,
            "mayNeedShell": one.plan.closure.may_need_shell(),
        })
    });
    document(image, &platforms.collect::<Vec<_>>(), &planning.left_out)
}

/// A check.
pub(crate) fn check(image: &PinnedRef, check: &Check) -> String {
    let platforms = check.platforms.iter().map(|one| {
        let starts = || one.closure.starts.iter();
        let needs = starts().flat_map(|start| &start.needs);
        let needs = needs.map(|need| json!({ "path": need.path, "certain": need.certain }));
        json!({
            "platform": one.platform.to_string(),
            "digest": one.digest,
            "starts": one.conflicts.is_empty(),
            "conflicts": one.conflicts.iter().map(conflict).collect::<Vec<_>>(),
            "needs": needs.collect::<Vec<_>>(),
            "mayNeedShell": one.closure.may_need_shell(),
            "unseen": one.unseen,
        })
    });
    document(image, &platforms.collect::<Vec<_>>(), &check.left_out)
}

/// Explanations.
pub(crate) fn explained(image: &PinnedRef, explained: &[Explanation]) -> String {
    let paths = explained.iter().map(|one| {
        let hidden: Vec<usize> = one.hidden.iter().map(|layer| layer + 1).collect();
        let steps = one.steps.iter().map(|(done, because)| {
            let mut value = action(done);
            value["rules"] = json!(because);
            value
        });
        json!({
            "platform": one.platform.to_string(),
            "path": one.path,
            "fate": one.fate().as_str(),
            "there": one.there.as_ref().map(there),
            "hiddenInLayers": hidden,
            "steps": steps.collect::<Vec<_>>(),
            "findings": one.findings.iter().map(finding).collect::<Vec<_>>(),
            "conflicts": one.conflicts,
            "base": one.base,
            "neededBy": one.needed.iter().map(needed).collect::<Vec<_>>(),
        })
    });
    let paths: Vec<Value> = paths.collect();
    let document = json!({ "version": VERSION, "image": image.to_string(), "paths": paths });
    format!("{document:#}")
}

fn there(there: &There) -> Value {
    json!({
        "path": there.path,
        "links": there.links,
        "kind": there.kind,
        "size": there.size,
        "mode": format!("{:04o}", there.mode),
        "owner": format!("{}:{}", there.owner.0, there.owner.1),
        "layer": there.layer.map(|layer| layer + 1),
    })
}

fn needed(one: &Needed) -> Value {
    json!({
        "pointer": one.pointer,
        "by": one.by,
        "why": one.why.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "neededBy": one.needed.iter().map(needed).collect::<Vec<_>>(),
    })
}

fn document(image: &PinnedRef, platforms: &[Value], left_out: &[LeftOut]) -> String {
    let left_out: Vec<Value> =
        left_out.iter().map(|one| json!({ "what": one.what, "reason": one.reason })).collect();
    let document = json!({
        "version": VERSION,
        "image": image.to_string(),
        "platforms": platforms,
        "leftOut": left_out,
    });
    format!("{document:#}")
}

fn finding(finding: &Finding) -> Value {
    json!({
        "rule": finding.rule,
        "severity": finding.severity,
        "subject": subject(&finding.subject),
        "evidence": finding.evidence.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "remedy": finding.remedy,
    })
}

fn subject(subject: &Subject) -> Value {
    match subject {
        Subject::File(path) => json!({ "path": path }),
        Subject::Hidden { layer, path } => {
            json!({ "path": path, "hidden": true, "layer": layer + 1 })
        }
        Subject::Config(pointer) => json!({ "pointer": pointer }),
    }
}

fn kept(kept: &Kept) -> Value {
    json!({ "path": kept.path, "rule": kept.rule })
}

fn conflict(conflict: &Conflict) -> Value {
    json!({
        "pointer": conflict.pointer,
        "problem": conflict.problem.to_string(),
        "chain": conflict.chain.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "unconverted": conflict.unconverted,
        "settle": conflict.settle,
    })
}

fn step(step: &Step) -> Value {
    let mut value = action(&step.action);
    value["rules"] = json!(*step.because);
    value
}

fn action(action: &Action) -> Value {
    match action {
        Action::Remove { path } => json!({ "action": "remove", "path": path }),
        Action::DropHidden { entry, path } => {
            json!({ "action": "drop-hidden", "path": path, "layer": entry.layer + 1 })
        }
        Action::DropMarker { entry, path } => {
            json!({ "action": "drop-marker", "path": path, "layer": entry.layer + 1 })
        }
        Action::DropTable { entry, path } => {
            json!({ "action": "drop-table", "path": path, "layer": entry.layer + 1 })
        }
        Action::ClearMode { path, bits } => {
            json!({ "action": "clear-mode", "path": path, "bits": format!("{bits:04o}") })
        }
        Action::ClearCapability { path } => json!({ "action": "clear-capability", "path": path }),
        Action::SetOwner { path, owner: (uid, gid) } => {
            json!({ "action": "set-owner", "path": path, "owner": format!("{uid}:{gid}") })
        }
        Action::Carry { path, entry, .. } => {
            json!({ "action": "carry", "path": path, "layer": entry.layer + 1 })
        }
        Action::Relink { path, target, entry } => {
            json!({ "action": "relink", "path": path, "target": target, "layer": entry.layer + 1 })
        }
        Action::DropEmptied { layer } => json!({ "action": "drop-emptied", "layer": layer + 1 }),
        Action::Compress { layer } => json!({ "action": "compress", "layer": layer + 1 }),
        Action::Arrange { bundles } => {
            let packages = |bundle: &Bundle| {
                json!(bundle.packages.iter().map(Package::from).collect::<Vec<_>>())
            };
            json!({ "action": "arrange", "layers": bundles.iter().map(packages).collect::<Vec<_>>() })
        }
        Action::EditFile { path, .. } => json!({ "action": "edit-file", "path": path }),
        Action::AddDirectory { path, .. } => json!({ "action": "add-directory", "path": path }),
        Action::SetUser { from, to } => json!({ "action": "set-user", "from": from, "to": to }),
        Action::SetEntrypoint { to } => json!({ "action": "set-entrypoint", "to": to }),
        Action::SetCmd { to } => json!({ "action": "set-cmd", "to": to }),
        Action::SetVariable { name, value } => {
            json!({ "action": "set-variable", "name": name, "value": value })
        }
        Action::SetWorkingDir { to } => json!({ "action": "set-working-dir", "to": to }),
        Action::SetHealthcheck { to } => json!({ "action": "set-healthcheck", "to": to }),
        Action::MovePort { from, to } => json!({ "action": "move-port", "from": from, "to": to }),
        _ => json!({ "action": "other" }),
    }
}
