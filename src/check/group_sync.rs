//! The synchronisation of groups: whether it can work, and which members are left out.

use hba::Finding;
use linkage::sync::{Action, Row};

use crate::pg::utility::in_recovery;
use crate::{catalog, directory, settings, sync};

const TOPIC: &str = "group sync";

/// Most rows that are shown.
const MAX_ROWS: usize = 50;

/// Returns what is found; nothing while synchronisation is off, and on a standby.
pub(super) fn check() -> Vec<Finding> {
    if !settings::group_sync() || in_recovery() {
        return Vec::new();
    }
    if !directory::is_on() {
        return vec![
            Finding::warning(TOPIC, "no group is synchronised: azure_ad_auth.directory is off")
                .advice("Set azure_ad_auth.directory, or switch azure_ad_auth.group_sync off."),
        ];
    }
    let name = settings::group_sync_database();
    let problem = match catalog::allows_connections(&name) {
        Some(true) => None,
        Some(false) => Some("does not allow connections"),
        None => Some("does not exist"),
    };
    if let Some(problem) = problem {
        let text = format!("no group is synchronised: database \"{name}\" {problem}");
        return vec![Finding::warning(TOPIC, text).advice("Set azure_ad_auth.group_sync_database.")];
    }
    let Some(undone) = sync::unsettled() else {
        return vec![Finding::notice(TOPIC, "the members of groups have not been asked for yet")];
    };
    if undone.is_empty() {
        return vec![Finding::ok(TOPIC, "every member of the linked groups has a role")];
    }
    let more = undone.len().checked_sub(MAX_ROWS).filter(|more| *more > 0);
    let more = more.map(|more| Finding::warning(TOPIC, format!("{more} more are skipped")));
    undone.iter().take(MAX_ROWS).map(finding).chain(more).collect()
}

fn finding(row: &Row) -> Finding {
    let role = row.role_name.as_ref().map(|name| format!("role \"{name}\""));
    let group = row.group_role.as_ref().map(|name| format!("group role \"{name}\""));
    let whom = [role, group].into_iter().flatten().collect::<Vec<_>>().join(", ");
    let what = if row.action == Action::Held { "is held back" } else { "is skipped" };
    let detail = row.detail.as_deref().unwrap_or_default();
    Finding::warning(TOPIC, format!("{whom} {what}: {detail}"))
        .advice("SELECT * FROM azure_ad_auth.sync_group_members(dry_run => true);")
}
