//! Changes of roles and memberships, of which PostgreSQL tells every process that asks.

use std::ffi::c_void;

use pgrx::prelude::*;

use crate::pg::syscache::number_of;

/// Has a function called whenever roles or memberships may have changed, by a transaction of this
/// server or, on a standby, by what it replays. Called once in a process.
#[expect(unsafe_code, reason = "registers a cache callback")]
pub(crate) fn on_change(act: fn()) {
    for cache in [pg_sys::SysCacheIdentifier::AUTHOID, pg_sys::SysCacheIdentifier::AUTHMEMMEMROLE] {
        // SAFETY: a guarded function, and an argument that it knows.
        unsafe {
            pg_sys::CacheRegisterSyscacheCallback(
                number_of(cache),
                Some(run),
                pg_sys::Datum::from(act as *mut c_void),
            );
        }
    }
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of a cache callback")]
unsafe extern "C-unwind" fn run(act: pg_sys::Datum, _cache: i32, _hash: u32) {
    // SAFETY: on_change() has passed a function of this type.
    let act = unsafe { std::mem::transmute::<*mut c_void, fn()>(act.cast_mut_ptr()) };
    act();
}
