//! Sessions of roles that lose their link end when that is committed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use pgrx::prelude::*;

use crate::catalog::{self, Role};
use crate::pg::error::Fault;
use crate::pg::transaction::{self, Event, Observer};
use crate::sessions::{self, Ending};

thread_local! {
    /// Roles unlinked by this transaction, or by a part of it that was rolled back, with their names: after the commit nothing can be
    /// looked up.
    static UNLINKED: RefCell<BTreeMap<u32, String>> = const { RefCell::new(BTreeMap::new()) };
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// Ends the sessions of a role once this transaction has committed, if the role is then without a link.
pub(crate) fn end_after_commit(role: &Role) {
    UNLINKED.with_borrow_mut(|roles| {
        roles.entry(role.id.to_u32()).or_insert_with(|| role.display_name());
    });
    if !REGISTERED.replace(true) {
        transaction::observe::<Unlinking>();
    }
}

struct Unlinking;

impl Observer for Unlinking {
    fn notice(event: Event) {
        on_transaction_event(event);
    }
}

fn on_transaction_event(event: Event) {
    match event {
        Event::BeforeCommit => {
            still_unlinked();
        }
        Event::Committed => {
            let roles = UNLINKED.take();
            if !roles.is_empty() {
                sessions::end_all_of(&roles, Ending::Unlinked);
                end_processes_of(&roles);
            }
        }
        // Who commits it later knows nothing of the sessions.
        Event::BeforePrepare if still_unlinked() => Fault::new(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            "cannot PREPARE a transaction that has unlinked an Azure AD role",
        )
        .raise(),
        Event::Aborted => drop(UNLINKED.take()),
        Event::BeforePrepare => {}
    }
}

/// Whether there are any, at the last moment at which the catalogs can be read; a savepoint may have brought a link back.
fn still_unlinked() -> bool {
    UNLINKED.with_borrow_mut(|roles| {
        roles.retain(|role, _| !catalog::is_linked(pg_sys::Oid::from(*role)));
        !roles.is_empty()
    })
}

/// Sends every process of the roles what pg_terminate_backend() sends, however it came in; the caller's own acts on it last, after
/// its commit.
#[expect(unsafe_code, reason = "walks the server's table of processes")]
fn end_processes_of(roles: &BTreeMap<u32, String>) {
    // SAFETY: the table is in shared memory and of fixed size. It is read without a lock, as pg_stat_activity's is: a process that
    // comes meanwhile meets the seal. One that has gone leaves its number and its role behind before 17 (ProcKill, proc.c), and the
    // number may be another's by now: the server's list of those that live decides. Whoever is on that leads a group, in which
    // whatever it has started is.
    unsafe {
        let table = &*pg_sys::ProcGlobal;
        for n in 0..table.allProcCount as usize {
            let process = table.allProcs.add(n);
            let pid = (*process).pid;
            let is_of_role =
                || roles.contains_key(&std::ptr::read_volatile(&raw const (*process).roleId).to_u32());
            // Asked again, for it may have changed hands meanwhile.
            if pid != 0 && is_of_role() && pg_sys::BackendPidGetProc(pid) == process && is_of_role() {
                libc::kill(-pid, libc::SIGTERM);
            }
        }
    }
}
