//! The SQL functions about keys.

use std::time::Duration;

use pgrx::prelude::*;

use crate::fault::{Fault, or_raise};
use crate::preloaded;
use crate::settings;

/// Longest an administrator is kept waiting: two documents, each at its time limit, twice.
const PATIENCE: Duration = Duration::from_secs(45);

/// Fetches the keys now.
#[pg_extern(sql = false)]
fn refresh_keys() -> i32 {
    or_raise((|| {
        preloaded::require()?;
        settings::key_origin().map_err(|fault| Fault::not_now(format!("{}.{fault}", settings::PREFIX)))?;
        let count = super::refresh(PATIENCE).map_err(|problem| {
            Fault::new(PgSqlErrorCode::ERRCODE_IO_ERROR, "the signing keys could not be fetched")
                .detail(problem)
                .hint("Logins go on with the keys at hand until these are older than azure_ad_auth.key_max_age.")
        })?;
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    })())
}

/// The keys at hand.
#[pg_extern(sql = false)]
#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in a double")]
fn list_signing_keys() -> TableIterator<
    'static,
    (
        name!(key_id, String),
        name!(issuer, Option<String>),
        name!(fetched_at, f64),
        name!(expires_at, f64),
        name!(source, String),
    ),
> {
    or_raise(preloaded::require());
    let source = match settings::key_origin().map(|origin| origin.source) {
        Ok(entra::KeySource::Urls(urls)) => urls.join(", "),
        Ok(entra::KeySource::File(path)) => path,
        Err(_) => String::new(),
    };
    let lifetime = settings::timing().max_age as f64 / 1_000.0;
    let rows = super::rows().into_iter().map(|key| {
        let fetched_at = key.fetched_at as f64;
        (key.key_id, key.issuer, fetched_at, fetched_at + lifetime, source.clone())
    });
    TableIterator::new(rows.collect::<Vec<_>>())
}
