//! Calling the hook that was there before ours, around statements.
//!
//! Errors of PostgreSQL's pass through here as they are, with their position, context and names, in the encoding they have: they
//! jump over our frames, which therefore have nothing to drop. What has, runs within [`guarded`].

use std::ffi::{c_char, c_int};

use pgrx::prelude::*;

/// Runs what is ours, which raises its errors once everything of it has been dropped.
#[expect(unsafe_code, reason = "no safe wrapper")]
pub(crate) fn guarded<T: Copy>(act: impl FnOnce() -> T) -> T {
    // SAFETY: called by hooks only, which C calls and which have nothing to drop.
    unsafe { pgrx::pgrx_extern_c_guard(act) }
}

/// Core's own, without the wrapper that would make Rust's errors of PostgreSQL's.
#[expect(unsafe_code, reason = "functions of the server's")]
mod core {
    use super::{c_char, c_int, pg_sys};

    // SAFETY: as in tcop/utility.h and executor/executor.h.
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
        pub(crate) fn standard_ExecutorStart(query: *mut pg_sys::QueryDesc, flags: c_int);
    }
}

/// What a ProcessUtility hook is given, to be passed on.
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
    /// Runs the statement: by the hook before ours, or by core.
    ///
    /// # Safety
    /// The call is the one core made, and `previous` what was in ProcessUtility_hook when we took its place. Nobody up to core has
    /// anything to drop.
    #[expect(unsafe_code, ffi_unwind_calls, reason = "what jumps over this frame skips nothing")]
    pub(crate) unsafe fn pass_on(self, previous: pg_sys::ProcessUtility_hook_type) {
        let Self { planned, source, read_only, context, parameters, environment, receiver, completion } =
            self;
        // SAFETY: see above.
        unsafe {
            if let Some(run) = previous {
                run(planned, source, read_only, context, parameters, environment, receiver, completion);
            } else {
                core::standard_ProcessUtility(
                    planned,
                    source,
                    read_only,
                    context,
                    parameters,
                    environment,
                    receiver,
                    completion,
                );
            }
        }
    }
}

/// Starts a query: by the hook before ours, or by core.
///
/// # Safety
/// As for [`UtilityCall::pass_on`], and ExecutorStart_hook.
#[expect(unsafe_code, ffi_unwind_calls, reason = "what jumps over this frame skips nothing")]
pub(crate) unsafe fn start_executor(
    previous: pg_sys::ExecutorStart_hook_type,
    query: *mut pg_sys::QueryDesc,
    flags: c_int,
) {
    // SAFETY: see above.
    unsafe {
        match previous {
            Some(previous) => previous(query, flags),
            None => core::standard_ExecutorStart(query, flags),
        }
    }
}

/// Defines a ProcessUtility hook that hands its arguments, as a [`UtilityCall`], to a function that has nothing to drop.
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
