//! SQL functions about logins.

use pgrx::prelude::*;

use crate::link::rights;
use crate::login::explain::explain;
use crate::pg::argument::Argument;
use crate::pg::error::{Fault, or_raise};
use crate::pg::library;
use crate::pg::text::Text;

/// Returns the checks of a login with a token, for a role or without one.
#[pg_extern(sql = false)]
fn explain_token(
    token: Option<Argument<'_>>,
    role_name: Option<Argument<'_>>,
) -> TableIterator<
    'static,
    (
        name!(step, &'static str),
        name!(verdict, &'static str),
        name!(expected, Option<Text>),
        name!(found, Option<Text>),
    ),
> {
    let rows = or_raise((|| {
        library::require()?;
        rights::may_administer()?;
        let token = token.ok_or_else(|| {
            Fault::new(PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED, "token must not be null")
        })?;
        explain(token, role_name)
    })());
    let shown = |text: Option<String>| text.as_deref().map(Text::shown);
    let rows = rows
        .into_iter()
        .map(move |(step, verdict, expected, found)| (step, verdict, shown(expected), shown(found)));
    TableIterator::new(rows.collect::<Vec<_>>())
}
