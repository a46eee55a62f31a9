//! How PostgreSQL's scanner reads names and strings (scan.l, scansup.c).

use pgrx::prelude::*;

/// The longest name, in bytes (NAMEDATALEN - 1).
pub(crate) const MAX_NAME_BYTES: usize = 63;

/// Returns what PostgreSQL makes of a name that is too long: as many whole characters as fit.
#[expect(unsafe_code, reason = "calls pg_mbcliplen")]
pub(crate) fn truncated(name: &[u8]) -> &[u8] {
    let (length, most) = (i32::try_from(name.len()).unwrap_or(0), i32::try_from(MAX_NAME_BYTES).unwrap_or(0));
    // SAFETY: pg_mbcliplen (mbutils.c) reads `length` bytes at most, in the database's encoding.
    let fits = unsafe { pg_sys::pg_mbcliplen(name.as_ptr().cast(), length, most) };
    name.get(..usize::try_from(fits).unwrap_or(0)).unwrap_or(name)
}

/// Returns whether a backslash is an escape in strings that have no E before them.
#[cfg(not(feature = "pg19"))]
#[expect(unsafe_code, reason = "reads a setting of the server")]
pub(crate) fn backslash_escapes() -> bool {
    // SAFETY: a plain value of the main thread.
    unsafe { !pg_sys::standard_conforming_strings }
}

/// As above. From PostgreSQL 19 on it never is.
#[cfg(feature = "pg19")]
pub(crate) const fn backslash_escapes() -> bool {
    false
}
