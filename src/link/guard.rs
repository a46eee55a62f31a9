//! Reads and writes the guard of roles: two of their settings (see `linkage::guard`).
//!
//! A server that does not preload the library loads it into the session of a guarded role, which
//! ends; one that does gives the session the libraries that it would have without the guard (see
//! `login::guard`).

use std::collections::BTreeMap;
use std::ffi::CString;

use linkage::RoleName;
use linkage::guard::{Libraries, Row, RowChange, Setting, Settings};
use pgrx::prelude::*;

use crate::catalog::Role;
use crate::link::libraries::{self, PARAMETER, parse, servers_own};
use crate::link::{apply, state};
use crate::pg::database;
use crate::pg::shared_relation::{self, DATABASES, ROLE_SETTINGS};
use crate::pg::spi::{literal_bytes, quoted_name, run, set_until_end};

/// The second setting.
const GUARD: &str = "azure_ad_auth.guard";

/// Puts the guard into every row of the role. Only within `as_superuser`.
pub(crate) fn set(role: &Role) {
    let rows = rows_of(role);
    let servers_own = servers_own_for(&rows);
    let change = linkage::guard::plan(&state::server(), &state::name_of(role), &rows, &servers_own);
    if let Some(change) = change {
        apply::make(&change);
    }
}

/// Returns the libraries that the server's own configuration names, if one of these rows asks for
/// them. Only within `as_superuser`.
pub(crate) fn servers_own_for(rows: &[Row]) -> Libraries {
    let asks = rows.iter().any(|row| row.settings.may_have_copies());
    if asks { servers_own() } else { Libraries::default() }
}

/// Writes settings of a role. Only within `as_superuser`.
pub(crate) fn write(role: &RoleName, rows: &[RowChange]) {
    for RowChange { database, settings } in rows {
        let database = database.as_deref();
        let within = database.map(|database| [b" IN DATABASE ", &*quoted_name(database)].concat());
        let place = [quoted_name(&role.raw), within.unwrap_or_default()].concat();
        for setting in settings {
            write_setting(&place, setting);
        }
    }
}

fn write_setting(place: &[u8], setting: &Setting) {
    match setting {
        Setting::GuardOn => run(&[b"ALTER ROLE ", place, b" SET ", GUARD.as_bytes(), b" TO on"]),
        Setting::ResetGuard => reset(place, GUARD),
        Setting::Libraries(names) if names.is_empty() => write_none(place),
        Setting::Libraries(names) => write_libraries(place, names),
        Setting::ResetLibraries => reset(place, PARAMETER),
    }
}

fn reset(place: &[u8], name: &str) {
    run(&[b"ALTER ROLE ", place, b" RESET ", name.as_bytes()]);
}

fn write_libraries(place: &[u8], names: &[CString]) {
    let names: Vec<_> = names.iter().map(|name| literal_bytes(name.to_bytes())).collect();
    run(&[b"ALTER ROLE ", place, b" SET ", PARAMETER.as_bytes(), b" TO ", &names.join(&b", "[..])]);
}

/// Writes an empty list. A statement cannot name one: '' is one empty name. So the session's own
/// setting is made empty, and the statement takes it over by FROM CURRENT.
fn write_none(place: &[u8]) {
    set_until_end(c"session_preload_libraries", c"");
    run(&[b"ALTER ROLE ", place, b" SET ", PARAMETER.as_bytes(), b" FROM CURRENT"]);
}

/// Returns the rows of every role that has settings, by its oid.
pub(crate) fn rows_by_role() -> BTreeMap<u32, Vec<Row>> {
    let rows = ROLE_SETTINGS.rows(&[], |row| {
        let (database, role) = (row.get::<pg_sys::Oid>(1)?, row.get::<pg_sys::Oid>(2)?);
        // Which database it is does not matter here.
        let database = (database != pg_sys::InvalidOid).then(CString::default);
        Some((role.to_u32(), Row { database, settings: settings_of(row) }))
    });
    let mut by_role: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (role, row) in rows {
        by_role.entry(role).or_default().push(row);
    }
    by_role
}

/// Returns what `session_preload_libraries` of a session would be without the guard; none if it
/// would be what the server has.
///
/// Looks where core looks, in its order, once core has come to know the database: it applies the
/// settings of role and database then, from the same catalog.
pub(crate) fn libraries_without_guard(database: pg_sys::Oid, role: pg_sys::Oid) -> Option<CString> {
    let everywhere = pg_sys::InvalidOid;
    let places = [database, everywhere];
    let own = |place| {
        let value = setting(place, role)?;
        Some(libraries::text(&parse(&value).without_ours()?))
    };
    let of_all = |place| CString::new(setting(place, everywhere)?).ok();
    places.into_iter().find_map(own).or_else(|| places.into_iter().find_map(of_all))
}

/// Returns what a row says of `session_preload_libraries`.
fn setting(database: pg_sys::Oid, role: pg_sys::Oid) -> Option<Vec<u8>> {
    let rows = ROLE_SETTINGS.rows(&[database, role], |row| Some(row.settings(3, [PARAMETER])));
    let [value] = rows.into_iter().next()?;
    value
}

/// Returns whether the role has any settings, for all databases or IN DATABASE.
pub(crate) fn has_settings(role: &Role) -> bool {
    !rows_of(role).is_empty()
}

/// Returns the row for all databases, and those IN DATABASE.
pub(crate) fn rows_of(role: &Role) -> Vec<Row> {
    let databases = DATABASES.rows(&[], |row| row.get::<pg_sys::Oid>(1));
    // A database without a name has just been dropped.
    let name = |id| Some((id, Some(database::name(id)?)));
    let places = std::iter::once((pg_sys::InvalidOid, None)).chain(databases.into_iter().filter_map(name));
    places.filter_map(|(database, name)| row_of(role, database, name)).collect()
}

fn row_of(role: &Role, database: pg_sys::Oid, name: Option<CString>) -> Option<Row> {
    let rows = ROLE_SETTINGS.rows(&[database, role.id], |row| Some(settings_of(row)));
    Some(Row { database: name, settings: rows.into_iter().next()? })
}

fn settings_of(row: &shared_relation::Row) -> Settings {
    let [libraries, guard] = row.settings(3, [PARAMETER, GUARD]);
    Settings { libraries: libraries.as_deref().map(parse), guard }
}
