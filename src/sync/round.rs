//! One round, and what is reported about it.

use entra::directory::roster::Roster;
use linkage::sync::{Action, Row, SyncPlan};

use crate::directory::roster;
use crate::pg::error::Result;
use crate::pg::interrupts;
use crate::pg::spi::as_superuser;
use crate::stat;
use crate::sync::{act, log, read};

/// Works out what a round would do.
pub(super) fn plan(members: &Roster) -> SyncPlan {
    as_superuser(|| read::plan(members, &roster::held()))
}

/// Carries out a round. `within`: runs what is done for one role in the way of the caller.
pub(super) fn carry_out(
    plan: SyncPlan,
    within: impl Fn(&dyn Fn() -> Result<(), String>) -> Result<(), String>,
) -> Vec<Row> {
    let SyncPlan { parts, rows, held, retired } = plan;
    let mut report = Vec::new();
    let mut failed = 0;
    for part in parts {
        interrupts::check();
        match within(&|| act::carry_out(&part)) {
            Ok(()) => {
                log::changed(&part);
                report.extend(part.rows);
            }
            Err(fault) => {
                failed += 1;
                report.push(skipped(Some(part.role_name().to_owned()), None, fault));
            }
        }
    }
    if failed == 0 {
        for (role, group) in retired {
            if let Err(fault) = within(&|| act::retire(&role, group)) {
                report.push(skipped(None, Some(role.shown), fault));
            }
        }
    }
    report.extend(rows);
    roster::note_held(&held.into_iter().collect::<Vec<_>>());
    for row in &report {
        stat::count_group_sync(row.action);
    }
    log::ended(&report);
    report
}

/// The row for a role about which nothing was done because of an error.
fn skipped(role_name: Option<String>, group_role: Option<String>, fault: String) -> Row {
    Row { role_name, group_role, action: Action::Skipped, detail: Some(fault) }
}

/// Returns what the next round would leave undone, by what the directory has said last, which is
/// not asked. None: it has said nothing yet.
pub(crate) fn unsettled() -> Option<Vec<Row>> {
    let members = roster::last()?;
    let plan = plan(&members);
    Some(plan.all_rows().filter(|row| row.action.is_undone()).cloned().collect())
}
