//! A check: whether an image can start, and what its start needs.

use std::fmt::Write as _;

use immut_core::name::PinnedRef;
use immut_core::needs::{Access, Closure};
use immut_core::{Check, Checked};

use super::failure::conflict;
use super::{BOLD, DIM, GREEN, MOST, RED, YELLOW, left_out, product, quantity};

/// A check.
pub(crate) fn check(image: &PinnedRef, check: &Check) {
    let mut text = format!("{BOLD}{image}{BOLD:#}\n");
    for one in &check.platforms {
        checked(&mut text, one);
    }
    product(text.trim_end());
    left_out(&check.left_out);
}

fn checked(text: &mut String, one: &Checked) {
    let Checked { platform, closure, conflicts, unseen, .. } = one;
    let verdict = if conflicts.is_empty() {
        format!("{GREEN}nothing keeps it from starting{GREEN:#}")
    } else {
        format!("{RED}it cannot start{RED:#}")
    };
    writeln!(text, "{BOLD}{platform}{BOLD:#}  {verdict}").ok();
    writeln!(text, "  {}", needs(closure)).ok();
    for one in conflicts {
        conflict(text, one);
    }
    shell_users(text, closure);
    for unseen in unseen.iter().take(MOST) {
        writeln!(text, "  {YELLOW}unseen{YELLOW:#}  {unseen}").ok();
    }
    if unseen.len() > MOST {
        let more = unseen.len() - MOST;
        writeln!(text, "  {DIM}and {more} more; --format json lists them all{DIM:#}").ok();
    }
}

/// How many files the start needs, by what it does with them.
fn needs(closure: &Closure) -> String {
    let needs = || closure.starts.iter().flat_map(|start| &start.needs);
    let count = |least: Access, most: Access| {
        let access = |access: Access| access >= least && access <= most;
        quantity::count(needs().filter(|need| access(need.access)).count() as u64)
    };
    let (run, read) = (count(Access::Execute, Access::Execute), count(Access::Read, Access::Read));
    format!("its start runs {run} and reads {read} of its files")
}

/// What may run a shell later on.
pub(super) fn shell_users(text: &mut String, closure: &Closure) {
    let users = closure.may_need_shell();
    for user in users.iter().take(MOST) {
        writeln!(text, "  {DIM}may need a shell{DIM:#}  {user}").ok();
    }
    if users.len() > MOST {
        writeln!(text, "  {DIM}and {} more{DIM:#}", users.len() - MOST).ok();
    }
}
