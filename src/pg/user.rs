//! The current user.

use pgrx::prelude::*;

/// Returns the current user.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn current() -> pg_sys::Oid {
    // SAFETY: a plain value of the main thread.
    unsafe { pg_sys::GetUserId() }
}

/// Returns whether the current user is a superuser.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn is_superuser() -> bool {
    // SAFETY: reads the catalog cache for the current user.
    unsafe { pg_sys::superuser() }
}

/// Returns whether a security-restricted operation is under way, such as a function that an index
/// calls.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn is_restricted() -> bool {
    // SAFETY: a plain value of the main thread.
    unsafe { pg_sys::InSecurityRestrictedOperation() }
}
