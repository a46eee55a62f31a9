//! Security labels of roles (seclabel.c).

use std::ffi::{CStr, CString};

use pgrx::prelude::*;

const fn address(role: pg_sys::Oid) -> pg_sys::ObjectAddress {
    pg_sys::ObjectAddress { classId: pg_sys::AuthIdRelationId, objectId: role, objectSubId: 0 }
}

/// Returns the text of a role's label, in its own bytes.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn get(role: pg_sys::Oid, provider: &CStr) -> Option<CString> {
    let object = address(role);
    // SAFETY: the result is null or a palloc'd C string of ours, copied and freed at once.
    unsafe {
        let label = pg_sys::GetSecurityLabel(&raw const object, provider.as_ptr());
        if label.is_null() {
            return None;
        }
        let copy = CStr::from_ptr(label).to_owned();
        pg_sys::pfree(label.cast());
        Some(copy)
    }
}

/// Writes a role's label, or removes it, and makes that visible to the rest of the statement.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn set(role: pg_sys::Oid, provider: &CStr, text: Option<&str>) {
    let object = address(role);
    let text = text.and_then(|text| CString::new(text).ok());
    let pointer = text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
    // SAFETY: C strings that outlive the call.
    unsafe {
        pg_sys::SetSecurityLabel(&raw const object, provider.as_ptr(), pointer);
        pg_sys::CommandCounterIncrement();
    }
}
