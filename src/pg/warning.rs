//! A warning that only the client gets (WARNING_CLIENT_ONLY, elog.h).

use std::ffi::{CString, c_char, c_int};

use pgrx::prelude::*;

/// The functions of elog.c that pgrx uses itself and does not hand out.
#[expect(unsafe_code, reason = "functions of the server")]
mod elog {
    use super::{c_char, c_int};

    // SAFETY: as in utils/elog.h.
    unsafe extern "C-unwind" {
        pub(crate) fn errstart(level: c_int, domain: *const c_char) -> bool;
        pub(crate) fn errcode(sqlstate: c_int) -> c_int;
        pub(crate) fn errmsg(format: *const c_char, ...) -> c_int;
        pub(crate) fn errdetail(format: *const c_char, ...) -> c_int;
        pub(crate) fn errfinish(file: *const c_char, line: c_int, function: *const c_char);
    }
}

/// Warns the client of this session, with a DETAIL. The log does not get the warning.
#[expect(unsafe_code, ffi_unwind_calls, reason = "calls of C functions, in a boundary")]
pub(crate) fn warn_client(message: &str, detail: &str) {
    let (Ok(message), Ok(detail)) = (CString::new(message), CString::new(detail)) else { return };
    let level = pg_sys::WARNING_CLIENT_ONLY.cast_signed();
    // SAFETY: as the macro ereport() in utils/elog.h calls these functions. An error, which only a
    // lack of memory can cause, leaves the boundary as a panic, so that the texts are dropped.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            if elog::errstart(level, std::ptr::null()) {
                elog::errcode(PgSqlErrorCode::ERRCODE_WARNING as c_int);
                elog::errmsg(c"%s".as_ptr(), message.as_ptr());
                elog::errdetail(c"%s".as_ptr(), detail.as_ptr());
                elog::errfinish(c"azure_ad_auth".as_ptr(), 0, c"warn_client".as_ptr());
            }
        });
    }
}
