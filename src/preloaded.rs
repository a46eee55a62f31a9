//! Whether the postmaster loaded this library, which is when it works; and whether it was this very file.
//!
//! A package upgrade replaces the file under a running server. Sessions then load the new file beside the library of the
//! postmaster, which goes on doing its work. The new one has none of its state, and says so.

use std::cell::Cell;
use std::ffi::CStr;

use pgrx::prelude::*;

use crate::fault::{Fault, Outcome};

/// Under this name the library that the postmaster loaded leaves a mark (find_rendezvous_variable, dfmgr.c).
const MARK: &CStr = c"azure_ad_auth";

thread_local! {
    /// Set in the postmaster, inherited by every process.
    static THIS_FILE: Cell<bool> = const { Cell::new(false) };
}

/// What can be said about where the library is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preloaded {
    /// The postmaster loaded this file.
    ThisFile,
    /// The postmaster loaded one that has since been replaced by this.
    AnotherFile,
    /// The postmaster loaded none.
    No,
}

/// Leaves the mark. In the postmaster only, while it loads its libraries.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn mark() {
    THIS_FILE.set(true);
    // SAFETY: a constant C string; the variable is never freed, and nobody reads more of it than whether it is null.
    unsafe { *pg_sys::find_rendezvous_variable(MARK.as_ptr()) = MARK.as_ptr().cast_mut().cast() }
}

/// Where the library is.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn status() -> Preloaded {
    // SAFETY: as above.
    let marked = unsafe { !(*pg_sys::find_rendezvous_variable(MARK.as_ptr())).is_null() };
    match (THIS_FILE.get(), marked) {
        (true, _) => Preloaded::ThisFile,
        (false, true) => Preloaded::AnotherFile,
        (false, false) => Preloaded::No,
    }
}

/// The library works only where the postmaster loaded it: hooks, label providers and shared memory are that one's.
///
/// # Errors
/// What an administrator has to do.
pub(crate) fn require() -> Outcome<()> {
    match status() {
        Preloaded::ThisFile => Ok(()),
        Preloaded::AnotherFile => {
            Err(Fault::not_now("the azure_ad_auth library was replaced after the server started")
                .hint("Restart the server."))
        }
        Preloaded::No => Err(Fault::not_now("azure_ad_auth must be loaded via shared_preload_libraries")
            .hint(
                "Add azure_ad_auth to shared_preload_libraries in postgresql.conf and restart the server.",
            )),
    }
}
