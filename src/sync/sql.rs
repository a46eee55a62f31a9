//! The SQL functions that make a round.

use std::ffi::CStr;

use linkage::sync::Row;
use pgrx::prelude::*;

use crate::directory::roster;
use crate::link::{lock, rights};
use crate::pg::error::{Fault, Result, or_raise};
use crate::pg::library;
use crate::pg::text::Text;
use crate::settings;
use crate::sync::round;

/// Makes a round now, or says what it would do.
#[pg_extern(sql = false)]
#[expect(clippy::type_complexity, reason = "the columns of a function")]
fn sync_group_members(
    dry_run: Option<bool>,
) -> TableIterator<
    'static,
    (
        name!(role_name, Option<Text>),
        name!(group_role, Option<Text>),
        name!(action, &'static str),
        name!(detail, Option<Text>),
    ),
> {
    table(or_raise(synchronise(c"sync_group_members()", dry_run.unwrap_or_default())))
}

/// Makes a round, as Azure's function of another name does: only while synchronisation is on.
#[pg_extern(sql = false)]
#[expect(clippy::type_complexity, reason = "the columns of a function")]
fn sync_group_members_if_on() -> TableIterator<
    'static,
    (
        name!(role_name, Option<Text>),
        name!(group_role, Option<Text>),
        name!(action, &'static str),
        name!(detail, Option<Text>),
    ),
> {
    table(or_raise((|| {
        library::require()?;
        rights::may_administer()?;
        if !settings::group_sync() {
            return Err(Fault::prerequisite("the synchronisation of groups is off")
                .hint("Set azure_ad_auth.group_sync, or call azure_ad_auth.sync_group_members()."));
        }
        synchronise(c"pgaadauth_sync_roles_for_group_members()", false)
    })()))
}

fn synchronise(function: &CStr, dry_run: bool) -> Result<Vec<Row>> {
    library::require()?;
    lock::require_writable(function)?;
    rights::may_administer()?;
    let members = roster::demand()?;
    // The rights may have ended while the directory was asked.
    rights::may_administer()?;
    if dry_run {
        return Ok(round::plan(&members).all_rows().cloned().collect());
    }
    if !lock::claim_synchronisation(false) {
        return Err(Fault::new(
            PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE,
            "groups are being synchronised by another process",
        )
        .hint("Try again when that has ended."));
    }
    Ok(round::carry_out(round::plan(&members), |act| act()))
}

type Columns = (Option<Text>, Option<Text>, &'static str, Option<Text>);

fn table(rows: Vec<Row>) -> TableIterator<'static, Columns> {
    let shown = |text: Option<String>| text.as_deref().map(Text::shown);
    let columns = |row: Row| -> Columns {
        (shown(row.role_name), shown(row.group_role), row.action.as_str(), shown(row.detail))
    };
    TableIterator::new(rows.into_iter().map(columns).collect::<Vec<_>>())
}
