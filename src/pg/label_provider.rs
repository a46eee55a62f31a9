//! Label providers: what SECURITY LABEL asks before it writes a label (seclabel.c).

use std::ffi::{CStr, c_char};

use pgrx::prelude::*;

/// The function that PostgreSQL calls with a label about to be written.
pub(crate) type Hook = unsafe extern "C-unwind" fn(*const pg_sys::ObjectAddress, *const c_char);

/// Registers a provider. In the postmaster only, while it loads its libraries.
#[expect(unsafe_code, reason = "calls register_label_provider")]
pub(crate) fn register(name: &'static CStr, hook: Hook) {
    // SAFETY: seclabel.c copies the name. The hooks are made by `label_provider!`, and guarded.
    unsafe { pg_sys::register_label_provider(name.as_ptr(), Some(hook)) }
}

/// Returns what a label provider is called with: the object, and the label; none if the label is
/// about to be removed.
///
/// # Safety
/// The arguments are those of a label provider, which seclabel.c calls with an object that it has
/// found, and a label that is null or a C string. The label outlives the call of the provider.
#[expect(unsafe_code, reason = "reads the arguments of a label provider")]
pub(crate) unsafe fn arguments<'call>(
    object: *const pg_sys::ObjectAddress,
    label: *const c_char,
) -> (pg_sys::ObjectAddress, Option<&'call CStr>) {
    // SAFETY: see above.
    unsafe { (*object, (!label.is_null()).then(|| CStr::from_ptr(label))) }
}

/// Defines the [`Hook`] of a label provider, which hands its arguments to a safe function.
macro_rules! label_provider {
    ($name:ident => $check:path) => {
        #[pgrx::pg_guard]
        #[expect(unsafe_code, reason = "the signature of a label provider")]
        unsafe extern "C-unwind" fn $name(
            object: *const pgrx::pg_sys::ObjectAddress,
            label: *const std::ffi::c_char,
        ) {
            // SAFETY: seclabel.c calls this as a label provider.
            let (object, label) = unsafe { $crate::pg::label_provider::arguments(object, label) };
            $check(object, label);
        }
    };
}
pub(crate) use label_provider;
