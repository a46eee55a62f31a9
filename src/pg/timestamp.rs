//! Points in time as the server writes them.

use std::ffi::CStr;

use entra::limits::MAX_UNIX_SECONDS;
use pgrx::prelude::*;

/// Returns a point in time in the server's time zone and format. Unix seconds beyond the range that
/// a label may name are cut to it.
#[expect(unsafe_code, reason = "uses the server's own conversion")]
pub(crate) fn timestamp(unix_seconds: i64) -> String {
    // The limits keep both conversions from failing.
    let seconds = unix_seconds.clamp(0, MAX_UNIX_SECONDS);
    // SAFETY: the result is a static buffer of the server, copied at once.
    unsafe {
        let time = pg_sys::time_t_to_timestamptz(seconds);
        CStr::from_ptr(pg_sys::timestamptz_to_str(time)).to_string_lossy().into_owned()
    }
}
