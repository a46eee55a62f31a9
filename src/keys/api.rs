//! The SQL functions about keys.

use std::time::Duration;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::preloaded::{self, Preloaded};
use crate::settings;

/// Longest an administrator is kept waiting: two documents, each at its time limit, twice.
const PATIENCE: Duration = Duration::from_secs(45);

/// Fetches the keys now.
#[pg_extern(sql = false)]
fn refresh_keys() -> i32 {
    if preloaded::status() != Preloaded::ThisFile {
        fail("azure_ad_auth must be loaded via shared_preload_libraries");
    }
    if let Err(fault) = settings::key_origin() {
        fail(&format!("{}.{fault}", settings::PREFIX));
    }
    match super::refresh(PATIENCE) {
        Ok(count) => i32::try_from(count).unwrap_or(i32::MAX),
        Err(problem) => {
            ErrorReport::new(
                PgSqlErrorCode::ERRCODE_IO_ERROR,
                "the signing keys could not be fetched",
                "refresh_keys",
            )
            .set_detail(problem)
            .set_hint(
                "Logins go on with the keys at hand until they are older than azure_ad_auth.key_max_age.",
            )
            .report(PgLogLevel::ERROR);
            unreachable!("an ERROR does not return")
        }
    }
}

fn fail(message: &str) {
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        message.to_owned(),
        "refresh_keys",
    )
    .report(PgLogLevel::ERROR);
}

/// The keys at hand.
#[pg_extern(sql = false)]
#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in a double")]
#[expect(clippy::type_complexity, reason = "the columns of a view")]
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
    if preloaded::status() != Preloaded::ThisFile {
        return TableIterator::new(Vec::new());
    }
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
