//! The one setting of a session, for scripts written for Azure's Single Server.

use std::ffi::c_void;

use pgrx::prelude::*;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

use crate::settings::define::set_check_detail;

/// Its name.
pub(crate) const NAME_FOR_SESSIONS: &str = "aad_validate_oids_in_tenant";

static VALIDATE_OBJECT_IDS: GucSetting<bool> = GucSetting::<bool>::new(true);

/// Defines it. Not for files: PostgreSQL reads these before it loads libraries, and does not start over a name without a dot
/// that it does not know. The flag keeps ALTER SYSTEM from writing it there, and the check a reload from taking it.
#[expect(unsafe_code, reason = "pgrx asks that hooks be guarded")]
pub(super) fn define() {
    // SAFETY: the hook carries #[pg_guard].
    unsafe {
        GucRegistry::define_bool_guc_with_hooks(
            c"aad_validate_oids_in_tenant",
            c"Ask the directory about object ids given in CREATE ROLE ... PASSWORD ... IN ROLE azure_ad_user.",
            c"The name and meaning it has on Azure's Single Server. Off: the object id is taken as it is given.",
            &VALIDATE_OBJECT_IDS,
            GucContext::Userset,
            GucFlags::DISALLOW_IN_FILE,
            Some(check),
            None,
            None,
        );
    }
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of a check hook")]
unsafe extern "C-unwind" fn check(
    _value: *mut bool,
    _extra: *mut *mut c_void,
    source: pg_sys::GucSource::Type,
) -> bool {
    let is_in_file = source == pg_sys::GucSource::PGC_S_FILE;
    if is_in_file {
        set_check_detail("It cannot be set in a configuration file: the server would not start again.");
    }
    !is_in_file
}

/// Whether an object id in a statement is to be looked up in the directory before a role is linked to it.
pub(crate) fn validates_object_ids() -> bool {
    VALIDATE_OBJECT_IDS.get()
}
