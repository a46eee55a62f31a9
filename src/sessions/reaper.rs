//! The background worker that ends sessions: those whose token has expired, where the settings say so, and those that have lost what
//! let them in.
//!
//! - Starts from consistent recovery on, so on a standby too; connects to no database, and so reads what a login may read.
//! - Looks once a second while there are sessions, and sleeps while there are none; a session that comes wakes it.
//! - What a role is linked to is looked at when something about roles has changed, which every process is told, on standbys by what
//!   they replay; and after a start.
//! - SIGHUP: reads the settings. SIGTERM: leaves with exit code 1; the postmaster starts it again a second later.
//!
//! A session is asked to end as pg_terminate_backend() asks it.

use std::cell::Cell;
use std::time::Duration;

use entra::{Principal, Revocations};
use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder, BgWorkerStartTime, SignalWakeFlags};
use pgrx::prelude::*;

use crate::catalog::{self, Link};
use crate::pg::{clock, library};
use crate::report::{self, Ending};
use crate::sessions::{Session, end, memory};
use crate::settings;

/// How long a look at the sessions may be put off.
const ROUND: Duration = Duration::from_secs(1);

/// Longest sleep while there is nobody.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

thread_local! {
    /// Something about roles has changed, or nobody has looked yet.
    static ROLES_CHANGED: Cell<bool> = const { Cell::new(true) };
    /// Nobody knows whose tokens are revoked, and that has been said.
    static UNREADABLE: Cell<bool> = const { Cell::new(false) };
}

/// Registers the worker. In the postmaster only, while it loads its libraries.
pub(crate) fn register() {
    BackgroundWorkerBuilder::new("azure_ad_auth session reaper")
        .set_type("azure_ad_auth session reaper")
        .set_library("azure_ad_auth")
        .set_function("azure_ad_auth_reaper_main")
        .set_restart_time(Some(Duration::from_secs(1)))
        .enable_shmem_access(None)
        .enable_spi_access()
        // After that, which would have it wait for the end of recovery.
        .set_start_time(BgWorkerStartTime::ConsistentState)
        .load();
}

/// Where the postmaster sends the worker.
#[pg_guard]
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "called by the postmaster by name")]
pub extern "C-unwind" fn azure_ad_auth_reaper_main(argument: pg_sys::Datum) {
    if let Some(main) = library::reaper_of_another_file() {
        return library::hand_over(main, argument);
    }
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    BackgroundWorker::connect_worker_to_spi(None, None);
    // SAFETY: guarded functions, registered once in this process.
    unsafe {
        pg_sys::before_shmem_exit(Some(on_exit), pg_sys::Datum::from(0));
        for cache in [pg_sys::SysCacheIdentifier::AUTHOID, pg_sys::SysCacheIdentifier::AUTHMEMMEMROLE] {
            pg_sys::CacheRegisterSyscacheCallback(
                cache.cast_signed(),
                Some(on_change),
                pg_sys::Datum::from(0),
            );
        }
    }
    memory::attend();
    run();
    // SAFETY: runs the exit callbacks and does not come back.
    unsafe { pg_sys::proc_exit(1) }
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of an exit callback")]
unsafe extern "C-unwind" fn on_exit(_code: i32, _argument: pg_sys::Datum) {
    memory::retire();
}

#[pg_guard]
#[expect(unsafe_code, reason = "the signature of a cache callback")]
unsafe extern "C-unwind" fn on_change(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    ROLES_CHANGED.set(true);
}

fn run() {
    loop {
        let sleep = if memory::sleep_until_somebody_comes() {
            LONGEST_SLEEP
        } else {
            look();
            ROUND
        };
        if !BackgroundWorker::wait_latch(Some(sleep)) {
            return;
        }
        if BackgroundWorker::sighup_received() {
            settings::reload();
            ROLES_CHANGED.set(true);
        }
    }
}

fn look() {
    BackgroundWorker::transaction(|| {
        // In this order: who comes later than the changes that are taken in here is judged by them, at the door or by the seal.
        catalog::accept_changes();
        let roles_changed = ROLES_CHANGED.replace(false);
        let sessions = memory::due();
        let expiry = settings::session_expiry();
        // One that has not gone when it was asked to is looked at again.
        let look_at_roles = roles_changed || sessions.iter().any(|(_, asked)| *asked);
        let state = look_at_roles.then(|| (revocations(), catalog::associated_tenant()));
        for (session, _) in &sessions {
            let lost = state.as_ref().and_then(|(revocations, tenant)| {
                let lacks_admin = expiry.is_some() && *tenant != Some(session.bearer.tenant);
                what_is_lost(session, revocations, lacks_admin)
            });
            let expired =
                expiry.is_some_and(|grace| clock::unix_now() >= session.expires_at.saturating_add(grace));
            if let Some(reason) = lost.or_else(|| expired.then_some(Ending::Expired)) {
                let role = catalog::role_of(session.role);
                let role = role.map_or_else(|| session.role.to_u32().to_string(), |role| role.display_name());
                end(session, &role, reason);
            }
        }
    });
}

/// Whose tokens count no longer. That the label has become unreadable is said, and is everybody's problem at the door; sessions
/// stay.
fn revocations() -> Revocations {
    let revocations = catalog::revocations();
    let unreadable = revocations.is_none();
    if !UNREADABLE.replace(unreadable) && unreadable {
        report::log_unreadable_revocations();
    }
    revocations.unwrap_or_default()
}

/// What has let the session in and is there no more.
fn what_is_lost(session: &Session, revocations: &Revocations, lacks_admin: bool) -> Option<Ending> {
    if catalog::role_of(session.role).is_none() {
        return Some(Ending::RoleDropped);
    }
    let Link::Bound(label) = catalog::link_of(session.role) else { return Some(Ending::Unlinked) };
    if label.object_id != Some(session.linked_to) {
        return Some(Ending::Rebound);
    }
    if !Principal::of(&label).is_some_and(|principal| principal.still_accepts(&session.bearer)) {
        return Some(Ending::TermsChanged);
    }
    if revocations.revoked_before(session.bearer.holder(), session.issued_at, label.not_before).is_some() {
        return Some(Ending::TokensRevoked);
    }
    lacks_admin.then_some(Ending::NoAdmin)
}
