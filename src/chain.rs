//! Calling the hook that was there before ours.

use std::ffi::c_char;

use pgrx::prelude::*;

/// What a ProcessUtility hook is given, to be passed on.
#[derive(Clone)]
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
    /// The call is the one core made, and `previous` what was in ProcessUtility_hook when we took its place.
    #[expect(unsafe_code, ffi_unwind_calls, reason = "a C function pointer, inside pg_guard_ffi_boundary")]
    pub(crate) unsafe fn pass_on(self, previous: pg_sys::ProcessUtility_hook_type) {
        let Self { planned, source, read_only, context, parameters, environment, receiver, completion } =
            self;
        // SAFETY: see above.
        unsafe {
            match previous {
                Some(previous) => pg_sys::ffi::pg_guard_ffi_boundary(|| {
                    previous(
                        planned,
                        source,
                        read_only,
                        context,
                        parameters,
                        environment,
                        receiver,
                        completion,
                    );
                }),
                None => pg_sys::standard_ProcessUtility(
                    planned,
                    source,
                    read_only,
                    context,
                    parameters,
                    environment,
                    receiver,
                    completion,
                ),
            }
        }
    }
}

/// Defines a ProcessUtility hook that hands its arguments, as a [`UtilityCall`], to a function.
macro_rules! utility_hook {
    ($name:ident => $handle:path) => {
        #[pg_guard]
        #[expect(unsafe_code, clippy::too_many_arguments, reason = "the signature of the hook")]
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
            $handle($crate::chain::UtilityCall {
                planned,
                source,
                read_only,
                context,
                parameters,
                environment,
                receiver,
                completion,
            })
        }
    };
}
pub(crate) use utility_hook;
