//! The seal: a session of an Azure AD role proves before its first statement how it came in.
//!
//! Between the hook's decision and the session, core looks the role name up once more; a role renamed in between would turn
//! one person's token into another one's session. A link may be removed in between. Another extension's hook may not have
//! called ours. In all these cases the session has no passage for the role it runs as, and ends before it has done anything.
//!
//! Checked once, where a session's first action must come by: ExecutorStart, ProcessUtility, and function calls by the fast
//! path, which show in the object access hook.

use std::cell::Cell;
use std::ffi::{c_int, c_void};

use entra::{Code, Label, Principal, Token};
use pgrx::prelude::*;

use super::conditions::check_revocations;
use crate::chain::{UtilityCall, guarded, start_executor, utility_hook};
use crate::principal::catalog::{self, Link, Standing};
use crate::report::{self, Attempt, Denial};
use crate::session::{self, Passage};
use crate::settings;

thread_local! {
    /// The check has been passed.
    static CHECKED: Cell<bool> = const { Cell::new(false) };
}

thread_local! {
    /// The hooks that were there before ours. Set once, in the postmaster.
    static PREVIOUS_START: Cell<pg_sys::ExecutorStart_hook_type> = const { Cell::new(None) };
    static PREVIOUS_UTILITY: Cell<pg_sys::ProcessUtility_hook_type> = const { Cell::new(None) };
    static PREVIOUS_ACCESS: Cell<pg_sys::object_access_hook_type> = const { Cell::new(None) };
}

/// Installs the hooks. In the postmaster only, while it loads its libraries.
#[expect(unsafe_code, reason = "installs C hooks")]
pub(crate) fn install() {
    // SAFETY: runs once, before any backend is forked.
    unsafe {
        PREVIOUS_START.set(pg_sys::ExecutorStart_hook);
        pg_sys::ExecutorStart_hook = Some(on_executor_start);
        PREVIOUS_UTILITY.set(pg_sys::ProcessUtility_hook);
        pg_sys::ProcessUtility_hook = Some(on_utility_statement);
        PREVIOUS_ACCESS.set(pg_sys::object_access_hook);
        pg_sys::object_access_hook = Some(on_object_access);
    }
}

#[expect(unsafe_code, reason = "the signature of the hook")]
unsafe extern "C-unwind" fn on_executor_start(query: *mut pg_sys::QueryDesc, flags: c_int) {
    guarded(check);
    // SAFETY: what core gave us, to the hook before ours or to core itself. There is nothing to drop.
    unsafe { start_executor(PREVIOUS_START.get(), query, flags) }
}

utility_hook!(on_utility_statement => check_before_utility);

/// # Safety
/// The call came from core.
#[expect(unsafe_code, reason = "passes a call of core's on")]
unsafe fn check_before_utility(call: UtilityCall) {
    guarded(check);
    // SAFETY: see above. There is nothing to drop.
    unsafe { call.pass_on(PREVIOUS_UTILITY.get()) }
}

#[pg_guard]
#[expect(unsafe_code, ffi_unwind_calls, reason = "chains a C hook, inside pg_guard_ffi_boundary")]
unsafe extern "C-unwind" fn on_object_access(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    part: c_int,
    argument: *mut c_void,
) {
    if access == pg_sys::ObjectAccessType::OAT_FUNCTION_EXECUTE {
        check();
    }
    if let Some(previous) = PREVIOUS_ACCESS.get() {
        // SAFETY: what core gave us, to the hook before ours.
        unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| previous(access, class, object, part, argument)) }
    }
}

/// Ends the session unless it came in as it should. Costs one comparison after the first time.
pub(crate) fn check() {
    if CHECKED.get() || !can_check() {
        return;
    }
    let role = session::role();
    if let Err((name, denial)) = judge(session::passage(), role) {
        let attempt = Attempt { role: name, door: "seal", method: "none".to_owned() };
        report::end_session(&attempt, &denial);
    }
    CHECKED.set(true);
}

/// Whether `passage` leads to a session of `role`, as the catalogs are now.
fn judge(passage: Option<Passage>, role: pg_sys::Oid) -> Result<(), (String, Denial)> {
    catalog::accept_changes();
    let found = catalog::role_of(role);
    let name = found.as_ref().map_or_else(|| role.to_string(), catalog::Role::display_name);
    let denied = |code, problem: &str| {
        let denial = Denial::new(code, &name, vec![("problem", problem.to_owned())]);
        Err((name.clone(), denial))
    };
    match (passage, found.as_ref().map(catalog::standing_of)) {
        (Some(Passage::Token { role: admitted, .. }), _) if admitted != role => {
            denied(Code::OidMismatch, "the session is not of the role that was admitted")
        }
        (Some(Passage::Token { object_id, .. }), _) => match catalog::link_of(role) {
            Link::Bound(label) if label.object_id == Some(object_id) => {
                let still = |token: &Token| {
                    check_terms(token, &label, &name)?;
                    check_revocations(token, label.not_before, &name)?;
                    check_still_associated(token, &name)
                };
                session::with_token(still).unwrap_or(Ok(())).map_err(|denial| (name.clone(), denial))
            }
            Link::Bound(_) => denied(Code::OidMismatch, "the role was linked to another object meanwhile"),
            _ => denied(Code::NotLinked, "the link was removed meanwhile"),
        },
        (_, None | Some(Standing::Local)) => Ok(()),
        (Some(Passage::Method { role: admitted, trusted: false }), Some(Standing::Inherited))
            if admitted == role =>
        {
            Ok(())
        }
        _ => denied(Code::NotLinked, "the session was not admitted by a token"),
    }
}

/// Whether the role, which is linked to the same object, would let the token in now.
fn check_terms(token: &Token, label: &Label, name: &str) -> Result<(), Denial> {
    let accepts = |principal: Principal| principal.accepts(token);
    Principal::of(label).map_or(Ok(()), accepts).map_err(|refusal| Denial::of(&refusal, name))
}

/// Where sessions end with what let them in, one that the reaper has not seen yet ends here.
fn check_still_associated(token: &Token, name: &str) -> Result<(), Denial> {
    let is_lost = settings::session_expiry().is_some() && catalog::associated_tenant() != Some(token.tenant);
    if is_lost { Err(Denial::new(Code::NoAdmin, name, vec![])) } else { Ok(()) }
}

/// Only sessions of clients came through the hook; and only within a transaction can the catalogs be read.
#[expect(unsafe_code, reason = "reads the state of the process")]
fn can_check() -> bool {
    // SAFETY: plain values of the main thread.
    unsafe {
        !pg_sys::MyProcPort.is_null()
            && pg_sys::IsTransactionState()
            && !pg_sys::IsAbortedTransactionBlockState()
    }
}
