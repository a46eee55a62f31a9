//! The guard: `session_preload_libraries` of a linked role, with this library in it.
//!
//! On a server that does not preload the library, PostgreSQL then loads it into the session of such a role, which ends (see
//! `door::guard`). A row IN DATABASE wins over the role's own, so every row of the role has it.

use std::cell::RefCell;
use std::ffi::{CStr, CString};

use pgrx::prelude::*;

use super::catalog::Role;
use super::scan;
use super::superuser::{literal_bytes, query, quoted_name, run};

/// The setting.
pub(crate) const PARAMETER: &str = "session_preload_libraries";

/// The library, as it is named in the setting.
const LIBRARY: &CStr = c"azure_ad_auth";

/// One row of pg_db_role_setting.
struct Row {
    /// None: the role's own row, for all databases.
    database: Option<CString>,
    /// The libraries it names; none: it says nothing about them.
    libraries: Option<Vec<CString>>,
}

/// Puts the guard into every row of the role. Only within `as_superuser`. Says whether anything was to do.
pub(crate) fn set(role: &Role) -> bool {
    let mut rows = rows_of(role);
    if !rows.iter().any(|row| row.database.is_none()) {
        rows.push(Row { database: None, libraries: None });
    }
    let mut changed = false;
    for row in rows {
        let mut libraries = row.libraries.unwrap_or_else(servers_own);
        if !libraries.iter().any(|library| is_ours(library)) {
            libraries.insert(0, LIBRARY.to_owned());
            write(role, row.database.as_deref(), &libraries);
            changed = true;
        }
    }
    changed
}

/// Whether every row of the role has the guard, and there is one for all databases.
pub(crate) fn is_whole(role: &Role) -> bool {
    let rows = rows_of(role);
    let has_guard = |row: &Row| row.libraries.iter().flatten().any(|library| is_ours(library));
    rows.iter().any(|row| row.database.is_none()) && rows.iter().all(has_guard)
}

/// Adds what the server's own setting names by now, and puts the guard into every row. Only within `as_superuser`.
pub(crate) fn refresh(role: &Role) -> bool {
    let own = rows_of(role).into_iter().find(|row| row.database.is_none()).and_then(|row| row.libraries);
    let mut wanted = own.clone().unwrap_or_default();
    for library in std::iter::once(LIBRARY.to_owned()).chain(servers_own()) {
        if !wanted.contains(&library) {
            wanted.push(library);
        }
    }
    let outdated = own.as_ref() != Some(&wanted);
    if outdated {
        write(role, None, &wanted);
    }
    set(role) || outdated
}

/// Takes the guard out of every row of the role. Only within `as_superuser`.
pub(crate) fn remove(role: &Role) {
    for row in rows_of(role) {
        let Some(libraries) = row.libraries else { continue };
        let rest: Vec<_> = libraries.iter().filter(|library| !is_ours(library)).cloned().collect();
        if rest.len() == libraries.len() {
            continue;
        }
        if rest.is_empty() || rest == servers_own() {
            run(&[b"ALTER ROLE ", &place(role, row.database.as_deref()), b" RESET ", PARAMETER.as_bytes()]);
        } else {
            write(role, row.database.as_deref(), &rest);
        }
    }
}

fn place(role: &Role, database: Option<&CStr>) -> Vec<u8> {
    let database = database.map(|database| [b" IN DATABASE ", &*quoted_name(database)].concat());
    [role.quoted(), database.unwrap_or_default()].concat()
}

fn write(role: &Role, database: Option<&CStr>, libraries: &[CString]) {
    let list: Vec<_> = libraries.iter().map(|library| literal_bytes(library.to_bytes())).collect();
    let place = place(role, database);
    run(&[b"ALTER ROLE ", &place, b" SET ", PARAMETER.as_bytes(), b" TO ", &list.join(&b", "[..])]);
}

/// Whether the role has any settings, here or IN DATABASE.
pub(crate) fn has_settings(role: &Role) -> bool {
    !rows_of(role).is_empty()
}

/// The row for all databases, and those IN DATABASE.
fn rows_of(role: &Role) -> Vec<Row> {
    let databases = scan::DATABASES.rows(&[], |row| row.get::<pg_sys::Oid>(1));
    let places = std::iter::once((pg_sys::InvalidOid, None))
        .chain(databases.into_iter().filter_map(|id| Some((id, Some(database_name(id)?)))));
    places.filter_map(|(database, name)| row_of(role, database, name)).collect()
}

fn row_of(role: &Role, database: pg_sys::Oid, name: Option<CString>) -> Option<Row> {
    let prefix = format!("{PARAMETER}=");
    let settings = scan::ROLE_SETTINGS.rows(&[database, role.id], |row| {
        // Where they lie: a role may give itself settings, as long as it likes.
        let settings = row.get::<Array<'_, &[u8]>>(3)?;
        let own = |setting: &[u8]| setting.strip_prefix(prefix.as_bytes()).map(split_libraries);
        Some(settings.iter().flatten().find_map(own))
    });
    let libraries = settings.into_iter().next()?;
    Some(Row { database: name, libraries })
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

/// What the server's configuration names, as opposed to what this session was given by its role or database. Asked for once
/// until the configuration is read again: it takes longer than the rest of a link.
fn servers_own() -> Vec<CString> {
    #[expect(unsafe_code, reason = "reads a variable of the server")]
    // SAFETY: a plain value of the main thread.
    let read_at = unsafe { pg_sys::PgReloadTime };
    let known = SERVERS_OWN.with_borrow(Clone::clone);
    if let Some((_, libraries)) = known.filter(|(known_at, _)| *known_at == read_at) {
        return libraries;
    }
    let libraries = query_servers_own();
    SERVERS_OWN.set(Some((read_at, libraries.clone())));
    libraries
}

thread_local! {
    /// When the configuration was read, and what it named.
    static SERVERS_OWN: RefCell<Option<(pg_sys::TimestampTz, Vec<CString>)>> = const { RefCell::new(None) };
}

fn query_servers_own() -> Vec<CString> {
    query(
        "SELECT decode(replace(coalesce( \
           (SELECT setting FROM pg_settings WHERE name = $1 AND source NOT IN \
             ('global', 'database', 'user', 'database user', 'client', 'session', 'interactive', 'override')), \
           (SELECT setting FROM pg_file_settings WHERE name = $1 AND error IS NULL ORDER BY seqno DESC LIMIT 1), \
           ''), chr(92), repeat(chr(92), 2)), 'escape')",
        &[PARAMETER.into()],
        |row| row.get::<Vec<u8>>(1).ok().flatten().unwrap_or_default(),
    )
    .first()
    .map(|list| split_libraries(list))
    .unwrap_or_default()
}

/// Whether it is this library: by its name, or in the folder where PostgreSQL has its libraries. Elsewhere anything may lie.
fn is_ours(library: &CStr) -> bool {
    let library = library.to_bytes();
    let path = library.strip_suffix(b".so").unwrap_or(library);
    let within = |folder: &[u8]| path.strip_prefix(folder)?.strip_prefix(b"/");
    within(b"$libdir").or_else(|| within(folder())).unwrap_or(path) == LIBRARY.to_bytes()
}

/// What `pg_config --pkglibdir` says.
#[expect(unsafe_code, reason = "reads a variable of the server")]
fn folder() -> &'static [u8] {
    // SAFETY: a C string of constant length, set by the postmaster before it loads libraries; the binding has no length.
    unsafe { CStr::from_ptr((&raw const pg_sys::pkglib_path).cast()).to_bytes() }
}

/// Splits a list as PostgreSQL does (load_libraries, miscinit.c).
#[expect(unsafe_code, reason = "uses the server's own splitter")]
fn split_libraries(list: &[u8]) -> Vec<CString> {
    let Ok(list) = CString::new(list) else { return Vec::new() };
    let mut names: *mut pg_sys::List = std::ptr::null_mut();
    // SAFETY: the splitter may write to its argument, which is a copy; its list holds palloc'd C strings, copied at once and
    // freed with the statement's memory.
    unsafe {
        let copy = pg_sys::pstrdup(list.as_ptr());
        if !pg_sys::SplitDirectoriesString(copy, b','.cast_signed(), &raw mut names) {
            return Vec::new();
        }
        let cells = names.as_ref().map_or(0, |list| list.length);
        (0..cells)
            .map(|n| CStr::from_ptr(pg_sys::list_nth(names, n).cast()).to_owned())
            // A setting of '' is a list of one library without a name, which cannot be loaded.
            .filter(|name| !name.is_empty())
            .collect()
    }
}
