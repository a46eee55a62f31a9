//! Lists of libraries, as `session_preload_libraries` has them.

use std::ffi::{CStr, CString};

use pgrx::prelude::*;

/// Splits a list as PostgreSQL does (load_libraries, miscinit.c). What it cannot split names
/// nothing.
#[expect(unsafe_code, reason = "uses the server's own splitter")]
pub(crate) fn split(value: &[u8]) -> Vec<CString> {
    let Ok(value) = CString::new(value) else { return Vec::new() };
    let mut names: *mut pg_sys::List = std::ptr::null_mut();
    // SAFETY: the splitter may write to its argument, which is a copy; its list holds palloc'd
    // C strings, copied at once and freed with the memory of the statement.
    unsafe {
        let copy = pg_sys::pstrdup(value.as_ptr());
        if !pg_sys::SplitDirectoriesString(copy, b','.cast_signed(), &raw mut names) {
            return Vec::new();
        }
        let length = names.as_ref().map_or(0, |list| list.length);
        (0..length).map(|n| CStr::from_ptr(pg_sys::list_nth(names, n).cast()).to_owned()).collect()
    }
}

/// Returns what `pg_config --pkglibdir` says.
#[expect(unsafe_code, reason = "reads a variable of the server")]
pub(crate) fn folder() -> &'static [u8] {
    // SAFETY: a C string of constant length, set by the postmaster before it loads libraries; the
    // binding has no length.
    unsafe { CStr::from_ptr((&raw const pg_sys::pkglib_path).cast()).to_bytes() }
}

/// Returns when the configuration files were read last.
#[expect(unsafe_code, reason = "reads a variable of the server")]
pub(crate) fn configuration_read_at() -> pg_sys::TimestampTz {
    // SAFETY: a plain value of the main thread.
    unsafe { pg_sys::PgReloadTime }
}
