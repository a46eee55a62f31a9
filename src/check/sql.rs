//! The SQL functions of this room.

use pgrx::prelude::*;

use crate::check::{configuration, hba};
use crate::pg::error::or_raise;
use crate::pg::text::Text;

/// Returns everything that was checked, with what to do where something is wrong.
#[pg_extern(sql = false)]
fn check_configuration() -> TableIterator<
    'static,
    (
        name!(level, &'static str),
        name!(topic, &'static str),
        name!(message, Text),
        name!(what_to_do, Option<Text>),
    ),
> {
    let rows = configuration::check().into_iter().map(|finding| {
        let what_to_do = finding.what_to_do.as_deref().map(Text::shown);
        (finding.level.as_str(), finding.topic, Text::shown(&finding.message), what_to_do)
    });
    TableIterator::new(rows.collect::<Vec<_>>())
}

/// Returns a verdict on each line of pg_hba.conf that an Azure AD role can match, or that is open
/// to a role once it is unlinked.
///
/// A line with an error has nothing but the error. It is listed because PostgreSQL does not use the
/// whole file because of it.
#[pg_extern(sql = false)]
fn check_hba() -> TableIterator<
    'static,
    (
        name!(file_name, Text),
        name!(line, i32),
        name!(door, Option<Text>),
        name!(verdict, &'static str),
        name!(reason, Text),
    ),
> {
    let rows = or_raise(hba::verdicts()).into_iter().map(|verdict| {
        let (place, finding) = (verdict.place, verdict.finding);
        let door = verdict.door.as_deref().map(Text::shown);
        let file = Text::shown(&place.file);
        (file, place.number, door, finding.level.as_str(), Text::shown(&finding.message))
    });
    TableIterator::new(rows.collect::<Vec<_>>())
}
