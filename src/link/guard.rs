//! The guard: two settings of every linked role.
//!
//! - `session_preload_libraries`, with this library in it. A server that does not preload the
//!   library loads it into the session of such a role, which ends (see `door::guard`).
//! - `azure_ad_auth.guard = on`. A server that does preload the library takes this as the sign to
//!   work out which libraries the session would load without the guard, and loads those (again
//!   `door::guard`). So the guard never stands in the way of a library that is set for the server,
//!   for a database or for all roles, and is no copy of such a setting.
//!
//! What an administrator of the server has set for the role itself stays in its row, beside our
//! library. A row IN DATABASE wins over the role's own, so every row of the role has both settings.
//!
//! Guards of the first kind had no second setting, and copies of the server's own libraries in the
//! first. Such a row is turned into the new kind by whatever sets the guard, `repair()` above all:
//! libraries that the server's own setting names are taken to be copies, and dropped. The second
//! setting is written first, and so it is restored first from a dump: a restored list of libraries
//! is never taken for one of the first kind.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};

use pgrx::prelude::*;

use crate::catalog::{Role, shared_scan};
use crate::link::libraries::{Libraries, PARAMETER, servers_own};
use crate::pg::spi::{literal_bytes, quoted_name, run};

/// The second setting.
const GUARD: &str = "azure_ad_auth.guard";

/// One row of pg_db_role_setting.
struct Row {
    /// None: the role's own row, for all databases.
    database: Option<CString>,
    settings: Settings,
}

/// What a row says, as far as it is about the guard.
#[derive(Default)]
struct Settings {
    /// None: it says nothing about them.
    libraries: Option<Libraries>,
    /// None: the second setting is not there.
    guard: Option<Vec<u8>>,
}

/// How well a role is guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// As it should be.
    Whole,
    /// It keeps the role out where the library is not loaded, and keeps libraries from it where it
    /// is: one of the first kind.
    Narrow,
    /// Without the library, `trust` lets everybody in as this role, in one database at the least.
    Open,
}

/// What [`set`] has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing.
    None,
    /// There was no guard, or a part of it was missing.
    Set,
    /// There was one of the first kind. The libraries are those that stay beside ours: set for the
    /// role, or copies of what the server's setting does not name any more.
    Renewed(Vec<CString>),
}

impl Settings {
    fn of(row: &shared_scan::Row) -> Self {
        let [libraries, guard] = row.settings(3, [PARAMETER, GUARD]);
        Self { libraries: libraries.as_deref().map(Libraries::parse), guard }
    }

    fn has_ours(&self) -> bool {
        self.libraries.as_ref().is_some_and(Libraries::has_ours)
    }

    /// As core writes a boolean, or as a statement of ours has it.
    fn is_on(&self) -> bool {
        self.guard.as_deref().is_some_and(|value| [&b"on"[..], b"true"].contains(&value))
    }

    fn is_whole(&self) -> bool {
        self.has_ours() && self.is_on()
    }

    fn is_of_first_kind(&self) -> bool {
        self.has_ours() && self.guard.is_none()
    }

    /// The libraries without copies of the server's.
    fn libraries_kept(&self) -> Option<Libraries> {
        let libraries = self.libraries.as_ref()?;
        Some(if self.is_of_first_kind() { libraries.minus(&servers_own()) } else { libraries.clone() })
    }

    /// What is to stand there.
    fn libraries_wanted(&self) -> Libraries {
        match self.libraries_kept() {
            Some(libraries) if libraries.has_ours() => libraries,
            Some(libraries) => libraries.with_ours(),
            None => Libraries::ours(),
        }
    }
}

/// Puts the guard into every row of the role. Only within `as_superuser`.
pub(crate) fn set(role: &Role) -> Change {
    let mut rows = rows_of(role);
    if !rows.iter().any(|row| row.database.is_none()) {
        rows.push(Row { database: None, settings: Settings::default() });
    }
    rows.retain(|row| !row.settings.is_whole());
    if rows.is_empty() {
        return Change::None;
    }
    let are_old = rows.iter().all(|row| row.settings.is_of_first_kind());
    let mut kept = Vec::new();
    for Row { database, settings } in rows {
        let (place, wanted) = (place(role, database.as_deref()), settings.libraries_wanted());
        if !settings.is_on() {
            if settings.guard.is_none() && settings.libraries.is_some() {
                reset(&place, PARAMETER);
            }
            run(&[b"ALTER ROLE ", &place, b" SET ", GUARD.as_bytes(), b" TO on"]);
        }
        write(&place, &wanted);
        kept.extend(wanted.without_ours().iter().flat_map(Libraries::names).cloned());
    }
    if are_old { Change::Renewed(kept) } else { Change::Set }
}

/// Whether every row of the role has the guard, and there is one for all databases.
pub(crate) fn is_whole(role: &Role) -> bool {
    let rows = rows_of(role);
    rows.iter().any(|row| row.database.is_none()) && rows.iter().all(|row| row.settings.is_whole())
}

/// How well each role is guarded that has any settings at all; the others are not.
pub(crate) fn guards() -> BTreeMap<u32, Guard> {
    let rows = shared_scan::ROLE_SETTINGS.rows(&[], |row| {
        let (database, role) = (row.get::<pg_sys::Oid>(1)?, row.get::<pg_sys::Oid>(2)?);
        Some((role.to_u32(), (database == pg_sys::InvalidOid, Settings::of(row))))
    });
    let mut by_role: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (role, settings) in rows {
        by_role.entry(role).or_default().push(settings);
    }
    by_role.into_iter().map(|(role, rows)| (role, judge(&rows))).collect()
}

/// Each row with whether it is the one for all databases.
fn judge(rows: &[(bool, Settings)]) -> Guard {
    let shut = rows.iter().any(|(everywhere, _)| *everywhere) && rows.iter().all(|(_, row)| row.has_ours());
    match (shut, rows.iter().all(|(_, row)| row.is_on())) {
        (true, true) => Guard::Whole,
        (true, false) => Guard::Narrow,
        (false, _) => Guard::Open,
    }
}

/// Takes the guard out of every row of the role, and leaves what else is there. Only within
/// `as_superuser`.
pub(crate) fn remove(role: &Role) {
    for Row { database, settings } in rows_of(role) {
        let place = place(role, database.as_deref());
        if settings.guard.is_some() {
            reset(&place, GUARD);
        }
        if settings.has_ours() {
            match settings.libraries_kept().and_then(|libraries| libraries.without_ours()) {
                Some(rest) => write(&place, &rest),
                None => reset(&place, PARAMETER),
            }
        }
    }
}

/// What `session_preload_libraries` of a session would be without the guard; none: what the server
/// has.
///
/// Looks where core looks, in its order, once core has come to know the database: it applies the
/// settings of role and database then, from the same catalog.
pub(crate) fn libraries_without_guard(database: pg_sys::Oid, role: pg_sys::Oid) -> Option<CString> {
    let everywhere = pg_sys::InvalidOid;
    let places = [database, everywhere];
    let own = |place| {
        let value = setting(place, role)?;
        Some(Libraries::parse(&value).without_ours()?.text())
    };
    let of_all = |place| CString::new(setting(place, everywhere)?).ok();
    places.into_iter().find_map(own).or_else(|| places.into_iter().find_map(of_all))
}

/// What a row says of `session_preload_libraries`.
fn setting(database: pg_sys::Oid, role: pg_sys::Oid) -> Option<Vec<u8>> {
    let rows = shared_scan::ROLE_SETTINGS.rows(&[database, role], |row| Some(row.settings(3, [PARAMETER])));
    let [value] = rows.into_iter().next()?;
    value
}

fn place(role: &Role, database: Option<&CStr>) -> Vec<u8> {
    let database = database.map(|database| [b" IN DATABASE ", &*quoted_name(database)].concat());
    [role.quoted(), database.unwrap_or_default()].concat()
}

fn reset(place: &[u8], name: &str) {
    run(&[b"ALTER ROLE ", place, b" RESET ", name.as_bytes()]);
}

fn write(place: &[u8], libraries: &Libraries) {
    let names: Vec<_> = libraries.names().iter().map(|name| literal_bytes(name.to_bytes())).collect();
    if names.is_empty() {
        return write_none(place);
    }
    run(&[b"ALTER ROLE ", place, b" SET ", PARAMETER.as_bytes(), b" TO ", &names.join(&b", "[..])]);
}

/// No list of names in a statement is empty: '' is one empty name. A session can have an empty
/// list, and hand it on.
#[expect(unsafe_code, reason = "no safe wrapper")]
fn write_none(place: &[u8]) {
    // SAFETY: constant C strings; the end of `as_superuser`, or of the transaction, puts back what
    // was there.
    unsafe {
        pg_sys::set_config_option(
            c"session_preload_libraries".as_ptr(),
            c"".as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
    }
    run(&[b"ALTER ROLE ", place, b" SET ", PARAMETER.as_bytes(), b" FROM CURRENT"]);
}

/// Whether the role has any settings, here or IN DATABASE.
pub(crate) fn has_settings(role: &Role) -> bool {
    !rows_of(role).is_empty()
}

/// The row for all databases, and those IN DATABASE.
fn rows_of(role: &Role) -> Vec<Row> {
    let databases = shared_scan::DATABASES.rows(&[], |row| row.get::<pg_sys::Oid>(1));
    let places = std::iter::once((pg_sys::InvalidOid, None))
        .chain(databases.into_iter().filter_map(|id| Some((id, Some(database_name(id)?)))));
    places.filter_map(|(database, name)| row_of(role, database, name)).collect()
}

fn row_of(role: &Role, database: pg_sys::Oid, name: Option<CString>) -> Option<Row> {
    let rows = shared_scan::ROLE_SETTINGS.rows(&[database, role.id], |row| Some(Settings::of(row)));
    Some(Row { database: name, settings: rows.into_iter().next()? })
}

/// None: it has just been dropped.
#[expect(unsafe_code, reason = "no safe wrapper")]
fn database_name(id: pg_sys::Oid) -> Option<CString> {
    // SAFETY: reads the catalog cache; the result is null or a palloc'd C string of ours, copied and freed at once.
    unsafe {
        let name = pg_sys::get_database_name(id);
        if name.is_null() {
            return None;
        }
        let copy = CStr::from_ptr(name).to_owned();
        pg_sys::pfree(name.cast());
        Some(copy)
    }
}
