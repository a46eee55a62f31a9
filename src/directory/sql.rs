//! The SQL functions about the directory.

use std::time::Duration;

use pgrx::prelude::*;

use crate::directory::memory::refresh::NoLook;
use crate::directory::{self, terms};
use crate::pg::clock::seconds;
use crate::pg::error::{Fault, or_raise};
use crate::pg::library;
use crate::pg::text::Text;
use crate::pg::values::count;

/// Longest time that an administrator is kept waiting: for a look at everybody, after one that may
/// be running.
const PATIENCE: Duration = Duration::from_mins(2);

/// Looks at everybody now. Returns how many objects the directory has shown.
#[pg_extern(sql = false)]
fn refresh_directory() -> i64 {
    or_raise((|| {
        library::require()?;
        if !directory::is_on() {
            return Err(Fault::prerequisite("the directory is not set up")
                .hint("Set azure_ad_auth.directory and what belongs to it."));
        }
        if let Some(problem) = terms::problem() {
            return Err(Fault::prerequisite("the directory cannot be asked").detail(problem));
        }
        let seen = directory::refresh(PATIENCE).map_err(|why| {
            let failed = Fault::new(PgSqlErrorCode::ERRCODE_IO_ERROR, "the directory could not be looked at");
            match why {
                NoLook::Paused(left) => failed
                    .detail(format!("Microsoft Graph demands a pause of {} s.", left.div_ceil(1_000)))
                    .hint("To ask nevertheless, call refresh_directory() again within a minute."),
                NoLook::TooLate => failed.detail("No look ended in time; see the server log."),
                NoLook::Failed(problem) => failed
                    .detail(problem)
                    .hint("Who is known to be out stays out, and all others can log in as before."),
            }
        })?;
        Ok(count(seen))
    })())
}

/// Returns how asking the directory goes.
#[pg_extern(sql = false)]
#[expect(clippy::type_complexity, reason = "the columns of a view")]
fn list_directory_status() -> TableIterator<
    'static,
    (
        name!(mode, &'static str),
        name!(state, &'static str),
        name!(last_success, Option<f64>),
        name!(last_attempt, Option<f64>),
        name!(last_error, Option<Text>),
        name!(next_attempt, Option<f64>),
        name!(token_expires_at, Option<f64>),
        name!(certificate_expires_at, Option<f64>),
        name!(checked, i64),
        name!(ended, i64),
        name!(requests, i64),
        name!(failures, i64),
        name!(throttled_until, Option<f64>),
        name!(worker_pid, Option<i32>),
        name!(worker_heartbeat, Option<f64>),
    ),
> {
    or_raise(library::require());
    let status = directory::status();
    TableIterator::once((
        status.mode,
        status.state.as_str(),
        status.last_success.map(seconds),
        status.last_attempt.map(seconds),
        status.last_error.as_deref().map(Text::shown),
        status.next_attempt.map(seconds),
        status.token_expires_at.map(seconds),
        status.certificate_expires_at.map(seconds),
        count(status.checked),
        count(status.ended),
        count(status.requests),
        count(status.failures),
        status.throttled_until.map(seconds),
        status.worker_pid,
        status.heartbeat.map(seconds),
    ))
}

/// Returns every feature of the directory, and whether the application may use it.
#[pg_extern(sql = false)]
#[expect(clippy::type_complexity, reason = "the columns of a view")]
fn list_directory_features() -> TableIterator<
    'static,
    (
        name!(feature, &'static str),
        name!(available, Option<bool>),
        name!(permission, &'static str),
        name!(problem, Option<&'static str>),
        name!(checked_at, Option<f64>),
    ),
> {
    or_raise(library::require());
    let rows = directory::features().into_iter().map(|row| {
        (
            row.feature.as_str(),
            row.availability.available,
            row.feature.permissions(),
            row.availability.problem(),
            row.availability.checked_at.map(seconds),
        )
    });
    TableIterator::new(rows)
}
