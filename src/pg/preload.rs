//! The libraries that the server loads by itself: into the postmaster, and into each session.

use std::ffi::{CStr, CString};

use pgrx::prelude::*;

/// Returns whether the postmaster is loading the libraries of shared_preload_libraries.
#[expect(unsafe_code, reason = "reads a flag of the server")]
pub(crate) fn is_postmaster_loading() -> bool {
    // SAFETY: a plain value of the main thread.
    unsafe { pg_sys::process_shared_preload_libraries_in_progress }
}

/// Returns session_preload_libraries as it is now, if it has been set.
#[expect(unsafe_code, reason = "reads a variable of the server")]
pub(crate) fn session_libraries() -> Option<CString> {
    // SAFETY: null or a C string, which is copied at once; only the main thread changes it.
    unsafe {
        let libraries = pg_sys::session_preload_libraries_string;
        (!libraries.is_null()).then(|| CStr::from_ptr(libraries).to_owned())
    }
}

/// Sets session_preload_libraries, as strongly as a setting of a role in a database does. Called
/// within a transaction.
#[expect(unsafe_code, reason = "sets a parameter of the server")]
pub(crate) fn set_session_libraries(libraries: &CStr) {
    // SAFETY: C strings that outlive the call.
    unsafe {
        pg_sys::SetConfigOption(
            c"session_preload_libraries".as_ptr(),
            libraries.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_DATABASE_USER,
        );
    }
}
