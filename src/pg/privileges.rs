//! What the current user may do.

use pgrx::prelude::*;

/// Returns whether the current user has the privileges of pg_monitor.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn may_monitor() -> bool {
    // SAFETY: reads the catalog cache.
    unsafe { pg_sys::has_privs_of_role(pg_sys::GetUserId(), pg_sys::Oid::from(pg_sys::ROLE_PG_MONITOR)) }
}
