//! Lists of libraries, as `session_preload_libraries` has them.

use std::cell::RefCell;
use std::ffi::CString;

use linkage::guard::Libraries;
use pgrx::prelude::*;

use crate::pg::library_list::{configuration_read_at, folder, split};
use crate::pg::spi::{query, quoted_name};

/// The setting.
pub(crate) const PARAMETER: &str = "session_preload_libraries";

/// Returns the libraries that a value of the setting names.
pub(crate) fn parse(value: &[u8]) -> Libraries {
    Libraries::new(split(value), folder())
}

/// Returns a list as a value of the setting.
pub(crate) fn text(libraries: &Libraries) -> CString {
    let names: Vec<_> = libraries.names().map(|name| quoted_name(name)).collect();
    // No name has a NUL in it.
    CString::new(names.join(&b", "[..])).unwrap_or_default()
}

thread_local! {
    /// When the configuration was read, and what it named.
    static SERVERS_OWN: RefCell<Option<(pg_sys::TimestampTz, Libraries)>> = const { RefCell::new(None) };
}

/// Returns what the server's configuration names, as opposed to what this session was given by its
/// role or database. Asked for once until the configuration is read again: it takes longer than the
/// rest of a link. Only within `as_superuser`.
pub(crate) fn servers_own() -> Libraries {
    let read_at = configuration_read_at();
    let known = SERVERS_OWN.with_borrow(Clone::clone);
    if let Some((_, libraries)) = known.filter(|(known_at, _)| *known_at == read_at) {
        return libraries;
    }
    let libraries = query_servers_own();
    SERVERS_OWN.set(Some((read_at, libraries.clone())));
    libraries
}

fn query_servers_own() -> Libraries {
    let values = query(
        "SELECT decode(replace(coalesce( \
           (SELECT setting FROM pg_settings WHERE name = $1 AND source NOT IN \
             ('global', 'database', 'user', 'database user', 'client', 'session', 'interactive', 'override')), \
           (SELECT setting FROM pg_file_settings WHERE name = $1 AND error IS NULL ORDER BY seqno DESC LIMIT 1), \
           ''), chr(92), repeat(chr(92), 2)), 'escape')",
        &[PARAMETER.into()],
        |row| row.get::<Vec<u8>>(1).ok().flatten().unwrap_or_default(),
    );
    parse(values.first().map_or(&[][..], Vec::as_slice))
}
