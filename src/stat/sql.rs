//! The SQL functions about how logins ended.

use pgrx::prelude::*;

use crate::catalog;
use crate::pg::clock::seconds;
use crate::pg::error::or_raise;
use crate::pg::library;
use crate::pg::text::Text;
use crate::pg::values::count;
use crate::stat::{counters, principals};

/// Returns the counters of the whole server, in long form.
#[pg_extern(sql = false)]
#[expect(clippy::type_complexity, reason = "the columns of a view")]
fn list_stat() -> TableIterator<
    'static,
    (
        name!(metric, &'static str),
        name!(door, Option<&'static str>),
        name!(kind, Option<&'static str>),
        name!(code, Option<&'static str>),
        name!(le, Option<f64>),
        name!(value, i64),
        name!(since, f64),
    ),
> {
    or_raise(library::require());
    let (since, rows) = counters::rows();
    let rows = rows.into_iter().map(move |row| {
        (row.name, row.door, row.kind, row.code, row.bound, count(row.value), seconds(since))
    });
    TableIterator::new(rows)
}

/// Returns how logins ended for each linked role, of those that logged in last.
#[pg_extern(sql = false)]
#[expect(clippy::type_complexity, reason = "the columns of a view")]
fn list_stat_principals() -> TableIterator<
    'static,
    (
        name!(role_name, Option<Text>),
        name!(last_admitted, Option<f64>),
        name!(last_refused, Option<f64>),
        name!(last_code, Option<&'static str>),
        name!(admitted, i64),
        name!(refused, i64),
    ),
> {
    or_raise(library::require());
    let rows = principals::records().into_iter().map(|(role, record)| {
        (
            catalog::role_of(role).map(|role| Text::name(&role.name)),
            time(record.last_admitted),
            time(record.last_refused),
            record.last_code.map(entra::Code::as_str),
            count(record.admitted),
            count(record.refused),
        )
    });
    TableIterator::new(rows.collect::<Vec<_>>())
}

/// Sets all counters to zero.
#[pg_extern(sql = false)]
fn stat_reset() {
    or_raise(library::require());
    counters::reset();
    principals::reset();
}

/// Returns a time as SQL has it; none for 0, which stands for never.
fn time(unix_seconds: i64) -> Option<f64> {
    (unix_seconds != 0).then(|| seconds(unix_seconds))
}
