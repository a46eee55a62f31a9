//! The SQL function that shows what a text could mean in the directory. It links nothing.

use entra::directory::name::word;
use entra::directory::request::MAX_NAME_CHARS;
use pgrx::prelude::*;

use crate::directory::{self, Found};
use crate::link::object::{cannot_be_asked, kind_of};
use crate::link::rights;
use crate::link::sql::asked::kind;
use crate::link::sql::{null, sql_uuid};
use crate::pg::argument::Argument;
use crate::pg::error::{Result, or_raise};
use crate::pg::library;
use crate::pg::text::{Text, decode_exactly};

/// Longest name, in bytes of any encoding.
const MAX_BYTES: usize = MAX_NAME_CHARS * 4;

/// Lists every object of the directory that a text could mean, exactly or not.
#[pg_extern(sql = false)]
#[expect(clippy::type_complexity, reason = "the columns of a function")]
fn directory_lookup(
    name: Option<Argument<'_>>,
    object_type: Option<Argument<'_>>,
) -> TableIterator<
    'static,
    (
        name!(object_id, pgrx::Uuid),
        name!(object_type, Option<&'static str>),
        name!(name, Text),
        name!(enabled, Option<bool>),
        name!(detail, Text),
    ),
> {
    let found = or_raise(lookup(name, object_type));
    let row = |found: Found| {
        let kind = found.kind.map(word);
        let (name, detail) = (Text::shown(&found.name), Text::shown(&found.detail));
        (sql_uuid(found.id), kind, name, found.is_enabled, detail)
    };
    TableIterator::new(found.into_iter().map(row).collect::<Vec<_>>())
}

fn lookup(name: Option<Argument<'_>>, object_type: Option<Argument<'_>>) -> Result<Vec<Found>> {
    library::require()?;
    rights::may_administer()?;
    let name = name.ok_or_else(|| null("name"))?;
    let kind = kind(object_type)?.map(kind_of);
    let fitting = name
        .within(MAX_BYTES)
        .ok_or_else(|| cannot_be_asked(&format!("it has more than {MAX_NAME_CHARS} characters")))?;
    let text = decode_exactly(fitting)
        .ok_or_else(|| cannot_be_asked("it is no text in the encoding of this database"))?;
    directory::lookup(&text, kind)
}
