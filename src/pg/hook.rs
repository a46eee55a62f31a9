//! Hooks: how this library installs its own, and how it calls those that were installed before.
//!
//! PostgreSQL has one variable for each kind of hook. A library that installs a hook keeps what the
//! variable held and calls that too, so the hooks of all libraries form a chain. The library that
//! was loaded last is called first.

pub(crate) mod actions;
pub(crate) mod authentication;
pub(crate) mod utility;

use std::sync::OnceLock;

use pgrx::prelude::*;

use crate::pg::server;
pub(crate) use utility::{UtilityCall, utility_hook};

/// A kind of hook.
pub(crate) trait Kind {
    /// The type of the server's variable: a function, or none.
    type Function: Copy + Default + Send + Sync + 'static;

    /// Returns the address of the server's variable.
    fn variable() -> *mut Self::Function;
}

/// Defines kinds of hooks: a name, the type of the server's variable, and the variable.
macro_rules! kinds {
    ($($(#[$attribute:meta])* $name:ident: $function:ty = $variable:path;)*) => {$(
        $(#[$attribute])*
        pub(crate) enum $name {}

        impl Kind for $name {
            type Function = $function;

            fn variable() -> *mut Self::Function {
                &raw mut $variable
            }
        }
    )*};
}

kinds! {
    /// Called once a method of pg_hba.conf has accepted or refused a client.
    ClientAuthentication: server::ClientAuthentication_hook_type = server::ClientAuthentication_hook;
    /// Called after a statement has been analysed.
    PostParseAnalyze: pg_sys::post_parse_analyze_hook_type = pg_sys::post_parse_analyze_hook;
    /// Called in place of standard_ExecutorStart().
    ExecutorStart: pg_sys::ExecutorStart_hook_type = pg_sys::ExecutorStart_hook;
    /// Called in place of standard_ProcessUtility().
    ProcessUtility: pg_sys::ProcessUtility_hook_type = pg_sys::ProcessUtility_hook;
    /// Called when an object is created, changed or used.
    ObjectAccess: pg_sys::object_access_hook_type = pg_sys::object_access_hook;
    /// Called when libraries may ask for shared memory.
    ShmemRequest: pg_sys::shmem_request_hook_type = pg_sys::shmem_request_hook;
    /// Called when shared memory is there to be initialised.
    ShmemStartup: pg_sys::shmem_startup_hook_type = pg_sys::shmem_startup_hook;
}

/// One hook of this library, and the one that was installed before it.
///
/// It is set in the postmaster, and every process inherits it.
pub(crate) struct Chain<K: Kind> {
    previous: OnceLock<K::Function>,
}

impl<K: Kind> Chain<K> {
    pub(crate) const fn new() -> Self {
        Self { previous: OnceLock::new() }
    }

    /// Installs `own`, and keeps the hook that was installed before. Called once, in the
    /// postmaster, while it loads its libraries. A second call does nothing: a hook that became its
    /// own predecessor would call itself for ever.
    #[expect(unsafe_code, reason = "reads and writes a variable of the server")]
    pub(crate) fn install(&self, own: K::Function) {
        let variable = K::variable();
        // SAFETY: a variable of the server of this very type, which only the main thread uses.
        unsafe {
            if self.previous.set(*variable).is_ok() {
                *variable = own;
            }
        }
    }

    /// Returns the hook that was installed before this library's, if there was one.
    pub(crate) fn previous(&self) -> K::Function {
        self.previous.get().copied().unwrap_or_default()
    }
}

/// Runs `act` and turns its panics into PostgreSQL's errors, once everything in it has been
/// dropped.
///
/// For hooks that pass a call on without a guard around it: PostgreSQL's errors jump over their
/// frames, which therefore must have nothing to drop. Code that has something to drop runs in here.
#[expect(unsafe_code, reason = "what it turns panics into jumps over its caller")]
pub(crate) fn guarded<T: Copy>(act: impl FnOnce() -> T) -> T {
    // SAFETY: called by hooks only, which C calls and which have nothing to drop.
    unsafe { pgrx::pgrx_extern_c_guard(act) }
}
