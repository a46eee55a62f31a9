//! What the log says about rounds: a line for each role that has changed, a line for each round
//! that has changed something, and what was left undone whenever that is something else.

use std::hash::{DefaultHasher, Hash, Hasher};

use linkage::sync::{Action, Part, Row};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::directory::roster;
use crate::pg::text::reported;

/// Most things that were left undone that one round writes into the log.
const MAX_LINES: usize = 20;

/// Logs what was done for a role.
pub(super) fn changed(part: &Part) {
    if part.rows.is_empty() {
        return;
    }
    let done: Vec<_> = part.rows.iter().map(words).collect();
    log(&format!("role \"{}\": {}", part.role_name(), done.join(", ")));
}

/// Logs how a round has ended.
pub(super) fn ended(report: &[Row]) {
    let count = |action| report.iter().filter(|row| row.action == action).count();
    let undone: Vec<_> = report.iter().filter(|row| row.action.is_undone()).collect();
    let mut hasher = DefaultHasher::new();
    for row in &undone {
        (&row.role_name, &row.group_role, &row.detail).hash(&mut hasher);
    }
    if roster::are_news(hasher.finish()) {
        for row in undone.iter().take(MAX_LINES) {
            let role = row.role_name.as_ref().map_or_else(String::new, |name| format!("role \"{name}\": "));
            log(&format!("{role}{}", words(row)));
        }
        if let Some(more) = undone.len().checked_sub(MAX_LINES).filter(|more| *more > 0) {
            log(&format!("{more} more were skipped; see azure_ad_auth.sync_group_members(dry_run => true)"));
        }
    }
    if report.len() > undone.len() {
        let [created, linked, granted, revoked, unlinked] =
            [Action::Created, Action::Linked, Action::Granted, Action::Revoked, Action::Unlinked].map(count);
        log(&format!(
            "a round has ended: created {created}, linked {linked}, granted {granted}, revoked {revoked}, \
             unlinked {unlinked}, skipped {}",
            undone.len()
        ));
    }
}

fn words(row: &Row) -> String {
    let mut text = row.action.to_string();
    if let Some(role) = &row.group_role {
        text = format!("{text} \"{role}\"");
    }
    match &row.detail {
        Some(detail) => format!("{text} ({detail})"),
        None => text,
    }
}

pub(super) fn log(text: &str) {
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
        reported(format!("azure_ad_auth: group synchronisation: {}", escaped(text))),
        "sync",
    )
    .report(PgLogLevel::LOG);
}

/// Escapes what must not reach a log: names come from the directory.
fn escaped(text: &str) -> String {
    let escape = |character: char| {
        let is_plain = matches!(character, '"' | '\'' | '\\');
        if is_plain { character.to_string() } else { character.escape_debug().to_string() }
    };
    text.chars().map(escape).collect()
}
