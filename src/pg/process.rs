//! What this process is.

use pgrx::prelude::*;

/// Returns whether this process serves a client: it is no background worker, parallel worker or
/// other process of the server.
#[expect(unsafe_code, reason = "reads the state of the process")]
pub(crate) fn has_client() -> bool {
    // SAFETY: a plain value of the main thread.
    unsafe { !pg_sys::MyProcPort.is_null() }
}

/// Returns the database that the process has selected; `InvalidOid` if it has selected none.
#[expect(unsafe_code, reason = "reads the state of the process")]
pub(crate) fn database() -> pg_sys::Oid {
    // SAFETY: a plain value of the main thread.
    unsafe { pg_sys::MyDatabaseId }
}

/// Returns what `%c` in log_line_prefix is in this process (log_status_format, elog.c): when it
/// started, and its number.
#[expect(unsafe_code, reason = "reads the state of the process")]
pub(crate) fn log_line_id() -> String {
    // SAFETY: a plain value, set when the process began.
    format!("{:x}.{:x}", unsafe { pg_sys::MyStartTime }, std::process::id())
}

/// Ends the process without a message, as core does when a client hangs up during authentication.
#[expect(unsafe_code, reason = "ends the process")]
pub(crate) fn end_quietly() -> ! {
    // SAFETY: runs the server's own exit callbacks and does not come back.
    unsafe { pg_sys::proc_exit(0) };
    #[allow(unreachable_code, reason = "the bindings of some versions know that it does not come back")]
    {
        unreachable!("proc_exit() does not come back")
    }
}
