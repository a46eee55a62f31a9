//! A setting of roles that acts when the server applies it to a new session.

use std::ffi::{CStr, c_void};

use pgrx::prelude::*;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

use crate::pg::{process, transaction};

/// A boolean setting that only superusers set, and not in a configuration file.
pub(crate) trait RoleSetting: 'static {
    const NAME: &'static CStr;
    const SHORT_DESCRIPTION: &'static CStr;
    const LONG_DESCRIPTION: &'static CStr;

    /// Returns the variable that holds the value.
    fn variable() -> &'static GucSetting<bool>;

    /// Called when core applies `on` from a row of pg_db_role_setting that names the role to the
    /// session of a client. Core then holds a transaction.
    fn apply();
}

/// Defines a setting. In the postmaster only, while it loads its libraries.
#[expect(unsafe_code, reason = "pgrx asks that hooks be guarded")]
pub(crate) fn define<S: RoleSetting>() {
    // SAFETY: the hook carries #[pg_guard].
    unsafe {
        GucRegistry::define_bool_guc_with_hooks(
            S::NAME,
            S::SHORT_DESCRIPTION,
            S::LONG_DESCRIPTION,
            S::variable(),
            GucContext::Suset,
            GucFlags::DISALLOW_IN_FILE,
            Some(check_value::<S>),
            None,
            None,
        );
    }
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of a check hook")]
unsafe extern "C-unwind" fn check_value<S: RoleSetting>(
    value: *mut bool,
    _extra: *mut *mut c_void,
    source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: guc.c hands over a pointer to the new value.
    let is_on = unsafe { value.as_ref().is_some_and(|value| *value) };
    if is_on && is_applied_to_session(source) {
        S::apply();
    }
    true
}

/// Returns whether core is applying the settings of a role to the session of a client. It is not
/// where ALTER ROLE tries a value, in a parallel worker, which takes over what its leader has, and
/// in any other process without a client, for which core loads no libraries.
fn is_applied_to_session(source: pg_sys::GucSource::Type) -> bool {
    let is_of_role =
        [pg_sys::GucSource::PGC_S_USER, pg_sys::GucSource::PGC_S_DATABASE_USER].contains(&source);
    is_of_role && process::has_client() && transaction::is_open() && process::database() != pg_sys::InvalidOid
}
