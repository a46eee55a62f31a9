//! Runs a check before each action of a session: before a statement is analysed
//! (post_parse_analyze_hook), a query is started (ExecutorStart), a utility statement is run
//! (ProcessUtility), or a function is called, which is how the fast path shows
//! (object_access_hook).
//!
//! Errors of later hooks and of core pass through as they are, with their position, context and
//! names, in the encoding they have: they jump over the frames of these hooks, which therefore have
//! nothing to drop.

use std::ffi::{c_int, c_void};

use pgrx::prelude::*;

use crate::pg::hook::{
    Chain, ExecutorStart, ObjectAccess, PostParseAnalyze, ProcessUtility, UtilityCall, guarded,
};

static ANALYSIS: Chain<PostParseAnalyze> = Chain::new();
static START: Chain<ExecutorStart> = Chain::new();
static UTILITY: Chain<ProcessUtility> = Chain::new();
static ACCESS: Chain<ObjectAccess> = Chain::new();

/// The check.
pub(crate) trait Check: 'static {
    /// Raises an error, or ends the process, if the action must not begin.
    fn check();
}

/// Installs the hooks. In the postmaster only, while it loads its libraries; for one check only, as
/// the chains are one set.
pub(crate) fn install<C: Check>() {
    ANALYSIS.install(Some(on_parse_analysis::<C>));
    START.install(Some(on_executor_start::<C>));
    UTILITY.install(Some(on_utility_statement::<C>));
    ACCESS.install(Some(on_object_access::<C>));
}

#[expect(
    unsafe_code,
    ffi_unwind_calls,
    reason = "the signature of the hook; what jumps over this frame skips nothing"
)]
unsafe extern "C-unwind" fn on_parse_analysis<C: Check>(
    state: *mut pg_sys::ParseState,
    query: *mut pg_sys::Query,
    jumble: Jumble,
) {
    guarded(C::check);
    if let Some(previous) = ANALYSIS.previous() {
        // SAFETY: core's call, passed on to the previous hook. There is nothing to drop.
        unsafe { previous(state, query, jumble) }
    }
}

/// The query's fingerprint, as a hook of parse analysis gets it. From PostgreSQL 19 on it is
/// constant.
#[cfg(not(feature = "pg19"))]
type Jumble = *mut pg_sys::JumbleState;
/// As above.
#[cfg(feature = "pg19")]
type Jumble = *const pg_sys::JumbleState;

/// Core's own function, without the wrapper that would make a Rust error of PostgreSQL's.
#[expect(unsafe_code, reason = "a function of the server")]
mod core {
    use super::{c_int, pg_sys};

    // SAFETY: as in executor/executor.h.
    unsafe extern "C-unwind" {
        pub(crate) fn standard_ExecutorStart(query: *mut pg_sys::QueryDesc, flags: c_int);
    }
}

#[expect(
    unsafe_code,
    ffi_unwind_calls,
    reason = "the signature of the hook; what jumps over this frame skips nothing"
)]
unsafe extern "C-unwind" fn on_executor_start<C: Check>(query: *mut pg_sys::QueryDesc, flags: c_int) {
    guarded(C::check);
    // SAFETY: core's call, passed on to the previous hook or to core. There is nothing to drop.
    unsafe {
        match START.previous() {
            Some(previous) => previous(query, flags),
            None => core::standard_ExecutorStart(query, flags),
        }
    }
}

#[expect(unsafe_code, reason = "the signature of the hook")]
unsafe extern "C-unwind" fn on_utility_statement<C: Check>(
    planned: *mut pg_sys::PlannedStmt,
    source: *const std::ffi::c_char,
    read_only: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    parameters: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    receiver: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    guarded(C::check);
    let call =
        UtilityCall { planned, source, read_only, context, parameters, environment, receiver, completion };
    // SAFETY: core's call, passed on. There is nothing to drop.
    unsafe { call.pass_on(&UTILITY) }
}

#[pg_guard]
#[expect(unsafe_code, ffi_unwind_calls, reason = "chains a C hook, inside pg_guard_ffi_boundary")]
unsafe extern "C-unwind" fn on_object_access<C: Check>(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    part: c_int,
    argument: *mut c_void,
) {
    if access == pg_sys::ObjectAccessType::OAT_FUNCTION_EXECUTE {
        C::check();
    }
    if let Some(previous) = ACCESS.previous() {
        // SAFETY: core's call, passed on to the previous hook.
        unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| previous(access, class, object, part, argument)) }
    }
}
