//! The ProcessUtility hook, and passing its calls on.
//!
//! Errors of PostgreSQL pass through here as they are, with their position, context and names, in
//! the encoding they have: they jump over the frames of the hook, which therefore have nothing to
//! drop. What has something to drop runs within [`crate::pg::hook::guarded`].

use std::ffi::c_char;

use pgrx::prelude::*;

use crate::pg::hook::{Chain, ProcessUtility};

/// Core's own function, without the wrapper that would make a Rust error of PostgreSQL's.
#[expect(unsafe_code, reason = "a function of the server")]
mod core {
    use super::{c_char, pg_sys};

    // SAFETY: as in tcop/utility.h.
    unsafe extern "C-unwind" {
        pub(crate) fn standard_ProcessUtility(
            planned: *mut pg_sys::PlannedStmt,
            source: *const c_char,
            read_only: bool,
            context: pg_sys::ProcessUtilityContext::Type,
            parameters: pg_sys::ParamListInfo,
            environment: *mut pg_sys::QueryEnvironment,
            receiver: *mut pg_sys::DestReceiver,
            completion: *mut pg_sys::QueryCompletion,
        );
    }
}

/// The arguments of a call of the hook.
#[derive(Clone, Copy)]
pub(crate) struct UtilityCall {
    pub(crate) planned: *mut pg_sys::PlannedStmt,
    pub(crate) source: *const c_char,
    pub(crate) read_only: bool,
    pub(crate) context: pg_sys::ProcessUtilityContext::Type,
    pub(crate) parameters: pg_sys::ParamListInfo,
    pub(crate) environment: *mut pg_sys::QueryEnvironment,
    pub(crate) receiver: *mut pg_sys::DestReceiver,
    pub(crate) completion: *mut pg_sys::QueryCompletion,
}

impl UtilityCall {
    /// Runs the statement: by the hook that was installed before, or by core.
    ///
    /// # Safety
    /// The call is one that core made to the hook of this chain. No frame between this one and core
    /// has anything to drop.
    #[expect(unsafe_code, ffi_unwind_calls, reason = "what jumps over this frame skips nothing")]
    pub(crate) unsafe fn pass_on(self, chain: &Chain<ProcessUtility>) {
        let run = chain.previous().unwrap_or(core::standard_ProcessUtility);
        // SAFETY: see above.
        unsafe {
            run(
                self.planned,
                self.source,
                self.read_only,
                self.context,
                self.parameters,
                self.environment,
                self.receiver,
                self.completion,
            );
        }
    }
}

/// Defines a ProcessUtility hook that hands its arguments, as a [`UtilityCall`], to a function that
/// has nothing to drop.
macro_rules! utility_hook {
    ($name:ident => $handle:path) => {
        #[expect(unsafe_code, reason = "the signature of the hook")]
        unsafe extern "C-unwind" fn $name(
            planned: *mut pg_sys::PlannedStmt,
            source: *const std::ffi::c_char,
            read_only: bool,
            context: pg_sys::ProcessUtilityContext::Type,
            parameters: pg_sys::ParamListInfo,
            environment: *mut pg_sys::QueryEnvironment,
            receiver: *mut pg_sys::DestReceiver,
            completion: *mut pg_sys::QueryCompletion,
        ) {
            let call = $crate::pg::hook::UtilityCall {
                planned,
                source,
                read_only,
                context,
                parameters,
                environment,
                receiver,
                completion,
            };
            // SAFETY: core's call.
            unsafe { $handle(call) }
        }
    };
}
pub(crate) use utility_hook;
