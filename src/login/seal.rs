//! The seal: a session proves that it is of the role that was let in, and, of an Azure AD role,
//! that a token let it in. What it ends for is S1 to S4 at the head of [`crate::login::hook`].
//!
//! Between the hook's decision and the session, core looks the role name up once more; a role renamed in between would turn
//! one person's token into another one's session. A link may be removed in between. Another extension's hook may not have
//! called ours. In all these cases the session was not authenticated as the role it
//! runs as, and ends before it has done anything.
//!
//! The seal is looked at twice.
//!
//! First at the end of the startup transaction (InitPostgres, postinit.c). The role is known by
//! then, and no message of the session has been read. Every process that serves a client commits
//! this transaction: sessions, walsenders of a database, and walsenders of none, in which no
//! database is selected and only what [`catalog`] reads in logins can be read. So nothing that the
//! protocol has can come before it: replication commands and Describe pass no hook at all. What
//! does come before it are the settings of the startup packet and of the role, and the libraries of
//! session_preload_libraries.
//!
//! Then once more before the session's first action, for what has changed meanwhile: where a text
//! is parsed, in ExecutorStart, in ProcessUtility, and in function calls by the fast path, which
//! show in the object access hook. After that each of these costs one comparison, as does the end
//! of every transaction.
//!
//! Parallel workers and other background workers have no client, and are let be.

use std::cell::Cell;
use std::ffi::{c_int, c_void};

use entra::{Code, Label, Principal, Token};
use pgrx::prelude::*;

use crate::catalog::{self, Link, Role, Standing};
use crate::login::preconditions::check_revocations;
use crate::login::record;
use crate::pg::hook::{UtilityCall, guarded, start_executor, utility_hook};
use crate::pg::text::decode;
use crate::pg::wire::{Connection, Method};
use crate::report::{Attempt, Denial};
use crate::sessions::own::{self, Authentication};
use crate::settings;

/// How far the session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// In its startup transaction.
    Starting,
    /// The seal was whole at the end of that.
    Started,
    /// And before its first action.
    Acting,
}

thread_local! {
    /// Never moved in the postmaster, so every process begins with the first.
    static STAGE: Cell<Stage> = const { Cell::new(Stage::Starting) };
}

thread_local! {
    static PREVIOUS_ANALYSIS: Cell<pg_sys::post_parse_analyze_hook_type> = const { Cell::new(None) };
    /// The hooks that were there before ours. Set once, in the postmaster.
    static PREVIOUS_START: Cell<pg_sys::ExecutorStart_hook_type> = const { Cell::new(None) };
    static PREVIOUS_UTILITY: Cell<pg_sys::ProcessUtility_hook_type> = const { Cell::new(None) };
    static PREVIOUS_ACCESS: Cell<pg_sys::object_access_hook_type> = const { Cell::new(None) };
}

/// Installs the hooks. In the postmaster only, while it loads its libraries.
#[expect(unsafe_code, reason = "installs C hooks")]
pub(crate) fn install() {
    // SAFETY: runs once, before any backend is forked. A callback is registered in memory that
    // every backend inherits, and stays for good.
    unsafe {
        pg_sys::RegisterXactCallback(Some(on_transaction_event), std::ptr::null_mut());
        PREVIOUS_ANALYSIS.set(pg_sys::post_parse_analyze_hook);
        pg_sys::post_parse_analyze_hook = Some(on_parse_analysis);
        PREVIOUS_START.set(pg_sys::ExecutorStart_hook);
        pg_sys::ExecutorStart_hook = Some(on_executor_start);
        PREVIOUS_UTILITY.set(pg_sys::ProcessUtility_hook);
        pg_sys::ProcessUtility_hook = Some(on_utility_statement);
        PREVIOUS_ACCESS.set(pg_sys::object_access_hook);
        pg_sys::object_access_hook = Some(on_object_access);
    }
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of a transaction callback")]
unsafe extern "C-unwind" fn on_transaction_event(event: pg_sys::XactEvent::Type, _argument: *mut c_void) {
    if STAGE.get() == Stage::Starting && event == pg_sys::XactEvent::XACT_EVENT_PRE_COMMIT {
        check_start();
    }
}

#[expect(
    unsafe_code,
    ffi_unwind_calls,
    reason = "the signature of the hook; what jumps over this frame skips nothing"
)]
unsafe extern "C-unwind" fn on_parse_analysis(
    state: *mut pg_sys::ParseState,
    query: *mut pg_sys::Query,
    jumble: *mut pg_sys::JumbleState,
) {
    guarded(check);
    if let Some(previous) = PREVIOUS_ANALYSIS.get() {
        // SAFETY: what core gave us, to the hook before ours. There is nothing to drop.
        unsafe { previous(state, query, jumble) }
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

/// The first look. A transaction that ends before core knows the role was another library's, in its
/// hook.
#[expect(unsafe_code, reason = "asks for the connection while it may")]
fn check_start() {
    let role = own::role();
    if !has_client() || role == pg_sys::InvalidOid {
        return;
    }
    // SAFETY: the first transaction to end with a role is the startup transaction.
    let connection = unsafe { Connection::of_starting_session() };
    catalog::accept_changes();
    end_unless(judge(own::authentication(), role).and_then(|()| check_line(connection)));
    // What others have asked before initialize_acl(), core would believe for as long as the session
    // lasts.
    catalog::forget_memberships();
    STAGE.set(Stage::Started);
}

/// The second look, before whatever the session does first. Costs one comparison after that.
pub(crate) fn check() {
    if STAGE.get() == Stage::Acting || !can_check() {
        return;
    }
    catalog::accept_changes();
    end_unless(judge(own::authentication(), own::role()));
    STAGE.set(Stage::Acting);
}

/// Why a session ends, and its role's name.
type Broken = (String, Denial);

fn end_unless(whole: Result<(), Broken>) {
    if let Err((role, denial)) = whole {
        let attempt = Attempt { role, door: "seal", method: "none".to_owned() };
        record::refusal_of_session(&attempt, &denial);
    }
}

fn broken<T>(name: &str, code: Code, problem: &str) -> Result<T, Broken> {
    Err((name.to_owned(), Denial::new(code, name, vec![("problem", problem.to_owned())])))
}

/// Whether `authentication` leads to a session of `role`, as the catalogs are now.
fn judge(authentication: Option<Authentication>, role: pg_sys::Oid) -> Result<(), Broken> {
    let found = catalog::role_of(role);
    let name = found.as_ref().map_or_else(|| role.to_string(), Role::display_name);
    if authentication.is_some_and(|authentication| authentication.role() != role) {
        return broken(&name, Code::OidMismatch, "the session is not of the role that was admitted");
    }
    let is_superuser = found.as_ref().is_some_and(|role| role.superuser);
    match authentication {
        Some(Authentication::Token { object_id, .. }) => check_link(role, object_id, &name),
        Some(Authentication::Superuser { .. }) if is_superuser => Ok(()),
        _ => match found.as_ref().map(catalog::standing_of) {
            None | Some(Standing::Local) => Ok(()),
            Some(Standing::Inherited) if authenticated(authentication) => Ok(()),
            _ => broken(&name, Code::NotLinked, "the session was not admitted by a token"),
        },
    }
}

/// Whether a method that asks for something has let the client in, before our eyes.
const fn authenticated(authentication: Option<Authentication>) -> bool {
    matches!(
        authentication,
        Some(Authentication::Method { trusted: false, .. } | Authentication::Superuser { .. })
    )
}

/// Whether a role is linked to what it was when a token let the client in, and such tokens still
/// count.
fn check_link(role: pg_sys::Oid, object_id: entra::Uuid, name: &str) -> Result<(), Broken> {
    match catalog::link_of(role) {
        Link::Bound(label) if label.object_id == Some(object_id) => {
            let still = |token: &Token| {
                check_terms(token, &label, name)?;
                check_revocations(token, label.not_before, name)?;
                check_still_associated(token, name)
            };
            own::with_token(still).unwrap_or(Ok(())).map_err(|denial| (name.to_owned(), denial))
        }
        Link::Bound(_) => broken(name, Code::OidMismatch, "the role was linked to another object meanwhile"),
        _ => broken(name, Code::NotLinked, "the link was removed meanwhile"),
    }
}

/// Behind `trust`, what no hook of ours has seen must at least be matched by the same line still:
/// that one may have been for an Azure AD role, which had the name before.
fn check_line(connection: Option<Connection>) -> Result<(), Broken> {
    let Some(connection) = connection.filter(|_| own::authentication().is_none()) else { return Ok(()) };
    let name = connection.role_name();
    let is_matched = || catalog::holds_while_named(own::role(), &name, || connection.is_matched_again());
    if connection.method() != Method::Trust || is_matched() {
        return Ok(());
    }
    let problem = "the role was unlinked or renamed after a line of pg_hba.conf had matched it, and another library's hook did \
                   not call azure_ad_auth's";
    broken(&decode(name.to_bytes()), Code::NotLinked, problem)
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

/// Only sessions of clients came through the hook.
#[expect(unsafe_code, reason = "reads the state of the process")]
fn has_client() -> bool {
    // SAFETY: a plain value of the main thread.
    unsafe { !pg_sys::MyProcPort.is_null() }
}

/// And only within a transaction can the catalogs be read.
#[expect(unsafe_code, reason = "reads the state of the process")]
fn can_check() -> bool {
    // SAFETY: plain values of the main thread.
    has_client() && unsafe { pg_sys::IsTransactionState() && !pg_sys::IsAbortedTransactionBlockState() }
}
