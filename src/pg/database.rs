//! Reads names of databases.

use std::ffi::{CStr, CString};

use pgrx::prelude::*;

/// Returns the name of a database; none if there is no such database any more.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn name(id: pg_sys::Oid) -> Option<CString> {
    // SAFETY: reads the catalog cache; the result is null or a palloc'd C string of ours, copied
    // and freed at once.
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
