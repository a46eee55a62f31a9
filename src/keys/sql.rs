//! The SQL functions about keys.

use std::time::Duration;

use pgrx::prelude::*;

use crate::keys::memory;
use crate::pg::clock::seconds;
use crate::pg::error::{Fault, or_raise};
use crate::pg::library;
use crate::pg::text::Text;
use crate::pg::values::count;
use crate::settings;

/// Longest time that an administrator is kept waiting: two documents, each at its time limit,
/// twice.
const PATIENCE: Duration = Duration::from_secs(45);

/// Fetches the keys now. Returns their number.
#[pg_extern(sql = false)]
fn refresh_keys() -> i32 {
    or_raise((|| {
        library::require()?;
        settings::key_origin().map_err(|fault| Fault::prerequisite(fault.to_string()))?;
        let count = crate::keys::refresh(PATIENCE).map_err(|problem| {
            Fault::new(PgSqlErrorCode::ERRCODE_IO_ERROR, "the signing keys could not be fetched")
                .detail(problem)
                .hint("Logins go on with the keys at hand until these are older than azure_ad_auth.key_max_age.")
        })?;
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    })())
}

/// Returns the keys at hand.
#[pg_extern(sql = false)]
fn list_signing_keys() -> TableIterator<
    'static,
    (
        name!(key_id, Text),
        name!(issuer, Option<Text>),
        name!(fetched_at, f64),
        name!(expires_at, f64),
        name!(source, Text),
        name!(first_seen, f64),
    ),
> {
    or_raise(library::require());
    let source = Text::shown(&source().unwrap_or_default());
    let lifetime = Duration::from_millis(settings::timing().max_age).as_secs_f64();
    let rows = memory::rows().into_iter().map(|key| {
        let fetched_at = seconds(key.fetched_at);
        let first_seen = seconds(key.first_seen);
        (
            Text::shown(&key.key_id),
            key.issuer.as_deref().map(Text::shown),
            fetched_at,
            fetched_at + lifetime,
            source.clone(),
            first_seen,
        )
    });
    TableIterator::new(rows.collect::<Vec<_>>())
}

/// Returns how fetching goes.
#[pg_extern(sql = false)]
#[expect(clippy::type_complexity, reason = "the columns of a view")]
fn list_key_status() -> TableIterator<
    'static,
    (
        name!(source, Option<Text>),
        name!(state, &'static str),
        name!(fetching, bool),
        name!(keys, i32),
        name!(last_success, Option<f64>),
        name!(last_attempt, Option<f64>),
        name!(last_error, Option<Text>),
        name!(next_attempt, Option<f64>),
        name!(fetches, i64),
        name!(failures, i64),
        name!(on_demand_fetches, i64),
        name!(worker_pid, Option<i32>),
        name!(worker_heartbeat, Option<f64>),
    ),
> {
    or_raise(library::require());
    let status = memory::status(&settings::timing());
    TableIterator::once((
        source().as_deref().map(Text::shown),
        status.state.as_str(),
        status.fetching,
        i32::try_from(status.keys).unwrap_or(i32::MAX),
        status.last_success.map(seconds),
        status.last_attempt.map(seconds),
        status.last_error.as_deref().map(Text::shown),
        status.next_attempt.map(seconds),
        count(status.fetches),
        count(status.failures),
        count(status.on_demand),
        status.worker_pid,
        status.heartbeat.map(seconds),
    ))
}

/// Returns where the keys come from; none if the settings do not say.
fn source() -> Option<String> {
    match settings::key_origin().ok()?.source {
        entra::KeySource::Urls(urls) => Some(urls.join(", ")),
        entra::KeySource::File(path) => Some(path),
    }
}
